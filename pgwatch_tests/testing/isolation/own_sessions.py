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

from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.connect import connect
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.connections.dsn import normalise
from pgwatch_tests.postgres.connections.maintenance_database import connect_outside
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep.ended_leases import EndedLease, note_end
from pgwatch_tests.testing.isolation.isolated_place import plain_session
from pgwatch_tests.testing.lease_session import LeaseSession, is_lost
from pgwatch_tests.testing.leases import LEASE_LIMITS

CONNECT_TIMEOUT_S = 10.0
_LONG_S = 600.0
"""How long a statement may take: a template may be large."""


class OwnSessions:
    """A session in the database of a DSN, one in the maintenance database, and one for statements of others.

    Each is opened when it is first asked for, and again if it was lost.
    """

    def __init__(self, dsn: str, source: str = "the DSN of the suite") -> None:
        """`source` is where the connection string was read, for messages."""
        self.dsn = Dsn(dsn, source)
        self.inside = LeaseSession(self._connect_inside)
        """The session in the DSN's database. It raises RefusedError for a pooler, CannotConnectError."""
        self.outside = LeaseSession(self._connect_outside)
        """The session in the maintenance database, or else the DSN's. It raises what `inside` does."""
        self._builder: OwnConnection | None = None
        self._lock = threading.RLock()

    def _connect_inside(self) -> OwnConnection:
        return connect(self.dsn, LEASE_LIMITS, connect_timeout_s=CONNECT_TIMEOUT_S)

    def _connect_outside(self) -> OwnConnection:
        limits = replace(LEASE_LIMITS, statement_timeout_s=_LONG_S)
        return connect_outside(self.dsn, limits, connect_timeout_s=CONNECT_TIMEOUT_S)

    @contextmanager
    def builder(self, search_path: str) -> Iterator[OwnConnection]:
        """A session as the suite's own, in that search path, for its DDL. Raises psycopg.Error."""
        with self._lock:
            if self._builder is None or is_lost(self._builder):
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

    def settings(self) -> Settings:
        """The settings for what a sweep does, too."""
        return Settings(
            self.dsn, lock_timeout_s=LEASE_LIMITS.lock_timeout_s, connect_timeout_s=CONNECT_TIMEOUT_S
        )

    def close(self) -> None:
        """Closes them."""
        self.inside.close()
        self.outside.close()
        with self._lock:
            if self._builder is not None:
                self._builder.close()
            self._builder = None


def note_left(leases: LeaseSession, name: str) -> None:
    """Notes that an owner is done with what is left under this name: a sweep takes it, young or not."""
    connection = leases.present_connection()
    if connection is None:
        return
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
