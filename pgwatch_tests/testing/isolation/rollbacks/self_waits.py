"""Watch for a test that waits for itself: its application's connection for what the test is to roll back.

The server sees no deadlock: the test's session is idle, and ends its transaction only when the test ends,
which waits for the application. So the statement that waits is cancelled, and the test fails with a sentence
that names both. Only sessions of this process are cancelled.

One thread a process looks, every fifth of a second, whether the transactions of tests stand still; only of
one that does it asks the server who waits for it, from a connection of its own.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

import psycopg

from pgwatch_tests.errors import NoSlotError, PgwatchError
from pgwatch_tests.locks.model import Edge, LockSnapshot, Party
from pgwatch_tests.locks.snapshot.live_source import LiveSource
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.connections.maintenance_database import MAINTENANCE_DATABASE, connect_outside
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.testing.current_test import Owner, current
from pgwatch_tests.testing.findings import Finding, tell
from pgwatch_tests.testing.isolation.rollbacks.process_connections import (
    backend_pid,
    connections_of_process,
    dsn_of,
)
from pgwatch_tests.text import durations
from pgwatch_tests.text.plain_text import plain

LOOK_EVERY_S = 0.2
_LOOK_ANYWAY_AFTER = 5
"""Looks after which a transaction that doesn't stand still is asked about, too: its test may be polling."""
_ROUNDS_UNTIL_SLEEP = 10
_LONGEST_REST_S = 30.0
_MOST_TOLD = 3
_NAMES_WITHIN_S, _SNAPSHOT_WITHIN_S = 3.0, 5.0
_LIMITS = SessionLimits(statement_timeout_s=2.0, lock_timeout_s=0.5)
_CONNECT_TIMEOUT_S = 5.0
_STATEMENT_CHARACTERS = 120

_ADVICE = (
    "Have the application work in the test's transaction: pass its sessionmaker to {called}(engine, "
    "SessionLocal), or give it the engine of rollback_engine(). If it needs connections of its own, isolate "
    "the test otherwise: unique data, isolated_schema() or isolated_database()"
)


class Watchable(Protocol):
    """A transaction that is to be rolled back."""

    steps: int
    """Counts up with each statement."""
    has_begun: bool

    @property
    def driver_connection(self) -> object:
        """The driver's own connection; None if it is lost."""


class SelfWaitError(PgwatchError):
    """The test waited for itself; the waiting statement was cancelled."""


@dataclass(slots=True, eq=False)
class Watched:
    """A transaction that is to be rolled back, and what has waited for it."""

    transaction: Watchable
    called: str
    """`rollback_session`: what the test has called."""
    owner: Owner | None
    test: str
    untold: list[str] = field(default_factory=list)
    """Sentences on waits that no error has told yet."""
    telling: threading.Lock = field(default_factory=threading.Lock)
    """Held from a statement's cancel until its sentence is there."""
    steps: int = -1
    looks: int = 0
    seen: frozenset[int] = frozenset()
    """The waiters at the last look."""
    is_given_up: bool = False
    rest_s: float = LOOK_EVERY_S
    """How long it rests when no connection is left for the look: twice as long each time."""
    rests_until_s: float = float("-inf")

    def rest(self) -> None:
        """Has it looked at later: whoever takes the last connection now may be gone then."""
        self.rest_s = min(2 * self.rest_s, _LONGEST_REST_S)
        self.rests_until_s = time.monotonic() + self.rest_s

    def add_notes(self, error: BaseException) -> None:
        """Puts the sentences into an error of the test: the wait may be its reason."""
        for sentence in self._taken():
            error.add_note(sentence)

    def raise_told(self) -> None:
        """Raises SelfWaitError if there is a sentence that no error has told."""
        if told := self._taken():
            raise SelfWaitError("\n".join(told))

    def _taken(self) -> list[str]:
        with self.telling:
            told, self.untold = self.untold, []
        return told


@contextmanager
def watched(transaction: Watchable, called: str) -> Iterator[None]:
    """Watches a transaction. Raises SelfWaitError in the end, or adds a note to the error that there is."""
    owner = current()
    test = owner.name if owner else os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    one = Watched(transaction, called, owner, test or "the test")
    _watch.add(one)
    try:
        yield
    except BaseException as error:
        _watch.remove(one)
        one.add_notes(error)
        raise
    _watch.remove(one)
    one.raise_told()


def all_watched() -> tuple[Watched, ...]:
    """Returns the transactions of this process that are watched now."""
    return tuple(_watch.watched)


class _Watch:
    """The thread that looks, and its connection. It sleeps while nothing is watched."""

    def __init__(self) -> None:
        self.watched: list[Watched] = []
        self._process = 0
        self._thread: threading.Thread | None = None
        self._is_asleep = False
        self._wake = threading.Event()
        self._pause = threading.Event()
        self._connection: OwnConnection | None = None
        self._dsn: Dsn | None = None

    def add(self, one: Watched) -> None:
        """Watches a transaction from now on."""
        if self._process != os.getpid():
            # A forked process has no threads of its parent, whose connection it leaves alone.
            self.watched, self._thread, self._connection = [], None, None
            self._process, self._wake = os.getpid(), threading.Event()
        self.watched.append(one)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="pgwatch-tests self-waits", daemon=True)
            self._thread.start()
        elif self._is_asleep:
            self._wake.set()

    def remove(self, one: Watched) -> None:
        """Ends that."""
        with suppress(ValueError):
            self.watched.remove(one)

    def _run(self) -> None:
        idle = 0
        while True:
            self._pause.wait(LOOK_EVERY_S)
            idle = 0 if self.watched else idle + 1
            if idle > _ROUNDS_UNTIL_SLEEP:
                self._close()
                self._wake.clear()
                self._is_asleep = True
                # Whoever came before it was said that we sleep hasn't woken us.
                if not self.watched:
                    self._wake.wait()
                self._is_asleep, idle = False, 0
            for one in tuple(self.watched):
                is_resting = time.monotonic() < one.rests_until_s
                if one.is_given_up or is_resting or not one.transaction.has_begun:
                    continue
                try:
                    self._look_at(one)
                except NoSlotError:
                    one.rest()
                except Exception:  # noqa: BLE001
                    # Without it, the test is as it would be without us.
                    one.is_given_up = True
                    self._close()

    def _look_at(self, one: Watched) -> None:
        one.looks += 1
        stands_still, one.steps = one.steps == one.transaction.steps, one.transaction.steps
        if not stands_still and one.looks % _LOOK_ANYWAY_AFTER:
            one.seen = frozenset()
            return
        blocker = backend_pid(one.transaction.driver_connection)
        dsn = dsn_of(one.transaction.driver_connection)
        connection = self._connected(dsn)
        if blocker is None or dsn is None or connection is None:
            one.is_given_up = True
            return
        rows = connection.execute(queries.load("rollback/waiters"), {"pid": blocker}).fetchall()
        waiters = frozenset(int(str(pid)) for (pid,) in rows)
        lasting, one.seen = waiters & one.seen, waiters
        if lasting:
            own = connections_of_process()
            for waiter in sorted(lasting & own.keys()):
                self._end(one, waiter, blocker, dsn, connection)
        if connection.info.dbname != MAINTENANCE_DATABASE:
            # In a suite's database it would keep others from dropping or copying it.
            self._close()

    def _end(self, one: Watched, waiter: int, blocker: int, dsn: Dsn, connection: OwnConnection) -> None:
        # While it waits, it can be told what for.
        snapshot = _look_for_names(dsn)
        # Whoever gets the error of the cancelled statement finds it told.
        with one.telling:
            ended = _cancel(connection, waiter, blocker) if one in self.watched else None
            if ended is None:
                return
            reason, advice = _in_words(one, waiter, blocker, snapshot, ended=ended)
            if len(one.untold) < _MOST_TOLD:
                one.untold.append(f"{reason} → {advice}.")
                tell(Finding("self_wait", one.owner, reason, advice))

    def _connected(self, dsn: Dsn | None) -> OwnConnection | None:
        """Returns a connection to the server; None behind a pooler, where no pid is that of a session."""
        if self._connection is None or self._dsn != dsn or self._connection.closed:
            self._close()
            if dsn is None:
                return None
            self._connection = connect_outside(dsn, _LIMITS, connect_timeout_s=_CONNECT_TIMEOUT_S)
            self._dsn = dsn
        return self._connection if self._connection.pooled is False else None

    def _close(self) -> None:
        if self._connection is not None:
            with suppress(Exception):
                self._connection.close()
            self._connection = None


_watch = _Watch()


def _cancel(connection: OwnConnection, waiter: int, blocker: int) -> bool | None:
    """Cancels the waiting statement. Returns whether that was possible; None if it doesn't wait any more."""
    parameters = {"waiter": waiter, "blocker": blocker}
    try:
        row = connection.execute(queries.load("rollback/cancel_waiter"), parameters).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        # Of another role: only its own connection may.
        own = connections_of_process().get(waiter)
        if isinstance(own, psycopg.BaseConnection):
            own.pgconn.get_cancel().cancel()
        elif own is not None and hasattr(own, "cancel"):
            own.cancel()
        else:
            return False
        return True
    return None if row is None else row == (True,)


def _look_for_names(dsn: Dsn) -> LockSnapshot | None:
    async def look() -> LockSnapshot:
        async with LiveSource(Settings(dsn)) as source:
            looking = source.read_twice(names_within_s=_NAMES_WITHIN_S)
            return await asyncio.wait_for(looking, _SNAPSHOT_WITHIN_S)

    with suppress(PgwatchError, TimeoutError):
        return asyncio.run(look())
    return None


def _in_words(
    one: Watched, waiter: int, blocker: int, snapshot: LockSnapshot | None, *, ended: bool
) -> tuple[str, str]:
    edge = _edge(snapshot, waiter, blocker)
    target = edge.lock.target if edge else "a lock"
    waited = f"has waited {durations.in_words(edge.wait_s)}" if edge and edge.wait_s is not None else "waits"
    statement = next((s.query for s in snapshot.sessions if s.pid == waiter), "") if snapshot else ""
    shown = " ".join(statement.split())
    if len(shown) > _STATEMENT_CHARACTERS:
        shown = f"{shown[:_STATEMENT_CHARACTERS].rstrip()} …"
    reason = (
        f"{one.test} waits for itself: another connection of its process (pid {waiter}) {waited} for "
        f"{target}, which its {one.called} (pid {blocker}) holds until the test ends"
        f"{f'; the waiting statement: {shown}' if shown else ''}"
    )
    advice = _ADVICE.format(called=one.called)
    if ended:
        advice += ". The waiting statement was cancelled"
    return plain(reason), advice


def _edge(snapshot: LockSnapshot | None, waiter: int, blocker: int) -> Edge | None:
    groups = snapshot.groups if snapshot else ()
    found = [one for one in groups if one.waiter == Party(waiter)]
    behind = next((one for one in found if Party(blocker) in one.blockers), None)
    if behind is not None:
        return behind.edge(Party(blocker))
    return found[0].edge(found[0].blockers[0]) if found else None
