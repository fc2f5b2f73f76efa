"""Waits of two that create the same: named by what the waiter's statement creates. Pure.

Who inserts a catalog's row whose key somebody else has inserted, and not committed, waits for the other's
transaction (_bt_check_unique, src/backend/access/nbtree/nbtinsert.c). IF NOT EXISTS doesn't help: it looks
for what is committed. Often the other one doesn't hold its lock on the catalog any more, so that the lock
table doesn't tell of it; CREATE itself writes to nothing but catalogs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from pgwatch_tests.locks.model import EdgeGroup, Party, Session, Subject
from pgwatch_tests.locks.waits.statement_text import created


def named(groups: Iterable[EdgeGroup], sessions: Iterable[Session]) -> Iterator[EdgeGroup]:
    """`groups`, with what is created as the subject of those that wait for another creation to end."""
    queries = {Party(session.pid): session.query for session in sessions}
    for group in groups:
        waits_for_end = group.wait is not None and group.wait.tag.type == "transactionid"
        # With a row as its subject, it waits for a row that is there already, as OR REPLACE does.
        if waits_for_end and (group.subject is None or group.subject.kind != "row"):
            what = created(queries.get(group.waiter, ""))
            if what is not None:
                yield replace(group, subject=Subject("creation", words=what))
                continue
        yield group
