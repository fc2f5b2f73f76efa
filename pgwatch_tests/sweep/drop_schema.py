"""Drops a schema bit by bit, each bit a transaction of its own, and nothing that isn't in it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import psycopg
from psycopg import errors
from psycopg.pq import Escaping
from psycopg.rows import class_row

from pgwatch_tests import queries
from pgwatch_tests.counts import many
from pgwatch_tests.errors import RefusedError
from pgwatch_tests.leaks.discover import exact_names
from pgwatch_tests.leaks.session import ScanSession
from pgwatch_tests.server.said import said_in_full
from pgwatch_tests.server.secrets import mask_name
from pgwatch_tests.sweep.found import Stopped, and_others
from pgwatch_tests.sweep.model import KeptReason
from pgwatch_tests.sweep.schema_parts import (
    Part,
    drop_rest_statement,
    drop_statement,
    halves,
    lock_statement,
    portions,
)

_PASSES = 3  # somebody may add to a schema while it is dropped, but not for ever


class SchemaKeptError(RefusedError):
    """The schema, or what is left of it, stays: `reason` says why in a word, the message in words."""

    def __init__(self, reason: KeptReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Dependent:
    """A row of queries/sweep_schema_dependents.sql."""

    description: str
    others: int


@dataclass(frozen=True, slots=True)
class _Locker:
    """A row of queries/sweep_schema_lockers.sql."""

    relation: str
    pid: int | None
    application_name: str
    others: int


def check_droppable(session: ScanSession, schema: str) -> None:
    """Raises SchemaKeptError if something elsewhere depends on the schema, or a part of it is locked.

    Raises what `session.running` does, too.
    """
    check_dependents(session, schema)
    lockers = session.fetch(queries.load("sweep_schema_lockers").encode(), _Locker, {"schema": schema})
    for locker in lockers:
        name = f" ({mask_name(locker.application_name)})" if locker.application_name else ""
        who = "a prepared transaction" if locker.pid is None else f"pid {locker.pid}{name}"
        raise SchemaKeptError("locked", f"{locker.relation} is locked by {and_others(who, locker.others)}")


def check_dependents(session: ScanSession, schema: str) -> None:
    """Raises SchemaKeptError if something elsewhere depends on the schema; what `session.running` does."""
    with session.running():
        _check_dependents(session, schema)


def drop_schema(session: ScanSession, schema: str, stopped: Stopped) -> None:
    """Drops it. What is dropped when it ends early stays so, and the next time finishes it.

    Raises SchemaKeptError if it stays, and what `session.running` does, but for the server's errors.
    """
    dropped = 0
    try:
        for _ in range(_PASSES):
            waiting = deque(portions(_parts(session, schema)))
            if not waiting:
                break
            while waiting:
                if stopped():
                    raise SchemaKeptError("interrupted", "the sweep was told to end")
                portion = waiting.popleft()
                try:
                    _drop(session, schema, portion)
                except errors.OutOfMemory:
                    # The lock table is everybody's: others may have taken what there was room for.
                    if len(portion) == 1:
                        raise
                    waiting.extendleft(reversed(tuple(halves(portion))))
                else:
                    dropped += len(portion)
        if stopped():
            raise SchemaKeptError("interrupted", "the sweep was told to end")
        _drop(session, schema, ())
    except psycopg.Error as error:
        raise _kept(error, dropped) from None
    except SchemaKeptError as error:
        raise SchemaKeptError(error.reason, f"{error}{_so_far(dropped)}") from None


def _parts(session: ScanSession, schema: str) -> list[Part]:
    return session.fetch(queries.load("sweep_schema_parts").encode(), Part, {"schema": schema})


def _drop(session: ScanSession, schema: str, portion: tuple[Part, ...]) -> None:
    """Drops a portion, or with none, the schema with all that is left."""
    connection = session.connection
    escaping = Escaping(connection.pgconn)
    with session.running(), connection.transaction():
        lock = lock_statement(schema, portion, escaping)
        if lock is not None:
            connection.execute(lock)
        # CASCADE would take it along; since the look before, somebody may have made it.
        _check_dependents(session, schema)
        if portion:
            connection.execute(drop_statement(schema, portion, escaping))
        else:
            connection.execute(drop_rest_statement(schema, escaping))


def _check_dependents(session: ScanSession, schema: str) -> None:
    with session.connection.cursor(row_factory=class_row(_Dependent)) as cursor:
        exact_names(cursor)
        query = queries.load("sweep_schema_dependents").encode()
        found = cursor.execute(query, {"schema": schema}).fetchone()
    if found is not None:
        raise SchemaKeptError(
            "shared_with_real_data", f"{and_others(found.description, found.others)} would go with it"
        )


def _kept(error: psycopg.Error, dropped: int) -> SchemaKeptError:
    so_far = _so_far(dropped)
    if isinstance(error, errors.LockNotAvailable | errors.DeadlockDetected):
        return SchemaKeptError(
            "locked", f"{said_in_full(error)}; `pgwatch-tests locks` shows by whom{so_far}"
        )
    if isinstance(error, errors.OutOfMemory):
        hint = "raise max_locks_per_transaction, or try again when there is less to do"
        return SchemaKeptError("refused", f"{said_in_full(error)}: {hint}{so_far}")
    return SchemaKeptError("refused", f"{said_in_full(error)}{so_far}")


def _so_far(dropped: int) -> str:
    """What there is to say if a part of it is gone."""
    if dropped == 0:
        return ""
    number = f"{many(dropped, 'part')} {'is' if dropped == 1 else 'are'}"
    return f" ({number} dropped; the next sweep goes on from there)"
