"""The time left of a sweep, from its pace: rows per second, and seconds until its end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from pgwatch_tests.sweep.model import SweepProgress

_TELLING_S = 0.5  # what is told of less than that is chance
# The rate of so long ago says little of what is left: clusters differ, and so do tables.
_WINDOW_S = 10.0


class _Reading(NamedTuple):
    at_s: float
    rows: int
    share: float


class SweepMeter:
    """A meter that is told each progress of one sweep, in any one thread. `clock` is monotonic, in seconds.

    Rates are those of the last 10 s, not of what was counted from another beginning.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = SweepProgress(0, 0, 0, 0.0, "survey")
        self._readings: deque[_Reading] = deque()

    def add(self, progress: SweepProgress) -> None:
        """Adds the present progress."""
        reading = _Reading(self._clock(), progress.rows, progress.share_done)
        if self._readings and self._is_another_way(reading, progress):
            self._readings.clear()
        self._readings.append(reading)
        # One that is older stays, so that all of the window is spanned.
        while len(self._readings) > 2 and self._readings[1].at_s <= reading.at_s - _WINDOW_S:
            self._readings.popleft()
        self._last = progress

    @property
    def last(self) -> SweepProgress:
        """The last progress; before any, the beginning of the survey."""
        return self._last

    @property
    def rows_per_s(self) -> float | None:
        """Rows a second; None as long as that says nothing."""
        took_s = self._took_s()
        return None if took_s is None else (self._readings[-1].rows - self._readings[0].rows) / took_s

    @property
    def left_s(self) -> float | None:
        """Seconds that it will still take, if it goes on so; None as long as that can't be told."""
        took_s, share = self._took_s(), self._last.share_done
        if took_s is None or not 0 < share < 1:
            return None
        done = share - self._readings[0].share
        if done <= 0:
            return None
        # What passed since is part of it, unless it takes longer than any step before.
        return max(0.0, took_s * (1 - share) / done - self._waited_s(stalled=False))

    def _is_another_way(self, reading: _Reading, progress: SweepProgress) -> bool:
        """Whether it begins from the start; a portion that is planned after others were deleted doesn't."""
        before = self._readings[-1]
        if reading.share < before.share or reading.rows < before.rows:
            return True
        return progress.phase != self._last.phase and not before.share

    def _took_s(self) -> float | None:
        """Seconds that the reading took, with the present wait if that is longer than usual."""
        if not self._readings:
            return None
        took_s = self._readings[-1].at_s - self._readings[0].at_s + self._waited_s(stalled=True)
        return took_s if took_s >= _TELLING_S else None

    def _waited_s(self, *, stalled: bool) -> float:
        """The time since the last reading if that is `stalled`, or isn't; else 0."""
        waited_s = self._clock() - self._readings[-1].at_s
        longest_s = max((after.at_s - one.at_s for one, after in pairwise(self._readings)), default=0.0)
        return waited_s if stalled is (waited_s > longest_s) else 0.0
