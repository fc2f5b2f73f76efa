"""Kept places: schemas and databases of failed tests, left for somebody to look at for a stated time.

A comment says until when. Up to then neither `leaks` nor a sweep takes them for orphans.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

from psycopg import sql

from pgwatch_tests.identity.real_clock import real_time_ms
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.testing.isolation.isolated_place import IsolatedPlace

KEPT_FOR_S = 86400.0


def keep(place: IsolatedPlace, for_s: float = KEPT_FOR_S) -> str:
    """Has a place stay when its owner is done with it, for so many seconds; returns until when, in UTC.

    Then it is an orphan, which a sweep takes.
    """
    until = datetime.fromtimestamp(real_time_ms() / 1000, UTC) + timedelta(seconds=for_s)
    text = until.strftime("%Y-%m-%dT%H:%M:%SZ")
    place.kept_until[:] = [text]
    return text


def note_kept(connection: OwnConnection, place: IsolatedPlace, kind: Literal["SCHEMA", "DATABASE"]) -> bool:
    """Whether the place is kept; then its comment says so from now on. Raises psycopg.Error."""
    if not place.kept_until:
        return False
    connection.execute(
        sql.SQL("COMMENT ON {} {} IS {}").format(
            sql.SQL(kind),
            sql.Identifier(place.name),
            sql.Literal(f"pgwatch-tests: kept until {place.kept_until[0]}"),
        )
    )
    return True
