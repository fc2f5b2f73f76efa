"""A pool of databases, filled ahead in the background, so that a test gets one at once.

A thread makes copies of the template, and drops what tests give back. It holds the leases of all of them on
its own session: what is left of a process that was killed is an orphan to a sweep. An error is told to
whoever waits for a database; the next one that asks has the thread try again.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import closing, suppress

import psycopg
from psycopg import errors

from pgwatch_tests.errors import CannotConnectError, PgwatchError, RefusedError
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.sweep.orphans.databases import drop_database
from pgwatch_tests.sweep.orphans.orphan_names import orphan_name
from pgwatch_tests.testing.isolation.databases.template_database import drop_with_sessions
from pgwatch_tests.testing.isolation.own_sessions import OwnSessions, note_left
from pgwatch_tests.testing.lease_session import tell_given_up

_log = logging.getLogger("pgwatch_tests.isolation")


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
        while True:
            name = self._next_ready()
            try:
                if self._sessions.outside.is_ours(name):
                    return name
            except BaseException:
                self.give_back(name)
                raise
            give_up(self._sessions, name)

    def _next_ready(self) -> str:
        with self._changed:
            self._wanted += 1
            self._error = None
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
            self._error = None
            self._changed.notify_all()
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
        """Stops the thread, once it has dropped what is there; what it can't drop is left to a sweep."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        drop_all_leased(self._sessions, (*self._given_back, *self._ready))
        self._sessions.close()

    def _run(self) -> None:
        failures = 0
        while (step := self._next_step()) is not None:
            try:
                self._take_step(*step)
                failures = 0
            except BaseException as error:  # noqa: BLE001 -- told to whoever takes
                failures += 1
                # A session that was lost is opened anew.
                if failures == 1 and isinstance(error, psycopg.OperationalError):
                    continue
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
                    if self._closing:
                        return

    def _next_step(self) -> tuple[str, str] | None:
        """What to do next: make one somebody waits for, drop one, make one ahead; None: end.

        After an error nothing, until somebody asks for a database.
        """
        with self._changed:
            while True:
                if self._closing:
                    left = self._given_back or self._ready
                    return ("drop", left.popleft()) if left else None
                if self._error is None:
                    if not self._ready and self._wanted:
                        return "make", orphan_name()
                    if self._given_back:
                        return "drop", self._given_back.popleft()
                    if len(self._ready) < self._size:
                        return "make", orphan_name()
                self._changed.wait()

    def _take_step(self, what: str, name: str) -> None:
        try:
            if what == "drop":
                drop_leased(self._sessions, name)
                return
            make_leased(self._sessions, self._copy, name)
        except BaseException:
            # A server that can't be reached now may be later: what may be there is dropped then.
            with self._changed:
                self._given_back.append(name)
            raise
        with self._changed:
            self._ready.append(name)
            self._changed.notify_all()


def make_leased(sessions: OwnSessions, copy: Callable[[OwnConnection, str], None], name: str) -> None:
    """Takes a lease on the session outside, and has `copy` make the database."""
    leases = sessions.outside
    leases.take(name)
    try:
        copy(leases.connection(), name)
    except BaseException:
        # Where the session was lost meanwhile, the server may have made it all the same.
        with suppress(psycopg.Error, PgwatchError):
            drop_leased(sessions, name)
        raise


def drop_leased(sessions: OwnSessions, name: str) -> None:
    """Drops a database whose lease is held on the session outside; one that stays is left to a sweep.

    One that isn't ours any more isn't touched. Raises CannotConnectError, and psycopg.Error if the session
    is lost once more; then the lease stays wanted.
    """
    leases = sessions.outside
    for is_last in (False, True):
        try:
            if leases.is_ours(name):
                _drop(sessions, leases.connection(), name)
            elif leases.is_taken(name):
                tell_given_up(name)
            break
        except psycopg.OperationalError:
            if leases.present_connection() is not None:
                note_left(leases, name)
                break
            if is_last:
                raise
        except CannotConnectError:
            raise
        except (psycopg.Error, PgwatchError):
            note_left(leases, name)
            break
    leases.free(name)


def drop_all_leased(sessions: OwnSessions, names: Iterable[str]) -> None:
    """Drops what is left in the end; the log says what a sweep has to take."""
    left = deque(names)
    try:
        while left:
            drop_leased(sessions, left[0])
            left.popleft()
    except (psycopg.Error, PgwatchError) as error:
        _log.warning("left to a sweep, since the server can't be asked (%s): %s", error, ", ".join(left))


def give_up(sessions: OwnSessions, name: str) -> None:
    """Has nothing to do any more with a database that isn't ours, and tells so."""
    sessions.outside.free(name)
    tell_given_up(name)


def _drop(sessions: OwnSessions, connection: OwnConnection, name: str) -> None:
    try:
        drop_with_sessions(connection, name)
    except errors.ObjectInUse:
        # A prepared transaction is in the way.
        with closing(DatabaseSession(sessions.settings(), read_only=False)) as session:
            session.open()
            drop_database(session, sessions.settings(), name)
