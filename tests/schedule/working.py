"""Sweeps and scans that do what a test tells them to, instead of the real thing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.postgres.connections.dsn import database_name
from pgwatch_tests.postgres.sessions.session import WorkCancelledError
from pgwatch_tests.schedule.events import EventKind, JobEvent
from pgwatch_tests.schedule.job_run import JobTasks
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep.model import SweepReport
from pgwatch_tests.sweep.request import SweepRequest
from tests.history.histories import report
from tests.waiting import PATIENCE_S

Ends = Callable[[], SweepReport]


def at_once() -> SweepReport:
    """What a sweep comes to that has nothing to wait for."""
    return report()


@dataclass
class Worker:
    """Sweeps for jobs. Each begins by saying so, and comes to what `ends` says."""

    ends: Ends = at_once
    requests: list[SweepRequest] = field(default_factory=list)
    databases: list[str | None] = field(default_factory=list)
    began: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._at_once = 0

    @property
    def tasks(self) -> JobTasks:
        """What a schedule is given."""
        return JobTasks(sweep=lambda settings, request: _Sweep(self, settings, request))

    def sweep(self, settings: Settings, request: SweepRequest) -> SweepReport:
        with self._lock:
            self.requests.append(request)
            self.databases.append(database_name(settings.dsn))
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        self.began.release()
        try:
            ended = self.ends()
            name = database_name(settings.dsn)
            return replace(ended, started_at=datetime.now(UTC), database=name or ended.database)
        finally:
            with self._lock:
                self._at_once -= 1


class Held(Worker):
    """Sweeps that go on until they are let go, stopped or cancelled."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.stopped = threading.Event()
        self.cancelled = threading.Event()
        super().__init__(self._held)

    def _held(self) -> SweepReport:
        assert self.let_go.wait(PATIENCE_S), "nobody let it go"
        if self.cancelled.is_set():
            raise WorkCancelledError("cancelled")
        return report(interrupted=self.stopped.is_set())


class _Sweep:
    def __init__(self, worker: Worker, settings: Settings, request: SweepRequest) -> None:
        self._worker = worker
        self._settings = settings
        self._request = request

    def run(self) -> SweepReport:
        return self._worker.sweep(self._settings, self._request)

    def stop(self) -> None:
        if isinstance(self._worker, Held):
            self._worker.stopped.set()
            self._worker.let_go.set()

    def cancel(self) -> None:
        if isinstance(self._worker, Held):
            self._worker.cancelled.set()
            self._worker.let_go.set()


class Scanner:
    """A scan for leaks that comes to a report."""

    def __init__(self, comes_to: LeakReport) -> None:
        self._comes_to = comes_to

    def run(self) -> LeakReport:
        return self._comes_to

    def stop(self) -> None:
        raise AssertionError("nobody stops it")

    cancel = stop


class Events:
    """What a schedule told."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: list[JobEvent] = []

    def tell(self, event: JobEvent) -> None:
        with self._lock:
            self._told.append(event)

    def of(self, *kinds: EventKind) -> list[JobEvent]:
        """Those of these kinds, in the order in which they were told."""
        with self._lock:
            return [event for event in self._told if event.kind in kinds]

    def results(self) -> list[str]:
        """What the runs came to."""
        return [event.entry.result for event in self.of("came_to") if event.entry is not None]
