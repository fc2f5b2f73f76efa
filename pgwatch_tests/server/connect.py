"""Connections that can't hang for long and can't do harm: named, autocommit, with timeouts."""

from __future__ import annotations

import asyncio
import logging
import re
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
from pgwatch_tests.server.dsn import holds_password, normalise, redact
from pgwatch_tests.server.version import check_supported

Row = tuple[object, ...]

_FAILURE = re.compile(
    r"(?:connection failed: )?connection to (?P<where>server .+?) failed: (?:FATAL:\s+)?(?P<why>.+)"
)
_UNKNOWN_HOST = re.compile(r"""(failed to resolve host|could not translate host name) ['"].*?['"]""")
# It writes to stderr about cancelled attempts; whatever matters is raised.
logging.getLogger("psycopg").addHandler(logging.NullHandler())


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
        """One command with all limits; works through poolers that refuse startup options.

        SET, not set_config(): finding a function reads catalogs, which may be locked, without a timeout yet.
        """
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
        commands = [
            sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Literal(value))
            for name, value in values.items()
        ]
        return sql.SQL("; ").join(commands)


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


def no_answer(dsn: Dsn, patience_s: float) -> NoAnswerError:
    """What to raise where a connection couldn't be had in `patience_s`."""
    return NoAnswerError(f"cannot connect ({dsn.source}): no answer from the server in {patience_s:g} s")


@contextmanager
def _cannot_connect(dsn: Dsn, timeout_s: float) -> Iterator[None]:
    try:
        yield
    except (TimeoutError, errors.ConnectionTimeout):
        raise no_answer(dsn, timeout_s) from None
    except psycopg.Error as error:
        raise CannotConnectError(
            f"cannot connect ({dsn.source}): {_reason(redact(str(error), dsn), dsn)}"
        ) from None


def _reason(message: str, dsn: Dsn) -> str:
    """libpq's message with its point first: it is cut where there is no room for all."""
    message = message.removeprefix("connection is bad: ")
    if holds_password(dsn):
        # Of `user:half@half`, libpq takes the second half for a host.
        message = _UNKNOWN_HOST.sub(r"\1 (not shown, since it may be part of a password)", message)
    found = _FAILURE.fullmatch(message)
    return f"{found['why']} ({found['where']})" if found else message


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
