"""Deadlock counters of the server (pg_stat_database): read apart from the poll, and seldom.

The counters are shared by all databases, so they are read where the poll is.
Before PostgreSQL 15, reading statistics can make the collector write its file first, so this is no part
of the poll. From 15 on the count lags: a victim reports when it goes idle or ends, and up to 10 s
later (pgstat_report_stat, src/backend/utils/activity/pgstat.c).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import cast

from psycopg import AsyncConnection

from pgwatch_tests.locks.model import DeadlockCount, DeadlockCounts, LockSnapshot
from pgwatch_tests.locks.naming.object_names import NameCache
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.session_settings import Row

_EVERY_S = 5.0
_AFTER_FAILURE_S = 1.0
_TRIES = 3
"""Where it's needed now: before 15, a statement that ran out of time has set the collector going."""
_MOST_DATABASES = 256


class DeadlockReader:
    """Reads over a connection of `names`. `clock` is monotonic, in seconds."""

    def __init__(self, names: NameCache, clock: Callable[[], float]) -> None:
        self._names = names
        self._clock = clock
        self._due_s = float("-inf")
        self._databases: dict[int, None] = {}
        self.latest: DeadlockCounts | None = None
        """The last reading; None if it failed, or if there was none yet."""

    def forget(self) -> None:
        """Forgets the readings, when the server may be another one."""
        self.latest = None
        self._due_s = float("-inf")

    async def read(self, snapshot: LockSnapshot, *, now: bool = False) -> None:
        """Reads the databases that sessions of `snapshot` are in, or were; if it's due, or `now`."""
        # The most recently used last: their victims may report late.
        for session in snapshot.sessions:
            if session.database_oid:
                self._databases.pop(session.database_oid, None)
                self._databases[session.database_oid] = None
        if not now and self._clock() < self._due_s:
            return
        for oid in list(self._databases)[:-_MOST_DATABASES]:
            del self._databases[oid]
        before = self.latest
        try:
            for _ in range(_TRIES if now else 1):
                await self._names.lookups.attempt(None, ["deadlocks"], partial(self._read, snapshot.database))
                if self.latest is not before:
                    break
        finally:
            if self.latest is before:
                self.latest = None
            self._due_s = self._clock() + (_AFTER_FAILURE_S if self.latest is None else _EVERY_S)

    async def _read(self, tested: str, connection: AsyncConnection[Row]) -> None:
        cursor = await connection.execute(
            queries.load("locks/deadlocks"), {"oids": list(self._databases), "tested": tested}
        )
        rows = cast(list[tuple[int, int, float | None, float, bool, bool]], await cursor.fetchall())
        counted_in = [row[:4] for row in rows if row[5]]
        # Where the tested database doesn't count, 0 elsewhere would pass for 0 there.
        if counted_in and not any(is_tested and not is_counted for *_, is_tested, is_counted in rows):
            self.latest = DeadlockCounts(
                datetime.fromtimestamp(counted_in[0][3], UTC),
                tuple(
                    DeadlockCount(
                        oid,
                        self._names.database(oid),
                        counted,
                        None if reset_at is None else datetime.fromtimestamp(reset_at, UTC),
                    )
                    for oid, counted, reset_at, _ in counted_in
                ),
            )
