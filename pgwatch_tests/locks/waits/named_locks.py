"""Named locks of tests: advisory locks that a statement of some session tells the name of. Pure.

The lock table has two numbers. Whoever takes a named lock writes its name into the statement: a session that
holds it, or waits for it, shows the name as long as that is its last statement.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from pgwatch_tests.identity.lease_names import LEASE_KEY, lock_name
from pgwatch_tests.locks.model import EdgeGroup, LockTag, Session, Subject

NAMED_LOCK = "named lock"


def with_named_locks(groups: Iterable[EdgeGroup], sessions: Sequence[Session]) -> Iterator[EdgeGroup]:
    """Returns `groups`, with the names of the named locks that are waited for, as far as they are known."""
    for group in groups:
        if group.wait is not None and group.subject is not None and is_lease(group.wait.tag):
            yield replace(group, subject=named(group.subject, group.wait.tag, (s.query for s in sessions)))
        else:
            yield group


def named(subject: Subject, tag: LockTag, statements: Iterable[str]) -> Subject:
    """Returns the subject of a lock, by its name if one of `statements` tells it."""
    if not is_lease(tag):
        return subject
    number = tag.objid or 0
    name = lock_name(number - (1 << 32) if number >= 1 << 31 else number, statements)
    return subject if name is None else replace(subject, words=f"{NAMED_LOCK} {name}")


def is_lease(tag: LockTag) -> bool:
    """Whether the lock has the numbers of a lease."""
    return tag.type == "advisory" and tag.classid == LEASE_KEY and tag.objsubid == 2
