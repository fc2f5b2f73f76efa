"""Rollback isolation on a plain connection of psycopg 3: `commit()` keeps for the test, `rollback()` undoes
what came since then, and the whole is rolled back at the end.

One savepoint is always open: the application's transaction, begun or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import psycopg
from psycopg import Copy, Cursor, Transaction
from psycopg.abc import Params, Query
from psycopg.conninfo import conninfo_to_dict
from psycopg.copy import Writer
from psycopg.pq import PipelineStatus
from psycopg.rows import TupleRow, tuple_row
from psycopg.sql import Composable

from pgwatch_tests.postgres.connections.dsn import normalise
from pgwatch_tests.settings.load import Dsn
from pgwatch_tests.testing.isolation.rollbacks.deferred_constraints import DeferredConstraints
from pgwatch_tests.testing.isolation.rollbacks.driver_statements import Rows
from pgwatch_tests.testing.isolation.typed_statements import (
    changes_schema,
    ends_transaction,
    refusal,
)

R = TypeVar("R")
_SAVEPOINT = "pgwatch_1"


class RollbackPsycopgConnection(psycopg.Connection[TupleRow]):
    """A connection whose transactions are savepoints."""

    steps = 0
    has_begun = False
    _is_used = False
    """Whether the application has begun a transaction: it has run a statement since its last commit."""
    _blocks = 0
    """The `transaction()` blocks that are open."""
    _checks: tuple[str, ...] | None = None
    _constraints: DeferredConstraints

    @property
    def driver_connection(self) -> object:
        """Itself: see `self_waits.Watchable`."""
        return self

    def begin(self) -> None:
        """Begins the test's transaction."""
        self._constraints = DeferredConstraints()
        self._run(f"SAVEPOINT {_SAVEPOINT}")
        self.has_begun = True

    def commit(self) -> None:
        """Keeps what was written, for this test; checks deferred constraints.

        Raises what a COMMIT would, and psycopg.ProgrammingError in a `transaction()` block.
        """
        self._refuse_in_block("commit()")
        self._keep()

    def rollback(self) -> None:
        """Undoes what was written since the last commit. Raises psycopg.ProgrammingError as `commit` does."""
        self._refuse_in_block("rollback()")
        self._run(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
        self._is_used = False

    def close(self) -> None:
        """Ends what wasn't committed; the test's connection stays open until `end`."""
        if not self.closed and not self._blocks:
            self.rollback()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        """Commits, or rolls back after an error, as psycopg's own; it stays open."""
        if self.closed:
            return
        if exc_type is None:
            self.commit()
        else:
            self.rollback()

    @contextmanager
    def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> Iterator[Transaction]:
        """See psycopg's. The outermost block commits, unless the application is in a transaction already."""
        commits = not self._is_used and not self._blocks
        self._blocks += 1
        try:
            with super().transaction(savepoint_name, force_rollback) as transaction:
                yield transaction
        finally:
            self._blocks -= 1
            if commits:
                self._is_used = False
        if commits and not force_rollback:
            self._keep()

    def note(self, statement: str) -> None:
        """Takes note of a statement. Raises psycopg.ProgrammingError if it would end the transaction."""
        self.steps += 1
        self._is_used = True
        if ends_transaction(statement):
            raise psycopg.ProgrammingError(refusal(statement))
        if changes_schema(statement):
            self._checks = None

    def end(self) -> None:
        """Rolls all back, and closes."""
        if not self.closed:
            self.pgconn.finish()

    def _keep(self) -> None:
        if self._checks is None:
            self._checks = self._constraints.checks(self._run)
        try:
            self._run(*self._checks, f"RELEASE SAVEPOINT {_SAVEPOINT}", f"SAVEPOINT {_SAVEPOINT}")
        except psycopg.Error:
            if not self.closed:
                self._run(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
            raise
        finally:
            self._is_used = False

    def _run(self, *statements: str) -> Rows:
        self.steps += 1
        # Whatever rows the application wants.
        cursor: Cursor[TupleRow] = Cursor(self, row_factory=tuple_row)
        if self.info.pipeline_status is not PipelineStatus.OFF:
            # A message of a pipeline is one statement; its rows are there behind a sync.
            with self.pipeline() as pipeline:
                for statement in statements:
                    cursor.execute(statement.encode(), prepare=False)
                pipeline.sync()
        else:
            cursor.execute("; ".join(statements).encode(), prepare=False)
        while cursor.nextset():
            pass
        return cursor.fetchall() if cursor.description else ()

    def _refuse_in_block(self, what: str) -> None:
        if self._blocks:
            raise psycopg.ProgrammingError(f"{what} is forbidden within a transaction() block")


class _NotedCursor(Cursor[R]):
    """A cursor whose statements are noted."""

    def execute(
        self,
        query: Query,
        params: Params | None = None,
        *,
        prepare: bool | None = None,
        binary: bool | None = None,
    ) -> Self:
        """See psycopg's."""
        self._note(query)
        return super().execute(cast("Any", query), params, prepare=prepare, binary=binary)

    def executemany(self, query: Query, params_seq: Iterable[Params], *, returning: bool = False) -> None:
        """See psycopg's."""
        self._note(query)
        super().executemany(query, params_seq, returning=returning)

    @contextmanager
    def copy(
        self, statement: Query, params: Params | None = None, *, writer: Writer | None = None
    ) -> Iterator[Copy]:
        """See psycopg's."""
        self._note(statement)
        with super().copy(cast("Any", statement), params, writer=writer) as copy:
            yield copy

    def _note(self, query: Query) -> None:
        connection = self.connection
        assert isinstance(connection, RollbackPsycopgConnection)
        match query:
            case bytes():
                connection.note(query.decode(errors="replace"))
            case Composable():
                connection.note(query.as_string(connection))
            case _:
                connection.note(str(query))


@contextmanager
def psycopg_rollback_connection(dsn: str, **options: Any) -> Iterator[RollbackPsycopgConnection]:
    """A connection of psycopg 3, with further `options` of its `connect`. Raises what that does."""
    parameters: dict[str, Any] = dict(conninfo_to_dict(normalise(Dsn(dsn, "the DSN of the test"))[0]))
    factory = options.pop("cursor_factory", None) or Cursor
    if options.pop("autocommit", False):
        raise psycopg.ProgrammingError("in autocommit mode nothing can be rolled back: leave autocommit out")
    noted = _NotedCursor if factory is Cursor else type("NotedCursor", (_NotedCursor, factory), {})
    connection = RollbackPsycopgConnection.connect(**{**parameters, **options}, cursor_factory=noted)
    try:
        connection.begin()
        yield connection
    finally:
        connection.end()
