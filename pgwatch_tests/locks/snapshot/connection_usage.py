"""Connections of a server, counted by application, role and database. Pure."""

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


def connection_groups(sessions: Iterable[Session]) -> tuple[ConnectionGroup, ...]:
    """The clients' sessions in groups, the largest first."""
    numbers: Counter[tuple[str, str | None, str | None]] = Counter()
    idle: Counter[tuple[str, str | None, str | None]] = Counter()
    for session in sessions:
        if not session.is_client:
            continue
        key = session.application_name, session.user, session.database
        numbers[key] += 1
        idle[key] += session.state == "idle"
    groups = [ConnectionGroup(*key, number, idle[key]) for key, number in numbers.items()]
    return tuple(sorted(groups, key=lambda one: (-one.sessions, one.application_name, one.user or "")))
