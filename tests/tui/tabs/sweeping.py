"""What the Sweeps tab works with, made up by a test."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from textual.pilot import Pilot

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.history.model import HistoryEntry, JobState
from pgwatch_tests.postgres.sessions.session import WorkCancelledError
from pgwatch_tests.sweep.model import SweepProgress, SweepProgressCallback, SweepReport
from pgwatch_tests.sweep.orphans.orphan_facts import OrphanFacts
from pgwatch_tests.sweep.request import SweepPart
from pgwatch_tests.tui.app import Dashboard
from pgwatch_tests.tui.tabs.sweep_desk import JobDesk, SweepDesk
from screenshots.pictures import settled
from tests.locks.snapshots import snapshot
from tests.reports.sweeps.test_history_reports import ENTRY
from tests.sweep.reports import KEPT, NOTHING, ORPHANS, ROWS
from tests.tui.driving import Feed, leak_report, screen_text, takes_yes, until

PLAN = replace(NOTHING, planned=ROWS, kept=KEPT, orphans=ORPHANS)
JOBS = (
    JobState(
        name="nightly",
        action="sweep",
        when="30 2 * * *",
        dry_run=False,
        enabled=True,
        paused=False,
        running=False,
        next_run=datetime(2026, 3, 1, 2, 30, tzinfo=UTC),
        last=replace(ENTRY, job="nightly"),
    ),
    JobState(
        name="often",
        action="leaks",
        when="every 15 min",
        dry_run=False,
        enabled=True,
        paused=False,
        running=False,
        next_run=datetime(2026, 3, 1, 1, 0, tzinfo=UTC),
        last=None,
    ),
)


@dataclass
class Sweeping:
    """Answers as the test says. With `held`, sweeps go on until they are ended or the test lets them."""

    outcome: SweepReport | PgwatchError = PLAN
    history: tuple[HistoryEntry, ...] | PgwatchError = ()
    reports: dict[int, SweepReport] = field(default_factory=dict)
    jobs: tuple[JobState, ...] | PgwatchError | None = None
    acts: bool = True
    orphans: dict[str, OrphanFacts | PgwatchError] | None = None
    """What is known of orphans, by their names; None where nothing is asked about."""
    held: bool = False
    begun: list[HeldSweep] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def desk(self) -> SweepDesk:
        """What the dashboard is given."""
        jobs = None if self.jobs is None else JobDesk(self._states, self._run_now, self._pause)
        return SweepDesk(
            self._begin,
            self._history,
            self._report,
            jobs,
            acts=self.acts,
            inspect=None if self.orphans is None else self._inspect,
            server=lambda: "db.test:5432",
        )

    async def _inspect(self, part: SweepPart) -> OrphanFacts | None:
        found = (self.orphans or {}).get(part.name)
        if isinstance(found, PgwatchError):
            raise found
        return found

    def _begin(
        self, dry_run: bool, min_age_s: float, part: SweepPart | None, told: SweepProgressCallback
    ) -> HeldSweep:
        self.begun.append(HeldSweep(self, dry_run, min_age_s, part, told))
        return self.begun[-1]

    async def _history(self) -> tuple[HistoryEntry, ...]:
        if isinstance(self.history, PgwatchError):
            raise self.history
        return self.history

    async def _report(self, entry_id: int) -> SweepReport | None:
        return self.reports.get(entry_id)

    async def _states(self) -> tuple[JobState, ...]:
        if isinstance(self.jobs, PgwatchError):
            raise self.jobs
        assert self.jobs is not None
        return self.jobs

    async def _run_now(self, name: str) -> None:
        self.asked.append(("run", name))
        if isinstance(self.outcome, PgwatchError):
            raise self.outcome

    async def _pause(self, name: str, paused: bool) -> None:
        self.asked.append(("pause" if paused else "resume", name))
        assert isinstance(self.jobs, tuple)
        self.jobs = tuple(replace(job, paused=paused) if job.name == name else job for job in self.jobs)


class HeldSweep:
    """One sweep."""

    def __init__(
        self,
        sweeping: Sweeping,
        dry_run: bool,
        min_age_s: float,
        part: SweepPart | None,
        told: SweepProgressCallback,
    ) -> None:
        self._sweeping = sweeping
        self.dry_run = dry_run
        self.min_age_s = min_age_s
        self.part = part
        self._told = told
        self.ends: list[str] = []
        self.let_go = asyncio.Event()

    def is_at(self, share_done: float, rows: int) -> None:
        """It is so far."""
        self._told(SweepProgress(round(40 * share_done), 40, rows, share_done))

    async def run(self) -> SweepReport:
        if self._sweeping.held:
            await self.let_go.wait()
        if "cancel" in self.ends:
            raise WorkCancelledError("the sweep was cancelled")
        outcome = self._sweeping.outcome
        if isinstance(outcome, PgwatchError):
            raise outcome
        deleted = () if self.dry_run else outcome.planned
        return replace(
            outcome,
            dry_run=self.dry_run,
            deleted=deleted,
            interrupted="stop" in self.ends,
            part=self.part,
        )

    def stop(self) -> None:
        self.ends.append("stop")

    def cancel(self) -> None:
        self.ends.append("cancel")
        self.let_go.set()


def dashboard(sweeping: Sweeping, export_to: Path | None = None) -> tuple[Feed, Dashboard]:
    """A dashboard whose Sweeps tab works with `sweeping`; nothing else is to be seen in it."""
    source = Feed(snapshot(), leak_report())
    return source, source.dashboard(sweeps=sweeping.desk(), export_to=export_to)


async def press(pilot: Pilot[int], *keys: str) -> str:
    """The screen after these keys."""
    for key in keys:
        if key == "y":
            await until(pilot, lambda: takes_yes(pilot.app))
        await pilot.press(key)
        await settled(pilot)
    return screen_text(pilot.app)


def told(app: Dashboard) -> list[str]:
    """All that was told in a corner of the screen."""
    return [notification.message for notification in app._notifications]


def line_with(drawn: str, words: str) -> str:
    """The first line with these words in it: what is below a table tells of its rows once more."""
    return next(line for line in drawn.splitlines() if words in line)
