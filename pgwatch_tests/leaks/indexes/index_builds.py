"""Index builds and drops beside tests that use the table: a build gives way to whoever has to wait for it.

CREATE and DROP INDEX CONCURRENTLY hold a lock on the table while they wait for transactions that are open.
A test that wants TRUNCATE or ALTER TABLE queues behind that lock, and once they wait for the test in turn, it
is the test that ends as the victim of a deadlock (PostgreSQL manual, Building Indexes Concurrently). So a
second connection looks for such waiters, many times a second, and cancels what is being made.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psycopg
from psycopg import errors, pq
from psycopg.rows import class_row

from pgwatch_tests.errors import CannotConnectError, PgwatchError
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.connect import connect
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.postgres.stored_text import quoted
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.text import durations
from pgwatch_tests.text.secrets import mask_name

PATIENCE_S = 5.0
"""Seconds that a build waits for open transactions, and that a drop is retried."""

_LOOK_EVERY_S = 0.04
_ATTEMPTS = 5
_FIRST_PAUSE_S = 0.5  # before the next attempt; doubled each time
_DROP_PAUSE_S = 0.1
_LOOK_AGAIN_S = 0.05
# For a plain DROP INDEX, which everybody queues behind: taken at once, or not.
_AT_ONCE_S = 0.03
_LOOKING = SessionLimits(statement_timeout_s=2.0, lock_timeout_s=0.5, read_only=False, any_bytes=True)
# The session whose deadlock_timeout ends first is the victim: roles that may set it choose us.
_BE_THE_VICTIM = b"SET deadlock_timeout = '10ms'"


class IndexGivenUpError(Exception):
    """An index build or drop was given up, since others had to wait for it. The message names them."""


class HeldUpError(errors.LockNotAvailable):
    """An index couldn't be created, since a transaction has been open for too long. The message names it."""


@dataclass(frozen=True, slots=True)
class _Obstacle:
    """A row of queries/leaks/index_obstacles.sql."""

    transaction: str
    pid: int | None
    application_name: str
    age_s: float | None


@dataclass(frozen=True, slots=True)
class _Waiter:
    """A row of queries/leaks/index_waiters.sql."""

    pid: int
    application_name: str
    cancelled: bool


class IndexBuilds:
    """Makes and drops indexes over `session`, with a second connection beside it, as a context manager.

    Raises CannotConnectError where none is free: then nobody would be given way to, so nothing is made.
    """

    def __init__(self, session: DatabaseSession, settings: Settings) -> None:
        self._session = session
        self._settings = settings
        self._looking: OwnConnection | None = None

    def __enter__(self) -> Self:
        try:
            self._looking = connect(
                self._settings.dsn, _LOOKING, connect_timeout_s=self._settings.connect_timeout_s
            )
        except CannotConnectError as error:
            raise CannotConnectError(
                f"no index created or dropped: it takes a second connection to see who waits for it ({error})"
            ) from None
        self._looking.prepare_threshold = None
        with suppress(errors.InsufficientPrivilege):
            self._session.execute(_BE_THE_VICTIM)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(psycopg.Error, PgwatchError):
            self._session.execute(b"RESET deadlock_timeout")
        if self._looking is not None:
            self._looking.close()

    def make(
        self,
        statement: bytes,
        longest_s: float,
        is_made: Callable[[], bool],
        drop_remains: Callable[[], bool],
    ) -> int:
        """Runs CREATE INDEX CONCURRENTLY, again if it gave way; returns how often it did.

        After an attempt that was cancelled, `is_made` says whether it was done by then, and `drop_remains`
        whether nothing is left of it. Raises IndexGivenUpError once it won't be tried again, and what
        `session.running` does.
        """
        pause_s = _FIRST_PAUSE_S
        for attempt in range(_ATTEMPTS):
            self._session.limit(longest_s, PATIENCE_S)
            try:
                self._run(statement)
            except errors.DuplicateTable:
                if attempt and is_made():
                    return attempt
                raise
            except IndexGivenUpError:
                # The session that was let through may have completed it: TRUNCATE rebuilds all indexes.
                if is_made():
                    return attempt + 1
                if not drop_remains() or attempt == _ATTEMPTS - 1:
                    raise
                self._session.pause(pause_s)
                pause_s *= 2
            else:
                return attempt
        raise AssertionError("no attempt ended")

    def wait_for_transactions(self, table: int) -> None:
        """Waits for the open transactions that keep an index of `table` (oid) from being built.

        An index begun beside them couldn't be finished, nor its rest be dropped before they end. Raises
        HeldUpError if one is still open after PATIENCE_S, psycopg.Error, and what `session.running` does.
        """
        until_s = time.monotonic() + PATIENCE_S
        awaited: set[str] | None = None
        while True:
            obstacles = self._obstacles(table)
            there = {one.transaction for one in obstacles}
            awaited = there if awaited is None else awaited & there
            if not awaited:
                return
            if time.monotonic() > until_s:
                raise HeldUpError(_held_up([one for one in obstacles if one.transaction in awaited]))
            self._session.pause(_LOOK_AGAIN_S)

    def held_up(self, table: int) -> str:
        """Returns the transactions that keep an index of `table` (oid) from being built now; empty without
        any.

        Raises psycopg.Error.
        """
        return _held_up(self._obstacles(table))

    def _obstacles(self, table: int) -> list[_Obstacle]:
        assert self._looking is not None
        bound = {"relation": table, "pid": self._session.connection.info.backend_pid}
        with self._looking.cursor(row_factory=class_row(_Obstacle)) as cursor:
            return cursor.execute(queries.load("leaks/index_obstacles").encode(), bound).fetchall()

    def drop(self, schema: str, name: str) -> None:
        """Drops an index, if it is there, as soon as nobody has to wait for that.

        Raises IndexGivenUpError or psycopg.Error if there was no such moment; what `session.running` does.
        """
        index = self._name(schema, name)
        until_s = time.monotonic() + PATIENCE_S
        while True:
            self._session.limit(self._settings.count_timeout_s, _AT_ONCE_S)
            with suppress(errors.LockNotAvailable):
                self._session.execute(b"DROP INDEX IF EXISTS " + index)
                return
            left_s = until_s - time.monotonic()
            self._session.limit(self._settings.count_timeout_s, max(left_s, _AT_ONCE_S))
            try:
                self._run(b"DROP INDEX CONCURRENTLY IF EXISTS " + index)
                return
            except (IndexGivenUpError, errors.LockNotAvailable):
                if time.monotonic() > until_s:
                    raise
            self._session.pause(_DROP_PAUSE_S)

    def drop_at_last(self, schema: str, name: str) -> bool:
        """Drops an index over the second connection, once the first can't be used; whether it is gone."""
        assert self._looking is not None
        until_s = time.monotonic() + PATIENCE_S
        with suppress(psycopg.Error):
            self._looking.set({"lock_timeout": f"{round(_AT_ONCE_S * 1000)}ms"})
            while time.monotonic() < until_s:
                try:
                    self._looking.execute(b"DROP INDEX IF EXISTS " + self._name(schema, name))
                except errors.LockNotAvailable:
                    time.sleep(_DROP_PAUSE_S)
                else:
                    return True
        return False

    def _name(self, schema: str, name: str) -> bytes:
        escaping = pq.Escaping(self._session.connection.pgconn)
        return quoted(schema, escaping) + b"." + quoted(name, escaping)

    def _run(self, statement: bytes) -> None:
        """Runs it unless somebody waits for it. Raises IndexGivenUpError."""
        look = _Look(self._looking, self._session)
        try:
            self._session.execute(statement)
        except (errors.QueryCanceled, errors.DeadlockDetected) as error:
            look.end()
            if look.reason:
                raise IndexGivenUpError(look.reason) from None
            if isinstance(error, errors.DeadlockDetected):
                raise IndexGivenUpError("a session that it would have waited for in turn") from None
            raise
        finally:
            look.end()


class _Look:
    """A thread that looks for who waits for a session, and cancels what that runs, until it is ended."""

    def __init__(self, looking: OwnConnection | None, session: DatabaseSession) -> None:
        assert looking is not None
        self._looking = looking
        self._session = session
        self._ended = threading.Event()
        self.reason = ""
        """The reason why the session's statement was cancelled."""
        self._thread = threading.Thread(target=self._look, name="who waits for an index", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Ends the thread; returns once it has ended."""
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        bound = {"pid": self._session.connection.info.backend_pid}
        query = queries.load("leaks/index_waiters").encode()
        try:
            with self._looking.cursor(row_factory=class_row(_Waiter)) as cursor:
                while not self._ended.wait(_LOOK_EVERY_S):
                    waiters = cursor.execute(query, bound).fetchall()
                    if waiters and not self.reason:
                        self.reason = _in_words(waiters)
        except psycopg.Error:
            self.reason = "an unknown session: the connection that looks for waiters was lost"
            while not self._ended.is_set():
                with suppress(psycopg.Error):
                    self._session.connection.cancel_safe(timeout=1)
                self._ended.wait(_LOOK_EVERY_S)


def _in_words(waiters: list[_Waiter]) -> str:
    return _and_more(_named(waiters[0].pid, waiters[0].application_name), len(waiters) - 1)


def _held_up(obstacles: list[_Obstacle]) -> str:
    if not obstacles:
        return ""
    first = obstacles[0]
    who = "a prepared transaction"
    if first.pid is not None:
        who = f"a transaction of {_named(first.pid, first.application_name)}"
    since = "" if first.age_s is None else f", begun {durations.in_words(first.age_s)} ago,"
    they = _and_more(f"{who}{since}", len(obstacles) - 1)
    return f"{they} {'is' if len(obstacles) == 1 else 'are'} still open"


def _named(pid: int, application_name: str) -> str:
    return f"pid {pid}{f' ({mask_name(application_name)})' if application_name else ''}"


def _and_more(first: str, others: int) -> str:
    return f"{first} and {others:,} more" if others else first
