"""Reads one snapshot of the whole server's waits in one round trip."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol, TypedDict, cast

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
    blockers: list[int] | None
    safe_snapshot_blockers: list[int] | None
    locks: list[_LockColumns] | None
    sampled_at: float


@dataclass(frozen=True, slots=True, eq=False)
class _LockRow:
    tag: LockTag
    key: tuple[object, ...]
    """The tag's fields: with hundreds in one queue, tags are compared a million times."""
    mode: str
    granted: bool
    virtualtransaction: str
    waitstart: float | None
    pid: int
    """The process itself: a parallel worker's own, not its leader's."""


class _Locks:
    """What one party holds and asks for, looked through once and not for each of its edges."""

    def __init__(self, rows: Iterable[_LockRow] = ()) -> None:
        self.rows = list(rows)
        self.requests = [lock for lock in self.rows if not lock.granted]
        self.tuples = [lock for lock in self.rows if lock.granted and lock.tag.type == "tuple"]
        self.written = [lock.tag for lock in self.rows if _is_held(lock, _WRITES)]
        self.rows_locked_in = [lock.tag for lock in self.rows if _is_held(lock, _LOCKS_ROWS)]


_NO_LOCKS = _Locks()


class OwnerNames(Protocol):
    """Names of databases and roles, as far as they are known already."""

    def database(self, oid: int | None) -> str | None:
        """A database's name."""

    def role(self, oid: int | None) -> str | None:
        """A role's name."""


async def read(
    connection: AsyncConnection[tuple[object, ...]],
    database: str,
    server: str,
    names: OwnerNames | None = None,
) -> LockSnapshot:
    """One poll, nothing confirmed. `database` and `server` are its labels.

    Of all names, only those of the sessions' databases and roles are there, where `names` has them.

    Raises psycopg's errors; bounded by the connection's statement_timeout and by the caller's deadline.
    """
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(queries.load("locks"), prepare=True)
        rows = cast(list[_Process], await cursor.fetchall())
    return snapshot(rows, version.in_words(connection.info.server_version), database, server, names)


def snapshot(
    rows: Sequence[_Process], server_version: str, database: str, server: str, names: OwnerNames | None = None
) -> LockSnapshot:
    """The snapshot that the rows of queries/locks.sql say. Pure."""
    # The statement's own session is always there, so there is a first row to take the time from.
    sampled_at = rows[0]["sampled_at"]
    locks: dict[Party, list[_LockRow]] = {}
    for row in rows:
        if not row["locks"]:
            continue  # as most are, where nothing waits
        party = Party(row["leader_pid"] or row["pid"], row["gid"])
        locks.setdefault(party, []).extend(_lock_row(lock, row["pid"]) for lock in row["locks"])
    held = {party: _Locks(of_party) for party, of_party in locks.items()}
    # One object for one party: the graph's look-ups then needn't compare fields.
    parties = {party.pid: party for party in held if party.pid}
    edges: list[Edge] = []
    for row in rows:
        if not row["blockers"] and not row["safe_snapshot_blockers"]:
            continue
        if row["application_name"] == OWN_NAME:
            continue  # a look-up of ours, which gives up in a moment
        if row["blockers"]:
            edges.extend(_edges(row, held, parties, sampled_at))
        edges.extend(
            Edge(
                Party(row["pid"]),
                Party(blocker),
                "safe_snapshot",
                WaitedLock("safe_snapshot", "", None, "safe snapshot (DEFERRABLE transaction)"),
                None,
                row["state_age_s"],
            )
            for blocker in sorted(set(row["safe_snapshot_blockers"] or ()) - {row["pid"]})
        )
    return LockSnapshot(
        sampled_at=datetime.fromtimestamp(sampled_at, UTC),
        server_version=server_version,
        database=database,
        server=server,
        sessions=tuple(_session(row, names) for row in rows if row["pid"]),
        prepared=tuple(_prepared(row) for row in rows if not row["pid"]),
        edges=tuple(edges),
    )


def _edges(
    row: _Process, held: Mapping[Party, _Locks], parties: Mapping[int, Party], sampled_at: float
) -> Iterable[Edge]:
    waiter = parties.get(row["pid"]) or Party(row["pid"])
    own = held[waiter]
    waits = {request: _wait(request) for request in own.requests}
    # What edges of one queue have in common is one object: there is an edge for each pair in it.
    waited_locks: dict[tuple[_LockRow, str | None], WaitedLock] = {}
    subjects: dict[_LockRow, Subject] = {}
    for blocker in _blockers(row, own.requests, held, parties):
        theirs = held.get(blocker, _NO_LOCKS)
        kind, request, held_mode = _relation_between(own.requests, theirs.rows)
        lock = waited_locks.get((request, held_mode))
        if lock is None:
            lock = waited_locks[request, held_mode] = WaitedLock(
                request.tag.type, request.mode, held_mode, ""
            )
        about = subjects.get(request)
        if about is None:
            about = _subject(request, blocker, own, theirs)
            if request.tag.type == "tuple":  # the same, whoever is in the way
                subjects[request] = about
        wait_s = None if request.waitstart is None else max(0.0, sampled_at - request.waitstart)
        yield Edge(waiter, blocker, kind, lock, waits[request], wait_s, about)


def _wait(request: _LockRow) -> Wait:
    started = None if request.waitstart is None else datetime.fromtimestamp(request.waitstart, UTC)
    return Wait(request.pid, request.virtualtransaction, request.tag, request.mode, started)


def _blockers(
    row: _Process,
    requests: Sequence[_LockRow],
    held: Mapping[Party, _Locks],
    parties: Mapping[int, Party],
) -> Iterable[Party]:
    # A set: a blocker is named once for each of its parallel workers; a leader isn't its own blocker.
    for pid in sorted(set(row["blockers"] or ()) - {row["pid"]}):
        if pid:
            yield parties.get(pid) or Party(pid)
            continue
        # Prepared transactions are all pid 0: those that hold what is asked for are meant.
        holders = [
            party
            for party, locks in held.items()
            if not party.pid and any(_conflicts(request, lock) for request in requests for lock in locks.rows)
        ]
        yield from sorted(holders) or [Party(0)]


def _conflicts(request: _LockRow, lock: _LockRow) -> bool:
    return request.key == lock.key and modes.conflict(request.mode, lock.mode)


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


def _subject(request: _LockRow, blocker: Party, waiter: _Locks, blockers: _Locks) -> Subject:
    shared = [tag for tag in waiter.written if tag in blockers.written]
    about = target.subject(request.tag, [lock.tag for lock in waiter.tuples], shared, blocker)
    if about.kind != "row" or about.transaction is None:
        return about
    row = LockTag("relation", about.database, about.relations[0])
    if any(lock.mode == _KEY_SHARE for lock in waiter.tuples):
        return replace(about, referencing=_relations(waiter))
    if row not in blockers.written and row in blockers.rows_locked_in:
        return replace(about, referencing=_relations(blockers))
    return about


def _relations(locks: _Locks) -> tuple[int, ...]:
    """What the holder of `locks` writes to."""
    return tuple(sorted({tag.relation for tag in locks.written if tag.relation is not None}))


def _is_held(lock: _LockRow, mode: str) -> bool:
    return lock.granted and lock.tag.type == "relation" and lock.mode == mode


def _lock_row(columns: _LockColumns, pid: int) -> _LockRow:
    *_, virtualtransaction, mode, granted, waitstart = columns
    key = columns[:10]
    return _LockRow(LockTag(*key), tuple(key), mode, granted, virtualtransaction, waitstart, pid)


def _session(row: _Process, names: OwnerNames | None) -> Session:
    address, port = row["client_addr"], row["client_port"]
    hidden = row["query"] == _HIDDEN
    return Session(
        pid=row["pid"],
        backend_start=_time(row["backend_start"]),
        backend_type=row["backend_type"] or "",
        database_oid=row["datid"] or None,
        user_oid=row["usesysid"] or None,
        database=names.database(row["datid"]) if names else None,
        user=names.role(row["usesysid"]) if names else None,
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
