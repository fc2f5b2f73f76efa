"""A sweep that goes on while the dashboard shows it: how far it is, and its end in two steps."""

from __future__ import annotations

from collections.abc import Callable

from pgwatch_tests.reports.sweeps import sweep_words
from pgwatch_tests.sweep.model import DEFAULT_SWEEP_KINDS, SweepReport
from pgwatch_tests.sweep.time_left import SweepPace
from pgwatch_tests.text import durations
from pgwatch_tests.tui.tabs.sweep_desk import SweepDesk

_BAR = 12


class SweepUnderWay:
    """One sweep, dry or not. `clock` is monotonic, in seconds."""

    def __init__(self, desk: SweepDesk, dry_run: bool, min_age_s: float, clock: Callable[[], float]) -> None:
        self._pace = SweepPace(clock)
        self._sweep = desk.begin(dry_run, min_age_s, self._pace.add)
        self._ends = 0

    async def run(self) -> SweepReport:
        """Its report. Raises what the sweep does."""
        return await self._sweep.run()

    def end(self) -> None:
        """Ends it after its batch; asked for again, at once."""
        self._ends += 1
        if self._ends == 1:
            self._sweep.stop()
        else:
            self._sweep.cancel()

    def words(self) -> str:
        """`Deleting ███░░░░░░░░░ 25 %, 1,200 rows, 400 rows/s, about 12 s left · escape ends it`."""
        done = self._pace.last.share_done
        full = round(_BAR * done)
        parts = [
            f"{'█' * full}{'░' * (_BAR - full)} {100 * done:.0f} %",
            sweep_words.pace(self._pace.last.rows, self._pace.rows_per_s),
        ]
        if self._pace.left_s is not None:
            parts.append(f"about {durations.in_words(self._pace.left_s)} left")
        figures = ", ".join(parts)
        if self._ends:
            hint = "Stopping after this batch; escape again stops now" if self._ends == 1 else "Stopping now"
            return f"{hint} · {figures}"
        phase = sweep_words.phase(self._pace.last, DEFAULT_SWEEP_KINDS)
        return f"{phase[0].upper()}{phase[1:]} {figures} · escape ends it"
