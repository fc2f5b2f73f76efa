"""Hooks in psycopg 2 that name a test's sessions and count its commits, for SQLAlchemy and Django, too.

psycopg 2 is written in C: its connections and cursors can't be changed. New ones are made of classes derived
from theirs, and from those that a suite asks for. Those that were open before are reached by SQLAlchemy only.
A cursor shows the last result of several statements alone, so the id of a transaction takes a
round trip of its own before COMMIT.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import psycopg2
from psycopg2 import extensions
from psycopg2.sql import Composable

from pgwatch_tests.testing.connections.commits import ServedDatabase
from pgwatch_tests.testing.connections.sessions import (
    ASK_PID,
    Beginning,
    DriverHooks,
    Row,
    TestSession,
    set_name,
)
from pgwatch_tests.testing.current_test import current

_SENDING = ("execute", "executemany", "callproc", "copy_expert", "copy_from", "copy_to")
"""The methods of a cursor that send statements."""


class Psycopg2Hooks(DriverHooks[extensions.connection]):
    """The hooks in psycopg 2."""

    driver = "psycopg2"

    def _install(self) -> None:
        self._connections: dict[type[extensions.connection], type[extensions.connection]] = {}
        self._cursors: dict[type[extensions.cursor], type[extensions.cursor]] = {}
        self._patch(psycopg2, "_connect", ("dsn",), self._connecting, passes_on=True)

    def _connecting(self, connect: Callable[..., extensions.connection]) -> Callable[..., object]:
        def connect_named(
            dsn: str, connection_factory: object = None, **more: object
        ) -> extensions.connection:
            factory = extensions.connection if connection_factory is None else connection_factory
            if not (self._is_on and isinstance(factory, type) and issubclass(factory, extensions.connection)):
                return connect(dsn, connection_factory=connection_factory, **more)
            owner = current()
            if owner is not None:
                dsn = extensions.make_dsn(dsn, application_name=self.name(owner))
            if any(more.values()):
                # An asynchronous one takes its results when somebody polls for them.
                return connect(dsn, connection_factory=connection_factory, **more)
            connection = connect(dsn, connection_factory=self._counted(factory), **more)
            self._add(connection).opened_by = owner
            return connection

        return connect_named

    def _counted(self, of: type[extensions.connection]) -> type[extensions.connection]:
        """Returns a class of connections like `of` that asks these hooks."""
        if of in self._connections:
            return self._connections[of]
        hooks = self

        class Counted(extensions.connection):
            def commit(self) -> None:
                hooks.commit(self, super().commit)

            def tpc_prepare(self) -> None:
                super().tpc_prepare()
                if (session := hooks.session(self)) is not None:
                    hooks.tell(session, unknown="two_phase")

            def cursor(  # type: ignore[override]
                self, name: str | None = None, cursor_factory: object = None, *args: object, **more: object
            ) -> Any:
                default: object = self.cursor_factory
                factory = cursor_factory or default or extensions.cursor
                if isinstance(factory, type) and issubclass(factory, extensions.cursor):
                    cursor_factory = hooks._counted_cursor(factory)
                return cast(Any, super()).cursor(name, cursor_factory, *args, **more)

        # Behind the classes of the suite: theirs choose the factory of a cursor.
        bases = (Counted,) if of is extensions.connection else (of, Counted)
        self._connections[of] = _disguised(type(of.__name__, bases, {}), of)
        return self._connections[of]

    def _counted_cursor(self, of: type[extensions.cursor]) -> type[extensions.cursor]:
        """Returns a class of cursors like `of` that asks these hooks before each statement."""
        if of in self._cursors:
            return self._cursors[of]
        hooks = self

        def counted(name: str) -> Callable[..., object]:
            def send(cursor: extensions.cursor, query: object, *args: object, **more: object) -> object:
                text = _text(query, cursor.connection)
                if name == "callproc":
                    text = f"CALL {text}"
                elif name == "copy_from":
                    text = f"COPY {args[0]} FROM STDIN" if args else ""
                elif name == "copy_to":
                    text = "SHOW"
                hooks.before_statement(cursor.connection, text)
                return getattr(super(made, cursor), name)(query, *args, **more)

            return send

        made = type(of.__name__, (of,), {name: counted(name) for name in _SENDING if hasattr(of, name)})
        self._cursors[of] = _disguised(made, of)
        return self._cursors[of]

    def reaches(self, connection: object) -> bool:
        """Whether the connection is one of this driver's that is older than these hooks."""
        return (
            isinstance(connection, extensions.connection)
            # Somebody else's hooks may have derived a class from that of these.
            and not isinstance(connection, tuple(self._connections.values()))
            and not connection.async_
        )

    def before_statement(self, connection: extensions.connection, text: str) -> None:
        """Names the session, if a transaction begins with the statement, and takes note of it."""
        session = self.session(connection)
        if session is None or connection.closed:
            return
        status = connection.get_transaction_status()
        if status != extensions.TRANSACTION_STATUS_IDLE:
            is_sound = status == extensions.TRANSACTION_STATUS_INTRANS
            if is_sound and (name := self.taking_over(session)) is not None:
                _run(connection, name)
            self.running(session, text, in_transaction=True)
            return
        beginning = self.beginning(session, _name(connection))
        if beginning is not None:
            self._send(connection, session, beginning)
            # Once it is known whose session it is.
            beginning = self.beginning(session, _name(connection)) if beginning.pid is not None else None
            if beginning is not None:
                self._send(connection, session, beginning)
        if session.is_pooled and session.owner is not None and not connection.autocommit:
            _run(connection, set_name(self.name(session.owner), local=True))
        told = self.running(session, text, in_transaction=False)
        if connection.autocommit and not told.only_reads:
            self.tell(session, unknown="autocommit")

    def commit(self, connection: extensions.connection, commit: Callable[[], None]) -> None:
        """Commits, and tells the id of the transaction, if it has one. Raises what COMMIT does."""
        session = self.session(connection)
        if (
            session is None
            or connection.closed
            or connection.get_transaction_status() != extensions.TRANSACTION_STATUS_INTRANS
        ):
            commit()
            return
        if session.ask_xid is None:
            commit()
            self.tell(session, unknown="driver")
            return
        [[xid, *_]] = _run(connection, session.ask_xid)
        commit()
        if xid is not None:
            self.tell(session, xid=int(xid))

    def _send(self, connection: extensions.connection, session: TestSession, beginning: Beginning) -> None:
        """Names a session, and asks for its state, in autocommit mode: no ROLLBACK undoes that."""
        owner = session.owner
        last: int | None
        if beginning.pid is not None:
            statements, last = [ASK_PID], beginning.pid
        else:
            statements, last = [] if owner is None else [set_name(self.name(owner))], beginning.state
            if beginning.limits:
                statements.append(beginning.limits)
            if last is not None and (question := session.state.question(owner)):
                statements.append(question)
        was = connection.autocommit
        try:
            connection.autocommit = True
            rows = _run(connection, ";".join(statements))
            if connection.status != extensions.STATUS_READY:
                # `with connection` begins a transaction in this mode, too.
                extensions.connection.commit(connection)
            connection.autocommit = was
        except psycopg2.Error:
            # Not a reason to fail a test that would get on without us.
            session.has_failed = True
            if not connection.closed:
                extensions.connection.rollback(connection)
                connection.autocommit = was
            return
        if last is not None:
            self.heard(session, beginning, lambda _: rows, connection.get_backend_pid())

    def is_closed(self, connection: extensions.connection) -> bool:
        """Whether its session has ended."""
        return bool(connection.closed)

    def backend_pid(self, connection: extensions.connection) -> int:
        """The id of the server's process, as the protocol told it at the start."""
        return connection.get_backend_pid()

    def ask(self, connection: extensions.connection, question: str) -> Sequence[Row] | None:
        """Returns the rows of the answer; None if it isn't idle."""
        if connection.get_transaction_status() != extensions.TRANSACTION_STATUS_IDLE:
            return None
        try:
            return _run(connection, question)
        finally:
            extensions.connection.rollback(connection)

    def session(self, connection: extensions.connection) -> TestSession | None:
        """Returns what is known of a test's session; None once the hooks are removed."""
        if not self._is_on:
            return None
        return self.sessions.get(connection) or self._add(connection)

    def _add(self, connection: extensions.connection) -> TestSession:
        parameters = connection.get_dsn_parameters()
        info = connection.info
        try:
            dsn = extensions.make_dsn(connection.dsn, password=info.password or None)
        except Exception:  # noqa: BLE001
            # It is no reason to fail a test's connection.
            dsn = ""
        database = ServedDatabase(
            info.host or parameters.get("host", ""), str(info.port), str(info.dbname), dsn
        )
        version = 0 if connection.get_parameter_status("crdb_version") else connection.server_version
        self.sessions[connection] = session = TestSession(database, version)
        return session


def _disguised(ours: type, of: type) -> Any:
    """Returns a class that is called as the one that it is derived from."""
    ours.__name__, ours.__qualname__, ours.__module__ = of.__name__, of.__qualname__, of.__module__
    ours.__doc__ = of.__doc__
    return ours


def _run(connection: extensions.connection, text: str) -> Sequence[Row]:
    """Runs statements on a plain cursor; returns the rows of the last one as text."""
    with extensions.cursor(connection) as cursor:
        cursor.execute(text)
        if cursor.description is None:
            return []
        return [[None if value is None else str(value) for value in row] for row in cursor.fetchall()]


def _name(connection: extensions.connection) -> str | None:
    """Returns the session's name as the server has told it last, whoever has set it."""
    return connection.get_parameter_status("application_name")


def _text(query: object, connection: extensions.connection) -> str:
    match query:
        case str():
            return query
        case bytes():
            return query.decode(errors="replace")
        case Composable():
            return query.as_string(connection)
        case _:
            return ""
