"""Connections that leave no trace behind a pooler: there, each statement is a transaction with own settings.

A pooler gives one session of the server to one client after another, so whatever outlives a transaction
meets somebody's test: settings, prepared statements, session locks. It shows itself by the pid: the one that
the protocol told at the start (BackendKeyData) isn't that of the process which answers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Self, TypeVar, cast

import psycopg
from psycopg import AsyncCursor, AsyncTransaction, Cursor, Transaction, errors, sql
from psycopg.abc import Params, Query
from psycopg.pq import TransactionStatus

from pgwatch_tests.server.session_limits import (
    Row,
    SessionLimits,
    for_session,
    opening,
    transaction_beginning,
)

if TYPE_CHECKING:
    from psycopg.abc import QueryNoTemplate

R = TypeVar("R")

_OPEN = (TransactionStatus.INTRANS, TransactionStatus.INERROR)
_COMMIT, _ROLLBACK = sql.SQL("COMMIT").format(), sql.SQL("ROLLBACK").format()
# The catalogs are locked, and without them it can't be told who answers.
_CANNOT_TELL = (errors.LockNotAvailable, errors.QueryCanceled)


class OwnConnection(psycopg.Connection[Row]):
    """A connection whose settings last as long as its session, or behind a pooler as each transaction."""

    pooled: bool | None = None
    """Whether a pooler is in between; None if that couldn't be told, which counts as if."""
    _settings: Mapping[str, str] | None = None
    """To be made for each transaction; None if they were made for the session."""

    def settle_in(self, limits: SessionLimits) -> None:
        """Makes the settings, to be called once before anything else. Raises psycopg's errors."""
        settings = limits.settings(self.info.server_version, _server_encoding(self))
        try:
            self._open({**settings, **dict(limits.optional)})
        except psycopg.DataError:
            self._open(settings)

    def set(self, settings: Mapping[str, str]) -> None:
        """Makes further settings, between transactions. Raises psycopg's errors."""
        if self._settings is None:
            self._run(for_session(settings))
        else:
            self._settings = {**self._settings, **settings}

    def cancel_safe(self, *, timeout: float = 30.0) -> None:
        """Ends what runs; behind a pooler, with the connection.

        A pooler may pass a request to cancel on when the session is somebody else's already.
        """
        if self._settings is None:
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
    def for_a_statement(self) -> Iterator[None]:
        """The transaction that a statement needs: where it isn't in one, and a pooler is in between."""
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
            self.pooled = cursor.fetchall()[0][0] != told_pid
        if self.pooled is not False:
            self.prepare_threshold = None
            self._settings = settings

    def _run(self, statement: sql.Composed) -> Cursor[Row]:
        return Cursor(self).execute(statement, prepare=False)


class OwnCursor(Cursor[R]):
    """A cursor of such a connection."""

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
        with self.connection.for_a_statement():
            return super().execute(cast("QueryNoTemplate", query), params, prepare=prepare, binary=binary)

    def executemany(self, query: Query, params_seq: Iterable[Params], *, returning: bool = False) -> None:
        """See psycopg's."""
        assert isinstance(self.connection, OwnConnection)
        with self.connection.for_a_statement():
            super().executemany(query, params_seq, returning=returning)


class AsyncOwnConnection(psycopg.AsyncConnection[Row]):
    """The same as OwnConnection, for asyncio."""

    pooled: bool | None = None
    """Whether a pooler is in between; None if that couldn't be told, which counts as if."""
    _settings: Mapping[str, str] | None = None

    async def settle_in(self, limits: SessionLimits) -> None:
        """See OwnConnection."""
        settings = limits.settings(self.info.server_version, _server_encoding(self))
        try:
            await self._open({**settings, **dict(limits.optional)})
        except psycopg.DataError:
            await self._open(settings)

    async def cancel_safe(self, *, timeout: float = 30.0) -> None:  # noqa: ASYNC109 (psycopg's name)
        """See OwnConnection."""
        if self._settings is None:
            await super().cancel_safe(timeout=timeout)
        else:
            self.pgconn.finish()

    @asynccontextmanager
    async def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> AsyncIterator[AsyncTransaction]:
        """See psycopg's."""
        is_idle = self.pgconn.transaction_status == TransactionStatus.IDLE
        async with super().transaction(savepoint_name, force_rollback) as transaction:
            if is_idle and self._settings is not None:
                await self._run(transaction_beginning(self._settings, begins=False))
            yield transaction

    @asynccontextmanager
    async def for_a_statement(self) -> AsyncIterator[None]:
        """See OwnConnection."""
        if self._settings is None or self.pgconn.transaction_status != TransactionStatus.IDLE:
            yield
            return
        try:
            await self._run(transaction_beginning(self._settings, begins=self.autocommit))
            yield
            if self.autocommit:
                await self._run(_COMMIT)
        except Exception:
            if self.autocommit and self.pgconn.transaction_status in _OPEN:
                with suppress(psycopg.Error):
                    await self._run(_ROLLBACK)
            raise
        except BaseException:
            self.pgconn.finish()
            raise

    async def _open(self, settings: dict[str, str]) -> None:
        told_pid = self.info.backend_pid
        try:
            cursor = await self._run(opening(settings, told_pid))
        except _CANNOT_TELL:
            self.pooled = None
        else:
            while cursor.nextset():
                pass
            self.pooled = (await cursor.fetchall())[0][0] != told_pid
        if self.pooled is not False:
            self.prepare_threshold = None
            self._settings = settings

    async def _run(self, statement: sql.Composed) -> AsyncCursor[Row]:
        return await AsyncCursor(self).execute(statement, prepare=False)


class AsyncOwnCursor(AsyncCursor[R]):
    """A cursor of such a connection."""

    async def execute(
        self,
        query: Query,
        params: Params | None = None,
        *,
        prepare: bool | None = None,
        binary: bool | None = None,
    ) -> Self:
        """See psycopg's."""
        assert isinstance(self.connection, AsyncOwnConnection)
        async with self.connection.for_a_statement():
            return await super().execute(
                cast("QueryNoTemplate", query), params, prepare=prepare, binary=binary
            )


def _server_encoding(connection: psycopg.BaseConnection[Row]) -> str:
    return connection.info.parameter_status("server_encoding") or "UTF8"
