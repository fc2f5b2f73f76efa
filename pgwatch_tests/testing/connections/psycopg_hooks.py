"""Hooks in psycopg 3 that name a test's sessions and count its commits, for SQLAlchemy and Django, too.

psycopg sends its own BEGIN and COMMIT through one method, `BaseConnection._exec_command`. What is added goes
along in the same round trip:

    BEGIN   ->  BEGIN;SET application_name TO 'pytest:gw0 …';COMMIT;BEGIN       if the test is another one
    COMMIT  ->  SELECT pg_catalog.pg_current_xact_id_if_assigned();COMMIT

A SET in the test's own transaction would be undone by its ROLLBACK (PostgreSQL manual, SET); one in a
transaction of its own isn't. In autocommit mode the SET goes ahead, once for each session and test. Behind a
pooler, where a setting would meet somebody else's test, it is SET LOCAL in each transaction.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import update_wrapper
from typing import TypeVar

from psycopg import BaseConnection, errors, generators
from psycopg._cursor_base import BaseCursor
from psycopg.abc import PQGen, PQGenConn, Query
from psycopg.conninfo import make_conninfo
from psycopg.pq import ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGresult
from psycopg.sql import Composable

from pgwatch_tests.identity.application_name import compose
from pgwatch_tests.postgres.connections.connection import AsyncOwnConnection, OwnConnection
from pgwatch_tests.testing.connections.commits import Commit, Commits, ServedDatabase, UnknownReason
from pgwatch_tests.testing.current_test import Owner, current

AnyConnection = BaseConnection[object]
AnyCursor = BaseCursor[AnyConnection, object]
C = TypeVar("C", bound=AnyConnection)

_ASK_PID = b"BEGIN;SELECT pg_catalog.pg_backend_pid();COMMIT;"
_ASK_XID_AND_COMMIT = b"SELECT pg_catalog.pg_current_xact_id_if_assigned();COMMIT"
_ONLY_READS = re.compile(
    r"\s*(?:SELECT|SHOW|SET|RESET|EXPLAIN|BEGIN|START|ROLLBACK|ABORT|SAVEPOINT|RELEASE|LISTEN|UNLISTEN|FETCH"
    r"|DECLARE|CLOSE|DISCARD|VALUES|TABLE)\b",
    re.IGNORECASE,
)
_COMMITS = re.compile(r"\s*(?:COMMIT|END)\b", re.IGNORECASE)
_PREPARES = re.compile(r"\s*PREPARE\s+TRANSACTION\b", re.IGNORECASE)
_ATTRIBUTE = "_pgwatch_tests_session"


class _Session:
    """A session of a test: where it is, what it is named, and whom its transaction is put down to."""

    __slots__ = ("database", "is_pooled", "name", "owner")

    def __init__(self, connection: AnyConnection, name: str | None) -> None:
        pgconn = connection.pgconn
        host, port, database = (
            part.decode(errors="replace") for part in (pgconn.host, pgconn.port, pgconn.db)
        )
        self.database = ServedDatabase(host, port, database, _dsn(connection))
        self.is_pooled: bool | None = None
        """None: not asked yet."""
        self.name = name
        """The name that it was given here; None: it has its own."""
        self.owner: Owner | None = None


class PsycopgHooks:
    """The hooks, from `install` to `remove`."""

    def __init__(self, commits: Commits, runner: str = "pytest") -> None:
        """Commits are told to `commits`; sessions are named as those of `runner`."""
        self._commits = commits
        self._runner = runner
        self._is_on = False
        self._patched: list[tuple[type, str, object, object]] = []
        self._execute: Callable[[AnyConnection, bytes], PQGen[PGresult | None]]
        self.missing: tuple[str, ...] = ()
        """The methods of psycopg that aren't there any more, or have other parameters: not hooked."""

    def install(self) -> None:
        """Puts the hooks in, those that fit this psycopg: see `missing`."""
        self._is_on = True
        hooks: tuple[tuple[type, str, tuple[str, ...], Callable[..., Callable[..., object]]], ...] = (
            (BaseConnection, "_connect_gen", ("cls", "conninfo"), self._connecting),
            (BaseConnection, "_exec_command", ("self", "command", "result_format"), self._executing),
            (BaseCursor, "_start_query", ("self", "query"), self._starting),
        )
        missing = []
        for of, name, parameters, replace in hooks:
            before = of.__dict__.get(name)
            function = getattr(before, "__func__", before)
            if function is None or not _takes(function, parameters):
                missing.append(f"{of.__name__}.{name}")
                continue
            ours = update_wrapper(replace(function), function)
            installed = classmethod(ours) if isinstance(before, classmethod) else ours
            setattr(of, name, installed)
            self._patched.append((of, name, installed, before))
        self.missing = tuple(missing)

    def remove(self) -> None:
        """Takes the hooks out. A method that somebody else has replaced since then stays so."""
        self._is_on = False
        for of, name, installed, before in self._patched:
            if of.__dict__.get(name) is installed:
                setattr(of, name, before)
        self._patched.clear()

    def _connecting(self, connect: Callable[..., PQGenConn[C]]) -> Callable[..., PQGenConn[C]]:
        def connect_named(cls: type[C], conninfo: str = "", **more: object) -> PQGenConn[C]:
            owner = (
                current()
                if self._is_on and not issubclass(cls, (OwnConnection, AsyncOwnConnection))
                else None
            )
            if owner is None:
                return (yield from connect(cls, conninfo, **more))
            name = self._name(owner)
            connection = yield from connect(cls, make_conninfo(conninfo, application_name=name), **more)
            setattr(connection, _ATTRIBUTE, _Session(connection, name))
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
                if command == b"COMMIT":
                    if connection._pipeline is not None:
                        self._tell(session, unknown="pipeline")
                    elif _can_be_asked(connection):
                        return (yield from self._commit(connection, session))
                elif isinstance(command, Composable) and _PREPARES.match(command.as_string(connection)):
                    self._tell(session, unknown="two_phase")
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
            session = self._session(connection)
            if session is not None:
                text = _text(query, connection)
                if connection.pgconn.transaction_status != TransactionStatus.IDLE:
                    if _COMMITS.match(text):
                        self._tell(session, unknown="typed")
                elif connection.autocommit:
                    session.owner = current()
                    yield from self._name_ahead(connection, session)
                    if not _ONLY_READS.match(text):
                        self._tell(session, unknown="autocommit")
            yield from start(cursor, query)

        return start_named

    def _begin(self, connection: AnyConnection, session: _Session, begin: bytes) -> PQGen[PGresult | None]:
        """Begins a transaction for whoever runs now, under the name of its session."""
        session.owner = owner = current()
        name = session.name if owner is None else self._name(owner)
        if name is None or name == session.name:
            return (yield from self._execute(connection, begin))
        if connection._pipeline is not None:
            if session.is_pooled is False:
                yield from self._execute(connection, _set_name(name))
                # A pipeline's commands up to here are one transaction, which BEGIN would take over.
                yield from connection._pipeline._sync_gen()
                session.name = name
            return (yield from self._execute(connection, begin))
        if session.is_pooled is None:
            # Whose session it is gets known too late for this transaction.
            _, pid, *_, begun, _ = yield from _run(
                connection, _ASK_PID + begin + b";" + _set_name(name, local=True)
            )
            session.is_pooled = _is_other(pid, connection)
            return begun
        if session.is_pooled:
            begun, _ = yield from _run(connection, begin + b";" + _set_name(name, local=True))
            return begun
        *_, begun = yield from _run(connection, b"BEGIN;" + _set_name(name) + b";COMMIT;" + begin)
        session.name = name
        return begun

    def _commit(self, connection: AnyConnection, session: _Session) -> PQGen[PGresult | None]:
        """Commits, and tells the id of the transaction, if it has one. Raises what COMMIT does."""
        asked, committed = yield from _run(connection, _ASK_XID_AND_COMMIT)
        if (xid := asked.get_value(0, 0)) is not None:
            self._tell(session, xid=int(xid))
        return committed

    def _name_ahead(self, connection: AnyConnection, session: _Session) -> PQGen[None]:
        """Names the session before a statement that is a transaction of its own. Not behind a pooler."""
        name = session.name if session.owner is None else self._name(session.owner)
        if name is None or name == session.name or connection._pipeline is not None:
            return
        if session.is_pooled is None:
            _, pid, _ = yield from _run(connection, _ASK_PID)
            session.is_pooled = _is_other(pid, connection)
        if not session.is_pooled:
            yield from _run(connection, _set_name(name))
            session.name = name

    def _session(self, connection: AnyConnection) -> _Session | None:
        """Returns what is known of a test's session; None for those of this package, and once removed."""
        if not self._is_on or isinstance(connection, (OwnConnection, AsyncOwnConnection)):
            return None
        session = getattr(connection, _ATTRIBUTE, None)
        if not isinstance(session, _Session):
            session = _Session(connection, None)
            setattr(connection, _ATTRIBUTE, session)
        return session

    def _name(self, owner: Owner) -> str:
        return compose(self._runner, owner.worker, owner.name)

    def _tell(
        self, session: _Session, *, xid: int | None = None, unknown: UnknownReason | None = None
    ) -> None:
        self._commits.tell(Commit(session.owner, session.database, xid, unknown=unknown))


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


def _takes(function: Callable[..., object], expected: tuple[str, ...]) -> bool:
    """Whether a function has these parameters, in this order, and whatever else it has may be left out."""
    parameters = list(inspect.signature(function).parameters.values())
    names, others = tuple(one.name for one in parameters[: len(expected)]), parameters[len(expected) :]
    return names == expected and all(one.default is not one.empty for one in others)


def _run(connection: AnyConnection, statements: bytes) -> PQGen[list[PGresult]]:
    """Runs statements in one round trip; returns a result for each. Raises the error of one that fails."""
    connection.pgconn.send_query(statements)
    results: list[PGresult] = yield from generators.execute(connection.pgconn)
    for result in results:
        if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
            raise errors.error_from_result(result, encoding=connection.info.encoding)
    return results


def _can_be_asked(connection: AnyConnection) -> bool:
    """Whether a query can go before COMMIT: a failed transaction takes none, a deferrable one may wait."""
    return connection.pgconn.transaction_status == TransactionStatus.INTRANS and not connection.deferrable


def _is_other(pid: PGresult, connection: AnyConnection) -> bool:
    """Whether another process answers than the one that the protocol told at the start: a pooler's."""
    return int(pid.get_value(0, 0) or b"0") != connection.pgconn.backend_pid


def _set_name(name: str, *, local: bool = False) -> bytes:
    # As an E'' literal it is the same whatever standard_conforming_strings says.
    literal = name.replace("\\", "\\\\").replace("'", "''")
    return f"SET {'LOCAL ' if local else ''}application_name TO E'{literal}'".encode()


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
            return ""
