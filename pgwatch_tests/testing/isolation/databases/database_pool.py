"""A pool of databases, filled ahead in the background, so that a test gets one at once.

A thread makes copies of the template, and drops what tests give back. It holds the leases of all of them on
its own session: what is left of a process that was killed is an orphan to a sweep.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import closing, suppress

import psycopg
from psycopg import errors

from pgwatch_tests.errors import PgwatchError, RefusedError
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.sweep.orphans.databases import drop_database
from pgwatch_tests.sweep.orphans.orphan_names import orphan_name
from pgwatch_tests.testing.isolation.databases.template_database import drop_with_sessions
from pgwatch_tests.testing.isolation.own_sessions import OwnSessions, free, note_left, take


class DatabasePool:
    """So many databases ready. Close it: then all that it has made are dropped."""

    def __init__(self, sessions: OwnSessions, copy: Callable[[OwnConnection, str], None], size: int) -> None:
        """`copy` makes a database of a name, on a session."""
        self._sessions = OwnSessions(sessions.dsn.value)
        self._copy = copy
        self._size = size
        self._ready: deque[str] = deque()
        self._given_back: deque[str] = deque()
        self._wanted = 0
        self._closing = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="pgwatch-tests databases", daemon=True)
        self._thread.start()

    def take(self) -> str:
        """Returns a database that nobody else has; waits for one if there is none.

        Raises what kept the thread from making one: psycopg.Error, CannotConnectError, RefusedError.
        """
        with self._changed:
            self._wanted += 1
            try:
                self._changed.notify_all()
                while not self._ready:
                    if self._error is not None:
                        raise self._error
                    if self._closing:
                        raise RefusedError("the pool of databases is closed")
                    self._changed.wait()
                return self._ready.popleft()
            finally:
                self._wanted -= 1
                self._changed.notify_all()

    def wait_until_filled(self) -> None:
        """Waits until as many are ready as the pool keeps. Raises what `take` does."""
        with self._changed:
            while len(self._ready) < self._size:
                if self._error is not None:
                    raise self._error
                self._changed.wait()

    def give_back(self, name: str) -> None:
        """Has a database dropped, whoever is connected to it."""
        with self._changed:
            self._given_back.append(name)
            self._changed.notify_all()

    def close(self) -> None:
        """Stops the thread, once it has dropped what is there."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        # An error has ended it before.
        for name in (*self._given_back, *self._ready):
            with suppress(psycopg.Error, PgwatchError):
                drop_leased(self._sessions, name)
        self._sessions.close()

    def _run(self) -> None:
        try:
            connection = self._sessions.outside()
            while (step := self._next_step()) is not None:
                self._take_step(connection, *step)
        except BaseException as error:  # noqa: BLE001 -- told to whoever takes
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _next_step(self) -> tuple[str, str] | None:
        """What to do next: make one somebody waits for, drop one, make one ahead; None: end."""
        with self._changed:
            while True:
                if self._closing:
                    left = self._given_back or self._ready
                    return ("drop", left.popleft()) if left else None
                if not self._ready and self._wanted:
                    return "make", orphan_name()
                if self._given_back:
                    return "drop", self._given_back.popleft()
                if len(self._ready) < self._size:
                    return "make", orphan_name()
                self._changed.wait()

    def _take_step(self, connection: OwnConnection, what: str, name: str) -> None:
        if what == "drop":
            drop_leased(self._sessions, name)
            return
        take(connection, name)
        try:
            self._copy(connection, name)
        except BaseException:
            free(connection, name)
            raise
        with self._changed:
            self._ready.append(name)
            self._changed.notify_all()


def drop_leased(sessions: OwnSessions, name: str) -> None:
    """Drops a database whose lease is held on the session outside; one that stays is left to a sweep."""
    connection = sessions.outside()
    try:
        try:
            drop_with_sessions(connection, name)
        except errors.ObjectInUse:
            # A prepared transaction is in the way.
            with closing(DatabaseSession(sessions.settings(), read_only=False)) as session:
                session.open()
                drop_database(session, sessions.settings(), name)
        except psycopg.OperationalError:
            if not connection.closed:
                raise
            connection = sessions.outside()
            drop_with_sessions(connection, name)
    except (psycopg.Error, PgwatchError):
        note_left(connection, name)
    free(connection, name)
