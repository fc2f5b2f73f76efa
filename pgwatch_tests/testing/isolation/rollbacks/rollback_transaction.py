"""One transaction for all that a test does in SQLAlchemy: what the application commits is a savepoint in it.

Each session and connection of the application has a transaction of its own there, which is a savepoint: it
begins where they begin, is released where they commit, and is rolled back to where they roll back. The
statements are the application's; BEGIN and ROLLBACK of the whole are the test's.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, cast

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.engine.base import OptionEngine
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.pool import PoolProxiedConnection

from pgwatch_tests.testing.isolation.rollbacks.deferred_constraints import DeferredConstraints, of_engine
from pgwatch_tests.testing.isolation.rollbacks.driver_statements import statements_runner
from pgwatch_tests.testing.isolation.typed_statements import (
    changes_schema,
    ends_transaction,
    only_reads,
    refusal,
)

LOST = "the connection to the server is lost, and with it all that the test has written"


@dataclass(slots=True, eq=False)
class _Inner:
    """A transaction of the application: a savepoint."""

    connection: Connection
    depth: int
    has_written: bool = False
    holds_commits: bool = False
    """Whether another session has committed inside it: its rollback undoes that, too."""
    is_undone: bool = False
    """Whether a transaction around it was rolled back."""

    @property
    def savepoint(self) -> str:
        return f"pgwatch_{self.depth}"


class RollbackTransaction:
    """The transaction of a test, on one connection of its engine. It begins with the first statement."""

    def __init__(self, holder: Connection) -> None:
        """`holder` is the connection that was taken from the pool: nobody else uses it until `end`.

        Raises InvalidRequestError if it is in autocommit mode.
        """
        self._dialect = holder.dialect
        self._held = _KeptOpen(holder.connection)
        if getattr(self._held, "autocommit", False):
            raise InvalidRequestError(
                "the engine is in autocommit mode, where each statement is a transaction: nothing of it can "
                "be rolled back. Give the rollback an engine that isn't"
            )
        self._run = statements_runner(holder)
        self._constraints: DeferredConstraints = of_engine(holder.engine)
        self._checks = self._constraints.known()
        """None: to be asked."""
        self._has_changed_schema = False
        self._open: list[_Inner] = []
        """The transactions of the application, the innermost last."""
        self._has_spare = False
        """Whether the outermost savepoint is still there, rolled back to, and nothing has happened since."""
        self._lock = threading.RLock()
        self.has_begun = False
        self.steps = 0
        """Counts up with each statement: a transaction that stands still may be waited for."""

    @property
    def is_lost(self) -> bool:
        """Whether the connection is lost, and the server has rolled all back."""
        return not self._held.kept.is_valid

    @property
    def driver_connection(self) -> object:
        """The driver's own connection; None if it is lost."""
        return self._held.kept.driver_connection if self._held.kept.is_valid else None

    def connect(self, engine: RollbackEngine) -> Connection:
        """Returns another connection of the application in this transaction."""
        return RollbackConnection(engine, cast("PoolProxiedConnection", self._held))

    def begin(self, connection: Connection) -> _Inner:
        """Begins a transaction of the application. Raises InvalidRequestError if the connection is lost."""
        with self._lock:
            if self.is_lost:
                raise InvalidRequestError(LOST)
            inner = _Inner(connection, self._open[-1].depth + 1 if self._open else 1)
            self.steps += 1
            first = () if self._has_spare and inner.depth == 1 else (f"SAVEPOINT {inner.savepoint}",)
            if self._checks is None:
                self._checks = self._constraints.checks(self._run, first)
            elif first:
                self._run(*first)
            self._has_spare = False
            self.has_begun = True
            self._open.append(inner)
            return inner

    def commit(self, inner: _Inner) -> None:
        """Commits a transaction of the application: it stays as long as the test's does.

        Raises what the checks of deferred constraints raise; then it is rolled back, as by a COMMIT.
        """
        with self._lock:
            if inner.is_undone:
                raise InvalidRequestError(
                    "this transaction can't be committed: another session of the test has rolled back its "
                    "own, which had begun before, and all since then with it"
                )
            self.steps += 1
            at = self._open.index(inner)
            is_last = at == len(self._open) - 1
            if self._checks is None:
                self._checks = self._constraints.checks(self._run)
            try:
                if statements := (*self._checks, *(self._ending(at) if is_last else ())):
                    self._run(*statements)
            except BaseException:
                self.rollback(inner)
                raise
            self._open.remove(inner)

    def rollback(self, inner: _Inner) -> None:
        """Undoes a transaction of the application, and none that it has committed before."""
        with self._lock:
            if inner.is_undone or inner not in self._open:
                return
            self.steps += 1
            at = self._open.index(inner)
            undone, self._open = self._open[at:], self._open[:at]
            for one in undone:
                one.is_undone = True
            if inner.holds_commits:
                warnings.warn(
                    "a session rolls back, and undoes what another session of this test has committed "
                    "meanwhile: in one transaction, it can't be kept. End the first session's transaction "
                    "before the other one works",
                    stacklevel=2,
                )
            self._has_spare = inner.depth == 1
            release = () if self._has_spare else (f"RELEASE SAVEPOINT {inner.savepoint}",)
            self._run(f"ROLLBACK TO SAVEPOINT {inner.savepoint}", *release)
            if self._has_changed_schema:
                self._checks = None

    def note(self, inner: _Inner | None, statement: str) -> None:
        """Takes note of a statement that is about to run. Raises InvalidRequestError if it would end all."""
        self.steps += 1
        if only_reads(statement):
            return
        if ends_transaction(statement):
            raise InvalidRequestError(refusal(statement))
        if inner is not None:
            inner.has_written = True
        if changes_schema(statement):
            self._has_changed_schema, self._checks = True, None

    def end(self) -> None:
        """Rolls all back. A connection that is lost has been rolled back by the server."""
        with self._lock:
            for inner in self._open:
                inner.is_undone = True
            self._open.clear()
            if not self.is_lost:
                self._dialect.do_rollback(self._held.kept)
            self._constraints.leave(changed=self._has_changed_schema)

    def _ending(self, at: int) -> tuple[str, ...]:
        """Returns the statements that end the innermost transaction, so that rollbacks around it keep it.

        A transaction around it that has only read begins anew behind it.
        """
        first = at
        while first and _begins_anew(self._open[first - 1]):
            first -= 1
        for one in self._open[:first]:
            one.holds_commits = True
        return (
            f"RELEASE SAVEPOINT {self._open[first].savepoint}",
            *(f"SAVEPOINT {one.savepoint}" for one in self._open[first:at]),
        )


def _begins_anew(inner: _Inner) -> bool:
    return not inner.has_written and not inner.connection.in_nested_transaction()


class _KeptOpen:
    """A connection of the pool that whoever closes it doesn't give back."""

    def __init__(self, kept: PoolProxiedConnection) -> None:
        self.kept = kept
        self.cursor = kept.cursor

    def __getattr__(self, name: str) -> object:
        return getattr(self.kept, name)

    def close(self) -> None:
        """Does nothing: the transaction goes on."""

    def _close_special(self, transaction_reset: bool = False) -> None:
        """Does nothing, as `close`."""

    def commit(self) -> NoReturn:
        """Refuses: it would commit all that is to be rolled back."""
        raise InvalidRequestError(
            "the driver's commit() would commit the test's own transaction, which is to be rolled back: use "
            "the connection of SQLAlchemy, or a session"
        )

    def rollback(self) -> NoReturn:
        """Refuses: it would end the transaction."""
        raise InvalidRequestError(
            "the driver's rollback() would end the test's own transaction: use the connection of SQLAlchemy, "
            "or a session"
        )


class RollbackConnection(Connection):
    """A connection in the test's transaction: its own transactions are savepoints."""

    inner: _Inner | None = None
    engine: RollbackEngine

    def __init__(self, engine: RollbackEngine, held: PoolProxiedConnection) -> None:
        # The listeners of `engine_connect` have been told of the held connection: they may set its isolation
        # level, which a transaction can't change.
        super().__init__(engine, held, _has_events=False)
        self.dispatch = self.dispatch._join(engine.dispatch)
        self._has_events = True

    def execution_options(self, **opt: Any) -> Connection:
        """See SQLAlchemy's. Raises InvalidRequestError for an isolation level: the transaction has one."""
        _refuse_isolation_level(opt)
        return super().execution_options(**opt)

    def begin_twophase(self, xid: Any = None) -> NoReturn:
        """Refuses: PREPARE TRANSACTION would end the test's transaction."""
        raise InvalidRequestError(
            "a two-phase commit can't be rolled back with the test: PREPARE TRANSACTION ends its transaction"
        )

    def _begin_impl(self, transaction: sqlalchemy.RootTransaction) -> None:
        self.dispatch.begin(self)
        if self._echo:
            self._log_info("BEGIN (a savepoint of the test's transaction)")
        try:
            self.inner = self.engine.transaction.begin(self)
        except BaseException as error:  # noqa: BLE001
            self._handle_dbapi_exception(error, None, None, None, None)

    def _commit_impl(self) -> None:
        self.dispatch.commit(self)
        if self._echo:
            self._log_info("COMMIT (a savepoint of the test's transaction)")
        if self.inner is not None:
            try:
                self.engine.transaction.commit(self.inner)
            except BaseException as error:  # noqa: BLE001
                self._handle_dbapi_exception(error, None, None, None, None)

    def _rollback_impl(self) -> None:
        self.dispatch.rollback(self)
        if self._echo:
            self._log_info("ROLLBACK (to a savepoint of the test's transaction)")
        if self.inner is not None and self._still_open_and_dbapi_connection_is_valid:
            try:
                self.engine.transaction.rollback(self.inner)
            except BaseException as error:  # noqa: BLE001
                self._handle_dbapi_exception(error, None, None, None, None)


@event.listens_for(RollbackConnection, "before_cursor_execute")
def _note(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
    if isinstance(connection, RollbackConnection):
        connection.engine.transaction.note(connection.inner, statement)


class RollbackEngine(OptionEngine):
    """An engine whose connections are all in the transaction of a test; for whoever takes an engine."""

    transaction: RollbackTransaction

    def __init__(
        self,
        proxied: Engine,
        execution_options: Mapping[str, Any],
        transaction: RollbackTransaction | None = None,
    ) -> None:
        if transaction is None:
            assert isinstance(proxied, RollbackEngine), "one of its own with other options"
            transaction = proxied.transaction
        self.transaction = transaction
        super().__init__(proxied, execution_options)

    def connect(self) -> Connection:
        """Returns a connection in the test's transaction; closing it ends what it hasn't committed."""
        return self.transaction.connect(self)

    def raw_connection(self) -> NoReturn:
        """Refuses: what the driver's own connection commits is committed."""
        raise InvalidRequestError(
            LOST
            if self.transaction.is_lost
            else "a driver's own connection isn't rolled back with the test: use the engine's connect()"
        )

    def update_execution_options(self, **opt: Any) -> None:
        """See SQLAlchemy's. Raises InvalidRequestError for an isolation level: the transaction has one."""
        _refuse_isolation_level(opt)
        super().update_execution_options(**opt)

    def dispose(self, close: bool = True) -> None:
        """Does nothing: the pool isn't this engine's."""


RollbackEngine._option_cls = RollbackEngine


def _refuse_isolation_level(options: Mapping[str, Any]) -> None:
    if "isolation_level" in options:
        raise InvalidRequestError(
            "the isolation level can't be changed in the transaction of a test that is rolled back: give "
            "it to the engine, or test this with isolated_database()"
        )
