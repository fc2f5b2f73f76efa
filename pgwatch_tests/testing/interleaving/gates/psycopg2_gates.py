"""Gates in psycopg 2, where SQLAlchemy uses it: in the methods of its dialect that send a statement.

psycopg 2 is written in C and has no place of its own for a gate, so plain psycopg 2 isn't seen. What
SQLAlchemy sends with one call, such as the batches of an executemany, is one step.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import IsolationLevel
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus

from pgwatch_tests.testing.interleaving.faults import FaultKind
from pgwatch_tests.testing.interleaving.gates.psycopg_connection import isolation_named
from pgwatch_tests.testing.interleaving.gates.psycopg_gates import gated
from pgwatch_tests.testing.interleaving.gates.round_trip import (
    ABOVE_READ_COMMITTED,
    GatedActor,
    GatedConnection,
    RoundTrip,
    fault_error,
    result_text,
    rows_text,
)
from pgwatch_tests.testing.interleaving.schedules.step import StepKind, is_commit, is_no_step, rolls_back

if TYPE_CHECKING:
    from psycopg2 import extensions

Send = Callable[..., None]

_OPEN = (TransactionStatus.INTRANS, TransactionStatus.INERROR)
_SENDING = ("do_execute", "do_executemany", "do_execute_no_params")
_ENDING = ("do_commit", "do_rollback")

_turn = threading.Lock()
_users = [0]
_before: dict[str, object] = {}
"""What the dialect itself had in the place of the gates; None: it inherits."""
_kept: weakref.WeakKeyDictionary[extensions.connection, Psycopg2Connection] = weakref.WeakKeyDictionary()


class Psycopg2Connection(GatedConnection):
    """A connection of psycopg 2, which it doesn't keep alive."""

    def __init__(self, connection: extensions.connection) -> None:
        self._reference = weakref.ref(connection)
        self.backend_pid = connection.get_backend_pid()
        self._default: IsolationLevel | None = None
        """The level of transactions for which psycopg sets none, until a statement has to do with levels."""
        self._level_before: int | None = None
        self._is_forced = False

    @property
    def _connection(self) -> extensions.connection:
        connection = self._reference()
        assert connection is not None
        return connection

    @property
    def status(self) -> TransactionStatus:
        """See GatedConnection."""
        connection = self._reference()
        if connection is None or connection.closed:
            return TransactionStatus.UNKNOWN
        return TransactionStatus(connection.get_transaction_status())

    @property
    def is_closed(self) -> bool:
        """See GatedConnection."""
        connection = self._reference()
        return connection is None or bool(connection.closed)

    @property
    def server(self) -> str:
        """See GatedConnection."""
        info = self._connection.info
        return f"{info.host}:{info.port}/{info.dbname}"

    @property
    def dsn(self) -> str:
        """See GatedConnection."""
        info = self._connection.info
        parameters: dict[str, Any] = dict(info.dsn_parameters)
        parameters |= {"host": info.host, "port": str(info.port), "dbname": info.dbname}
        parameters.pop("hostaddr", None)
        return make_conninfo("", password=info.password or None, **parameters)

    @property
    def known_isolation(self) -> IsolationLevel | None:
        """See GatedConnection."""
        level = self._connection.isolation_level
        return None if level is None else _LEVELS.get(level)

    def transaction_isolation(self) -> IsolationLevel:
        """See GatedConnection."""
        level = self.known_isolation
        if level is not None:
            return level
        if self._default is None:
            row = self._run("SHOW transaction_isolation")
            self._default = isolation_named(str(row[0]) if row else "")
        return self._default

    @property
    def keeps_snapshot(self) -> bool:
        """See GatedConnection."""
        is_open = self.status == TransactionStatus.INTRANS
        begins = self.status == TransactionStatus.IDLE and not self._connection.autocommit
        if not (is_open or begins):
            return False
        level = self.transaction_isolation()
        if begins and self.status != TransactionStatus.IDLE:
            # The question for the level has begun a transaction.
            self._connection.rollback()
        return level in ABOVE_READ_COMMITTED

    def forget_isolation(self) -> None:
        """See GatedConnection."""
        self._default = None

    def force_isolation(self, level: IsolationLevel | None) -> None:
        """See GatedConnection."""
        connection = self._reference()
        if connection is None or self.status != TransactionStatus.IDLE:
            return
        if level is None:
            if self._is_forced:
                self._is_forced = False
                connection.isolation_level = self._level_before
        elif self.known_isolation is not level:
            if not self._is_forced:
                self._is_forced, self._level_before = True, connection.isolation_level
            connection.isolation_level = next(number for number, one in _LEVELS.items() if one is level)

    def roll_back(self, timeout_s: float) -> None:
        """See GatedConnection."""
        connection = self._reference()
        if connection is not None and not connection.closed:
            connection.rollback()

    def cancel(self) -> None:
        """See GatedConnection."""
        connection = self._reference()
        if connection is not None and not connection.closed:
            connection.cancel()

    def fail(self, trip: RoundTrip, kind: FaultKind) -> BaseException:
        """Puts the session into the state in which a fault leaves it. Returns the error to raise."""
        connection = self._connection
        if kind in ("l", "c"):
            if kind == "c":
                connection.commit()
            connection.close()
        elif trip.kind == "commit":
            connection.rollback()
        elif not connection.autocommit:
            import psycopg2

            # It fails, and with it the transaction.
            with contextlib.suppress(psycopg2.Error):
                self._run("ROLLBACK TO SAVEPOINT pgwatch_fault")
        return _as_psycopg2(fault_error(kind))

    def _run(self, statement: str) -> tuple[Any, ...] | None:
        """Runs a statement past all hooks, and returns its first row."""
        from psycopg2 import extensions

        with extensions.cursor(self._connection) as cursor:
            cursor.execute(statement)
            return cursor.fetchone() if cursor.description else None


_LEVELS = {
    1: IsolationLevel.READ_COMMITTED,
    2: IsolationLevel.REPEATABLE_READ,
    3: IsolationLevel.SERIALIZABLE,
    4: IsolationLevel.READ_UNCOMMITTED,
}
"""By the numbers of psycopg2.extensions."""


class _CursorRoundTrip(RoundTrip):
    """A statement of a cursor."""

    __slots__ = ("cursor",)

    def __init__(
        self, connection: GatedConnection, kind: StepKind, text: str, cursor: extensions.cursor
    ) -> None:
        super().__init__(connection, kind, text)
        self.cursor = cursor

    def result(self) -> str:
        """See RoundTrip."""
        cursor = self.cursor
        if cursor.rowcount < 0:
            return ""
        if cursor.description and len(cursor.description) == cursor.rowcount == 1 and cursor.name is None:
            row = cursor.fetchone()
            cursor.scroll(0, "absolute")
            value = None if row is None else row[0]
            return result_text(None if value is None else str(value))
        return rows_text(cursor.rowcount)


class Psycopg2Gates:
    """The gates in SQLAlchemy's dialect, where psycopg 2 is there."""

    where = "SQLAlchemy has gates for psycopg 2"

    def install(self) -> None:
        """See Gates."""
        # Whoever has an engine on psycopg 2 has imported it.
        if "psycopg2" not in sys.modules:
            self._dialect: Any = None
            return
        from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2

        self._dialect = PGDialect_psycopg2
        with _turn:
            _users[0] += 1
            if _users[0] == 1:
                for name in (*_SENDING, *_ENDING):
                    gate = _gate_of_statement if name in _SENDING else _gate_of_end
                    _before[name] = vars(self._dialect).get(name)
                    setattr(self._dialect, name, gate(getattr(self._dialect, name)))

    def remove(self) -> None:
        """See Gates."""
        if self._dialect is None:
            return
        with _turn:
            _users[0] -= 1
            if _users[0] == 0:
                for name in (*_SENDING, *_ENDING):
                    if (before := _before.pop(name)) is None:
                        delattr(self._dialect, name)
                    else:
                        setattr(self._dialect, name, before)

    def begin(self, actors: Sequence[GatedActor]) -> None:
        """See Gates. Actors tell by `gated` who they are."""

    def end(self) -> None:
        """See Gates."""


def _gate_of_statement(send: Send) -> Send:
    def send_gated(
        dialect: object, cursor: extensions.cursor, statement: str, *more: Any, **named: Any
    ) -> None:
        actor = gated.get()
        if actor is None:
            return send(dialect, cursor, statement, *more, **named)
        parameters = more[0] if more else named.get("parameters")
        trip = _statement(cursor, statement, parameters)
        return _pass(actor, trip, lambda: send(dialect, cursor, statement, *more, **named))

    return send_gated


def _gate_of_end(end: Send) -> Send:
    commits = end.__name__ == "do_commit"

    def end_gated(dialect: object, dbapi_connection: extensions.connection) -> None:
        actor = gated.get()
        # SQLAlchemy's pool gives the connection in a wrapper.
        connected = getattr(dbapi_connection, "dbapi_connection", dbapi_connection)
        if actor is None or connected is None or connected.closed:
            return end(dialect, dbapi_connection)
        connection = gated_connection(connected)
        status = connection.status
        is_idle = status == TransactionStatus.IDLE
        if commits:
            kind: StepKind | None = "commit" if status == TransactionStatus.INTRANS else None
            undoes = status == TransactionStatus.INERROR
            trip = RoundTrip(connection, kind, "COMMIT", rolls_back=undoes, is_empty=is_idle)
        else:
            trip = RoundTrip(connection, None, "ROLLBACK", rolls_back=status in _OPEN, is_empty=is_idle)
        return _pass(actor, trip, lambda: end(dialect, dbapi_connection))

    return end_gated


def _pass(actor: GatedActor, trip: RoundTrip, send: Callable[[], None]) -> None:
    """Sends a round trip when its turn has come."""
    connection = trip.connection
    assert isinstance(connection, Psycopg2Connection)
    actor.pass_gate(trip)
    try:
        if (fault := actor.take_fault()) is not None:
            raise connection.fail(trip, fault)
        send()
    except BaseException as error:
        same = _as_psycopg(error)
        told = actor.answered(trip, same)
        if told is same:
            raise
        assert isinstance(told, psycopg.Error)
        raise _as_psycopg2(told) from None
    actor.answered(trip, None)


def _statement(cursor: extensions.cursor, statement: str, parameters: object) -> RoundTrip:
    connection = gated_connection(cursor.connection)
    failed = connection.status == TransactionStatus.INERROR
    if is_no_step(statement) or failed:
        undoes = rolls_back(statement) or (failed and is_commit(statement))
        return RoundTrip(connection, None, statement, rolls_back=undoes)
    text = statement
    if parameters and not (isinstance(parameters, list) and isinstance(parameters[0], (dict, tuple))):
        text = _with_values(cursor, statement, parameters)
    return _CursorRoundTrip(connection, "commit" if is_commit(statement) else "statement", text, cursor)


def _with_values(cursor: extensions.cursor, statement: str, parameters: Any) -> str:
    try:
        return cursor.mogrify(statement, parameters).decode(errors="replace")
    except Exception:  # noqa: BLE001
        # A value that can't be written: the statement itself will tell.
        return statement


def gated_connection(connection: extensions.connection) -> Psycopg2Connection:
    """Returns what stands for a connection: always the same."""
    kept = _kept.get(connection)
    if kept is None:
        kept = _kept[connection] = Psycopg2Connection(connection)
    return kept


def _as_psycopg(error: BaseException) -> BaseException:
    """Returns the error of psycopg 3 that has the SQLSTATE of one of psycopg 2; any other as it is."""
    state = getattr(error, "pgcode", None)
    if not isinstance(state, str):
        return error
    try:
        return psycopg.errors.lookup(state)(str(error))
    except KeyError:
        return error


def _as_psycopg2(error: psycopg.Error) -> BaseException:
    """Returns the error of psycopg 2 for one of psycopg 3."""
    import psycopg2
    import psycopg2.errors

    if error.sqlstate is None:
        return psycopg2.OperationalError(str(error))
    raised: Any = psycopg2.errors.lookup(error.sqlstate)(str(error))
    # As psycopg 2 takes it out of a pickle: its attribute can't be set.
    raised.__setstate__({"pgcode": error.sqlstate, "pgerror": f"ERROR:  {error}"})
    made: BaseException = raised
    return made
