"""The server's own count of deadlocks: read apart from the poll, and seldom.

Before PostgreSQL 15, reading statistics can make the collector write its file first, so this is no part
of the poll. From 15 on the count lags: a victim reports when it goes idle or ends, and up to 10 s
later (pgstat_report_stat, src/backend/utils/activity/pgstat.c).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import cast

from psycopg import AsyncConnection

from pgwatch_tests import queries
from pgwatch_tests.locks.model import DeadlockCount, DeadlockCounts, LockSnapshot
from pgwatch_tests.locks.names import NameCache
from pgwatch_tests.server.session_limits import Row

_EVERY_S = 5.0
_AFTER_FAILURE_S = 1.0
_TRIES = 3
"""Where it's needed now: before 15, a statement that ran out of time has set the collector going."""
_MOST_DATABASES = 256


class DeadlockReader:
    """Reads over the connection of `names`. `clock` is monotonic, in seconds."""

    def __init__(self, names: NameCache, clock: Callable[[], float]) -> None:
        self._names = names
        self._clock = clock
        self._due_s = float("-inf")
        self._databases: dict[int, None] = {}
        self.latest: DeadlockCounts | None = None
        """The last reading; None if it failed, or if there was none yet."""

    def forget(self) -> None:
        """To be called when the server may be another one: nothing is known until the next reading."""
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
                # In the tested database: whether deadlocks are counted may be set for it alone.
                await self._names.lookups.attempt(self._names.lookups.tested, ["deadlocks"], self._read)
                if self.latest is not before:
                    break
        finally:
            if self.latest is before:
                self.latest = None
            self._due_s = self._clock() + (_AFTER_FAILURE_S if self.latest is None else _EVERY_S)

    async def _read(self, connection: AsyncConnection[Row]) -> None:
        cursor = await connection.execute(queries.load("deadlocks"), {"oids": list(self._databases)})
        rows = cast(list[tuple[int, int, float | None, float]], await cursor.fetchall())
        if rows:
            self.latest = DeadlockCounts(
                datetime.fromtimestamp(rows[0][3], UTC),
                tuple(
                    DeadlockCount(
                        oid,
                        self._names.database(oid),
                        counted,
                        None if reset_at is None else datetime.fromtimestamp(reset_at, UTC),
                    )
                    for oid, counted, reset_at, _ in rows
                ),
            )
