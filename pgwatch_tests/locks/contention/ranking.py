"""Ranking of blocked time by tests, objects or causes, largest first, in bounded memory. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

MOST_ROWS = 300

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class BlockedTime:
    """Session-seconds that were spent blocked, in how many waits, and the longest of these."""

    blocked_s: float = 0.0
    waits: int = 0
    longest_s: float = 0.0

    def plus(self, other: BlockedTime) -> BlockedTime:
        """Returns the sum of both."""
        return BlockedTime(
            self.blocked_s + other.blocked_s,
            self.waits + other.waits,
            max(self.longest_s, other.longest_s),
        )


@dataclass(frozen=True, slots=True)
class Ranking(Generic[K]):
    """The largest, at most MOST_ROWS; `others` sums up the rest, None if there is none."""

    rows: tuple[tuple[K, BlockedTime], ...] = ()
    others: BlockedTime | None = None

    @property
    def blocked_s(self) -> float:
        """All seconds, those of the others included."""
        return sum(blocked.blocked_s for _, blocked in self.rows) + (self.others or BlockedTime()).blocked_s


class BlockedTimes(Generic[K]):
    """Adds up. What is among the smallest once there are too many goes to the others for good."""

    def __init__(self) -> None:
        self._found: dict[Hashable, tuple[K, float, int, float]] = {}
        """Labels, and the fields of their BlockedTime: thousands are added with a poll."""
        self._others: BlockedTime | None = None

    def __copy__(self) -> BlockedTimes[K]:
        """Returns sums of their own that start from these."""
        copied: BlockedTimes[K] = BlockedTimes()
        copied._found, copied._others = dict(self._found), self._others
        return copied

    def __contains__(self, key: Hashable) -> bool:
        """Whether it is among the largest, not gone to the others."""
        return key in self._found

    def add(self, key: Hashable, label: K, blocked_s: float, waits: int, longest_s: float) -> None:
        """Adds to what `key` has; `label` is what it's shown as, the last one counts."""
        _, before_s, before, longest_before_s = self._found.get(key, (label, 0.0, 0, 0.0))
        self._found[key] = label, before_s + blocked_s, before + waits, max(longest_before_s, longest_s)
        if len(self._found) > 2 * MOST_ROWS:
            kept = sorted(self._found.items(), key=lambda item: (-item[1][1], -item[1][2]))
            self._found = dict(kept[:MOST_ROWS])
            for _, (_, small_s, small_waits, small_longest_s) in kept[MOST_ROWS:]:
                small = BlockedTime(small_s, small_waits, small_longest_s)
                self._others = small.plus(self._others or BlockedTime())

    def ranking(self) -> Ranking[K]:
        """The sums by label."""
        by_label: dict[K, BlockedTime] = {}
        for label, blocked_s, waits, longest_s in self._found.values():
            blocked = BlockedTime(blocked_s, waits, longest_s)
            by_label[label] = by_label.get(label, BlockedTime()).plus(blocked)
        rows = sorted(by_label.items(), key=lambda item: (*_size(item[1]), str(item[0])))
        others = self._others
        for _, small in rows[MOST_ROWS:]:
            others = small.plus(others or BlockedTime())
        return Ranking(tuple(rows[:MOST_ROWS]), others)


def _size(blocked: BlockedTime) -> tuple[float, int]:
    return -blocked.blocked_s, -blocked.waits
