"""Model of one poll: sessions, locks, waits and edges as frozen values, no database, no clock.

All durations are float seconds, measured by the server's clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Literal, NamedTuple

from pgwatch_tests.identity.application_name import OWN_NAME, TestIdentity, parse
from pgwatch_tests.identity.sql_comments import commented_test
from pgwatch_tests.locks.capacity import Capacity
from pgwatch_tests.locks.waits.statement_text import Effects

SubjectKind = Literal[
    "relation",
    "row",
    "unique_key",
    "row_or_key",
    "transaction",
    "advisory",
    "database",
    "object",
    "creation",
    "other",
]
EdgeKind = Literal["hard", "soft", "safe_snapshot", "connected"]
"""`hard`: the blocker holds the lock; `soft`: it is queued ahead; `connected`: it is in the database that the
waiter needs for itself."""
SAME_MOMENT_S = 0.005
"""Two polls that tell when a transaction or a statement began differ by less than this."""


class Party(NamedTuple):
    """One end of an edge: a session by its pid, or a prepared transaction (pid 0) by its gid."""

    pid: int
    gid: str = ""

    def __str__(self) -> str:
        return f"pid {self.pid}" if self.pid else f"prepared transaction {self.gid}"


@dataclass(frozen=True, slots=True)
class LockTag:
    """The object of a lock: the identifying columns of pg_locks (PostgreSQL manual, pg_locks)."""

    type: str
    database: int | None = None
    relation: int | None = None
    page: int | None = None
    offset: int | None = None
    """pg_locks.tuple: the row's number within its page."""
    virtualxid: str | None = None
    transactionid: int | None = None
    classid: int | None = None
    objid: int | None = None
    objsubid: int | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A server process that has a pid. Its texts are other people's: to be shown as plain text.

    Secrets in them are blotted out already.
    """

    pid: int
    backend_start: datetime | None = None
    backend_type: str = ""
    database_oid: int | None = None
    user_oid: int | None = None
    database: str | None = None
    user: str | None = None
    application_name: str = ""
    client: str = ""
    state: str | None = None
    wait_event_type: str | None = None
    wait_event: str | None = None
    xact_age_s: float | None = None
    state_age_s: float | None = None
    query_age_s: float | None = None
    query: str = ""
    hidden: bool = False
    """State, query and times are not visible to our role."""
    known_test: str = ""
    """The whole id of its test, where a list of tests tells what `application_name` has only in short."""

    @property
    def identity(self) -> TestIdentity | None:
        """The test that its name, or a comment in its statement, tells, by its whole id if that is known."""
        identity = parse(self.application_name) or commented_test(self.query)
        return replace(identity, test=self.known_test) if identity and self.known_test else identity

    @property
    def is_autovacuum(self) -> bool:
        """Whether the server started it to vacuum a table."""
        return self.backend_type == "autovacuum worker"

    @property
    def prevents_wraparound(self) -> bool:
        """Whether it is an autovacuum that gives way to nobody (manual, Routine Vacuuming)."""
        return self.is_autovacuum and "(to prevent wraparound)" in self.query

    @property
    def is_client(self) -> bool:
        """Whether it takes one of max_connections, as autovacuum, workers and walsenders don't.

        What a hidden process is isn't told: those of the server itself have no database or no user.
        """
        if self.hidden:
            return self.database_oid is not None and self.user_oid is not None
        return self.backend_type == "client backend"

    @property
    def known_as(self) -> str:
        """What it is called where it names no test: by its application, or by what process it is."""
        if self.application_name:
            return self.application_name
        # What a hidden process of the server does isn't told.
        return "unnamed session" if self.is_client else self.backend_type or "process of the server"

    @property
    def is_connecting(self) -> bool:
        """Whether it isn't let in yet, and so has no name."""
        return self.state == "starting" and not self.application_name


@dataclass(frozen=True, slots=True)
class PreparedTransaction:
    """A transaction that was prepared and neither committed nor rolled back. It has no process."""

    gid: str
    database_oid: int | None = None
    user_oid: int | None = None
    database: str | None = None
    user: str | None = None
    age_s: float | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """One request for a lock that wasn't granted. Its identity lasts as long as the wait does."""

    pid: int
    """The process that waits: a parallel worker's own pid, not its leader's."""
    virtualtransaction: str
    tag: LockTag
    mode: str
    started: datetime | None
    """None before PostgreSQL 14, which doesn't tell."""

    def __hash__(self) -> int:
        # Waits are keys of what a watch remembers: of thousands, with every poll.
        return hash((self.pid, self.virtualtransaction))


@dataclass(frozen=True, slots=True)
class TransactionWait:
    """Both sides of a wait for a transaction's end. Relations are tables and indexes."""

    pid: int
    """The waiter."""
    transaction: int
    written: tuple[int, ...] = ()
    """The relations with ROW EXCLUSIVE locks of the waiter: writing statements take them, on indexes as
    well."""
    locked: tuple[int, ...] = ()
    """The relations with ROW SHARE locks of the waiter: SELECT … FOR UPDATE and the checks of foreign keys
    take them."""
    blocker_written: tuple[int, ...] = ()
    blocker_locked: tuple[int, ...] = ()
    effects: Effects | None = None
    """The effects of the waiter's statement; None if it may do anything, or isn't visible."""
    is_first_statement: bool = False
    """Whether the waiter's transaction surely has run no other statement before."""
    queued_row: tuple[int, int, int] | None = None
    """Relation, page and tuple of the row that the waiter was seen queued for, behind this very blocker."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The target of a wait, before names are known. `relations` are candidates if there are several."""

    kind: SubjectKind
    database: int | None = None
    relations: tuple[int, ...] = ()
    page: int | None = None
    offset: int | None = None
    words: str = ""
    """For subjects that have no name to look up, or none yet."""
    address: tuple[int, int, int] | None = None
    """The address of an object: catalog, OID and sub-id, as pg_describe_object takes them."""
    transaction: int | None = None
    """The transaction whose end a waiter for a row waits for; None for those queued behind it."""
    wanted_mode: str = ""
    """The mode of the tuple lock which that waiter holds: how it wants to lock the row."""
    referencing: tuple[int, ...] = ()
    """Tables that are written to by the side which may lock the row for a foreign key's check."""
    checking: Literal["", "waiter", "blocker"] = ""
    """The side that may lock the row for a foreign key's check."""
    keys: tuple[int, ...] = ()
    """Of `row_or_key`: the tables whose unique key it may be; `relations` are those whose row it may be."""
    sides: TransactionWait | None = None
    """Of waits for a transaction's end: what tells whether a row or a key is waited for, and which."""


@dataclass(frozen=True, slots=True)
class WaitedLock:
    """The lock of an edge. `held_mode` is what the blocker holds or asks for; None if that wasn't seen."""

    type: str
    mode: str
    held_mode: str | None
    target: str
    object: str = ""
    """The target without what differs from wait to wait, as a row's key: waits are summed up by it."""
    ancestors: tuple[str, ...] = ()
    """The tables that the object is a partition or child of: statements may name one of these instead."""
    foreign_key_of: str = ""
    """The table with a foreign key whose check wants, or holds, the lock on the row."""
    also_held_by: tuple[Party, ...] = ()
    """Others that have locked the same row. The server names one of several holders at a time."""


@dataclass(frozen=True, slots=True)
class Edge:
    """`waiter` can't go on before `blocker` does: exactly what pg_blocking_pids() says."""

    waiter: Party
    blocker: Party
    kind: EdgeKind
    lock: WaitedLock
    wait: Wait | None
    """None for waits that aren't in the lock table: for a safe snapshot, for others to leave a database."""
    wait_s: float | None
    subject: Subject | None = None
    confirmed: bool = True
    """Old enough, or seen twice: one statement isn't one snapshot."""


@dataclass(frozen=True, slots=True)
class HeldLock:
    """One lock of a session, in words: `table accounts`, `ROW EXCLUSIVE`; not `granted` if it waits."""

    target: str
    mode: str
    granted: bool


WaitKey = tuple[Party, Wait | None]
"""The identity of a wait: the waiter, and which of its waits it is; the same from poll to poll."""


@dataclass(frozen=True, slots=True)
class EdgeGroup:
    """The edges of one waiter that differ in their blocker only.

    Who queues 500th is blocked by 499: kept one by one, a queue of 500 would be 124,750 edges.
    """

    waiter: Party
    blockers: Sequence[Party]
    """A tuple, sorted; or the beginning of a long queue (QueuePrefix), in the queue's order."""
    kind: EdgeKind
    lock: WaitedLock
    wait: Wait | None
    wait_s: float | None
    subject: Subject | None = None
    confirmed: bool = True

    @property
    def wait_key(self) -> WaitKey:
        """The wait that all of them are of."""
        return self.waiter, self.wait

    @property
    def edges(self) -> Iterator[Edge]:
        """Returns the group's edges one by one."""
        for blocker in self.blockers:
            yield self.edge(blocker)

    def edge(self, blocker: Party) -> Edge:
        """The edge to one of the blockers."""
        return Edge(
            self.waiter,
            blocker,
            self.kind,
            self.lock,
            self.wait,
            self.wait_s,
            self.subject,
            self.confirmed,
        )


@dataclass(frozen=True, slots=True)
class DeadlockCount:
    """The deadlocks that the server has counted in a database since `reset_at` (None: ever)."""

    database_oid: int
    database: str | None
    deadlocks: int
    reset_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeadlockCounts:
    """One reading of the server's counters."""

    read_at: datetime
    databases: tuple[DeadlockCount, ...]


@dataclass(frozen=True)
class LockSnapshot:
    """One poll of the whole server. What all that show it ask for is made once."""

    sampled_at: datetime
    server_version: str
    database: str
    server: str
    sessions: tuple[Session, ...]
    prepared: tuple[PreparedTransaction, ...]
    groups: tuple[EdgeGroup, ...]
    deadlocks: tuple[tuple[Party, ...], ...] = ()
    """Cycles that were seen twice."""
    probable_deadlocks: tuple[tuple[Party, ...], ...] = ()
    """Cycles seen once: under churn one poll can show a cycle that never was."""
    spent_s: float = 0.0
    """Seconds that the poll took on the server, without the way there and back."""
    deadlock_counts: DeadlockCounts | None = None
    """The last reading, somewhat older than the poll; None if the counters couldn't be read."""
    pooled: bool = False
    """Whether a connection pooler is between us and the server."""
    capacity: Capacity | None = None
    """None in recordings that don't tell."""
    server_started: datetime | None = None
    """When the polled server was started, to the microsecond: no two servers share it."""
    system_identifier: str | None = None
    """The system identifier of its cluster, shared with its standbys; None if not known."""
    own_database: int | None = None
    """The OID of the database that was polled from."""
    is_past: bool = False
    """Whether it is a moment of a recording: what would unblock its sessions can't be done any more."""
    wanted_databases: frozenset[int] = frozenset()
    """The OIDs of databases that a session drops, renames, moves or copies, or waits to."""
    shut_databases: frozenset[int] = frozenset()
    """The OIDs of databases that nobody gets into while a catalog is locked; 0: one that all share."""

    def began_s(self, age_s: float | None) -> float | None:
        """When what was that old at this poll began, in seconds since the epoch; None if that is hidden."""
        return None if age_s is None else self.sampled_at.timestamp() - age_s

    @property
    def edges(self) -> tuple[Edge, ...]:
        """All edges one by one, which may be very many."""
        return tuple(edge for group in self.groups for edge in group.edges)

    @cached_property
    def shown_groups(self) -> tuple[EdgeGroup, ...]:
        """The edges that are surely no ghosts."""
        return tuple(group for group in self.groups if group.confirmed)

    @property
    def shown_edges(self) -> tuple[Edge, ...]:
        """The shown edges one by one, which may be very many."""
        return tuple(edge for group in self.shown_groups for edge in group.edges)

    @cached_property
    def blocked(self) -> int:
        """The number of sessions that wait for another."""
        return len({group.waiter for group in self.groups if group.confirmed})

    @cached_property
    def clients(self) -> tuple[Session, ...]:
        """The sessions of clients, ours left out."""
        return tuple(one for one in self.sessions if one.is_client and one.application_name != OWN_NAME)

    @cached_property
    def all_local(self) -> bool:
        """Whether all clients are on the server's machine, as far as can be seen."""
        return all(one.client in ("", "local") for one in self.clients)

    @cached_property
    def hidden_sessions(self) -> int:
        """The number of clients' sessions whose state our role may not see."""
        return sum(session.hidden for session in self.clients)
