"""Gates in psycopg 3: each round trip of an actor stops before it is sent, with and without SQLAlchemy.

All of psycopg's work with a connection is a generator that `Connection.wait` or `AsyncConnection.wait` runs:
one call is one round trip of a statement, its implicit BEGIN included. What it does is told by the
generator's name and its arguments, which it holds before it has begun.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextvars import ContextVar
from types import GeneratorType
from typing import TYPE_CHECKING, Any

from psycopg import AsyncConnection, BaseConnection, Connection
from psycopg._cursor_base import BaseCursor
from psycopg.abc import PQGen
from psycopg.client_cursor import ClientCursor
from psycopg.pq import TransactionStatus
from psycopg.sql import Composable

from pgwatch_tests.postgres.connections.connection import AsyncOwnConnection, OwnConnection
from pgwatch_tests.testing.interleaving.gates.psycopg_connection import AnyConnection, gated_connection
from pgwatch_tests.testing.interleaving.gates.round_trip import (
    GatedActor,
    GatedConnection,
    RoundTrip,
    result_text,
    rows_text,
)
from pgwatch_tests.testing.interleaving.schedules.step import StepKind, is_commit, is_no_step, rolls_back

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

_STATEMENTS = {
    "_execute_gen": "query",
    "_executemany_gen_pipeline": "query",
    "_executemany_gen_no_pipeline": "query",
    "_stream_send_gen": "query",
    "_start_copy_gen": "statement",
    "_declare_gen": "query",
}
_UNTOLD = frozenset({"_start_copy_gen", "_stream_send_gen", "_tpc_prepare_gen", "_tpc_finish_gen"})
_OPEN = (TransactionStatus.INTRANS, TransactionStatus.INERROR)


class CursorRoundTrip(RoundTrip):
    """A round trip of a cursor, which has the result then."""

    __slots__ = ("cursor",)

    def __init__(
        self,
        connection: GatedConnection,
        kind: StepKind,
        text: str,
        cursor: BaseCursor[Any, Any] | None,
        *,
        is_untold: bool = False,
    ) -> None:
        super().__init__(connection, kind, text, is_untold=is_untold)
        self.cursor = cursor

    def result(self) -> str:
        """See RoundTrip."""
        result: PGresult | None = None if self.cursor is None else self.cursor.pgresult
        if result is None:
            return ""
        if result.nfields == 1 and result.ntuples == 1:
            value = result.get_value(0, 0)
            return result_text(None if value is None else _decoded(value, result.fformat(0)))
        count = result.ntuples if result.nfields else result.command_tuples
        return "" if count is None else rows_text(count)


gated: ContextVar[GatedActor | None] = ContextVar("pgwatch_tests.gated_actor", default=None)
"""The actor that a thread or a task is."""

_turn = threading.Lock()
_installed: list[tuple[type[BaseConnection[Any]], str, object, object]] = []
"""What the gates replace: the class, the method's name, what was there, and what is there now."""
_users = [0]


class PsycopgGates:
    """The gates of psycopg, for as many explorations at once as there are."""

    where = "psycopg 3 has gates"

    def install(self) -> None:
        """See Gates."""
        with _turn:
            _users[0] += 1
            if _users[0] == 1:
                _patch()

    def remove(self) -> None:
        """See Gates."""
        with _turn:
            _users[0] -= 1
            if _users[0] == 0:
                for owner, name, before, ours in _installed:
                    if getattr(owner, name) is ours:
                        setattr(owner, name, before)
                _installed.clear()

    def begin(self, actors: Sequence[GatedActor]) -> None:
        """See Gates. Actors tell by `gated` who they are."""

    def end(self) -> None:
        """See Gates."""


def _patch() -> None:
    wait, wait_async = Connection.wait, AsyncConnection.wait
    leave, leave_async = Connection.__exit__, AsyncConnection.__aexit__

    def wait_gated(self: Connection[Any], gen: PQGen[Any], *args: Any, **more: Any) -> Any:
        actor = gated.get()
        if actor is None or isinstance(self, OwnConnection) or not isinstance(gen, GeneratorType):
            return wait(self, gen, *args, **more)
        trip = round_trip(self, gen)
        try:
            actor.pass_gate(trip)
        except BaseException:
            if _is_undone_instead(gen):
                wait(self, gen, *args, **more)
            raise
        try:
            if (fault := actor.take_fault()) is not None:
                raise gated_connection(self).fail(trip, fault)
            returned = wait(self, gen, *args, **more)
        except BaseException as error:
            told = actor.answered(trip, error)
            if told is error:
                raise
            assert told is not None
            raise told from None
        actor.answered(trip, None)
        return returned

    async def wait_gated_async(self: AsyncConnection[Any], gen: PQGen[Any], *args: Any, **more: Any) -> Any:
        actor = gated.get()
        if actor is None or isinstance(self, AsyncOwnConnection) or not isinstance(gen, GeneratorType):
            return await wait_async(self, gen, *args, **more)
        trip = round_trip(self, gen)
        try:
            await actor.pass_gate_async(trip)
        except BaseException:
            if _is_undone_instead(gen):
                await wait_async(self, gen, *args, **more)
            raise
        try:
            if (fault := actor.take_fault()) is not None:
                raise gated_connection(self).fail(trip, fault)
            returned = await wait_async(self, gen, *args, **more)
        except BaseException as error:
            told = actor.answered(trip, error)
            if told is error:
                raise
            assert told is not None
            raise told from None
        actor.answered(trip, None)
        return returned

    def exit_gated(self: Connection[Any], *raised: Any) -> None:
        try:
            leave(self, *raised)
        except BaseException as error:
            if _is_left_unclosed(self, error):
                self.close()
            raise

    async def exit_gated_async(self: AsyncConnection[Any], *raised: Any) -> None:
        try:
            await leave_async(self, *raised)
        except BaseException as error:
            if _is_left_unclosed(self, error):
                await self.close()
            raise

    _put(Connection, "wait", wait_gated)
    _put(AsyncConnection, "wait", wait_gated_async)
    _put(Connection, "__exit__", exit_gated)
    _put(AsyncConnection, "__aexit__", exit_gated_async)


def _put(owner: type[BaseConnection[Any]], name: str, ours: object) -> None:
    _installed.append((owner, name, getattr(owner, name), ours))
    setattr(owner, name, ours)


def _is_undone_instead(gen: GeneratorType[Any, Any, Any]) -> bool:
    """Whether an actor was stopped before the COMMIT of a block, which rolls back then.

    psycopg counts the blocks that are open, and allows no other ROLLBACK meanwhile.
    """
    given = {} if gen.gi_frame is None else gen.gi_frame.f_locals
    if gen.__name__ != "_exit_gen" or "exc_val" not in given:
        return False
    given["self"].force_rollback = True
    return True


def _is_left_unclosed(connection: BaseConnection[Any], error: BaseException) -> bool:
    """Whether an actor was stopped at the COMMIT with which a connection's block ends, ahead of its close."""
    return (
        gated.get() is not None
        and not isinstance(error, Exception)
        and not getattr(connection, "_pool", None)
    )


def round_trip(connected: AnyConnection, gen: GeneratorType[Any, Any, Any]) -> RoundTrip:
    """Returns what a generator of psycopg, which hasn't begun, is going to do."""
    name = gen.__name__
    frame = gen.gi_frame
    given = {} if frame is None else frame.f_locals
    status = connected.pgconn.transaction_status
    connection = gated_connection(connected)
    is_idle = status == TransactionStatus.IDLE
    if name == "_commit_gen":
        kind: StepKind | None = "commit" if status == TransactionStatus.INTRANS else None
        undoes = status == TransactionStatus.INERROR
        return RoundTrip(connection, kind, "COMMIT", rolls_back=undoes, is_empty=is_idle)
    if name == "_rollback_gen":
        return RoundTrip(connection, None, "ROLLBACK", rolls_back=status in _OPEN, is_empty=is_idle)
    if name == "_exit_gen" and "exc_val" in given:
        return _leaving_block(connection, connected, given)
    if name in _STATEMENTS:
        return _statement(connection, connected, name, given)
    if name == "_fetch_gen" and "num" in given:
        cursor = given["self"]
        return CursorRoundTrip(connection, "statement", f"FETCH FROM {cursor.name}", cursor)
    if name in ("_tpc_prepare_gen", "_tpc_finish_gen"):
        text = "PREPARE TRANSACTION" if name == "_tpc_prepare_gen" else f"{given.get('action')} PREPARED"
        return RoundTrip(connection, "statement", text, is_untold=True)
    return RoundTrip(connection, None, name)


def _leaving_block(connection: GatedConnection, connected: AnyConnection, given: dict[str, Any]) -> RoundTrip:
    """The end of `with connection.transaction()`."""
    block = given["self"]
    if given["exc_val"] is not None or block.force_rollback:
        return RoundTrip(connection, None, "ROLLBACK", rolls_back=True)
    status = connected.pgconn.transaction_status
    commits = block._outer_transaction and status == TransactionStatus.INTRANS
    undoes = block._outer_transaction and status == TransactionStatus.INERROR
    return RoundTrip(connection, "commit" if commits else None, "COMMIT", rolls_back=undoes)


def _statement(
    connection: GatedConnection, connected: AnyConnection, name: str, given: dict[str, Any]
) -> RoundTrip:
    cursor = given.get("self")
    query = given.get(_STATEMENTS[name])
    text = _text(query, connected)
    failed = connected.pgconn.transaction_status == TransactionStatus.INERROR
    if is_no_step(text) or failed:
        return RoundTrip(connection, None, text, rolls_back=rolls_back(text) or (failed and is_commit(text)))
    # That of executemany is its own, from its beginning to its end.
    pipeline = None if name == "_executemany_gen_pipeline" else connected._pipeline
    shown = text
    if "params" in given and given["params"] is not None and not isinstance(query, bytes):
        shown = _with_values(connected, text, given["params"])
    kind: StepKind = "commit" if is_commit(text) else "statement"
    if pipeline is not None and (pipeline.command_queue or pipeline.result_queue):
        # What a pipeline sends before it is synced is one step: nobody tells when the server gets to it.
        return RoundTrip(connection, None, shown)
    is_untold = name in _UNTOLD or pipeline is not None
    return CursorRoundTrip(connection, kind, shown, cursor, is_untold=is_untold)


def _text(query: object, connection: AnyConnection) -> str:
    match query:
        case str():
            return query
        case bytes():
            return query.decode(errors="replace")
        case Composable():
            return query.as_string(connection)
        case _:
            # A template of Python 3.14.
            strings = getattr(query, "strings", None)
            return str(query) if strings is None else "%s".join(strings)


def _with_values(connection: AnyConnection, text: str, params: Any) -> str:
    """Returns a statement with its values, as far as they can be written so."""
    try:
        unbound: Any = ClientCursor
        cursor = unbound(connection)
        written: str = cursor.mogrify(text.encode(), params)
        return written
    except Exception:  # noqa: BLE001
        # Raw cursors ($1), types that can't be dumped: the statement itself will tell.
        return text


def _decoded(value: bytes, format_: int) -> str:
    return f"{len(value)} bytes" if format_ else value.decode(errors="replace")
