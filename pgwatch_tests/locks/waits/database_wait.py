"""Waits for everybody else to leave a database: DROP, RENAME, SET TABLESPACE, CREATE … TEMPLATE. Pure.

The server looks at who is connected ten times a second, gives up after 5 s ("is being accessed by other
users"), and shows no wait meanwhile (CountOtherDBBackends, src/backend/storage/ipc/procarray.c). What shows
is the lock on the database that such a statement holds, in a mode that lets nobody new in
(src/backend/commands/dbcommands.c); COMMENT and the others of ALTER DATABASE take weaker ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pgwatch_tests.locks.model import (
    EdgeGroup,
    LockTag,
    Party,
    PreparedTransaction,
    Session,
    Subject,
    WaitedLock,
)
from pgwatch_tests.locks.waits.wait_target import PG_DATABASE

_MODES = ("ShareLock", "AccessExclusiveLock")
_COMMENT_OR_NAME = re.compile(r"""--[^\n]*|/\*.*?\*/|"(?:[^"]|"")*\"""", re.DOTALL)
_FORCE = re.compile(r"\(\s*FORCE\s*[,)]", re.IGNORECASE)


def is_for_itself(tag: LockTag, mode: str) -> bool:
    """Whether a lock that is held keeps new sessions out of a database. NOTIFY locks database 0."""
    return tag.type == "object" and tag.classid == PG_DATABASE and bool(tag.objid) and mode in _MODES


def is_forced(statement: str) -> bool:
    """Whether it is DROP DATABASE … WITH (FORCE), which ends the others' sessions (manual, DROP DATABASE)."""
    return _FORCE.search(_COMMENT_OR_NAME.sub(" ", statement)) is not None


def groups(
    holders: Iterable[tuple[Session, LockTag, str]],
    sessions: Sequence[Session],
    prepared: Sequence[PreparedTransaction],
) -> list[EdgeGroup]:
    """The waits of `holders` (whose lock, in which mode, `is_for_itself`) for those that are connected.

    Prepared transactions and autovacuum workers count, as they do for the server. None is in the way of a
    DROP with FORCE, nor of a session that runs nothing: it has what it wanted.
    """
    found = []
    for waiter, tag, mode in holders:
        if waiter.state not in ("active", None) or is_forced(waiter.query):
            continue
        inside = {Party(one.pid) for one in sessions if one.database_oid == tag.objid}
        inside |= {Party(0, one.gid) for one in prepared if one.database_oid == tag.objid}
        inside.discard(Party(waiter.pid))
        if inside:
            found.append(
                EdgeGroup(
                    Party(waiter.pid),
                    tuple(sorted(inside)),
                    "connected",
                    WaitedLock(tag.type, mode, None, ""),
                    None,
                    waiter.query_age_s,
                    Subject("database", tag.objid),
                )
            )
    return found
