"""Snapshot query: the waits of the whole server, read in one round trip by queries/locks.sql."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol, TypedDict, cast

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from pgwatch_tests.identity.application_name import OWN_NAME
from pgwatch_tests.locks.model import (
    Capacity,
    EdgeGroup,
    EdgeKind,
    LockSnapshot,
    LockTag,
    Party,
    PreparedTransaction,
    Session,
    Subject,
    TransactionWait,
    Wait,
    WaitedLock,
)
from pgwatch_tests.locks.waits import database_wait, lock_modes, wait_target
from pgwatch_tests.locks.waits.named_locks import with_named_locks
from pgwatch_tests.locks.waits.statement_text import Effects, effects
from pgwatch_tests.locks.waits.transaction_wait import FIRST_USER_OID
from pgwatch_tests.postgres import queries, version
from pgwatch_tests.postgres.connections.connection import is_pooled
from pgwatch_tests.text.secrets import mask_name, mask_statement

_WRITES = "RowExclusiveLock"
_LOCKS_ROWS = "RowShareLock"
# A tuple lock in this mode is SELECT FOR KEY SHARE's, which is how foreign keys are checked
# (tupleLockExtraInfo, src/backend/access/heap/heapam.c).
_KEY_SHARE = "AccessShareLock"
_GRANTS = {"GRANT ", "REVOKE"}
_SAFE_SNAPSHOT = "safe snapshot (DEFERRABLE transaction)"
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
    capacity: tuple[int, int, int, int] | None
    shut_databases: list[int] | None
    is_own: bool
    server_started: float
    sampled_at: float
    spent_s: float


@dataclass(frozen=True, slots=True)
class _LockRow:
    tag: LockTag
    mode: str
    granted: bool
    virtualtransaction: str
    waitstart: float | None
    pid: int
    """The process itself: a parallel worker's own, not its leader's."""
    leader: int


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
    """Returns one poll, nothing confirmed. `database` and `server` are its labels.

    Of all names, only those of the sessions' databases and roles are there, where `names` has them.
    Raises psycopg's errors; bounded by the connection's statement_timeout and by the caller's deadline.
    """
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(queries.load("locks"), prepare=True)
        rows = cast(list[_Process], await cursor.fetchall())
    found = snapshot(rows, version.in_words(connection.info.server_version), database, server, names)
    return replace(found, pooled=True) if is_pooled(connection) else found


def snapshot(
    rows: Sequence[_Process], server_version: str, database: str, server: str, names: OwnerNames | None = None
) -> LockSnapshot:
    """The snapshot that the rows of queries/locks.sql say. Pure."""
    # The statement's own session is always there, so there is a first row to take the time from.
    sampled_at = rows[0]["sampled_at"]
    table = _LockTable(rows)
    groups: list[EdgeGroup] = []
    for row in rows:
        if row["application_name"] == OWN_NAME:
            continue  # a look-up of ours, which gives up in a moment
        if not row["blockers"] and not row["safe_snapshot_blockers"]:
            continue
        if row["blockers"]:
            groups.extend(_groups(row, table, sampled_at))
        if row["safe_snapshot_blockers"]:
            groups.append(
                EdgeGroup(
                    Party(row["pid"]),
                    tuple(sorted({Party(pid) for pid in row["safe_snapshot_blockers"] if pid != row["pid"]})),
                    "safe_snapshot",
                    WaitedLock("safe_snapshot", "", None, _SAFE_SNAPSHOT, _SAFE_SNAPSHOT),
                    None,
                    row["state_age_s"],
                )
            )
    sessions = tuple(_session(row, names) for row in rows if row["pid"])
    prepared = tuple(_prepared(row) for row in rows if not row["pid"])
    workers = {row["pid"] for row in rows if row["leader_pid"]}
    groups += database_wait.groups(
        _database_holders(rows, sessions, table),
        [session for session in sessions if session.pid not in workers],
        prepared,
    )
    return LockSnapshot(
        sampled_at=datetime.fromtimestamp(sampled_at, UTC),
        server_version=server_version,
        database=database,
        server=server,
        sessions=sessions,
        prepared=prepared,
        groups=tuple(with_named_locks(wait_target.with_creations(groups, sessions), sessions)),
        spent_s=rows[-1]["spent_s"],
        capacity=_capacity(rows, sessions),
        server_started=datetime.fromtimestamp(rows[0]["server_started"], UTC),
        own_database=next((row["datid"] for row in rows if row["is_own"]), None),
        wanted_databases=table.wanted_databases,
        shut_databases=frozenset(rows[0]["shut_databases"] or ()),
    )


def _capacity(rows: Sequence[_Process], sessions: Sequence[Session]) -> Capacity | None:
    """Returns the capacity, from the row of the statement's own session, which has the settings."""
    for row in rows:
        if row["capacity"] is not None:
            most, reserved, max_locked, locked = row["capacity"]
            return Capacity(
                sum(session.is_client for session in sessions), most, reserved, locked, max_locked
            )
    return None


def _database_holders(
    rows: Sequence[_Process], sessions: Sequence[Session], table: _LockTable
) -> Iterator[tuple[Session, LockTag, str]]:
    """Yields the sessions that have a database for themselves, and wait for no lock; never our look-ups."""
    waiting = {row["pid"] for row in rows if row["blockers"]}
    for session in sessions:
        for lock in table.of.get(Party(session.pid), ()):
            if (
                lock.granted
                and session.pid not in waiting
                and database_wait.is_for_itself(lock.tag, lock.mode)
            ):
                yield session, lock.tag, lock.mode


class _Parties(dict[int, Party]):
    """Sessions by pid, each made once: a queue of hundreds names them a hundred thousand times."""

    def __missing__(self, pid: int) -> Party:
        return self.setdefault(pid, Party(pid))


class _LockTable:
    """The lock rows of all, by whose they are and by what they are on."""

    def __init__(self, rows: Sequence[_Process]) -> None:
        self.parties = _Parties()
        self.of: dict[Party, list[_LockRow]] = {}
        self.statements: dict[Party, tuple[Effects | None, bool]] = {}
        """The effects of the statement of each session that waits for a transaction, and whether it is its
        first."""
        self.kinds: dict[Party, str] = {}
        """The first letters of what each runs, or ran last, in capitals."""
        self._on: dict[LockTag, list[tuple[Party, _LockRow]]] = {}
        self._conflicting: dict[tuple[LockTag, str], tuple[dict[Party, str], set[Party]]] = {}
        for row in rows:
            if not row["locks"]:
                continue  # as most have none, where nothing waits
            party = Party(row["leader_pid"] or row["pid"], row["gid"])
            if row["pid"] == party.pid:
                self.kinds[party] = (row["query"] or "").lstrip()[:6].upper()
            waits = any(lock[0] == "transactionid" and not lock[12] for lock in row["locks"])
            if waits and row["pid"] == party.pid:
                query = "" if row["query"] == _HIDDEN else row["query"] or ""
                is_first = row["xact_age_s"] is not None and row["xact_age_s"] == row["query_age_s"]
                self.statements[party] = effects(query), is_first
            for columns in row["locks"]:
                lock = _lock_row(columns, row["pid"], party.pid)
                self.of.setdefault(party, []).append(lock)
                self._on.setdefault(lock.tag, []).append((party, lock))

    @property
    def wanted_databases(self) -> frozenset[int]:
        """Returns the databases that a session has, or wants, for itself."""
        return frozenset(
            tag.objid or 0
            for tag, rows in self._on.items()
            if any(database_wait.is_for_itself(tag, lock.mode) for _, lock in rows)
        )

    def conflicting(self, request: _LockRow) -> tuple[dict[Party, str], set[Party]]:
        """Returns the holders of locks that conflict with a request, with modes, and those who merely want
        one."""
        key = (request.tag, request.mode)
        if key not in self._conflicting:
            holding: dict[Party, str] = {}
            asking: set[Party] = set()
            for party, lock in self._on.get(request.tag, ()):
                if lock_modes.conflict(request.mode, lock.mode):
                    if lock.granted:
                        holding.setdefault(party, lock.mode)
                    else:
                        asking.add(party)
            self._conflicting[key] = holding, asking
        return self._conflicting[key]


def _groups(row: _Process, table: _LockTable, sampled_at: float) -> Iterable[EdgeGroup]:
    waiter = Party(row["pid"])
    requests = [lock for lock in table.of.get(waiter, ()) if not lock.granted]
    if not requests:
        return  # it got its lock between the list of waiters and the list of locks
    left = _blockers(row, requests, table)
    parties: dict[tuple[EdgeKind, _LockRow, str | None, Subject], list[Party]] = {}
    for request in requests:
        holding, _ = table.conflicting(request)
        for blocker in left.intersection(holding):
            about = _subject(request, blocker, table)
            parties.setdefault(("hard", request, holding[blocker], about), []).append(blocker)
        left.difference_update(holding)
    for request in requests:
        queued = left & table.conflicting(request)[1]
        if queued:
            parties["soft", request, None, _subject(request, min(queued), table)] = list(queued)
            left -= queued
    if left:
        # The lock rows are a moment older than the blockers: it took or gave back the lock in between.
        parties["hard", requests[0], None, _subject(requests[0], min(left), table)] = list(left)
    for (kind, request, held_mode, about), blockers in parties.items():
        started = None if request.waitstart is None else datetime.fromtimestamp(request.waitstart, UTC)
        yield EdgeGroup(
            waiter,
            tuple(sorted(blockers)),
            kind,
            WaitedLock(request.tag.type, request.mode, held_mode, ""),
            Wait(request.pid, request.virtualtransaction, request.tag, request.mode, started),
            None if request.waitstart is None else max(0.0, sampled_at - request.waitstart),
            about,
        )


def _blockers(row: _Process, requests: Sequence[_LockRow], table: _LockTable) -> set[Party]:
    # A set: a blocker is named once for each of its parallel workers; a leader isn't its own blocker.
    pids = set(row["blockers"] or ())
    blockers = set(map(table.parties.__getitem__, pids - {0, row["pid"]}))
    if 0 in pids:
        # Prepared transactions are all pid 0: those that hold what is asked for are meant.
        holders = {party for request in requests for party in table.conflicting(request)[0] if not party.pid}
        blockers |= holders or {Party(0)}
    return blockers


def _subject(request: _LockRow, blocker: Party, table: _LockTable) -> Subject:
    waiter = Party(request.leader)
    waiters, blockers = table.of[waiter], table.of.get(blocker, [])
    tuples_held = [lock for lock in waiters if lock.granted and lock.tag.type == "tuple"]
    about = wait_target.subject(request.tag, [lock.tag for lock in tuples_held], blocker)
    if about.kind == "row" and about.relations[0] < FIRST_USER_OID:
        kinds = {table.kinds.get(waiter), table.kinds.get(blocker)}
        about = replace(about, words=wait_target.PRIVILEGES if kinds & _GRANTS else wait_target.DEFINITION)
    transaction = request.tag.transactionid
    if transaction is None or request.tag.type != "transactionid":
        return about
    sides = TransactionWait(
        waiter.pid,
        transaction,
        _relations(waiters, _WRITES),
        _relations(waiters, _LOCKS_ROWS),
        _relations(blockers, _WRITES),
        _relations(blockers, _LOCKS_ROWS),
        *table.statements.get(waiter, (None, False)),
    )
    if about.kind != "row":
        databases = [lock.tag.database for lock in waiters if lock.tag.relation and lock.tag.database]
        return replace(about, database=databases[0] if databases else None, sides=sides)
    about = replace(about, wanted_mode=tuples_held[0].mode, sides=sides)
    if about.wanted_mode == _KEY_SHARE:
        return replace(about, referencing=sides.written, checking="waiter")
    if about.relations[0] not in sides.blocker_written and about.relations[0] in sides.blocker_locked:
        return replace(about, referencing=sides.blocker_written, checking="blocker")
    return about


def _relations(locks: Sequence[_LockRow], mode: str) -> tuple[int, ...]:
    """The relations that are held in `mode`."""
    held = (
        lock.tag.relation
        for lock in locks
        if lock.granted and lock.mode == mode and lock.tag.type == "relation"
    )
    return tuple(sorted({oid for oid in held if oid is not None}))


def _lock_row(columns: _LockColumns, pid: int, leader: int) -> _LockRow:
    *_, virtualtransaction, mode, granted, waitstart = columns
    return _LockRow(LockTag(*columns[:10]), mode, granted, virtualtransaction, waitstart, pid, leader)


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
        application_name=mask_name(row["application_name"] or ""),
        client=f"{address}:{port}" if address else "local" if port == -1 else "",
        state=row["state"],
        wait_event_type=row["wait_event_type"],
        wait_event=row["wait_event"],
        xact_age_s=row["xact_age_s"],
        state_age_s=row["state_age_s"],
        query_age_s=row["query_age_s"],
        query="" if hidden else mask_statement(row["query"] or ""),
        hidden=hidden,
    )


def _prepared(row: _Process) -> PreparedTransaction:
    return PreparedTransaction(row["gid"], row["datid"], row["usesysid"], age_s=row["xact_age_s"])


def _time(epoch_s: float | None) -> datetime | None:
    return None if epoch_s is None else datetime.fromtimestamp(epoch_s, UTC)
