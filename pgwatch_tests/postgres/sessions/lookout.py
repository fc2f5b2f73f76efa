"""The lookout: a second session that sees who waits for the database or the tables that a scan reads.

DROP DATABASE, ALTER DATABASE … RENAME, and CREATE DATABASE with it as the template lock the database and
then wait 5 s for all others to leave (CountOtherDBBackends, src/backend/storage/ipc/procarray.c). A session
that counts can't look for that lock itself, so another one does. It looks as well for those who wait to empty
or alter the table that is counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg.rows import args_row, class_row

from pgwatch_tests.errors import NoAnswerError, PgwatchError
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.connections.dsn import in_database, on_server_of
from pgwatch_tests.postgres.connections.maintenance_database import connect_outside
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.settings.load import Dsn
from pgwatch_tests.text.secrets import mask_name

LIMITS = SessionLimits(statement_timeout_s=1.0, lock_timeout_s=0.5, any_bytes=True)
_CONNECT_IN_S = 2.0


@dataclass(frozen=True, slots=True)
class _Waiter:
    pid: int
    application_name: str


class Lookout:
    """A session in the maintenance database, or where our role may not go there, in the database itself.

    `beside` is the session at work; `oid` is that of its database. For one thread at a time.
    """

    def __init__(self, dsn: Dsn, beside: OwnConnection, oid: int) -> None:
        self._database = beside.info.dbname
        self._dsn = in_database(on_server_of(beside, dsn), self._database)
        self._oid = oid
        self._connection: OwnConnection | None = None

    @property
    def is_outside(self) -> bool:
        """Whether it has a session, in another database."""
        connection = self._connection
        return connection is not None and not connection.closed and connection.info.dbname != self._database

    def is_wanted(self) -> bool | None:
        """Whether somebody has locked the database as a whole, or waits to.

        None if no session is to be had to ask, or the whole server says nothing. A session within the
        database is closed if it is wanted; where only that one lets none in, it or a catalog is locked.
        """
        try:
            if self._connection is None or self._connection.closed:
                self._connection = connect_outside(self._dsn, LIMITS, connect_timeout_s=_CONNECT_IN_S)
        except NoAnswerError:
            return True
        except PgwatchError:
            return None
        try:
            rows = self._connection.execute(queries.load("server/wanted_databases")).fetchall()
        except psycopg.Error:
            self.close()
            return None
        wanted = any(oid == self._oid for oid, *_ in rows)
        if wanted and not self.is_outside:
            self.close()
        return wanted

    def waiter(self, pid: int) -> str:
        """Returns who waits for the tables that our session `pid` reads; empty if nobody does, or not
        known."""
        if self._connection is None or self._connection.closed:
            return ""
        try:
            with self._connection.cursor(row_factory=class_row(_Waiter)) as cursor:
                waiters = cursor.execute(queries.load("server/reader_waiters"), {"pid": pid}).fetchall()
        except psycopg.Error:
            self.close()
            return ""
        return session_name(waiters[0].pid, waiters[0].application_name) if waiters else ""

    def close(self) -> None:
        """Closes its session, if it has one; the next question opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def session_name(pid: int | str, application_name: str) -> str:
    """`pid 4711 (pytest:gw0 test_a)`; without the brackets where it has no name. Secrets are masked."""
    name = mask_name(application_name)
    return f"pid {pid} ({name})" if name else f"pid {pid}"


def is_wanted(connection: OwnConnection) -> bool:
    """Whether somebody wants its database, asked over it. Raises psycopg's errors."""
    with connection.cursor(row_factory=args_row(bool)) as cursor:
        return cursor.execute(queries.load("server/own_database_wanted")).fetchall()[0]
