"""A test's own session, as the transaction log records it: database, clock, and what was written."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import Connection
from psycopg.rows import args_row, class_row

from pgwatch_tests.identity.real_clock import real_time_ns
from pgwatch_tests.leaks.attribution.test_runs import ClockOffset, DatabaseIdentity, Written
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.session_settings import Row

_CLOCK_READINGS = 3
_MOST_CLOCK_READINGS = 20
_SURE_ENOUGH_US = 2_000


@dataclass(frozen=True, slots=True)
class DatabaseNow:
    """A row of queries/leaks/transaction_database.sql."""

    system_identifier: str | None
    oid: int
    name: str
    next_xid: str
    has_commit_timestamps: bool

    @property
    def identity(self) -> DatabaseIdentity:
        """The database, to compare with that of a log."""
        return DatabaseIdentity(self.system_identifier or "", self.oid, self.name)


@dataclass(frozen=True, slots=True)
class _Written:
    xid: str | None
    started_us: int
    is_counted: bool
    inserted: list[int]
    changed: list[int]


def database_now(connection: Connection[Row]) -> DatabaseNow:
    """Returns the identity of the connected database. Raises psycopg's errors."""
    with connection.cursor(row_factory=class_row(DatabaseNow)) as cursor:
        return cursor.execute(queries.load("leaks/transaction_database").encode()).fetchall()[0]


def clock_offset(connection: Connection[Row]) -> ClockOffset:
    """Returns how far the server's clock is ahead, from the fastest of a few readings.

    A busy machine holds many of them up: it is read until one was quick, or often enough. Raises psycopg's
    errors.
    """
    statement = queries.load("doctor/clock").encode()
    offsets: list[ClockOffset] = []
    with connection.cursor(row_factory=args_row(float)) as cursor:
        while len(offsets) < _CLOCK_READINGS or (
            len(offsets) < _MOST_CLOCK_READINGS and min(one.error_us for one in offsets) > _SURE_ENOUGH_US
        ):
            before_us = real_time_ns() // 1000
            server_us = round(cursor.execute(statement).fetchall()[0] * 1e6)
            after_us = real_time_ns() // 1000
            offsets.append(
                ClockOffset(server_us - (before_us + after_us) // 2, abs(after_us - before_us) // 2 + 1)
            )
    return min(offsets, key=lambda offset: offset.error_us)


def written(connection: Connection[Row]) -> Written | None:
    """Returns what the open transaction has written; None if nothing. Call it right before the COMMIT.

    What a deferred trigger does at COMMIT isn't in it. Raises psycopg's errors.
    """
    with connection.cursor(row_factory=class_row(_Written)) as cursor:
        row = cursor.execute(queries.load("leaks/transaction_written").encode()).fetchall()[0]
    if row.xid is None:
        return None
    if not row.is_counted:
        return Written(int(row.xid), row.started_us)
    return Written(int(row.xid), row.started_us, frozenset(row.inserted), frozenset(row.changed))
