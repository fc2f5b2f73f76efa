"""Hooks in psycopg 3 that name a test's sessions and count its commits, for SQLAlchemy and Django, too.

psycopg sends its own BEGIN and COMMIT through one method, `BaseConnection._exec_command`. In pipeline mode,
where each statement's result is awaited by somebody else, less can be added.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from psycopg import BaseConnection, Error, errors, generators
from psycopg._cursor_base import BaseCursor
from psycopg.abc import PQGen, PQGenConn, Query
from psycopg.conninfo import make_conninfo
from psycopg.pq import ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGresult
from psycopg.sql import Composable

from pgwatch_tests.postgres.connections.connection import AsyncOwnConnection, OwnConnection
from pgwatch_tests.testing.connections.commits import ServedDatabase
from pgwatch_tests.testing.connections.sessions import (
    Beginning,
    DriverHooks,
    Row,
    TestSession,
    set_name,
)
from pgwatch_tests.testing.connections.statements import statement
from pgwatch_tests.testing.current_test import current

AnyConnection = BaseConnection[object]
AnyCursor = BaseCursor[AnyConnection, object]
C = TypeVar("C", bound=AnyConnection)
_ATTRIBUTE = "_pgwatch_tests_session"


class PsycopgHooks(DriverHooks[AnyConnection]):
    """The hooks in psycopg 3."""

    driver = "psycopg"
    _execute: Callable[[AnyConnection, bytes], PQGen[PGresult | None]]

    def _install(self) -> None:
        self._patch(BaseConnection, "_connect_gen", ("cls", "conninfo"), self._connecting)
        self._patch(BaseConnection, "_exec_command", ("self", "command", "result_format"), self._executing)
        self._patch(BaseCursor, "_start_query", ("self", "query"), self._starting)

    def _connecting(self, connect: Callable[..., PQGenConn[C]]) -> Callable[..., PQGenConn[C]]:
        def connect_named(cls: type[C], conninfo: str = "", **more: object) -> PQGenConn[C]:
            owner = (
                current()
                if self._is_on and not issubclass(cls, (OwnConnection, AsyncOwnConnection))
                else None
            )
            if owner is None:
                return (yield from connect(cls, conninfo, **more))
            named = make_conninfo(conninfo, application_name=self.name(owner))
            connection = yield from connect(cls, named, **more)
            self._add(connection).opened_by = owner
            return connection

        return connect_named

    def _executing(
        self, execute: Callable[[AnyConnection, Query, Format], PQGen[PGresult | None]]
    ) -> Callable[[AnyConnection, Query, Format], PQGen[PGresult | None]]:
        def execute_counted(
            connection: AnyConnection, command: Query, result_format: Format = Format.TEXT
        ) -> PQGen[PGresult | None]:
            session = self._session(connection)
            if session is not None:
                if isinstance(command, bytes) and command.startswith(b"BEGIN"):
                    return (yield from self._begin(connection, session, command))
                if isinstance(command, bytes) and command.startswith(b"SAVEPOINT"):
                    session.has_savepoints = True
                elif command == b"COMMIT":
                    if connection._pipeline is not None:
                        self.tell(session, unknown="pipeline")
                    elif session.ask_xid is not None and _can_be_asked(connection):
                        return (yield from self._commit(connection, session, session.ask_xid))
                    elif session.ask_xid is None:
                        self.tell(session, unknown="driver")
                elif isinstance(command, Composable) and statement(command.as_string(connection)).prepares:
                    self.tell(session, unknown="two_phase")
            return (yield from execute(connection, command, result_format))

        def _unnamed(connection: AnyConnection, command: bytes) -> PQGen[PGresult | None]:
            return execute(connection, command, Format.TEXT)

        self._execute = _unnamed
        return execute_counted

    def _starting(
        self, start: Callable[[AnyCursor, Query | None], PQGen[None]]
    ) -> Callable[[AnyCursor, Query | None], PQGen[None]]:
        def start_named(cursor: AnyCursor, query: Query | None = None) -> PQGen[None]:
            connection = cursor._conn
            # Each statement comes along here: a call that can be spared is.
            session: TestSession | None = connection.__dict__.get(_ATTRIBUTE) if self._is_on else None
            if session is None:
                session = self._session(connection)
            if session is None:
                yield from start(cursor, query)
                return
            is_idle = connection.pgconn.transaction_status == TransactionStatus.IDLE
            is_own_transaction = is_idle and connection.autocommit
            if is_own_transaction:
                if connection._pipeline is None:
                    yield from self._go_ahead(connection, session)
                else:
                    session.begin(current())
            elif (
                connection.pgconn.transaction_status == TransactionStatus.INTRANS
                and connection._pipeline is None
                and session.owner is not None
                and session.owner.has_ended
                and (name := self.taking_over(session)) is not None
            ):
                yield from _run(connection, name.encode())
            # Sends BEGIN, if need be.
            yield from start(cursor, query)
            text = query if isinstance(query, str) else _text(query, connection)
            told = self.running(session, text, in_transaction=not is_idle)
            if is_own_transaction and not told.only_reads:
                self.tell(session, unknown="autocommit")

        return start_named

    def _begin(self, connection: AnyConnection, session: TestSession, begin: bytes) -> PQGen[PGresult | None]:
        """Begins a transaction for whoever runs now, under the name of its session."""
        if connection._pipeline is not None:
            owner = current()
            session.begin(owner)
            name = None if owner is None else self.name(owner)
            if name is not None and session.is_pooled is False and name != _name(connection):
                yield from self._execute(connection, set_name(name).encode())
                # A pipeline's commands up to here are one transaction, which BEGIN would take over.
                yield from connection._pipeline._sync_gen()
            return (yield from self._execute(connection, begin))
        beginning = self.beginning(session, _name(connection), begin.decode())
        if beginning is not None:
            begun = yield from self._send(connection, session, beginning)
            if begun is not None:
                return begun
        return (yield from self._execute(connection, begin))

    def _go_ahead(self, connection: AnyConnection, session: TestSession) -> PQGen[None]:
        """Names the session before a statement that is a transaction of its own. Not behind a pooler."""
        beginning = self.beginning(session, _name(connection))
        if beginning is not None:
            yield from self._send(connection, session, beginning)
            # Once it is known whose session it is.
            beginning = self.beginning(session, _name(connection)) if beginning.pid is not None else None
            if beginning is not None:
                yield from self._send(connection, session, beginning)

    def _send(
        self, connection: AnyConnection, session: TestSession, beginning: Beginning
    ) -> PQGen[PGresult | None]:
        """Returns the result of BEGIN; None where the server takes no such statements."""
        try:
            results = yield from _run(connection, beginning.text.encode())
        except Error:
            # Not a reason to fail a test that would get on without us.
            session.has_failed = True
            if connection.pgconn.transaction_status == TransactionStatus.INERROR:
                yield from self._execute(connection, b"ROLLBACK")
            return None
        self.heard(session, beginning, lambda at: _rows(results[at]), connection.pgconn.backend_pid)
        return None if beginning.begun is None else results[beginning.begun]

    def _commit(
        self, connection: AnyConnection, session: TestSession, ask_xid: str
    ) -> PQGen[PGresult | None]:
        """Commits, and tells the id of the transaction, if it has one. Raises what COMMIT does."""
        asked, committed = yield from _run(connection, f"{ask_xid};COMMIT".encode())
        if (xid := asked.get_value(0, 0)) is not None:
            self.tell(session, xid=int(xid))
        return committed

    def is_closed(self, connection: AnyConnection) -> bool:
        """Whether its session has ended."""
        return connection.closed

    def backend_pid(self, connection: AnyConnection) -> int:
        """The id of the server's process, as the protocol told it at the start."""
        return connection.pgconn.backend_pid

    def ask(self, connection: AnyConnection, question: str) -> Sequence[Row] | None:
        """Returns the rows of the answer; None if it isn't idle."""
        # Without its lock, which belongs to an event loop or to a thread: nothing runs any more.
        if connection.pgconn.transaction_status != TransactionStatus.IDLE:
            return None
        result = connection.pgconn.exec_(question.encode())
        return _rows(result) if result.status == ExecStatus.TUPLES_OK else None

    def _session(self, connection: AnyConnection) -> TestSession | None:
        """Returns what is known of a test's session; None for those of this package, and once removed."""
        if not self._is_on or isinstance(connection, (OwnConnection, AsyncOwnConnection)):
            return None
        # Faster than a look into `sessions`: this is asked three times per transaction.
        session: TestSession | None = connection.__dict__.get(_ATTRIBUTE)
        return session or self._add(connection)

    def _add(self, connection: AnyConnection) -> TestSession:
        pgconn = connection.pgconn
        host, port, database = (
            part.decode(errors="replace") for part in (pgconn.host, pgconn.port, pgconn.db)
        )
        session = TestSession(
            ServedDatabase(host, port, database, _dsn(connection)),
            0 if pgconn.parameter_status(b"crdb_version") else pgconn.server_version,
        )
        self.sessions[connection] = session
        setattr(connection, _ATTRIBUTE, session)
        return session


def _dsn(connection: AnyConnection) -> str:
    """Returns a connection string for the database and the server that answered, of those that were named."""
    info = connection.info
    try:
        parameters = info.get_parameters()
        parameters |= {"host": info.host, "port": str(info.port), "dbname": info.dbname}
        parameters.pop("hostaddr", None)
        if info.hostaddr:
            parameters["hostaddr"] = info.hostaddr
        return make_conninfo("", password=info.password or None, **parameters)
    except Exception:  # noqa: BLE001
        # An account without a home directory, for one. It is no reason to fail a test's connection.
        return ""


def _run(connection: AnyConnection, statements: bytes) -> PQGen[list[PGresult]]:
    """Runs statements in one round trip; returns a result for each. Raises the error of one that fails."""
    connection.pgconn.send_query(statements)
    results: list[PGresult] = yield from generators.execute(connection.pgconn)
    for result in results:
        if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
            raise errors.error_from_result(result, encoding=connection.info.encoding)
    return results


def _rows(result: PGresult) -> Sequence[Row]:
    return [
        [_value(result.get_value(row, column)) for column in range(result.nfields)]
        for row in range(result.ntuples)
    ]


def _value(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")


def _name(connection: AnyConnection) -> str | None:
    """Returns the session's name as the server has told it last, whoever has set it."""
    return _value(connection.pgconn.parameter_status(b"application_name"))


def _can_be_asked(connection: AnyConnection) -> bool:
    """Whether a query can go before COMMIT: a failed transaction takes none, a deferrable one may wait."""
    return connection.pgconn.transaction_status == TransactionStatus.INTRANS and not connection.deferrable


def _text(query: Query | None, connection: AnyConnection) -> str:
    """Returns the text of a statement, empty where it is none: COPY."""
    match query:
        case str():
            return query
        case bytes():
            return query.decode(errors="replace")
        case Composable():
            return query.as_string(connection)
        case _:
            # A template of Python 3.14.
            return "".join(getattr(query, "strings", ()))
