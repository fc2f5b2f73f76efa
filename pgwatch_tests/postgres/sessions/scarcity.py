"""Scarce sessions: where a role may have only a few at once, its tests may need each of them."""

from __future__ import annotations

from psycopg import AsyncConnection

from pgwatch_tests.errors import RefusedError
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.connections.session_settings import Row

FEW = 20
"""Fewer than these are scarce: a session of ours beside the tests may be the one that a test lacks."""


class ScarceSessionsError(RefusedError):
    """A session of ours stays away, since tests may need each that the role may have: exit 2."""


def are_sessions_scarce(connection: OwnConnection) -> bool:
    """Whether the role of a connection may have only a few sessions in its database. Raises psycopg.Error."""
    return _allowed(connection.execute(queries.load("server/room").encode()).fetchone()) is not None


def refuse_scarce(connection: OwnConnection) -> None:
    """Raises ScarceSessionsError where `are_sessions_scarce`, in words; psycopg.Error."""
    _refuse(connection.execute(queries.load("server/room").encode()).fetchone())


async def refuse_scarce_async(connection: AsyncConnection[Row]) -> None:
    """Raises what `refuse_scarce` does."""
    _refuse(await (await connection.execute(queries.load("server/room").encode())).fetchone())


def _refuse(row: tuple[object, ...] | None) -> None:
    allowed = _allowed(row)
    if allowed is not None:
        raise ScarceSessionsError(
            f"the role may have only {allowed:,} sessions at once, all of which tests may need: "
            "give --dsn or PGWATCH_DSN a role of its own"
        )


def _allowed(row: tuple[object, ...] | None) -> int | None:
    """The number of sessions, if they are few."""
    return row[0] if row is not None and isinstance(row[0], int) and row[0] < FEW else None
