"""Events of a recording: servers, waits, deadlocks, tests, marks, leaks. Frozen values. Pure.

All times are the server's clock: recordings of one server fit together, whatever their machines' clocks say.
Text is other people's as it came, but for secrets, which are masked; whoever shows it makes it plain.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pgwatch_tests.leaks.model import Confidence

DeadlockSource = Literal["polls", "server log"]
MarkKind = Literal[
    "recording_began",
    "recording_ended",
    "command_began",
    "command_ended",
    "signal",
    "server_lost",
    "server_back",
    "hang",
    "root_ended",
    "thinned",
]


@dataclass(frozen=True, slots=True)
class RecordingHeader:
    """The origin of a recording: whose it is, of which command, by which program. No connection string."""

    began: datetime
    """By the recording machine's clock."""
    run: str = ""
    """8 hex digits, see `testing.run_id`; empty if it is no run's."""
    shard: str = ""
    command: tuple[str, ...] = ()
    """Secrets masked."""
    machine: str = ""
    account: str = ""
    pid: int = 0
    """The recorder's process."""
    program_version: str = ""
    every_s: float | None = None
    """The pause between polls while nothing waits; None if not known."""
    max_bytes: int | None = None
    server: str = ""
    """The server's name in a list (`--servers`); empty if it was recorded by its address."""
    part: str = ""
    """`2/4`: the part of the list that was recorded (`--servers-shard`); empty if all of it was."""


@dataclass(frozen=True, slots=True)
class RecordedServer:
    """A server from one of its starts to the next, as a recording saw it."""

    number: int
    """The number that events of the recording know it by, from 1."""
    system_identifier: str | None
    """Shared by standbys, and by copies of a data directory: alone it proves nothing."""
    started_at: datetime | None
    """To the microsecond: no two servers share it."""
    version: str
    address: str
    """`host:port`."""
    database: str
    pooled: bool = False
    clock_ahead_s: float | None = None
    """Seconds that its clock is ahead of the recording machine's; None if never compared."""


@dataclass(frozen=True, slots=True)
class RecordedSide:
    """A session at one end of a wait, or a prepared transaction (pid 0)."""

    pid: int
    who: str
    """Its test, else its application, else `pid 4711`: what people are shown."""
    name: str = ""
    """Its application_name; of a prepared transaction, its gid."""
    test: str = ""
    """The whole id if known, else as far as the name carries it; empty if the name names no test."""
    runner: str = ""
    worker: str = ""
    database: str = ""
    user: str = ""
    client: str = ""
    backend: str = ""
    """`client backend`, `autovacuum worker` …"""
    state: str = ""
    statement: str = ""
    """The present statement, or the last one; empty if hidden."""
    in_transaction_since: datetime | None = None
    in_state_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Root:
    """A root blocker of a wait, and the seconds of the wait that are put down to it."""

    side: RecordedSide
    blocked_s: float


@dataclass(frozen=True, slots=True)
class WaitEvent:
    """One wait, from its beginning to its end. A wait that began and ended between two polls isn't here."""

    number: int
    server: int
    """`RecordedServer.number`."""
    began: datetime
    ended: datetime | None
    """None if the last poll of the recording still saw it."""
    waited_s: float
    waiter: RecordedSide
    blockers: tuple[RecordedSide, ...]
    """Those that hold the lock before those queued ahead for it; at most a few."""
    more_blockers: int
    roots: tuple[Root, ...]
    """Who is at the bottom: blocks, and isn't blocked. The 20 that held it up longest; without more, their
    `blocked_s` add up to `waited_s`."""
    lock: str
    """`transactionid`, `relation`, `advisory` …"""
    mode: str
    held_mode: str
    target: str
    """`row of users (id=42)`."""
    object: str
    """The target without what differs from wait to wait: waits are summed up by it."""
    cause: str
    """The id of the diagnosis; empty if there is none."""
    explanation: str
    advice: str
    polls: int = 1
    """How many polls saw it."""


@dataclass(frozen=True, slots=True)
class DeadlockMember:
    """One session of a deadlock, and what it waited for."""

    side: RecordedSide
    target: str
    object: str
    mode: str


@dataclass(frozen=True, slots=True)
class DeadlockEvent:
    """A deadlock: each member waited for the next one, the last for the first."""

    at: datetime
    server: int
    members: tuple[DeadlockMember, ...]
    victim: str
    """`RecordedSide.who` of whom the server ended; empty if not known."""
    explanation: str
    advice: str
    source: DeadlockSource = "polls"
    victim_pid: int = 0
    """The victim's process: members may share a name. 0 if not known."""


@dataclass(frozen=True, slots=True)
class TestSighting:
    """A test that named its sessions, as polls saw them: `seen`, not `ran`, for polls miss short tests."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    test: str
    runner: str
    worker: str
    server: int
    first_seen: datetime
    last_seen: datetime
    """The last poll that saw a session of that name, perhaps an idle one: a pool's keeps its last name."""
    polls: int
    last_active: datetime | None = None
    """When a session of that name was last seen to run something or be in a transaction; None if never."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened to the recording or to the command it is about."""

    at: datetime
    kind: MarkKind
    text: str = ""


@dataclass(frozen=True, slots=True)
class LeakEvent:
    """Rows, or something else, that the suite left: as the check after it found them."""

    kind: str
    """`rows`, or a kind of leftover: `schema`, `idle_in_transaction` …"""
    name: str
    """The table, schema, session …"""
    rows: int
    """How many rows; 1 for anything else."""
    test: str
    """Empty if not known."""
    confidence: Confidence
    candidates: tuple[str, ...] = ()
    detail: str = ""
    database: str = ""
    """Empty: the one that the recording's server was checked in."""
