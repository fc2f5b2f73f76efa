"""A connection for a scan: runs statements and returns their rows, again where it had to give way."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import RowFactory, class_row

from pgwatch_tests import queries
from pgwatch_tests.leaks.discover import exact_names
from pgwatch_tests.leaks.yielding_session import (
    OTHERS_WAIT_S,
    GaveWayError,
    ScanCancelledError,
    WaitedForError,
    YieldingSession,
)
from pgwatch_tests.server.connection import Identity, OwnConnection
from pgwatch_tests.server.session_limits import timeouts

__all__ = ["OTHERS_WAIT_S", "GaveWayError", "ScanCancelledError", "ScanSession", "WaitedForError"]

R = TypeVar("R")
T = TypeVar("T")

# To plan a hundred statements as one (UNION ALL) takes a quarter longer.
_TOGETHER = b";\n"
_ATTEMPTS = 2
_PAUSE_S = 0.25


class ScanSession(YieldingSession):
    """Runs one statement, or one message of several, at a time; `cancel` is for any other thread."""

    def limit(self, statement_timeout_s: float, lock_timeout_s: float) -> None:
        """From now on, statements may take so long. Raises what `running` does."""
        self.set(timeouts(statement_timeout_s, lock_timeout_s))
        self._statement_s = statement_timeout_s

    def set(self, settings: Mapping[str, str]) -> None:
        """Makes settings for the statements to come. Raises what `running` does."""
        self.run(lambda connection: connection.set(settings))
        self._limits = replace(self._limits, more=(*self._limits.more, *settings.items()))

    def execute(self, statement: bytes) -> None:
        """Runs a statement that has no result. Raises what `running` does."""
        self.run(lambda connection: connection.execute(statement))

    def identity(self) -> Identity:
        """Where the session is, as whom, and when it was opened. Raises what `running` does."""
        told = self.connection.identity
        return self.fetch(queries.load("leak_identity").encode(), Identity)[0] if told is None else told

    def fetch(
        self, statement: bytes, row: type[R], parameters: Mapping[str, object] | None = None
    ) -> list[R]:
        """Runs a statement; its columns are the fields of `row`. Raises what `running` does."""

        def fetched(connection: OwnConnection) -> list[R]:
            with connection.cursor(row_factory=class_row(row)) as cursor:
                exact_names(cursor)
                return cursor.execute(statement, parameters).fetchall()

        return self.run(fetched)

    def fetch_each(self, statements: Sequence[bytes], row: type[R]) -> list[R]:
        """Runs statements, in one message and transaction: the rows of all. If one fails, all do.

        Each may take as long as one statement may. Raises what `running` does.
        """

        def fetched(connection: OwnConnection) -> list[R]:
            with connection.cursor(row_factory=class_row(row)) as cursor:
                cursor.execute(_TOGETHER.join(statements))
                return _rows(cursor, len(statements))

        return self.run(fetched, len(statements))

    def fetch_each_and(
        self, statements: Sequence[bytes], row: type[R], last: bytes, last_row: type[T]
    ) -> tuple[list[R], list[T]]:
        """The same, and at the end of the same message one that has other columns."""

        def fetched(connection: OwnConnection) -> tuple[list[R], list[T]]:
            factory: RowFactory[R | T] = class_row(row)
            with connection.cursor(row_factory=factory) as cursor:
                cursor.execute(_TOGETHER.join((*statements, last)))
                rows = _rows(cursor, len(statements))
                cursor.row_factory = class_row(last_row)
                cursor.nextset()
                more = cursor.fetchall()
            return (
                [found for found in rows if isinstance(found, row)],
                [found for found in more if isinstance(found, last_row)],
            )

        return self.run(fetched, len(statements))

    def run(self, work: Callable[[OwnConnection], T], statements: int = 1) -> T:
        """What `work` returns over the connection, of so many statements. Raises what `running` does.

        It is done again from its start if the session is read-only and had to give way in the middle, or if
        others waited for its tables: WaitedForError once they have done so twice.
        """
        attempts = 0
        while True:
            if self._leaving.is_set() and self._read_only:
                self._come_back()
            self._look_if_nobody_else_does()
            attempts += 1
            if self.connection.info.transaction_status == TransactionStatus.IDLE:
                self._reading_since_s = time.monotonic()
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
                self._reading_since_s = None


def _rows(cursor: psycopg.Cursor[R], statements: int) -> list[R]:
    """The rows of so many results."""
    rows = cursor.fetchall()
    for _ in range(statements - 1):
        cursor.nextset()
        rows += cursor.fetchall()
    return rows
