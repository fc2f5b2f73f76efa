"""A glance at the waits: whether they are still those of the last poll, in a tenth of its time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import cast

from psycopg import AsyncConnection

from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.session_settings import Row


@dataclass(frozen=True, slots=True)
class Glance:
    """What one glance saw. Two with the same fingerprint saw the same waits, for the same blockers."""

    fingerprint: int
    sampled_at: datetime
    spent_s: float
    """Seconds that it took on the server."""


async def read_glance(connection: AsyncConnection[Row]) -> Glance | None:
    """Returns a glance; None where the lock table doesn't tell all waits. Raises psycopg's errors."""
    cursor = await connection.execute(queries.load("locks/glance"), prepare=True)
    row = cast(tuple[int | None, float, float], await cursor.fetchone())
    fingerprint, sampled_at, spent_s = row
    if fingerprint is None:
        return None
    return Glance(fingerprint, datetime.fromtimestamp(sampled_at, UTC), spent_s)


def later(snapshot: LockSnapshot, at: datetime) -> LockSnapshot:
    """The snapshot as it was at a later moment of which only its waits are known: they went on. Pure."""
    by_s = (at - snapshot.sampled_at).total_seconds()

    def grown(age_s: float | None) -> float | None:
        return None if age_s is None else age_s + by_s

    return replace(
        snapshot,
        sampled_at=at,
        groups=tuple(replace(one, wait_s=grown(one.wait_s)) for one in snapshot.groups),
        sessions=tuple(
            replace(
                one,
                xact_age_s=grown(one.xact_age_s),
                state_age_s=grown(one.state_age_s),
                query_age_s=grown(one.query_age_s),
            )
            for one in snapshot.sessions
        ),
        prepared=tuple(replace(one, age_s=grown(one.age_s)) for one in snapshot.prepared),
    )
