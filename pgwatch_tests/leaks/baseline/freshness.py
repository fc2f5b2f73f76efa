"""Whether statistics tell all that was committed: the barrier behind which they can be believed. Pure.

A backend publishes its counts when it is between transactions, at the latest 10 s after it became idle, and
when it ends (PostgreSQL 15 and newer: src/backend/utils/activity/pgstat.c, PGSTAT_IDLE_INTERVAL). One that
committed and began another transaction, even an empty one, publishes nothing until that is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

QUIET_S = 11.0


@dataclass(frozen=True, slots=True)
class OtherSession:
    """A row of queries/baseline/other_sessions.sql; all but the pid is None if it is hidden from our role."""

    pid: int
    backend_type: str | None
    state: str | None
    for_s: float | None
    """How long it has been in that state."""


@dataclass(frozen=True, slots=True)
class Barrier:
    """Why the statistics can't be believed yet, in a clause, and how soon they may be."""

    reason: str
    """Empty if they can be."""
    wait_s: float = 0.0
    """How long to wait before it is worth looking again."""


_SOON_S = 0.25


def barrier(sessions: Sequence[OtherSession]) -> Barrier:
    """What the other sessions of the database say."""
    unquiet = [session for session in sessions if not _is_quiet(session)]
    if not unquiet:
        return Barrier("")
    reasons = [_reason(session) for session in unquiet]
    more = f" and {len(reasons) - 1:,} more" if len(reasons) > 1 else ""
    waits = [
        QUIET_S - session.for_s if session.state == "idle" and session.for_s is not None else _SOON_S
        for session in unquiet
    ]
    return Barrier(f"{reasons[0]}{more}", max(_SOON_S, min(waits)))


def _is_quiet(session: OtherSession) -> bool:
    return (
        session.backend_type == "client backend"
        and session.state == "idle"
        and session.for_s is not None
        and session.for_s >= QUIET_S
    )


def _reason(session: OtherSession) -> str:
    if session.backend_type is None:
        return f"what session {session.pid} does is hidden from this role (pg_monitor shows it)"
    if session.backend_type != "client backend":
        return f"a {session.backend_type} is at work (pid {session.pid})"
    if session.state == "idle":
        return f"session {session.pid} has been idle for less than {QUIET_S:g} s"
    return f"session {session.pid} is {session.state or 'starting'}"
