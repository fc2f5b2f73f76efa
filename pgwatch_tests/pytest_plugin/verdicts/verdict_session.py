"""The session that verdicts look with: one a process, in nobody's way, with a deadline.

A database that somebody is connected to can't be dropped or copied: whoever wants to waits 5 s for others to
leave (CountOtherDBBackends, src/backend/storage/ipc/procarray.c). So this session closes itself once it has
been idle for a second. While tests keep it busy, it asks twice a second whether somebody waits, and leaves.
Where sessions are scarce, it leaves after each look: the next test may need its place.
"""

from __future__ import annotations

import selectors
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgwatch_tests.errors import CannotConnectError, PgwatchError
from pgwatch_tests.postgres.connections.connect import connect
from pgwatch_tests.postgres.connections.connection import DatabaseInstance, OwnConnection
from pgwatch_tests.postgres.connections.disconnection import hang_up
from pgwatch_tests.postgres.connections.dsn import database_name, normalise
from pgwatch_tests.postgres.connections.maintenance_database import connect_outside
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.postgres.sessions.lookout import is_wanted
from pgwatch_tests.postgres.sessions.scarcity import are_sessions_scarce
from pgwatch_tests.settings.load import Dsn
from pgwatch_tests.sweep.orphans.orphan_names import is_orphan_name
from pgwatch_tests.testing.connections.commits import ServedDatabase

_LIMITS = SessionLimits(statement_timeout_s=2.0, lock_timeout_s=0.1)
_CONNECT_TIMEOUT_S = 2.0
# A test may move the clock, so that time is counted in waits of a thread.
_TICK_S = 0.5
_IDLE_TICKS = 2
_DEADLINE_TICKS = 6
_SOURCE = "the tests' own connection"


class PostponedError(PgwatchError):
    """The database is being dropped, altered or copied just now, so that there's no look at it."""


class GoneError(PgwatchError):
    """The database isn't there any more."""


class VerdictSession:
    """The session; `connected` is for one thread at a time, whichever it is."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._connection: OwnConnection | None = None
        self._database: ServedDatabase | None = None
        self._ticks = 0
        self._idle_since = 0
        self._busy_since: int | None = None
        self._asked = -1
        self._is_scarce = False
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def connected(self, database: ServedDatabase) -> Iterator[OwnConnection]:
        """A connection to the database, for a few short statements.

        Raises GoneError, PostponedError and CannotConnectError.
        """
        with self._turn:
            self._busy_since = self._ticks
            try:
                yield self._opened(database)
            except BaseException as error:
                # A test's timeout may have struck in the middle of a statement.
                if not isinstance(error, psycopg.Error) or self._is_lost():
                    self._leave()
                raise
            finally:
                self._busy_since, self._idle_since = None, self._ticks
                if self._is_scarce:
                    self._leave()

    def leave(self) -> None:
        """Leaves the database at once; `connected` comes back."""
        with self._turn:
            self._leave()

    def close(self) -> None:
        """Ends the session, and the thread that looks after it."""
        self._closed.set()
        with self._turn:
            self._leave()
        if self._thread is not None:
            self._thread.join(_TICK_S * 2)
            self._thread = None

    def _opened(self, database: ServedDatabase) -> OwnConnection:
        connection = self._connection
        if (
            connection is None
            or connection.closed
            or database != self._database
            or _has_been_spoken_to(connection)
        ):
            self._leave()
            connection = self._connection = _connect(database)
            self._is_scarce = are_sessions_scarce(connection)
            self._database, self._asked = database, self._ticks
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._look_after, name="pgwatch-tests verdicts", daemon=True
                )
                self._thread.start()
        if self._asked != self._ticks:
            self._asked = self._ticks
            if is_wanted(connection):
                raise PostponedError(f"{database.name} is being dropped, altered or copied")
        return connection

    def _is_lost(self) -> bool:
        return self._connection is None or self._connection.closed

    def _leave(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def _look_after(self) -> None:
        while not self._closed.wait(_TICK_S):
            self._ticks += 1
            busy_since, connection = self._busy_since, self._connection
            if busy_since is not None and connection is not None:
                if self._ticks - busy_since >= _DEADLINE_TICKS:
                    hang_up(connection)
            elif self._ticks - self._idle_since >= _IDLE_TICKS and self._turn.acquire(blocking=False):
                try:
                    self._leave()
                finally:
                    self._turn.release()


def _has_been_spoken_to(connection: OwnConnection) -> bool:
    """Whether the server has sent something to an idle session: most likely that it has ended it.

    Suites end all other sessions before they drop a database, and restart servers.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(connection.pgconn.socket, selectors.EVENT_READ)
        return bool(selector.select(0))


def served(dsn: str) -> ServedDatabase:
    """Returns the database of a connection string, as connections tell it. Raises CannotConnectError."""
    connection = connect(Dsn(dsn, "the settings"), _LIMITS, connect_timeout_s=_CONNECT_TIMEOUT_S)
    try:
        info = connection.info
        return ServedDatabase(info.host, str(info.port), info.dbname, dsn)
    finally:
        connection.close()


def ways_to(
    database: ServedDatabase, dsn: str, others: Iterable[ServedDatabase]
) -> dict[ServedDatabase, ServedDatabase]:
    """Returns those of the `others` that are this database, too: by another host or port, as of a pooler.

    `dsn` is its own connection string, whose user and password serve for all. One that can't be asked isn't
    returned.
    """
    others = [one for one in others if one != database and one.name == database.name]
    place = _instance(dsn) if others else None
    parameters = conninfo_to_dict(normalise(Dsn(dsn, _SOURCE))[0]) if others else {}
    parameters.pop("hostaddr", None)
    return {
        one: database
        for one in others
        if place is not None
        and _instance(make_conninfo("", **{**parameters, "host": one.host, "port": one.port})) == place
    }


def _instance(dsn: str) -> DatabaseInstance | None:
    try:
        with closing(connect(Dsn(dsn, _SOURCE), _LIMITS, connect_timeout_s=_CONNECT_TIMEOUT_S)) as connection:
            return connection.place
    except PgwatchError:
        return None


def goes_by_itself(database: ServedDatabase, suites: str | None) -> bool:
    """Whether it is a database of a test's own, dropped with all that is in it, not the one that the whole
    suite works in."""
    if not is_orphan_name(database.name) or suites is None:
        return False
    return database_name(Dsn(suites, "the settings")) != database.name


def _connect(database: ServedDatabase) -> OwnConnection:
    """Opens a connection. Raises GoneError if the database isn't there, CannotConnectError otherwise."""
    if not database.dsn:
        raise CannotConnectError(f"how to connect to {database.name} isn't known: give --pgwatch-dsn")
    dsn = Dsn(database.dsn, _SOURCE)
    try:
        connection = connect(dsn, _LIMITS, connect_timeout_s=_CONNECT_TIMEOUT_S)
    except CannotConnectError:
        if _is_gone(dsn, database.name):
            raise GoneError(f"{database.name} isn't there any more") from None
        raise
    if connection.pooled is False:
        # Only what a look asks each time is prepared: statements on a suite's tables are many.
        connection.prepare_threshold = sys.maxsize
    return connection


def _is_gone(dsn: Dsn, name: str) -> bool:
    """Whether the server is there and has no database of that name."""
    try:
        outside = connect_outside(dsn, _LIMITS, connect_timeout_s=_CONNECT_TIMEOUT_S)
    except PgwatchError:
        return False
    try:
        names = "SELECT FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) %s::pg_catalog.name"
        return outside.execute(names, [name]).fetchone() is None
    except psycopg.Error:
        return False
    finally:
        outside.close()
