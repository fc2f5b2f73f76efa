"""Database session: runs the statements of leaks, sweeps and leases, and returns rows as dataclasses."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import RowFactory, args_row, class_row

from pgwatch_tests.errors import GaveWayError, WorkCancelledError
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.connection import Identity, OwnConnection
from pgwatch_tests.postgres.connections.session_settings import timeouts
from pgwatch_tests.postgres.sessions.yielding_session import (
    CUT_SHORT_AFTER_S,
    OTHERS_WAIT_S,
    CutShortError,
    WaitedForError,
    YieldingSession,
)
from pgwatch_tests.postgres.stored_text import exact_names

__all__ = ["OTHERS_WAIT_S", "DatabaseSession", "GaveWayError", "WaitedForError", "WorkCancelledError"]

R = TypeVar("R")
T = TypeVar("T")

# Planning a hundred statements as one (UNION ALL) takes a quarter longer.
_TOGETHER = b";\n"
_ATTEMPTS = 2
_PAUSE_S = 0.25


class DatabaseSession(YieldingSession):
    """Runs one statement, or one message of several, at a time; `cancel` is for any other thread."""

    _may_be_cut_short = False

    def limit(self, statement_timeout_s: float, lock_timeout_s: float) -> None:
        """Limits how long the statements to come may take. Raises what `running` does."""
        self.set(timeouts(statement_timeout_s, lock_timeout_s))
        self._statement_s = statement_timeout_s

    def set(self, settings: Mapping[str, str]) -> None:
        """Applies settings to the statements to come. Raises what `running` does."""
        self.run(lambda connection: connection.set(settings))
        self._limits = replace(self._limits, more=(*self._limits.more, *settings.items()))

    def execute(self, statement: bytes) -> None:
        """Runs a statement that has no result. Raises what `running` does."""
        self.run(lambda connection: connection.execute(statement))

    def identity(self) -> Identity:
        """The database, role and snapshot of the session as it was opened. Raises what `running` does."""
        told = self.connection.identity
        if told is not None:
            return told
        [identity] = self.ask("server/database_identity", Identity)
        return identity

    def ask(self, query: str, row: type[R], parameters: Mapping[str, object] | None = None) -> list[R]:
        """Runs `queries/<query>.sql`; its columns are the fields of `row`. Raises what `running` does."""
        return self.fetch(queries.load(query).encode(), row, parameters)

    def ask_values(
        self, query: str, value: type[R], parameters: Mapping[str, object] | None = None
    ) -> list[R]:
        """Runs `queries/<query>.sql`, whose one column is never NULL. Raises what `running` does."""
        return self.fetch_values(queries.load(query).encode(), value, parameters)

    def fetch(
        self, statement: bytes, row: type[R], parameters: Mapping[str, object] | None = None
    ) -> list[R]:
        """Runs a statement; its columns are the fields of `row`. Raises what `running` does."""
        return self._fetch(statement, class_row(row), parameters)

    def fetch_values(
        self, statement: bytes, value: type[R], parameters: Mapping[str, object] | None = None
    ) -> list[R]:
        """Runs a statement whose one column is never NULL. Raises what `running` does."""
        return self._fetch(statement, args_row(value), parameters)

    def _fetch(
        self, statement: bytes, rows: RowFactory[R], parameters: Mapping[str, object] | None
    ) -> list[R]:
        def fetched(connection: OwnConnection) -> list[R]:
            with connection.cursor(row_factory=rows) as cursor:
                exact_names(cursor)
                return cursor.execute(statement, parameters).fetchall()

        return self.run(fetched)

    def fetch_each(
        self,
        statements: Sequence[bytes],
        row: type[R],
        looking_out: Callable[[], Sequence[bytes]] | None = None,
    ) -> list[R]:
        """Runs statements in one message and transaction, and returns the rows of all. If one fails, all do.

        Each may take as long as one statement may. `looking_out` returns variants that look out for others
        by themselves: they run where nothing else does so and `statements` take long. Raises what `running`
        does.
        """

        def fetched(messages: Sequence[bytes]) -> Callable[[OwnConnection], list[R]]:
            def fetch(connection: OwnConnection) -> list[R]:
                with connection.cursor(row_factory=class_row(row)) as cursor:
                    cursor.execute(_TOGETHER.join(messages))
                    return _rows(cursor, len(messages))

            return fetch

        return self._run_each(statements, fetched, looking_out)

    def fetch_each_and(
        self,
        statements: Sequence[bytes],
        row: type[R],
        last: bytes,
        last_row: type[T],
        looking_out: Callable[[], Sequence[bytes]] | None = None,
    ) -> tuple[list[R], list[T]]:
        """Runs `fetch_each`, with one more statement in the message, last, which has other columns."""

        def fetched(messages: Sequence[bytes]) -> Callable[[OwnConnection], tuple[list[R], list[T]]]:
            def fetch(connection: OwnConnection) -> tuple[list[R], list[T]]:
                factory: RowFactory[R | T] = class_row(row)
                with connection.cursor(row_factory=factory) as cursor:
                    cursor.execute(_TOGETHER.join((*messages, last)))
                    rows = _rows(cursor, len(messages))
                    cursor.row_factory = class_row(last_row)
                    cursor.nextset()
                    more = cursor.fetchall()
                return (
                    [found for found in rows if isinstance(found, row)],
                    [found for found in more if isinstance(found, last_row)],
                )

            return fetch

        return self._run_each(statements, fetched, looking_out)

    def _run_each(
        self,
        statements: Sequence[bytes],
        fetched: Callable[[Sequence[bytes]], Callable[[OwnConnection], T]],
        looking_out: Callable[[], Sequence[bytes]] | None,
    ) -> T:
        if looking_out is None or not self._gives_way:
            return self.run(fetched(statements), len(statements))
        try:
            with self._cuttable():
                # One of a time limit.
                plain = [b"\nUNION ALL ".join(statements)] if self._is_pooled else statements
                return self.run(fetched(plain), len(plain))
        except CutShortError:
            pass
        self._looks_out_itself = True
        try:
            return self.run(fetched(looking_out()), len(statements))
        finally:
            self._looks_out_itself = False

    @contextmanager
    def _cuttable(self) -> Iterator[None]:
        """Statements within may be cut short, so that none runs long while nobody looks out for others."""
        if self._is_pooled:
            self.connection.set(_statement_timeout(CUT_SHORT_AFTER_S))
        self._may_be_cut_short = True
        try:
            yield
        finally:
            self._may_be_cut_short = False
            if self._is_pooled and not self.connection.closed:
                self.connection.set(_statement_timeout(self._statement_s))

    def run(self, work: Callable[[OwnConnection], T], statements: int = 1) -> T:
        """Returns what `work` of so many statements returns over the connection. Raises what `running` does.

        `work` starts again if the session is read-only and had to give way meanwhile, or if others waited for
        its tables: WaitedForError once they have done so twice.
        """
        attempts = 0
        while True:
            if self._leaving.is_set() and self._read_only:
                self._come_back()
            self._look_if_nobody_else_does()
            attempts += 1
            if self.connection.info.transaction_status == TransactionStatus.IDLE:
                self._reading_since_s = time.monotonic()
            self._cuttable_since_s = self._reading_since_s if self._may_be_cut_short else None
            try:
                with self.running(statements):
                    return work(self.connection)
            except GaveWayError:
                if not self._read_only:
                    raise
            except WaitedForError:
                if attempts == _ATTEMPTS:
                    raise
                self.pause(_PAUSE_S)
            finally:
                self._reading_since_s = self._cuttable_since_s = None


def _statement_timeout(limit_s: float) -> dict[str, str]:
    return {"statement_timeout": timeouts(limit_s, 0.0)["statement_timeout"]}


def _rows(cursor: psycopg.Cursor[R], statements: int) -> list[R]:
    """The rows of a message's results, one result per statement."""
    rows = cursor.fetchall()
    for _ in range(statements - 1):
        cursor.nextset()
        rows += cursor.fetchall()
    return rows
