"""Sessions of a process that makes schemas and databases: shared, and closed with the last that needs them.

Leases are held on one of them, straight to the server: a pooler would give them away.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime

import psycopg

from pgwatch_tests.errors import LeaseTakenError
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.connect import connect
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.connections.dsn import normalise
from pgwatch_tests.postgres.connections.maintenance_database import connect_outside
from pgwatch_tests.postgres.leases import LEASE_KEY
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep.ended_leases import EndedLease, note_end
from pgwatch_tests.testing.isolation.isolated_place import plain_session
from pgwatch_tests.testing.leases import LEASE_LIMITS

CONNECT_TIMEOUT_S = 10.0
_LONG_S = 600.0
"""How long a statement may take: a template may be large."""


class OwnSessions:
    """A session in the database of a DSN, one in the maintenance database, and one for statements of others.

    Each is opened when it is first asked for, and again if it was lost.
    """

    def __init__(self, dsn: str) -> None:
        self.dsn = Dsn(dsn, "the DSN of the suite")
        self._inside: OwnConnection | None = None
        self._outside: OwnConnection | None = None
        self._builder: OwnConnection | None = None
        self._lock = threading.RLock()

    def inside(self) -> OwnConnection:
        """The session in the DSN's database. Raises RefusedError for a pooler, CannotConnectError."""
        with self._lock:
            if self._inside is None or self._inside.closed:
                self._inside = connect(self.dsn, LEASE_LIMITS, connect_timeout_s=CONNECT_TIMEOUT_S)
                self._inside.require_session("a lease")
            return self._inside

    def outside(self) -> OwnConnection:
        """The session in the maintenance database, or else the DSN's. Raises what `inside` does."""
        with self._lock:
            if self._outside is None or self._outside.closed:
                limits = replace(LEASE_LIMITS, statement_timeout_s=_LONG_S)
                self._outside = connect_outside(self.dsn, limits, connect_timeout_s=CONNECT_TIMEOUT_S)
                self._outside.require_session("a lease")
            return self._outside

    @contextmanager
    def builder(self, search_path: str) -> Iterator[OwnConnection]:
        """A session as the suite's own, in that search path, for its DDL. Raises psycopg.Error."""
        with self._lock:
            if self._builder is None or self._builder.closed:
                self._builder = plain_session(normalise(self.dsn)[0])
            connection = self._builder
            connection.execute("SELECT pg_catalog.set_config('search_path', %s, false)", [search_path])
            try:
                yield connection
                connection.execute("DISCARD ALL")
            except BaseException:
                # Whatever it is in the middle of.
                connection.close()
                raise

    @contextmanager
    def lease(self, connection: OwnConnection, name: str) -> Iterator[None]:
        """Holds a lease on that session. Raises LeaseTakenError, and psycopg.Error if it can't be asked."""
        take(connection, name)
        try:
            yield
        finally:
            free(connection, name)

    def settings(self) -> Settings:
        """The settings for what a sweep does, too."""
        return Settings(
            self.dsn, lock_timeout_s=LEASE_LIMITS.lock_timeout_s, connect_timeout_s=CONNECT_TIMEOUT_S
        )

    def close(self) -> None:
        """Closes them."""
        with self._lock:
            for connection in (self._inside, self._outside, self._builder):
                if connection is not None:
                    connection.close()
            self._inside = self._outside = self._builder = None


def take(connection: OwnConnection, name: str) -> None:
    """Takes a lease. Raises LeaseTakenError, psycopg.Error."""
    parameters = {"lease_key": LEASE_KEY, "name": name}
    if connection.execute(queries.load("leases/take"), parameters).fetchone() != (True,):
        raise LeaseTakenError(f"another session holds the lease of {name!r}")


def free(connection: OwnConnection, name: str) -> None:
    """Gives a lease back; with a lost connection it is gone already."""
    with suppress(psycopg.Error):
        connection.execute(queries.load("leases/free"), {"lease_key": LEASE_KEY, "name": name})


def note_left(connection: OwnConnection, name: str) -> None:
    """Notes that an owner is done with what is left under this name: a sweep takes it, young or not."""
    with suppress(psycopg.Error):
        row = connection.execute(queries.load("server/time")).fetchone()
        if row is not None and isinstance(row[0], datetime) and isinstance(row[1], datetime):
            note_end(EndedLease(name, row[0], row[1]))


_shared: dict[tuple[int, str], tuple[OwnSessions, int]] = {}
_shared_lock = threading.Lock()


@contextmanager
def own_sessions(dsn: str) -> Iterator[OwnSessions]:
    """The sessions of this process for a DSN: whoever leaves last closes them.

    A process that was forked has its own.
    """
    key = (os.getpid(), dsn)
    with _shared_lock:
        sessions, users = _shared.get(key) or (OwnSessions(dsn), 0)
        _shared[key] = sessions, users + 1
    try:
        yield sessions
    finally:
        with _shared_lock:
            sessions, users = _shared.pop(key)
            if users > 1:
                _shared[key] = sessions, users - 1
        if users == 1:
            sessions.close()
