"""The trend of leaked rows, from successive counts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgwatch_tests.leaks.model import LeakReport


_MOST_COUNTS = 600  # an even number


class LeakTrend:
    """Collects the totals of reports, in the order in which they were made."""

    def __init__(self) -> None:
        self._counts: list[tuple[datetime, int]] = []
        self._latest: LeakReport | None = None
        self.before: LeakReport | None = None
        """The report before the latest one."""

    def add(self, report: LeakReport) -> None:
        """Adds a count. Once there are very many, two neighbours become one: the larger."""
        self.before, self._latest = self._latest, report
        self._counts.append((report.checked_at, report.total))
        if len(self._counts) > _MOST_COUNTS:
            *before, last = self._counts
            halves = zip(before[::2], before[1::2], strict=True)
            self._counts = [(at, max(total, next_total)) for (at, total), (_, next_total) in halves]
            self._counts.append(last)

    @property
    def since(self) -> datetime | None:
        """The time of the first count."""
        return self._counts[0][0] if self._counts else None

    @property
    def most(self) -> int:
        """The largest total so far."""
        return max((total for _, total in self._counts), default=0)

    def over_time(self, slots: int) -> Sequence[int]:
        """The largest total in each of at most `slots` equal spans of time; a count holds until the next."""
        counts = self._counts
        slots = min(slots, len(counts))
        if slots < 1:
            return []
        begin, end = counts[0][0], counts[-1][0]
        span_s = (end - begin).total_seconds() / slots
        if span_s <= 0:
            return [counts[-1][1]]
        in_slot: dict[int, list[int]] = {}
        for at, total in counts:
            slot = int((at - begin).total_seconds() / span_s)
            # Also for a clock that was set back, and for the very last moment.
            in_slot.setdefault(min(slots - 1, max(0, slot)), []).append(total)
        values, held = [], 0
        for number in range(slots):
            totals = in_slot.get(number, [held])
            values.append(max(totals))
            held = totals[-1]
        return values
