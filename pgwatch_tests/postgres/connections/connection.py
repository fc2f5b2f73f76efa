"""Connections of our own, which leave no trace behind a pooler: each statement is a transaction there.

A pooler gives one session of the server to one client after another, so whatever outlives a transaction
meets somebody's test: settings, prepared statements, session locks. It shows itself by the pid: the one that
the protocol told at the start (BackendKeyData) isn't that of the process which answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar, cast

import psycopg
from psycopg import AsyncCursor, AsyncTransaction, Cursor, Transaction, errors, sql
from psycopg.abc import Params, Query
from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGconn
from psycopg.rows import AsyncRowFactory, tuple_row

from pgwatch_tests.errors import NotCheckedError, RefusedError
from pgwatch_tests.postgres.connections.session_settings import (
    Row,
    SessionLimits,
    for_session,
    opening,
    transaction_beginning,
)

if TYPE_CHECKING:
    from psycopg.abc import QueryNoTemplate

R = TypeVar("R")

_CAN_STREAM_CHUNKS = psycopg.Capabilities().has_stream_chunked()

_OPEN = (TransactionStatus.INTRANS, TransactionStatus.INERROR)
_COMMIT, _ROLLBACK = sql.SQL("COMMIT").format(), sql.SQL("ROLLBACK").format()
# The catalogs are locked, and without them it can't be told who answers.
_CANNOT_TELL = (errors.LockNotAvailable, errors.QueryCanceled)


@dataclass(frozen=True, slots=True)
class DatabaseInstance:
    """A database of a server.

    One that is made anew under the same name has another OID; another server, or the same one after a
    restart, was started at another time.
    """

    oid: int
    server_started: str


@dataclass(frozen=True, slots=True)
class Identity:
    """The row of queries/server/database_identity.sql: where a connection is, and as whom."""

    database: str
    role: str
    snapshot: str
    """Which transactions were over, as the type pg_snapshot is printed."""


class OwnConnection(psycopg.Connection[Row]):
    """A connection whose settings last as long as its session, or behind a pooler as each transaction."""

    place: DatabaseInstance | None = None
    """The database and server that it is connected to; None if not known."""
    identity: Identity | None = None
    """The identity when it was opened; None if not known."""

    pooled: bool | None = None
    """Whether a pooler is in between; None if that couldn't be told, which counts as if."""
    _settings: Mapping[str, str] | None = None
    """The settings to apply per transaction; None if they hold for the session."""

    @property
    def real_database(self) -> str:
        """The database's name on its server: a pooler may call it otherwise."""
        return self.info.dbname if self.identity is None else self.identity.database

    def apply_settings(self, limits: SessionLimits) -> None:
        """Applies the settings of a new connection, once before anything else. Raises psycopg's errors."""
        try:
            self._open(_settings(self, limits))
        except psycopg.DataError:
            if not limits.optional:
                raise
            self._open(_settings(self, limits, with_optional=False))

    def set(self, settings: Mapping[str, str]) -> None:
        """Applies further settings, between transactions. Raises psycopg's errors."""
        if self._settings is None:
            self._run(for_session(settings))
        else:
            self._settings = {**self._settings, **settings}

    def require_session(self, what: str) -> None:
        """Refuses a pooler, before `what` is done that needs a session of its own.

        Raises RefusedError if a pooler is in between, NotCheckedError if that couldn't be told.
        """
        if self.pooled:
            raise RefusedError(
                f"{what} needs a session of its own, but a connection pooler is in between: connect to the "
                "server directly"
            )
        if self.pooled is None:
            raise NotCheckedError("catalogs are locked, so a pooler may be in between")

    def cancel_safe(self, *, timeout: float = 30.0) -> None:
        """Cancels the running statement; ends the connection as well, unless there surely is no pooler.

        A pooler may pass a request to cancel on when the session is somebody else's already, and some have
        ended themselves when whoever asked was gone before the answer.
        """
        if self.pooled is False:
            super().cancel_safe(timeout=timeout)
        else:
            self.pgconn.finish()

    @contextmanager
    def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> Iterator[Transaction]:
        """See psycopg's."""
        is_idle = self.pgconn.transaction_status == TransactionStatus.IDLE
        with super().transaction(savepoint_name, force_rollback) as transaction:
            if is_idle and self._settings is not None:
                self._run(transaction_beginning(self._settings, begins=False))
            yield transaction

    @contextmanager
    def transaction_of_a_statement(self) -> Iterator[None]:
        """A transaction for one statement, where it isn't in one and a pooler is in between."""
        if self._settings is None or self.pgconn.transaction_status != TransactionStatus.IDLE:
            yield
            return
        try:
            self._run(transaction_beginning(self._settings, begins=self.autocommit))
            yield
            if self.autocommit:
                self._run(_COMMIT)
        except Exception:
            if self.autocommit and self.pgconn.transaction_status in _OPEN:
                with suppress(psycopg.Error):
                    self._run(_ROLLBACK)
            raise
        except BaseException:
            self.pgconn.finish()
            raise

    def _open(self, settings: dict[str, str]) -> None:
        told_pid = self.info.backend_pid
        try:
            cursor = self._run(opening(settings, told_pid))
        except _CANNOT_TELL:
            self.pooled = None
        else:
            while cursor.nextset():
                pass
            pid, started, path, database, role, snapshot, *_ = cursor.fetchall()[0]
            self.pooled = pid != told_pid
            # A database's directory is called as its OID (PostgreSQL manual, Database File Layout).
            self.place = DatabaseInstance(int(str(path).split("/")[-2]), str(started))
            self.identity = Identity(str(database), str(role), str(snapshot))
        if self.pooled is not False:
            self.prepare_threshold = None
            self._settings = settings

    def _run(self, statement: sql.Composed) -> Cursor[Row]:
        return Cursor(self).execute(statement, prepare=False)


class OwnCursor(Cursor[R]):
    """A cursor whose statements run as the connection's settings ask for."""

    def execute(
        self,
        query: Query,
        params: Params | None = None,
        *,
        prepare: bool | None = None,
        binary: bool | None = None,
    ) -> Self:
        """See psycopg's."""
        assert isinstance(self.connection, OwnConnection)
        with self.connection.transaction_of_a_statement():
            return super().execute(cast("QueryNoTemplate", query), params, prepare=prepare, binary=binary)

    def executemany(self, query: Query, params_seq: Iterable[Params], *, returning: bool = False) -> None:
        """See psycopg's."""
        assert isinstance(self.connection, OwnConnection)
        with self.connection.transaction_of_a_statement():
            super().executemany(query, params_seq, returning=returning)

    def stream(
        self, query: Query, params: Params | None = None, *, binary: bool | None = None, size: int = 1
    ) -> Iterator[R]:
        """See psycopg's. `size` is heeded where libpq can (from 17)."""
        assert isinstance(self.connection, OwnConnection)
        with self.connection.transaction_of_a_statement():
            size = size if _CAN_STREAM_CHUNKS else 1
            yield from super().stream(cast("QueryNoTemplate", query), params, binary=binary, size=size)


class AsyncOwnConnection(psycopg.AsyncConnection[Row]):
    """An OwnConnection for asyncio: always in autocommit mode, and without nested transactions."""

    pooled: bool | None = None
    """Whether a pooler is in between; None if that couldn't be told, which counts as if."""
    real_database: str = ""
    """The database's name on its server: a pooler may call it otherwise."""
    _settings: Mapping[str, str] | None = None
    _is_in_block = False
    """Whether there is a transaction that `transaction` began."""

    def __init__(self, pgconn: PGconn, row_factory: AsyncRowFactory[Row] = tuple_row) -> None:
        super().__init__(pgconn, row_factory)
        self._turn = asyncio.Lock()

    async def apply_settings(self, limits: SessionLimits) -> None:
        """See OwnConnection."""
        try:
            await self._open(_settings(self, limits))
        except psycopg.DataError:
            if not limits.optional:
                raise
            await self._open(_settings(self, limits, with_optional=False))

    async def cancel_safe(self, *, timeout: float = 30.0) -> None:  # noqa: ASYNC109 (psycopg's name)
        """See OwnConnection."""
        if self.pooled is False:
            await super().cancel_safe(timeout=timeout)
        else:
            self.pgconn.finish()

    @asynccontextmanager
    async def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> AsyncIterator[AsyncTransaction]:
        """See psycopg's."""
        async with self._turn, super().transaction(savepoint_name, force_rollback) as transaction:
            if self._settings is not None:
                await self._run(transaction_beginning(self._settings, begins=False))
            self._is_in_block = True
            try:
                yield transaction
            finally:
                self._is_in_block = False

    @property
    def runs_as_is(self) -> bool:
        """Whether a statement needs no transaction of its own: none but a pooler asks for one."""
        return self._settings is None or self._is_in_block

    @asynccontextmanager
    async def transaction_of_a_statement(self) -> AsyncIterator[None]:
        """See OwnConnection; one at a time, since several tasks may ask. Unless it `runs_as_is`."""
        assert self._settings is not None, "only behind a pooler"
        async with self._turn:
            try:
                await self._run(transaction_beginning(self._settings, begins=True))
                yield
                await self._run(_COMMIT)
            except Exception:
                if self.pgconn.transaction_status in _OPEN:
                    with suppress(psycopg.Error):
                        await self._run(_ROLLBACK)
                raise
            except BaseException:
                self.pgconn.finish()
                raise

    async def _open(self, settings: dict[str, str]) -> None:
        told_pid = self.info.backend_pid
        self.real_database = self.info.dbname
        try:
            cursor = await self._run(opening(settings, told_pid))
        except _CANNOT_TELL:
            self.pooled = None
        else:
            while cursor.nextset():
                pass
            pid, _, _, database, *_ = (await cursor.fetchall())[0]
            self.pooled, self.real_database = pid != told_pid, str(database)
        if self.pooled is not False:
            self.prepare_threshold = None
            self._settings = settings

    async def execute_alone(self, statement: sql.Composed) -> None:
        """Runs a statement that can't be in a transaction: behind a pooler, without any settings of ours."""
        await self._run(statement)

    async def _run(self, statement: sql.Composed) -> AsyncCursor[Row]:
        return await AsyncCursor(self).execute(statement, prepare=False)


class AsyncOwnCursor(AsyncCursor[R]):
    """A cursor whose statements run as the connection's settings ask for."""

    async def execute(
        self,
        query: Query,
        params: Params | None = None,
        *,
        prepare: bool | None = None,
        binary: bool | None = None,
    ) -> Self:
        """See psycopg's."""
        connection, text = self.connection, cast("QueryNoTemplate", query)
        assert isinstance(connection, AsyncOwnConnection)
        if connection.runs_as_is:
            return await super().execute(text, params, prepare=prepare, binary=binary)
        async with connection.transaction_of_a_statement():
            return await super().execute(text, params, prepare=prepare, binary=binary)


def is_pooled(connection: psycopg.BaseConnection[Row]) -> bool:
    """Whether a pooler is known to be in between."""
    return isinstance(connection, OwnConnection | AsyncOwnConnection) and bool(connection.pooled)


def _settings(
    connection: psycopg.BaseConnection[Row], limits: SessionLimits, *, with_optional: bool = True
) -> dict[str, str]:
    encoding = connection.info.parameter_status("server_encoding") or "UTF8"
    return limits.settings(connection.info.server_version, encoding, with_optional=with_optional)
