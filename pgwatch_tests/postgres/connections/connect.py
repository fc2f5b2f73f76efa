"""Opening of connections, which can't hang for long or do harm: named, autocommit, with timeouts."""

from __future__ import annotations

import asyncio
import logging
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors
from psycopg.adapt import AdaptersMap
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgwatch_tests.errors import (
    CannotConnectError,
    ConnectionLostError,
    NoAnswerError,
    NoSlotError,
    PgwatchError,
)
from pgwatch_tests.postgres.connections.connection import (
    AsyncOwnConnection,
    AsyncOwnCursor,
    OwnConnection,
    OwnCursor,
)
from pgwatch_tests.postgres.connections.dsn import holds_password, normalise, redact
from pgwatch_tests.postgres.connections.own_backends import OWN_BACKENDS
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.postgres.stored_text import lenient_text
from pgwatch_tests.postgres.version import check_supported
from pgwatch_tests.settings.load import Dsn

_FAILURE = re.compile(
    r"(?:connection failed: )?connection to (?P<where>server .+?) failed: (?:FATAL:\s+)?(?P<why>.+)"
)
# libpq's second line begins another sentence.
_QUESTION = re.compile(r"\s+Is the server running")
_UNKNOWN_HOST = re.compile(r"""(failed to resolve host|could not translate host name) ['"].*?['"]""")
# Messages of a server without free connections: in InitPostgres and InitProcess
# (src/backend/utils/init/postinit.c, src/backend/storage/lmgr/proc.c); and of a pooler. libpq gives no
# SQLSTATE of a failed attempt. In another language (lc_messages) the server's text stands alone.
_CLOSE = "Close pools and sessions in the fixtures' clean-up"
_ADVICE = {
    "too many clients already": (
        "max_connections is used up. Only a role with reserved slots (a superuser) still gets in: as one, "
        f"`pgwatch-tests doctor` shows who has them. {_CLOSE}, or raise max_connections"
    ),
    "remaining connection slots are reserved": (
        "max_connections is used up, but for slots reserved for superusers: as one, `pgwatch-tests doctor` "
        f"shows who has them. {_CLOSE}, or raise max_connections"
    ),
    "too many connections for database": (
        "its CONNECTION LIMIT is used up: `pgwatch-tests doctor`, in another database or as a superuser, "
        f"shows by whom. {_CLOSE}, or raise the limit"
    ),
    "too many connections for role": (
        "its CONNECTION LIMIT is used up: `pgwatch-tests doctor` as another role shows by what. "
        f"{_CLOSE}, or raise the limit"
    ),
    "no more connections allowed": (
        f"a pooler's max_client_conn is used up. {_CLOSE}, or connect to the server directly"
    ),
}
# It writes to stderr about cancelled attempts; whatever matters is raised.
logging.getLogger("psycopg").addHandler(logging.NullHandler())


def _adapters() -> AdaptersMap:
    adapters = AdaptersMap(psycopg.adapters)
    lenient_text(adapters)
    return adapters


def _conninfo(dsn: Dsn, database: str | None, connect_timeout_s: float) -> str:
    # Repeated for each connection, so a reconnect keeps everything, the password included.
    parameters = conninfo_to_dict(normalise(dsn)[0])
    # The name comes with the other settings: a pooler would give this one to a session that it pools.
    parameters["application_name"] = ""
    # libpq counts whole seconds and takes less than 2 for 2.
    parameters.setdefault("connect_timeout", max(2, round(connect_timeout_s)))
    if database is not None:
        parameters["dbname"] = database
    return make_conninfo("", **parameters)


async def connect_async(
    dsn: Dsn, limits: SessionLimits, *, connect_timeout_s: float, database: str | None = None
) -> AsyncOwnConnection:
    """Returns an autocommit connection with `limits` set, to `database` if given, else to what the DSN says.

    Raises CannotConnectError (NoAnswerError and NoSlotError are kinds of it), or ConfigurationError if the
    server is too old.
    """
    with _cannot_connect(dsn, connect_timeout_s):
        async with asyncio.timeout(connect_timeout_s):
            connection = await AsyncOwnConnection.connect(
                _conninfo(dsn, database, connect_timeout_s),
                autocommit=True,
                context=_adapters(),
                cursor_factory=AsyncOwnCursor,
            )
            OWN_BACKENDS.add(connection.info.backend_pid)
            try:
                check_supported(connection.info.server_version)
                await connection.apply_settings(limits)
            except BaseException:
                connection.pgconn.finish()
                raise
            return connection


def connect(
    dsn: Dsn, limits: SessionLimits, *, connect_timeout_s: float, database: str | None = None
) -> OwnConnection:
    """Returns what `connect_async` does, for synchronous code."""
    with _cannot_connect(dsn, connect_timeout_s):
        connection = OwnConnection.connect(
            _conninfo(dsn, database, connect_timeout_s),
            autocommit=True,
            context=_adapters(),
            cursor_factory=OwnCursor,
        )
        OWN_BACKENDS.add(connection.info.backend_pid)
        try:
            check_supported(connection.info.server_version)
            connection.apply_settings(limits)
        except BaseException:
            connection.close()
            raise
        return connection


def no_answer(dsn: Dsn, patience_s: float) -> NoAnswerError:
    """Returns the error of a connection that couldn't be opened within `patience_s`."""
    return NoAnswerError(f"cannot connect ({_origin(dsn)}): no answer from the server in {patience_s:g} s")


@contextmanager
def _cannot_connect(dsn: Dsn, timeout_s: float) -> Iterator[None]:
    try:
        yield
    except (TimeoutError, errors.ConnectionTimeout) as error:
        _let_go(error)
        raise no_answer(dsn, timeout_s) from None
    except psycopg.Error as error:
        _let_go(error)
        # Looked at as it came: a short password is redacted in the middle of words too.
        what_to_do = _advice(str(error))
        reason = f"cannot connect ({_origin(dsn)}): {_reason(redact(str(error), dsn), dsn)}"
        if what_to_do:
            raise NoSlotError(f"{reason}: {what_to_do}") from None
        raise CannotConnectError(reason) from None


def _let_go(error: BaseException) -> None:
    """Closes what a failed attempt has opened: libpq's connection is open as long as any frame has it."""
    one: BaseException | None = error
    while one is not None:
        traceback.clear_frames(one.__traceback__)
        one = one.__context__


_NAMED_BY = "--dsn or DATABASE_URL names a server"


def _origin(dsn: Dsn) -> str:
    # Whoever starts without any setting reads here where to set it.
    return dsn.source if dsn.value or not dsn.source.startswith("libpq") else f"{dsn.source}; {_NAMED_BY}"


def _advice(message: str) -> str:
    """Returns advice on a failed attempt to connect; empty if no limit of connections was its reason."""
    return next((words for text, words in _ADVICE.items() if text in message), "")


def _reason(message: str, dsn: Dsn) -> str:
    """Returns libpq's message with the reason first, since its end may be cut for want of room."""
    message = _QUESTION.sub("; is the server running", message.removeprefix("connection is bad: "))
    if holds_password(dsn):
        # Of `user:half@half`, libpq takes the second half for a host.
        message = _UNKNOWN_HOST.sub(r"\1 (not shown, since it may be part of a password)", message)
    match = _FAILURE.fullmatch(message)
    return f"{match['why']} ({match['where']})" if match else message


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
