"""Timeline of blocked sessions over a watch of any length, in bounded memory. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

MOST_MOMENTS = 1024
FINEST_S = 0.25


@dataclass(frozen=True, slots=True)
class Moment:
    """The most sessions that were blocked at once in `span_s` seconds; None where nobody looked."""

    at: datetime
    span_s: float
    blocked: int | None


class Timeline:
    """Collects; once there are too many moments, neighbours become one, the larger number staying."""

    def __init__(self, since: datetime) -> None:
        self._since = since
        self._span_s = FINEST_S
        self._blocked: list[int | None] = []

    def add(self, start: datetime, end: datetime, waits_s: Sequence[float], watched: bool) -> None:
        """Adds the time from `start` to `end`; `waits_s` says for how long before `end` each waiter had
        waited.

        With `watched` false nobody looked in between: only waits that lasted are known of.
        """
        end_s = max(0.0, (end - self._since).total_seconds())
        start_s = min(end_s, max(0.0, (start - self._since).total_seconds()))
        while int(end_s / self._span_s) >= MOST_MOMENTS:
            self._coarsen()
        first, last = int(start_s / self._span_s), int(end_s / self._span_s)
        self._blocked += [None] * (last + 1 - len(self._blocked))
        began_s = sorted(end_s - wait_s for wait_s in waits_s)
        for place in range(first, last):
            known = bisect_left(began_s, (place + 1) * self._span_s)
            if known or watched:
                self._note(place, known)
        self._note(last, len(began_s))

    def moments(self) -> tuple[Moment, ...]:
        """All, evenly spaced, the first one at the watch's beginning."""
        return tuple(
            Moment(self._since + timedelta(seconds=place * self._span_s), self._span_s, blocked)
            for place, blocked in enumerate(self._blocked)
        )

    def _note(self, place: int, blocked: int) -> None:
        self._blocked[place] = max(blocked, self._blocked[place] or 0)

    def _coarsen(self) -> None:
        self._span_s *= 2
        self._blocked = [
            max((one for one in self._blocked[place : place + 2] if one is not None), default=None)
            for place in range(0, len(self._blocked), 2)
        ]
