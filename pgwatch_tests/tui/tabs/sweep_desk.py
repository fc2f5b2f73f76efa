"""What the Sweeps tab reads and has done, given to the dashboard by whoever opens it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from pgwatch_tests.history.model import HistoryEntry, JobState
from pgwatch_tests.sweep.model import SweepProgress, SweepReport
from pgwatch_tests.task import Stoppable

Told = Callable[[SweepProgress], None]


class RunningSweep(Stoppable, Protocol):
    """A sweep, dry or not, that hasn't begun yet or is under way. All of it may be called once it's over."""

    async def run(self) -> SweepReport:
        """Does it, once, without keeping the screen waiting."""


@dataclass(frozen=True, slots=True)
class JobDesk:
    """The schedule's jobs. All of it may raise PgwatchError."""

    states: Callable[[], Awaitable[tuple[JobState, ...]]]
    run_now: Callable[[str], Awaitable[None]]
    """Begins the job of that name; returns before it is done."""
    pause: Callable[[str, bool], Awaitable[None]]
    """Pauses the job of that name, or lets it go on."""


@dataclass(frozen=True, slots=True)
class SweepDesk:
    """Sweeps of one database, and their history. All of it may raise PgwatchError."""

    begin: Callable[[bool, float, Told], RunningSweep]
    """Makes a sweep: dry or not, of what is at least so many seconds old; the last argument is told how far
    it is, in any thread.
    """
    history: Callable[[], Awaitable[tuple[HistoryEntry, ...]]]
    """The newest entries, newest first."""
    report: Callable[[int], Awaitable[SweepReport | None]]
    """The report of the entry with that id; None if it came to none."""
    jobs: JobDesk | None = None
    """None if no jobs are declared."""
    min_age_s: float = 600.0
    """How old it must be unless said otherwise: seconds."""
    acts: bool = True
    """Whether anything may be changed; if not, there are previews only."""
