"""How fast a sweep is, and how long it will still take."""

from __future__ import annotations

import time
from collections.abc import Callable

from pgwatch_tests.sweep.model import SweepProgress

_TELLING_S = 0.5  # what is told of less than that is chance


class SweepPace:
    """Told each progress of one sweep, in any one thread. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began_s: float | None = None
        self._took_s = 0.0
        self._last = SweepProgress(0, 0, 0, 0.0)

    def add(self, progress: SweepProgress) -> None:
        """Takes note of how far it is."""
        now_s = self._clock()
        if self._began_s is None:
            self._began_s = now_s
        self._took_s = now_s - self._began_s
        self._last = progress

    @property
    def last(self) -> SweepProgress:
        """How far it was when last told."""
        return self._last

    @property
    def rows_per_s(self) -> float | None:
        """Rows a second since it was first told; None as long as that says nothing."""
        return self._last.rows / self._took_s if self._took_s >= _TELLING_S else None

    @property
    def left_s(self) -> float | None:
        """Seconds that it will still take, if it goes on so; None as long as that can't be told."""
        share = self._last.share_done
        if self._took_s < _TELLING_S or not 0 < share < 1:
            return None
        return self._took_s * (1 - share) / share
