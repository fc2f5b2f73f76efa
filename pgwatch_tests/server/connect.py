"""Connections that can't hang for long and can't do harm: named, autocommit, with timeouts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import AsyncConnection, BaseConnection, Connection, errors, sql
from psycopg.adapt import AdaptersMap
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgwatch_tests.config import Dsn
from pgwatch_tests.errors import CannotConnectError, ConnectionLostError, NoAnswerError, PgwatchError
from pgwatch_tests.server import lenient_text
from pgwatch_tests.server.application_name import OWN_NAME
from pgwatch_tests.server.dsn import normalise, redact
from pgwatch_tests.server.version import check_supported

Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """What a session of ours may cost the server. Seconds; a session is read-only unless said.

    `any_bytes` reads text without conversion, for text that may come from other databases.
    """

    statement_timeout_s: float
    lock_timeout_s: float
    read_only: bool = True
    any_bytes: bool = False

    def statement(self, server_encoding: str) -> sql.Composed:
        """One SET-like statement with all limits; works through poolers that refuse startup options."""
        values = {
            "statement_timeout": f"{max(1, round(self.statement_timeout_s * 1000))}ms",
            "lock_timeout": f"{max(1, round(self.lock_timeout_s * 1000))}ms",
            "idle_in_transaction_session_timeout": "60s",
            "default_transaction_read_only": "on" if self.read_only else "off",
            # SQL_ASCII means: no conversion, so that one invalid byte can't fail a whole read.
            "client_encoding": "SQL_ASCII" if self.any_bytes or server_encoding == "SQL_ASCII" else "UTF8",
            # A serializable reader could make other sessions fail.
            "default_transaction_isolation": "read committed",
            "jit": "off",
            "search_path": "pg_catalog",
        }
        calls = [
            sql.SQL("pg_catalog.set_config({}, {}, false)").format(sql.Literal(name), sql.Literal(value))
            for name, value in values.items()
        ]
        return sql.SQL("SELECT {}").format(sql.SQL(", ").join(calls))


def _adapters() -> AdaptersMap:
    adapters = AdaptersMap(psycopg.adapters)
    lenient_text.register(adapters)
    return adapters


def _conninfo(dsn: Dsn, database: str | None, connect_timeout_s: float) -> str:
    # Repeated for each connection, so a reconnect keeps everything, the password included.
    parameters = conninfo_to_dict(normalise(dsn)[0])
    parameters["application_name"] = OWN_NAME
    # libpq counts whole seconds and takes less than 2 for 2.
    parameters.setdefault("connect_timeout", max(2, round(connect_timeout_s)))
    if database is not None:
        parameters["dbname"] = database
    return make_conninfo("", **parameters)


def _server_encoding(connection: BaseConnection[Row]) -> str:
    return connection.info.parameter_status("server_encoding") or "UTF8"


async def connect_async(
    dsn: Dsn, limits: SessionLimits, *, connect_timeout_s: float, database: str | None = None
) -> AsyncConnection[Row]:
    """An autocommit connection with `limits` set, to `database` if given, else to what the DSN says.

    Raises CannotConnectError, or ConfigurationError if the server is too old.
    """
    with _cannot_connect(dsn, connect_timeout_s):
        async with asyncio.timeout(connect_timeout_s):
            connection = await AsyncConnection.connect(
                _conninfo(dsn, database, connect_timeout_s), autocommit=True, context=_adapters()
            )
            try:
                check_supported(connection.info.server_version)
                await connection.execute(limits.statement(_server_encoding(connection)))
            except BaseException:
                connection.pgconn.finish()
                raise
            return connection


def connect(
    dsn: Dsn, limits: SessionLimits, *, connect_timeout_s: float, database: str | None = None
) -> Connection[Row]:
    """The same as `connect_async`, for code that waits."""
    with _cannot_connect(dsn, connect_timeout_s):
        connection = Connection.connect(
            _conninfo(dsn, database, connect_timeout_s), autocommit=True, context=_adapters()
        )
        try:
            check_supported(connection.info.server_version)
            connection.execute(limits.statement(_server_encoding(connection)))
        except BaseException:
            connection.close()
            raise
        return connection


@contextmanager
def _cannot_connect(dsn: Dsn, timeout_s: float) -> Iterator[None]:
    try:
        yield
    except (TimeoutError, errors.ConnectionTimeout):
        raise NoAnswerError(
            f"cannot connect ({dsn.source}): no answer from the server in {timeout_s:g} s"
        ) from None
    except psycopg.Error as error:
        reason = redact(str(error), dsn).removeprefix("connection is bad: ")
        raise CannotConnectError(f"cannot connect ({dsn.source}): {reason}") from None


@contextmanager
def lost_connection(dsn: Dsn) -> Iterator[None]:
    """Turns the errors of a connection that broke, or was ended by an administrator, into our own."""
    try:
        yield
    except PgwatchError:
        raise
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        if isinstance(error, errors.QueryCanceled | errors.LockNotAvailable):
            raise
        raise ConnectionLostError(f"the connection was lost: {redact(str(error), dsn)}") from None
