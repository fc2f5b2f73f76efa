"""A sweep that does what a test says, in place of the one that connects."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.postgres.connections.dsn import database_name
from pgwatch_tests.postgres.sessions.session import WorkCancelledError
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep.model import SweepProgress, SweepProgressCallback, SweepReport
from pgwatch_tests.sweep.request import SweepRequest
from tests.sweep.reports import NOTHING
from tests.waiting import wait_until

Outcome = SweepReport | PgwatchError


@dataclass
class Sweeps:
    """Makes them: `sweeps.make` stands for `sweep.run.Sweep`. `outcomes` are by database, or for all.

    With `waits`, each goes on until it is stopped or cancelled; with `endless_batch`, until it is cancelled.
    """

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    default: Outcome = NOTHING
    waits: bool = False
    endless_batch: bool = False
    progress: tuple[SweepProgress, ...] = ()
    made: list[FakeSweep] = field(default_factory=list)

    def make(
        self, settings: Settings, request: SweepRequest, told: SweepProgressCallback | None = None
    ) -> FakeSweep:
        sweep = FakeSweep(self, database_name(settings.dsn) or "", request, told)
        self.made.append(sweep)
        return sweep

    @property
    def requests(self) -> list[SweepRequest]:
        """What was asked for, one sweep after the other."""
        return [sweep.request for sweep in self.made]


class FakeSweep:
    """One of them."""

    def __init__(
        self,
        sweeps: Sweeps,
        database: str,
        request: SweepRequest,
        told: Callable[[SweepProgress], None] | None,
    ) -> None:
        self._sweeps = sweeps
        self.database = database
        self.request = request
        self._told = told
        self.running = threading.Event()
        self.stopped = threading.Event()
        self.cancelled = threading.Event()

    def run(self) -> SweepReport:
        self.running.set()
        for progress in self._sweeps.progress:
            if self._told is not None:
                self._told(progress)
        if self._sweeps.endless_batch:
            wait_until(self.cancelled.is_set)
        if self._sweeps.waits:
            wait_until(lambda: self.stopped.is_set() or self.cancelled.is_set())
        if self.cancelled.is_set():
            raise WorkCancelledError("the sweep was cancelled")
        outcome = self._sweeps.outcomes.get(self.database, self._sweeps.default)
        if isinstance(outcome, PgwatchError):
            raise outcome
        return replace(
            outcome,
            database=self.database,
            dry_run=self.request.dry_run,
            kinds=self.request.kinds,
            interrupted=self.stopped.is_set(),
        )

    def stop(self) -> None:
        self.stopped.set()

    def cancel(self) -> None:
        self.cancelled.set()
