"""Reads one snapshot of the whole server's waits in one round trip."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypedDict, cast

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from pgwatch_tests import queries
from pgwatch_tests.locks import modes, target
from pgwatch_tests.locks.model import (
    Edge,
    EdgeKind,
    LockSnapshot,
    LockTag,
    Party,
    PreparedTransaction,
    Session,
    Subject,
    Wait,
    WaitedLock,
)
from pgwatch_tests.server import version
from pgwatch_tests.server.application_name import OWN_NAME

_WRITES = "RowExclusiveLock"
_LOCKS_ROWS = "RowShareLock"
# A tuple lock in this mode is SELECT FOR KEY SHARE's, which is how foreign keys are checked
# (tupleLockExtraInfo, src/backend/access/heap/heapam.c).
_KEY_SHARE = "AccessShareLock"
_HIDDEN = "<insufficient privilege>"  # what pg_stat_get_activity says instead of a query


_LockColumns = tuple[
    str,
    int | None,
    int | None,
    int | None,
    int | None,
    str | None,
    int | None,
    int | None,
    int | None,
    int | None,
    str,
    str,
    bool,
    float | None,
]
"""An element of the query's `locks`: LockTag's fields in their order, then the request's."""


class _Process(TypedDict):
    """A row of queries/locks.sql."""

    pid: int
    gid: str
    backend_start: float | None
    backend_type: str | None
    datid: int | None
    usesysid: int | None
    application_name: str | None
    client_addr: str | None
    client_port: int | None
    state: str | None
    wait_event_type: str | None
    wait_event: str | None
    xact_age_s: float | None
    state_age_s: float | None
    query_age_s: float | None
    query: str | None
    leader_pid: int | None
    blockers: list[int]
    safe_snapshot_blockers: list[int]
    locks: list[_LockColumns]
    sampled_at: float


@dataclass(frozen=True, slots=True)
class _LockRow:
    tag: LockTag
    mode: str
    granted: bool
    virtualtransaction: str
    waitstart: float | None
    pid: int
    """The process itself: a parallel worker's own, not its leader's."""


async def read(connection: AsyncConnection[tuple[object, ...]], database: str, server: str) -> LockSnapshot:
    """One poll, names still unknown and nothing confirmed. `database` and `server` are its labels.

    Raises psycopg's errors; bounded by the connection's statement_timeout and by the caller's deadline.
    """
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(queries.load("locks"), prepare=True)
        rows = cast(list[_Process], await cursor.fetchall())
    return snapshot(rows, version.in_words(connection.info.server_version), database, server)


def snapshot(rows: Sequence[_Process], server_version: str, database: str, server: str) -> LockSnapshot:
    """The snapshot that the rows of queries/locks.sql say. Pure."""
    # The statement's own session is always there, so there is a first row to take the time from.
    sampled_at = rows[0]["sampled_at"]
    held: dict[Party, list[_LockRow]] = {}
    for row in rows:
        party = Party(row["leader_pid"] or row["pid"], row["gid"])
        held.setdefault(party, []).extend(_lock_row(lock, row["pid"]) for lock in row["locks"])
    edges: list[Edge] = []
    for row in rows:
        if row["application_name"] == OWN_NAME:
            continue  # a look-up of ours, which gives up in a moment
        if row["blockers"]:
            edges.extend(_edges(row, held, sampled_at))
        edges.extend(
            Edge(
                Party(row["pid"]),
                Party(blocker),
                "safe_snapshot",
                WaitedLock("safe_snapshot", "", None, "safe snapshot (DEFERRABLE transaction)"),
                None,
                row["state_age_s"],
            )
            for blocker in sorted(set(row["safe_snapshot_blockers"]) - {row["pid"]})
        )
    return LockSnapshot(
        sampled_at=datetime.fromtimestamp(sampled_at, UTC),
        server_version=server_version,
        database=database,
        server=server,
        sessions=tuple(_session(row) for row in rows if row["pid"]),
        prepared=tuple(_prepared(row) for row in rows if not row["pid"]),
        edges=tuple(edges),
    )


def _edges(row: _Process, held: dict[Party, list[_LockRow]], sampled_at: float) -> Iterable[Edge]:
    waiter = Party(row["pid"])
    requests = [lock for lock in held[waiter] if not lock.granted]
    for blocker in _blockers(row, requests, held):
        kind, request, held_mode = _relation_between(requests, held.get(blocker, []))
        wait_s = None if request.waitstart is None else max(0.0, sampled_at - request.waitstart)
        about = _subject(request, blocker, held[waiter], held.get(blocker, []))
        yield Edge(
            waiter,
            blocker,
            kind,
            WaitedLock(request.tag.type, request.mode, held_mode, ""),
            Wait(
                request.pid,
                request.virtualtransaction,
                request.tag,
                request.mode,
                None if request.waitstart is None else datetime.fromtimestamp(request.waitstart, UTC),
            ),
            wait_s,
            about,
        )


def _blockers(
    row: _Process, requests: Sequence[_LockRow], held: dict[Party, list[_LockRow]]
) -> Iterable[Party]:
    # A set: a blocker is named once for each of its parallel workers; a leader isn't its own blocker.
    for pid in sorted(set(row["blockers"]) - {row["pid"]}):
        if pid:
            yield Party(pid)
            continue
        # Prepared transactions are all pid 0: those that hold what is asked for are meant.
        holders = [
            party
            for party, locks in held.items()
            if not party.pid and any(_conflicts(request, lock) for request in requests for lock in locks)
        ]
        yield from sorted(holders) or [Party(0)]


def _conflicts(request: _LockRow, lock: _LockRow) -> bool:
    return request.tag == lock.tag and modes.conflict(request.mode, lock.mode)


def _relation_between(
    requests: Sequence[_LockRow], locks: Sequence[_LockRow]
) -> tuple[EdgeKind, _LockRow, str | None]:
    """How a blocker is in the way, by which of the waiter's requests, and holding which mode."""
    for granted in (True, False):
        for request in requests:
            for lock in locks:
                if lock.granted is granted and _conflicts(request, lock):
                    return ("hard", request, lock.mode) if granted else ("soft", request, None)
    # The lock rows are a moment older than the blockers: it took or gave back the lock in between.
    return "hard", requests[0], None


def _subject(
    request: _LockRow, blocker: Party, waiters: Sequence[_LockRow], blockers: Sequence[_LockRow]
) -> Subject:
    tuples_held = [lock for lock in waiters if lock.granted and lock.tag.type == "tuple"]
    written = {lock.tag for lock in blockers if _is_held(lock, _WRITES)}
    shared = [lock.tag for lock in waiters if _is_held(lock, _WRITES) and lock.tag in written]
    about = target.subject(request.tag, [lock.tag for lock in tuples_held], shared, blocker)
    if about.kind != "row" or about.transaction is None:
        return about
    row = LockTag("relation", about.database, about.relations[0])
    if any(lock.mode == _KEY_SHARE for lock in tuples_held):
        return replace(about, referencing=_relations(waiters))
    if row not in written and any(_is_held(lock, _LOCKS_ROWS) and lock.tag == row for lock in blockers):
        return replace(about, referencing=_relations(blockers))
    return about


def _relations(locks: Sequence[_LockRow]) -> tuple[int, ...]:
    """What the holder of `locks` writes to."""
    oids = {lock.tag.relation for lock in locks if _is_held(lock, _WRITES)}
    return tuple(sorted(oid for oid in oids if oid is not None))


def _is_held(lock: _LockRow, mode: str) -> bool:
    return lock.granted and lock.tag.type == "relation" and lock.mode == mode


def _lock_row(columns: _LockColumns, pid: int) -> _LockRow:
    *_, virtualtransaction, mode, granted, waitstart = columns
    return _LockRow(LockTag(*columns[:10]), mode, granted, virtualtransaction, waitstart, pid)


def _session(row: _Process) -> Session:
    address, port = row["client_addr"], row["client_port"]
    hidden = row["query"] == _HIDDEN
    return Session(
        pid=row["pid"],
        backend_start=_time(row["backend_start"]),
        backend_type=row["backend_type"] or "",
        database_oid=row["datid"] or None,
        user_oid=row["usesysid"] or None,
        application_name=row["application_name"] or "",
        client=f"{address}:{port}" if address else "local" if port == -1 else "",
        state=row["state"],
        wait_event_type=row["wait_event_type"],
        wait_event=row["wait_event"],
        xact_age_s=row["xact_age_s"],
        state_age_s=row["state_age_s"],
        query_age_s=row["query_age_s"],
        query="" if hidden else row["query"] or "",
        hidden=hidden,
    )


def _prepared(row: _Process) -> PreparedTransaction:
    return PreparedTransaction(row["gid"], row["datid"], row["usesysid"], age_s=row["xact_age_s"])


def _time(epoch_s: float | None) -> datetime | None:
    return None if epoch_s is None else datetime.fromtimestamp(epoch_s, UTC)
