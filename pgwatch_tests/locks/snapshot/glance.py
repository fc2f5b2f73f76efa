"""A glance: whether the waits, or all sessions, are still those of the last poll, in a tenth of its time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import cast

from psycopg import AsyncConnection

from pgwatch_tests.locks.model import EdgeGroup, LockSnapshot, Session
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.session_settings import Row


@dataclass(frozen=True, slots=True)
class Glance:
    """What one glance saw."""

    waits: int
    """A fingerprint: the same for the same waits, behind the same blockers in the same state."""
    sessions: int | None
    """A fingerprint: the same while no session has begun or ended anything; None if it wasn't asked for."""
    sampled_at: datetime
    spent_s: float
    """Seconds that it took on the server."""


async def read_glance(connection: AsyncConnection[Row], *, sessions: bool) -> Glance | None:
    """Returns a glance, with the fingerprint of the `sessions` or without; None where the lock table doesn't
    tell all waits. Raises psycopg's errors."""
    query = queries.load("locks/glance")
    cursor = await connection.execute(query, {"sessions": sessions}, prepare=True)
    row = cast(tuple[int | None, int | None, float, float], await cursor.fetchone())
    waits, of_sessions, sampled_at, spent_s = row
    if waits is None:
        return None
    return Glance(waits, of_sessions, datetime.fromtimestamp(sampled_at, UTC), spent_s)


def later(snapshot: LockSnapshot, at: datetime) -> LockSnapshot:
    """The snapshot as it was at a later moment, for all that is known: what was there went on. Pure."""
    by_s = (at - snapshot.sampled_at).total_seconds()
    return replace(
        snapshot,
        sampled_at=at,
        groups=tuple([_later_group(one, by_s) for one in snapshot.groups]),
        sessions=tuple([_later(one, by_s) for one in snapshot.sessions]),
        prepared=tuple(replace(one, age_s=_grown(one.age_s, by_s)) for one in snapshot.prepared),
    )


def _grown(age_s: float | None, by_s: float) -> float | None:
    return None if age_s is None else age_s + by_s


def _later_group(group: EdgeGroup, by_s: float) -> EdgeGroup:
    # Said in full, as the sessions below: `replace` takes three times as long, and there are hundreds.
    return EdgeGroup(
        group.waiter,
        group.blockers,
        group.kind,
        group.lock,
        group.wait,
        _grown(group.wait_s, by_s),
        group.subject,
        group.confirmed,
    )


def _later(session: Session, by_s: float) -> Session:
    return Session(
        session.pid,
        session.backend_start,
        session.backend_type,
        session.database_oid,
        session.user_oid,
        session.database,
        session.user,
        session.application_name,
        session.client,
        session.state,
        session.wait_event_type,
        session.wait_event,
        _grown(session.xact_age_s, by_s),
        _grown(session.state_age_s, by_s),
        _grown(session.query_age_s, by_s),
        session.query,
        session.hidden,
        session.known_test,
    )
