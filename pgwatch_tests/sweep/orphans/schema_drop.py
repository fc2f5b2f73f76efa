"""The drop of a schema in portions, each a transaction, and of nothing outside of it.

DROP … CASCADE waits for locks, and finds what depends on a thing only once it has them: also a view that
somebody made of it meanwhile. Its own session can't see that any more, but every other one does until the
COMMIT, so a second one looks for what depends on the schema from outside.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import psycopg
from psycopg import errors
from psycopg.pq import Escaping
from psycopg.rows import class_row

from pgwatch_tests.errors import CannotConnectError
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.connect import connect
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.postgres.server_messages import full_server_message
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.postgres.stored_text import exact_names
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep.orphans.orphan_loop import OrphanKeptError, Stopped, and_others
from pgwatch_tests.sweep.orphans.schema_parts import (
    SchemaPart,
    drop_rest_statement,
    drop_statement,
    halves,
    lock_statement,
    portions,
)
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.secrets import mask_name

R = TypeVar("R")

_PASSES = 3  # somebody may add to a schema while it is dropped, but not for ever
_LOOKING = SessionLimits(statement_timeout_s=10.0, lock_timeout_s=0.5)


@dataclass(frozen=True, slots=True)
class _Dependent:
    """A row of queries/sweep/schema_dependents.sql."""

    description: str
    others: int


@dataclass(frozen=True, slots=True)
class _Locker:
    """A row of queries/sweep/schema_lockers.sql."""

    relation: str
    pid: int | None
    application_name: str
    others: int


def told_of(connection: OwnConnection, schema: str, query: str, row: type[R]) -> R | None:
    """Returns the row of `queries/sweep/<query>.sql` about a schema; None if it has none. Raises
    psycopg.Error."""
    with connection.cursor(row_factory=class_row(row)) as cursor:
        exact_names(cursor)
        statement = queries.load(f"sweep/{query}").encode()
        return cursor.execute(statement, {"schema": schema}).fetchone()


def check_droppable(connection: OwnConnection, schema: str) -> None:
    """Raises OrphanKeptError if something elsewhere depends on the schema, or another session has locked it
    or a part; psycopg.Error."""
    _check_dependents(connection, schema)
    locker = told_of(connection, schema, "schema_lockers", _Locker)
    if locker is not None:
        name = f" ({mask_name(locker.application_name)})" if locker.application_name else ""
        who = "a prepared transaction" if locker.pid is None else f"pid {locker.pid}{name}"
        raise OrphanKeptError(
            "locked", f"{locker.relation or 'the schema'} is locked by {and_others(who, locker.others)}"
        )


def check_dependents(session: DatabaseSession, schema: str) -> None:
    """Raises OrphanKeptError if something elsewhere depends on the schema; what `session.running` does."""
    with session.running():
        _check_dependents(session.connection, schema)


@contextmanager
def second_session(settings: Settings, *, read_only: bool = True) -> Iterator[OwnConnection]:
    """Returns a connection for `drop_schema` to look with. Raises OrphanKeptError if none can be opened."""
    limits = replace(_LOOKING, read_only=read_only)
    try:
        connection = connect(settings.dsn, limits, connect_timeout_s=settings.connect_timeout_s)
    except CannotConnectError as error:
        raise OrphanKeptError(
            "not_checked", f"it takes a second connection to see what else DROP would drop ({error})"
        ) from None
    with closing(connection):
        connection.prepare_threshold = None
        yield connection


def drop_schema(session: DatabaseSession, schema: str, stopped: Stopped, beside: OwnConnection) -> None:
    """Drops the schema in portions. If interrupted, dropped portions stay dropped; the next sweep continues.

    `beside` is a second connection to the same database, in no transaction. Before each COMMIT it looks for
    what depends on the schema from outside: if there is anything, the portion is rolled back. Raises
    OrphanKeptError if the schema stays, and what `session.running` does, but for the server's errors.
    """
    dropped = 0
    try:
        for _ in range(_PASSES):
            waiting = deque(portions(_parts(session, schema)))
            if not waiting:
                break
            while waiting:
                if stopped():
                    raise OrphanKeptError("interrupted", "the sweep was stopped")
                portion = waiting.popleft()
                try:
                    _drop(session, schema, portion, beside)
                except errors.OutOfMemory:
                    # The lock table is everybody's: others may have taken what there was room for.
                    if len(portion) == 1:
                        raise
                    waiting.extendleft(reversed(tuple(halves(portion))))
                else:
                    dropped += len(portion)
        if stopped():
            raise OrphanKeptError("interrupted", "the sweep was stopped")
        _drop(session, schema, (), beside)
    except psycopg.Error as error:
        raise kept_by_server(error, dropped) from None
    except OrphanKeptError as error:
        raise OrphanKeptError(error.reason, f"{error}{_so_far(dropped)}") from None


def _parts(session: DatabaseSession, schema: str) -> list[SchemaPart]:
    return session.ask("sweep/schema_parts", SchemaPart, {"schema": schema})


def _drop(
    session: DatabaseSession, schema: str, portion: tuple[SchemaPart, ...], beside: OwnConnection
) -> None:
    """Drops a portion, or without one, the schema with all that is left."""
    connection = session.connection
    escaping = Escaping(connection.pgconn)
    with session.running(), connection.transaction():
        lock = lock_statement(schema, portion, escaping)
        if lock is not None:
            connection.execute(lock)
        # CASCADE would take it along; since the look before, somebody may have made it.
        _check_dependents(connection, schema)
        if portion:
            connection.execute(drop_statement(schema, portion, escaping))
        else:
            connection.execute(drop_rest_statement(schema, escaping))
        _check_meanwhile(beside, schema)


def _check_meanwhile(beside: OwnConnection, schema: str) -> None:
    """Raises OrphanKeptError if what is dropped, but not committed, took something from outside along."""
    try:
        _check_dependents(beside, schema)
    except psycopg.Error as error:
        raise OrphanKeptError(
            "not_checked",
            f"rolled back, since it couldn't be checked what went with it: {full_server_message(error)}",
        ) from None
    except OrphanKeptError as error:
        raise OrphanKeptError(
            error.reason, f"{error}: created during the drop, which was rolled back"
        ) from None


def _check_dependents(connection: OwnConnection, schema: str) -> None:
    found = told_of(connection, schema, "schema_dependents", _Dependent)
    if found is not None:
        raise OrphanKeptError(
            "shared_with_real_data", f"{and_others(found.description, found.others)} would be dropped with it"
        )


def kept_by_server(error: psycopg.Error, dropped: int = 0) -> OrphanKeptError:
    """Returns why a schema stays after an error of the server, once so many of its parts were dropped."""
    so_far = _so_far(dropped)
    if isinstance(error, errors.LockNotAvailable | errors.DeadlockDetected):
        return OrphanKeptError(
            "locked", f"{full_server_message(error)}; `pgwatch-tests locks` shows by whom{so_far}"
        )
    if isinstance(error, errors.OutOfMemory):
        hint = "raise max_locks_per_transaction, or try again when the server is less busy"
        return OrphanKeptError("refused", f"{full_server_message(error)}: {hint}{so_far}")
    return OrphanKeptError("refused", f"{full_server_message(error)}{so_far}")


def _so_far(dropped: int) -> str:
    """Returns the end of a sentence that tells how many parts are gone; empty without any."""
    if dropped == 0:
        return ""
    number = f"{plural(dropped, 'part')} {'is' if dropped == 1 else 'are'}"
    return f" ({number} dropped; the next sweep continues)"
