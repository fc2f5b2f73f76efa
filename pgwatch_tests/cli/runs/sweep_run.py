"""Runs what `sweep` was asked for: with progress, with an end that signals ask for, and on record."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from pgwatch_tests.cli import options
from pgwatch_tests.cli.runs.graceful_shutdown import GracefulShutdown
from pgwatch_tests.cli.runs.progress import Progress
from pgwatch_tests.fleet.servers import Server
from pgwatch_tests.history.history import History
from pgwatch_tests.history.recorder import Origin, RecordedSweep, Recorder
from pgwatch_tests.postgres.sessions.session import WorkCancelledError
from pgwatch_tests.reports.sweeps.sweep_words import phase, rate
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep.many_databases import SweepOfDatabases, SweepOfServers
from pgwatch_tests.sweep.model import (
    SweepProgress,
    SweepProgressCallback,
    SweepReport,
    SweepsOfDatabases,
)
from pgwatch_tests.sweep.request import SweepRequest
from pgwatch_tests.sweep.run import Sweep
from pgwatch_tests.sweep.time_left import SweepMeter
from pgwatch_tests.task import Task
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain


def run_sweep(
    settings: Settings,
    request: SweepRequest,
    databases: Sequence[str] = (),
    servers: Sequence[Server] | None = None,
    at_once: int = 1,
) -> tuple[SweepReport | SweepsOfDatabases | None, int | None]:
    """Returns the report (None if cancelled) and the exit code of the signal that ended it.

    Sweeps the database of the settings, those that `databases` name, or those of `servers`, `at_once` of
    these beside each other. Raises what `Sweep.run` does.
    """
    history = History.open(settings)

    def on_record(one: Settings, wanted: SweepRequest, told: SweepProgressCallback | None) -> RecordedSweep:
        recorder = Recorder(history, one, Origin("command line"), _warn)
        known = recorder.knowing(wanted)
        return RecordedSweep(Sweep(one, known, told), known, recorder)

    speed = _Speed(request)
    shown = speed.shown
    task: Task[SweepReport | SweepsOfDatabases]
    if servers is not None:
        fleet = _Fleet(len(servers))
        shown = fleet.shown
        task = SweepOfServers(
            settings, servers, request, at_once, begin=fleet.begin, end=fleet.end, make_sweep=on_record
        )
    elif databases:
        task = SweepOfDatabases(
            settings, databases, request, speed.add, begin=speed.begin, make_sweep=on_record
        )
    else:
        task = on_record(settings, request, speed.add)
    shutdown: GracefulShutdown[SweepReport | SweepsOfDatabases] = GracefulShutdown(task)
    try:
        with shown:
            return shutdown.run(), shutdown.exit_code
    except WorkCancelledError as error:
        if shutdown.exit_code is None:
            raise
        options.narrate(f"interrupted: {plain(str(error))}")
        return None, shutdown.exit_code


class _Fleet:
    """Shows how many servers are done, and how many databases were begun with. For any thread."""

    def __init__(self, servers: int) -> None:
        self._servers = servers
        self._done = self._databases = 0
        self._lock = threading.Lock()
        self.shown = Progress("sweeping servers", self._line)
        """The context in which it is shown."""

    def begin(self, _server: str, _database: str) -> None:
        """Another database begins."""
        with self._lock:
            self._databases += 1
        self.shown.show(self._done, self._servers)

    def end(self, _server: str) -> None:
        """All databases of a server are done."""
        with self._lock:
            self._done += 1
        self.shown.show(self._done, self._servers)

    def _line(self, done: int, total: int) -> str:
        return f"swept {done:,} of {total:,} servers; {plural(self._databases, 'database')} begun"


class _Speed:
    """Shows how far and how fast it goes, of one database after the other."""

    def __init__(self, request: SweepRequest, clock: Callable[[], float] = time.monotonic) -> None:
        self._request = request
        self._clock = clock
        self._meter = SweepMeter(clock)
        self._where = ""
        self.shown = Progress(
            "sweeping",
            self._line,
            note=self._note,
            left_s=lambda: self._meter.left_s,
            phase=self._phase,
            clock=clock,
        )
        """The context in which it is shown."""

    def begin(self, database: str) -> None:
        """Another database begins."""
        self._where = f" in {plain(database)}"
        self._meter = SweepMeter(self._clock)
        self.shown.begin("sweeping")

    def add(self, progress: SweepProgress) -> None:
        """Records the progress and shows it."""
        self._meter.add(progress)
        self.shown.show(progress.clusters_done, progress.clusters)

    def _phase(self) -> str:
        return f"{phase(self._meter.last, self._request.sought)}{self._where}"

    def _line(self, done: int, total: int) -> str:
        return f"{done:,} of {total:,} clusters of rows"

    def _note(self) -> str:
        return rate(self._meter.last.rows, self._meter.rows_per_s)


def _warn(line: str) -> None:
    options.narrate(plain(line))
