"""What the dashboard's tab Sweeps works with on a live server.

All of it is in threads with connections of their own; what it takes to load is loaded when first needed.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from pgwatch_tests.cli.runs.daemon_thread import in_daemon_thread
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep.model import SweepProgress
from pgwatch_tests.sweep.request import SweepPart, SweepRequest
from pgwatch_tests.task import CompoundTask, Task

if TYPE_CHECKING:
    from pgwatch_tests.history.history import History
    from pgwatch_tests.history.model import HistoryEntry, JobState
    from pgwatch_tests.schedule.events import JobEvent
    from pgwatch_tests.schedule.schedule import Schedule
    from pgwatch_tests.sweep.model import SweepReport
    from pgwatch_tests.sweep.orphans.orphan_facts import OrphanFacts
    from pgwatch_tests.tui.tabs.sweep_desk import SweepDesk

_ENTRIES = 200
_ENDED_WITHIN_S = 0.5  # so that the server is told, and the history, before the program is gone


class DashboardSweeps:
    """`warn` is told, in any thread, what couldn't be recorded. `close` it in the end."""

    def __init__(self, settings: Settings, warn: Callable[[str], None]) -> None:
        self._settings = self._project = settings
        self._warn = warn
        self._lock = threading.Lock()
        self._history: History | None = None
        self._schedule: Schedule | None = None
        self._sweeps: list[_SweepInThread] = []
        self._closed = False
        self._previewed_on: datetime | None = None
        """When the server of the last preview was started."""

    def desk(self) -> SweepDesk:
        """What the tab is given."""
        from pgwatch_tests.tui.tabs.sweep_desk import JobDesk, SweepDesk

        jobs = JobDesk(self._states, self._run_now, self._pause) if self._settings.schedule else None
        acts = not self._settings.read_only
        return SweepDesk(
            self._begin,
            self._entries,
            self._report,
            jobs,
            self._settings.min_age_s,
            acts,
            self._inspect if acts else None,
            self._server,
        )

    def use(self, settings: Settings) -> None:
        """Sweeps where `settings` lead from now on; what is under way goes on where it began."""
        self._settings, self._previewed_on = settings, None

    def close(self) -> None:
        """Ends what is under way, and waits a moment for it."""
        with self._lock:
            self._closed = True
            schedule = self._schedule
        if schedule is not None:
            schedule.cancel()
        deadline = time.monotonic() + _ENDED_WITHIN_S
        for sweep in self._sweeps:
            sweep.cancel()
            sweep.over.wait(max(0.0, deadline - time.monotonic()))

    def _server(self) -> str:
        from pgwatch_tests.postgres.connections.dsn import address

        return address(self._settings.dsn)

    def _begin(
        self,
        dry_run: bool,
        min_age_s: float,
        part: SweepPart | None,
        told: Callable[[SweepProgress], None],
    ) -> _SweepInThread:
        request = SweepRequest(
            dry_run=dry_run,
            min_age_s=min_age_s,
            min_age_is_firm=min_age_s != self._settings.min_age_s,
            keep_unmarked=self._settings.keep_unmarked,
            part=part,
            # What was confirmed has an identity of its own: no preview was made of it.
            server_started=None if dry_run or (part and part.confirmed) else self._previewed_on,
        )
        sweep = _SweepInThread(partial(self._on_record, request, told), self._note)
        self._sweeps = [one for one in self._sweeps if not one.over.is_set()] + [sweep]
        return sweep

    def _on_record(self, request: SweepRequest, told: Callable[[SweepProgress], None]) -> Task[SweepReport]:
        from pgwatch_tests.history.recorder import Origin, RecordedSweep, Recorder
        from pgwatch_tests.sweep.run import Sweep

        recorder = Recorder(self._opened(), self._settings, Origin("dashboard"), self._warn)
        known = recorder.knowing(request)
        return RecordedSweep(Sweep(self._settings, known, told), known, recorder)

    async def _inspect(self, part: SweepPart) -> OrphanFacts | None:
        from pgwatch_tests.sweep.orphans.inspection import inspect

        settings = self._settings
        return await in_daemon_thread(lambda: inspect(settings, part), "orphan")

    def _note(self, report: SweepReport) -> None:
        if report.dry_run:
            self._previewed_on = report.server_started

    async def _entries(self) -> tuple[HistoryEntry, ...]:
        return await in_daemon_thread(lambda: self._opened().entries(_ENTRIES), "history")

    async def _report(self, entry_id: int) -> SweepReport | None:
        return await in_daemon_thread(lambda: self._opened().report(entry_id), "history")

    async def _states(self) -> tuple[JobState, ...]:
        return await in_daemon_thread(lambda: self._started().jobs(), "schedule")

    async def _run_now(self, name: str) -> None:
        await in_daemon_thread(lambda: self._started().run_now(name), "schedule")

    async def _pause(self, name: str, paused: bool) -> None:
        def change() -> None:
            schedule = self._started()
            (schedule.pause if paused else schedule.resume)(name)

        await in_daemon_thread(change, "schedule")

    def _opened(self) -> History:
        with self._lock:
            if self._history is None:
                from pgwatch_tests.history.history import History

                self._history = History.open(self._project)
            return self._history

    def _started(self) -> Schedule:
        """The schedule: at work from when it is first asked for, unless nothing may be changed."""
        history = self._opened()
        with self._lock:
            if self._schedule is None:
                from pgwatch_tests.schedule.schedule import Schedule

                self._schedule = Schedule(self._project, self._project.schedule, history, self._tell_warning)
                if not self._project.read_only and not self._closed:
                    self._schedule.start()
            return self._schedule

    def _tell_warning(self, event: JobEvent) -> None:
        # The rest is seen in the tab.
        if event.kind == "warning":
            self._warn(f"{event.job}: {event.text}")


class _SweepInThread(CompoundTask):
    """A sweep that is made, and run, in a thread of its own."""

    def __init__(self, make: Callable[[], Task[SweepReport]], note: Callable[[SweepReport], None]) -> None:
        """`note` is given the report, in that thread."""
        super().__init__()
        self._make = make
        self._note = note
        self.over = threading.Event()
        """Set once it has ended, whatever came of it."""

    async def run(self) -> SweepReport:
        """Does it."""
        try:
            return await in_daemon_thread(self._run, "sweep")
        except asyncio.CancelledError:
            self.cancel()
            raise

    def _run(self) -> SweepReport:
        try:
            report = self.run_task(self._make())
            self._note(report)
            return report
        finally:
            self.over.set()
