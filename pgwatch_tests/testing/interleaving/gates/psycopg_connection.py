"""Connections of psycopg as gates see them, and faults that happen to them."""

from __future__ import annotations

import asyncio
import weakref
from typing import Any

import psycopg
from psycopg import BaseConnection, IsolationLevel
from psycopg.pq import ConnStatus, TransactionStatus

from pgwatch_tests.testing.interleaving.faults import FaultKind
from pgwatch_tests.testing.interleaving.gates.round_trip import (
    ABOVE_READ_COMMITTED,
    GatedConnection,
    RoundTrip,
    fault_error,
)
from pgwatch_tests.testing.interleaving.monitor import dsn_of

AnyConnection = BaseConnection[Any]

_kept: weakref.WeakKeyDictionary[AnyConnection, PsycopgConnection] = weakref.WeakKeyDictionary()


class PsycopgConnection(GatedConnection):
    """A connection of psycopg, sync or async, which it doesn't keep alive."""

    def __init__(self, connection: AnyConnection) -> None:
        self._reference = weakref.ref(connection)
        self.backend_pid = connection.pgconn.backend_pid
        self._loop = asyncio.get_running_loop() if isinstance(connection, psycopg.AsyncConnection) else None
        self._default: IsolationLevel | None = None
        """The level of transactions for which psycopg sets none, until a statement has to do with levels."""
        self._is_forced = False
        self._level_before: IsolationLevel | None = None

    @property
    def _connection(self) -> AnyConnection:
        connection = self._reference()
        assert connection is not None
        return connection

    @property
    def status(self) -> TransactionStatus:
        """See GatedConnection."""
        connection = self._reference()
        if connection is None:
            return TransactionStatus.UNKNOWN
        return TransactionStatus(connection.pgconn.transaction_status)

    @property
    def is_closed(self) -> bool:
        """See GatedConnection."""
        connection = self._reference()
        return connection is None or connection.closed

    @property
    def server(self) -> str:
        """See GatedConnection."""
        info = self._connection.info
        return f"{info.host}:{info.port}/{info.dbname}"

    @property
    def dsn(self) -> str:
        """See GatedConnection."""
        return dsn_of(self._connection)

    @property
    def known_isolation(self) -> IsolationLevel | None:
        """See GatedConnection."""
        return self._connection.isolation_level

    def transaction_isolation(self) -> IsolationLevel:
        """See GatedConnection."""
        level = self._connection.isolation_level
        if level is not None:
            return level
        if self._default is None:
            self._default = self._shown_isolation()
        return self._default

    @property
    def keeps_snapshot(self) -> bool:
        """See GatedConnection."""
        is_open = self.status == TransactionStatus.INTRANS
        begins = self.status == TransactionStatus.IDLE and not self._connection.autocommit
        return (is_open or begins) and self.transaction_isolation() in ABOVE_READ_COMMITTED

    def _shown_isolation(self) -> IsolationLevel:
        result = self._connection.pgconn.exec_(b"SHOW transaction_isolation")
        return isolation_named((result.get_value(0, 0) or b"").decode() if result.ntuples else "")

    def forget_isolation(self) -> None:
        """See GatedConnection."""
        self._default = None

    def force_isolation(self, level: IsolationLevel | None) -> None:
        """See GatedConnection."""
        connection = self._reference()
        if connection is None:
            return
        if level is not None and self.status != TransactionStatus.IDLE:
            # psycopg begins its transactions: this one has its level.
            return
        if level is None:
            if self._is_forced:
                self._is_forced = False
                connection._isolation_level = self._level_before
                connection._begin_statement = b""
        elif connection.isolation_level is not level:
            if not self._is_forced:
                self._is_forced, self._level_before = True, connection.isolation_level
            connection._isolation_level = level
            connection._begin_statement = b""

    def roll_back(self, timeout_s: float) -> None:
        """See GatedConnection."""
        connection = self._reference()
        if isinstance(connection, psycopg.Connection):
            if connection.lock.acquire(timeout=timeout_s):
                connection.lock.release()
                # Whoever was stopped before COMMIT never left its block.
                connection._num_transactions = 0
                connection.rollback()
        elif isinstance(connection, psycopg.AsyncConnection) and self._loop is not None:
            connection._num_transactions = 0
            asyncio.run_coroutine_threadsafe(connection.rollback(), self._loop).result(timeout_s)

    def cancel(self) -> None:
        """See GatedConnection."""
        connection = self._reference()
        if connection is not None:
            connection.cancel()

    def fail(self, trip: RoundTrip, kind: FaultKind) -> psycopg.Error:
        """Puts the session into the state in which a fault leaves it. Returns the error to raise."""
        connection = self._connection
        pgconn = connection.pgconn
        if kind in ("l", "c"):
            if kind == "c":
                pgconn.exec_(b"COMMIT")
            pgconn.finish()
        elif trip.kind == "commit":
            pgconn.exec_(b"ROLLBACK")
        elif not connection.autocommit or pgconn.transaction_status == TransactionStatus.INTRANS:
            if pgconn.transaction_status == TransactionStatus.IDLE:
                pgconn.exec_(b"BEGIN")
            # It fails, and with it the transaction.
            pgconn.exec_(b"ROLLBACK TO SAVEPOINT pgwatch_fault")
        return fault_error(kind)


def gated_connection(connection: AnyConnection) -> PsycopgConnection:
    """Returns what stands for a connection: always the same, as long as it is to the same session."""
    kept = _kept.get(connection)
    if kept is None or (
        kept.backend_pid != connection.pgconn.backend_pid and connection.pgconn.status == ConnStatus.OK
    ):
        kept = _kept[connection] = PsycopgConnection(connection)
    return kept


def isolation_named(name: str) -> IsolationLevel:
    """Returns the level that the server names so; the highest for a name that isn't known."""
    levels = {one.name.lower().replace("_", " "): one for one in IsolationLevel}
    return levels.get(name.lower(), IsolationLevel.SERIALIZABLE)
