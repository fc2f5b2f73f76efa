"""The Sweeps tab's access to sweeps, history and jobs, and the progress of a sweep that runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from pgwatch_tests.history.model import HistoryEntry, JobState
from pgwatch_tests.reports.sweeps import sweep_words
from pgwatch_tests.sweep.model import SweepProgressCallback, SweepReport
from pgwatch_tests.sweep.orphans.orphan_facts import OrphanFacts
from pgwatch_tests.sweep.request import DEFAULT_SWEEP_KINDS, SweepPart
from pgwatch_tests.sweep.time_left import SweepMeter
from pgwatch_tests.task import Stoppable
from pgwatch_tests.text import durations

_BAR = 12

InspectOrphan = Callable[[SweepPart], Awaitable[OrphanFacts | None]]
"""Looks at one orphan; None if it is gone. May raise PgwatchError."""


class RunningSweep(Stoppable, Protocol):
    """A sweep or preview, not started or running. Every method may be called after it ended, too."""

    async def run(self) -> SweepReport:
        """Runs it, once, off the event loop; returns its report."""


@dataclass(frozen=True, slots=True)
class JobDesk:
    """The schedule's jobs. All of it may raise PgwatchError."""

    states: Callable[[], Awaitable[tuple[JobState, ...]]]
    run_now: Callable[[str], Awaitable[None]]
    """Starts the job of that name; returns before it ends."""
    pause: Callable[[str, bool], Awaitable[None]]
    """Pauses (True) or resumes the job of that name."""


@dataclass(frozen=True, slots=True)
class SweepDesk:
    """Sweeps of one database, and their history. All of it may raise PgwatchError."""

    begin: Callable[[bool, float, SweepPart | None, SweepProgressCallback], RunningSweep]
    """Makes a sweep from: dry run or not, minimum age in seconds, the only part asked for (None: all), and a
    callback for progress in any thread."""
    history: Callable[[], Awaitable[tuple[HistoryEntry, ...]]]
    """The newest entries, newest first."""
    report: Callable[[int], Awaitable[SweepReport | None]]
    """The report of the entry with that id; None if it has none."""
    jobs: JobDesk | None = None
    """None if no jobs are declared."""
    min_age_s: float = 600.0
    """The default minimum age, in seconds."""
    acts: bool = True
    """Whether sweeps are allowed; if not, previews only."""
    inspect: InspectOrphan | None = None
    """Looks at one orphan, for the question whether it goes; None where nothing is removed so."""
    server: Callable[[], str] = str
    """`host:port` of the server; empty if that isn't known."""


class SweepUnderWay:
    """A running sweep or preview with its progress. `clock` is monotonic, in seconds."""

    def __init__(
        self,
        desk: SweepDesk,
        dry_run: bool,
        min_age_s: float,
        part: SweepPart | None,
        clock: Callable[[], float],
    ) -> None:
        self._meter = SweepMeter(clock)
        self._sweep = desk.begin(dry_run, min_age_s, part, self._meter.add)
        self._ends = 0

    async def run(self) -> SweepReport:
        """Returns the report; raises what the sweep raises."""
        return await self._sweep.run()

    def end(self) -> None:
        """Stops it after its batch; called again, cancels it."""
        self._ends += 1
        if self._ends == 1:
            self._sweep.stop()
        else:
            self._sweep.cancel()

    def progress(self, ends: str) -> str:
        """`Deleting ███░░░░░░░░░ 25 %, 1,200 rows, 400 rows/s, about 12 s left · escape stops`.

        `ends` is the key that does.
        """
        done = self._meter.last.share_done
        full = round(_BAR * done)
        parts = [
            f"{'█' * full}{'░' * (_BAR - full)} {100 * done:.0f} %",
            sweep_words.rate(self._meter.last.rows, self._meter.rows_per_s),
        ]
        if self._meter.left_s is not None:
            parts.append(f"about {durations.in_words(self._meter.left_s)} left")
        figures = ", ".join(parts)
        if self._ends:
            hint = f"Stopping after this batch; {ends} again stops now" if self._ends == 1 else "Stopping now"
            return f"{hint} · {figures}"
        phase = sweep_words.phase(self._meter.last, DEFAULT_SWEEP_KINDS)
        return f"{phase[0].upper()}{phase[1:]} {figures} · {ends} stops"
