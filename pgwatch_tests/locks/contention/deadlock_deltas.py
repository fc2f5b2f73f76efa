"""How many deadlocks the server has counted during a watch, from one reading to the next. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pgwatch_tests.locks.model import DeadlockCount, DeadlockCounts

_MOST_DATABASES = 300


@dataclass(frozen=True, slots=True)
class CountedDeadlocks:
    """What the server's counters grew by, and when they were read last. `by_database`: those above 0."""

    total: int
    read_at: datetime
    by_database: tuple[tuple[str, int], ...]


class DeadlockDeltas:
    """Adds up the growth. A database seen for the first time, or reset, begins anew and adds nothing."""

    def __init__(self) -> None:
        self._last: DeadlockCounts | None = None
        self._readings = 0
        self._known = False
        self._total = 0
        self._by_database: dict[int, tuple[str, int]] = {}

    def add(self, counts: DeadlockCounts | None) -> None:
        """Takes a reading, the same one any number of times; None where the counters couldn't be read."""
        self._known = counts is not None
        if counts is None or (self._last is not None and counts.read_at <= self._last.read_at):
            return
        before = {} if self._last is None else {one.database_oid: one for one in self._last.databases}
        for one in counts.databases:
            grown = _growth(before.get(one.database_oid), one)
            if grown:
                name, so_far = self._by_database.pop(one.database_oid, ("", 0))
                self._by_database[one.database_oid] = (
                    one.database or name or f"database {one.database_oid}",
                    so_far + grown,
                )
                self._total += grown
        for oid in list(self._by_database)[:-_MOST_DATABASES]:
            del self._by_database[oid]
        self._last = counts
        self._readings += 1

    def result(self) -> CountedDeadlocks | None:
        """The growth from the first reading to the last; None if there weren't two, or the last failed."""
        if self._last is None or self._readings < 2 or not self._known:
            return None
        found = sorted(self._by_database.values(), key=lambda one: (-one[1], one[0]))
        return CountedDeadlocks(self._total, self._last.read_at, tuple(found))


def _growth(before: DeadlockCount | None, now: DeadlockCount) -> int:
    if before is None or before.reset_at != now.reset_at:
        return 0
    return max(0, now.deadlocks - before.deadlocks)
