"""Hooks in asyncpg that name a test's sessions and count its commits, for SQLAlchemy's asyncpg engines, too.

asyncpg sends BEGIN and COMMIT through `Connection.execute`, as a simple query, which may be several
statements but whose rows it throws away: while a query of ours is on its way, a tap before the connection's
protocol keeps what the server answers. A pool's connection runs RESET ALL when it is released; its name is
set again with it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from typing import Any, TypeAlias, TypeVar

import asyncpg
from asyncpg import connect_utils
from asyncpg.exceptions import InFailedSQLTransactionError, PostgresError
from asyncpg.prepared_stmt import PreparedStatement
from psycopg.conninfo import make_conninfo

from pgwatch_tests.testing.connections.commits import ServedDatabase
from pgwatch_tests.testing.connections.sessions import (
    Beginning,
    DriverHooks,
    Row,
    TestSession,
    set_name,
)
from pgwatch_tests.testing.current_test import current

AnyConnection: TypeAlias = Any
"""An `asyncpg.Connection`: the package has no types."""
T = TypeVar("T")
Answer = list[list[Row]]
"""The rows of each statement's result."""

_BEGIN = re.compile(r"\s*(?:BEGIN|START\s+TRANSACTION)\b[^;]*;?\s*", re.IGNORECASE)
_COMMIT = re.compile(r"\s*(?:COMMIT|END)(?:\s+(?:WORK|TRANSACTION))?\s*;?\s*", re.IGNORECASE)
_IS_DEFERRABLE = re.compile(r"\bDEFERRABLE\b", re.IGNORECASE)


class AsyncpgHooks(DriverHooks[AnyConnection]):
    """The hooks in asyncpg."""

    driver = "asyncpg"
    _execute: Callable[..., Awaitable[str]]

    def _install(self) -> None:
        connection = asyncpg.Connection
        self._patch(connect_utils, "_connect", (), self._connecting, passes_on=True)
        self._patch(connection, "execute", ("self", "query", "args"), self._executing, passes_on=True)
        for name in ("_execute", "_executemany", "_copy_in", "_copy_out"):
            second = "copy_stmt" if name.startswith("_copy") else "query"
            self._patch(connection, name, ("self", second), self._going_ahead, passes_on=True)
        self._patch(
            connection, "copy_records_to_table", ("self", "table_name"), self._going_ahead, passes_on=True
        )
        self._patch(
            PreparedStatement,
            "_PreparedStatement__do_execute",
            ("self", "executor"),
            self._executing_prepared,
        )
        self._patch(connection, "get_reset_query", ("self",), self._resetting)

    def _connecting(self, connect: Callable[..., Awaitable[AnyConnection]]) -> Callable[..., object]:
        async def connect_named(**more: object) -> AnyConnection:
            owner = current() if self._is_on else None
            if owner is None:
                return await connect(**more)
            settings = more.get("server_settings")
            name = {"application_name": self.name(owner)}
            more["server_settings"] = {**settings, **name} if isinstance(settings, dict) else name
            connection = await connect(**more)
            self._add(connection).opened_by = owner
            return connection

        return connect_named

    def _executing(self, execute: Callable[..., Awaitable[str]]) -> Callable[..., Awaitable[str]]:
        async def execute_counted(
            connection: AnyConnection,
            query: str,
            *args: object,
            timeout: float | None = None,  # noqa: ASYNC109
        ) -> str:
            session = None if args else self._session(connection)
            if session is not None and not connection.is_closed():
                if connection.is_in_transaction():
                    if session.ask_xid is not None and _COMMIT.fullmatch(query):
                        return await self._commit(connection, session, query, timeout)
                    await self._run_on(connection, session, query)
                elif _BEGIN.fullmatch(query):
                    begun = await self._begin(connection, session, query, timeout)
                    if begun is not None:
                        return begun
                elif query not in self._resets:
                    await self._go_ahead(connection, session, query)
            return await execute(connection, query, *args, timeout=timeout)

        self._execute = execute
        self._resets: set[str] = set()
        return execute_counted

    def _going_ahead(self, run: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
        async def run_named(connection: AnyConnection, query: str, *args: object, **more: object) -> T:
            text = {"copy_records_to_table": "", "_copy_out": "SHOW"}.get(run.__name__, query)
            await self._note(connection, text)
            return await run(connection, query, *args, **more)

        return run_named

    def _executing_prepared(self, execute: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
        async def execute_named(prepared: PreparedStatement, *args: object) -> T:
            connection: AnyConnection = prepared._connection
            await self._note(connection, prepared.get_query())
            return await execute(prepared, *args)

        return execute_named

    def _resetting(self, query: Callable[[AnyConnection], str]) -> Callable[[AnyConnection], str]:
        def query_with_name(connection: AnyConnection) -> str:
            text = query(connection)
            session = self._session(connection)
            if session is None or not text:
                return text
            session.is_of_pool = True
            if session.is_pooled is False and session.owner is not None:
                text = f"{text.rstrip().rstrip(';')};{set_name(self.name(session.owner))};"
                if session.has_limits:
                    text += f"{self._limits.statement(local=False)};"
            if len(self._resets) > _MOST_RESETS:
                self._resets.clear()
            self._resets.add(text)
            return text

        return query_with_name

    async def _note(self, connection: AnyConnection, query: str) -> None:
        """Takes note of a statement that is sent by the extended protocol."""
        session = self._session(connection)
        if session is None or connection.is_closed():
            return
        if connection.is_in_transaction():
            await self._run_on(connection, session, query)
        else:
            await self._go_ahead(connection, session, query)

    async def _run_on(self, connection: AnyConnection, session: TestSession, query: str) -> None:
        """Takes note of a statement in a transaction, which the next test may have taken over."""
        if (name := self.taking_over(session)) is not None:
            with suppress(PostgresError):
                # A transaction that has failed takes no statement.
                await self._execute(connection, name)
        self.running(session, query, in_transaction=True)

    async def _go_ahead(self, connection: AnyConnection, session: TestSession, query: str) -> None:
        """Names the session before a statement that is a transaction of its own. Not behind a pooler."""
        beginning = self.beginning(session, _name(connection))
        if beginning is not None:
            await self._send(connection, session, beginning, None, "")
            # Once it is known whose session it is.
            beginning = self.beginning(session, _name(connection)) if beginning.pid is not None else None
            if beginning is not None:
                await self._send(connection, session, beginning, None, "")
        if not self.running(session, query, in_transaction=False).only_reads:
            self.tell(session, unknown="autocommit")

    async def _begin(
        self, connection: AnyConnection, session: TestSession, query: str, limit_s: float | None
    ) -> str | None:
        """Begins a transaction for whoever runs now, under the name of its session. None: it hasn't begun."""
        begin = query.strip().removesuffix(";")
        if _IS_DEFERRABLE.search(begin):
            session.begin(current())
            return None
        beginning = self.beginning(session, _name(connection), begin)
        return None if beginning is None else await self._send(connection, session, beginning, limit_s, query)

    async def _commit(
        self, connection: AnyConnection, session: TestSession, query: str, limit_s: float | None
    ) -> str:
        """Commits, and tells the id of the transaction, if it has one. Raises what COMMIT does."""
        try:
            status, answer = await _ask(connection, f"{session.ask_xid};{query}", limit_s, query)
        except InFailedSQLTransactionError:
            return await self._execute(connection, query, timeout=limit_s)
        if answer is None:
            self.tell(session, unknown="driver")
        elif (xid := answer[0][0][0]) is not None:
            self.tell(session, xid=int(xid))
        return status

    async def _send(
        self,
        connection: AnyConnection,
        session: TestSession,
        beginning: Beginning,
        limit_s: float | None,
        query: str,
    ) -> str | None:
        """Returns the status of the query; None where the server takes no statements of ours."""
        try:
            status, answer = await _ask(connection, beginning.text, limit_s, query)
        except PostgresError:
            # Not a reason to fail a test that would get on without us.
            session.has_failed = True
            if not connection.is_closed() and connection.is_in_transaction():
                await self._execute(connection, "ROLLBACK")
            return None
        if answer is None:
            session.has_failed = True
        else:
            self.heard(session, beginning, answer.__getitem__, connection.get_server_pid())
        return status

    def is_closed(self, connection: AnyConnection) -> bool:
        """Whether its session has ended, or its event loop has: nobody can ask it then."""
        return bool(connection.is_closed() or connection._loop.is_closed())

    def _session(self, connection: AnyConnection) -> TestSession | None:
        if not self._is_on:
            return None
        return self.sessions.get(connection) or self._add(connection)

    def _add(self, connection: AnyConnection) -> TestSession:
        version, settings = connection.get_server_version(), connection.get_settings()
        number = 0 if hasattr(settings, "crdb_version") else version.major * 10_000 + version.minor
        self.sessions[connection] = session = TestSession(_database(connection), number)
        return session


_MOST_RESETS = 1000


class _Tap(asyncio.Protocol):
    """Stands before a connection's protocol while a query of ours is on its way, and keeps the answer."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol
        self.received = bytearray()

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._protocol.data_received(data)

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()


async def _ask(
    connection: AnyConnection, text: str, limit_s: float | None, query: str
) -> tuple[str, Answer | None]:
    """Runs statements in one round trip, which the connection's loggers see as `query`.

    Returns the status of the last one, and the rows of each; None for the rows if they weren't seen.
    """
    connection._check_open()
    protocol, transport = connection._protocol, connection._transport
    tap = _Tap(protocol)
    logged = (
        connection._time_and_log(query, (), limit_s) if query and connection._query_loggers else nullcontext()
    )
    transport.set_protocol(tap)
    try:
        with logged:
            status: str = await protocol.query(text, limit_s)
    finally:
        if transport.get_protocol() is tap:
            transport.set_protocol(protocol)
    return status, _answer(bytes(tap.received))


def _answer(received: bytes) -> Answer | None:
    """Returns the rows of each result of a simple query (PostgreSQL manual, Message Formats)."""
    answer: Answer = []
    rows: list[Row] = []
    at = 0
    try:
        while at < len(received):
            kind, length = received[at : at + 1], int.from_bytes(received[at + 1 : at + 5])
            body = received[at + 5 : at + 1 + length]
            at += 1 + length
            if kind == b"D":
                rows.append(_row(body))
            elif kind == b"C":
                answer.append(rows)
                rows = []
            elif kind == b"Z":
                return answer
            elif kind not in b"TNSAI":
                return None
    except (IndexError, ValueError):
        pass
    # It began in the middle of a message, such as a notification.
    return None


def _row(body: bytes) -> Row:
    values: list[str | None] = []
    at = 2
    for _ in range(int.from_bytes(body[:2])):
        length = int.from_bytes(body[at : at + 4], signed=True)
        at += 4
        if length < 0:
            values.append(None)
        else:
            values.append(body[at : at + length].decode(errors="replace"))
            at += length
    return values


def _name(connection: AnyConnection) -> str | None:
    """Returns the session's name as the server has told it last, whoever has set it."""
    name: object = getattr(connection.get_settings(), "application_name", None)
    return name if isinstance(name, str) else None


def _database(connection: AnyConnection) -> ServedDatabase:
    address, parameters = connection._addr, connection._params
    host, port = address if isinstance(address, tuple) else _of_a_socket(address)
    try:
        password = parameters.password
        search_path = (getattr(parameters, "server_settings", None) or {}).get("search_path")
        options = str(search_path).replace("\\", "\\\\").replace(" ", "\\ ")
        dsn = make_conninfo(
            "",
            host=host,
            port=port,
            dbname=parameters.database,
            user=parameters.user,
            password=password if isinstance(password, str) else None,
            options=f"-c search_path={options}" if search_path else None,
        )
    except Exception:  # noqa: BLE001
        # It is no reason to fail a test's connection.
        dsn = ""
    return ServedDatabase(host, str(port), str(parameters.database), dsn)


def _of_a_socket(path: str) -> tuple[str, str]:
    """Returns directory and port of `/run/postgresql/.s.PGSQL.5432`."""
    directory, _, name = path.rpartition("/")
    return directory, name.rpartition(".")[2]
