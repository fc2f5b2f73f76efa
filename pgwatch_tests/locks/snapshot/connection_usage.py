"""Whose the connections of a server are. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from pgwatch_tests.locks.model import Session


@dataclass(frozen=True, slots=True)
class ConnectionGroup:
    """The sessions of one application, role and database. Foreign text as it is; None: not known (yet)."""

    application_name: str
    user: str | None
    database: str | None
    sessions: int
    idle: int
    """How many of them run nothing and are in no transaction; hidden ones aren't counted."""


def is_client(session: Session) -> bool:
    """Whether a session takes one of max_connections, as autovacuum, workers and walsenders don't.

    What a hidden process is isn't told: those of the server itself have no database or no user.
    """
    if session.hidden:
        return session.database_oid is not None and session.user_oid is not None
    return session.backend_type == "client backend"


def by_whom(sessions: Iterable[Session]) -> tuple[ConnectionGroup, ...]:
    """The clients' sessions in groups, the largest first."""
    numbers: Counter[tuple[str, str | None, str | None]] = Counter()
    idle: Counter[tuple[str, str | None, str | None]] = Counter()
    for session in filter(is_client, sessions):
        key = session.application_name, session.user, session.database
        numbers[key] += 1
        idle[key] += session.state == "idle"
    groups = [ConnectionGroup(*key, number, idle[key]) for key, number in numbers.items()]
    return tuple(sorted(groups, key=lambda one: (-one.sessions, one.application_name, one.user or "")))
