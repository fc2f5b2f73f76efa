"""The schedule as a service, and one job of it in the foreground; signals end either."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from queue import SimpleQueue
from types import FrameType
from typing import Literal, TextIO

from pgwatch_tests.cli import options
from pgwatch_tests.errors import SIGNALLED
from pgwatch_tests.history.history import History
from pgwatch_tests.history.model import HistoryEntry, RunResult
from pgwatch_tests.postgres.connections.dsn import address, database_name
from pgwatch_tests.reports.sweeps.sweep_history import result_line
from pgwatch_tests.schedule.events import JobEvent
from pgwatch_tests.schedule.job_run import JobOutcome, JobRun, JobTasks, Tell
from pgwatch_tests.schedule.schedule import Schedule
from pgwatch_tests.settings.jobs import JobSetting
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.text.plain_text import plain

LogLevel = Literal["info", "warning", "error"]
_PRIORITIES: Mapping[LogLevel, int] = {"error": 3, "warning": 4, "info": 6}  # sd-daemon(3)
_LEVELS: Mapping[RunResult, LogLevel] = {"failed": "error", "refused": "warning"}


def run(settings: Settings, jobs: Sequence[JobSetting]) -> int:
    """Runs the jobs until a signal comes: SIGTERM or SIGINT ends it after the batch, a second one at once.

    Returns the exit code: 0 after SIGTERM, 130 after SIGINT. Raises ConfigurationError for a job that's none.
    """
    log = Log(sys.stderr, os.environ)
    history = History.open(settings)
    schedule = Schedule(settings, jobs, history, log.event)
    signals: SimpleQueue[signal.Signals] = SimpleQueue()
    on_signals(signals.put)
    database = ", ".join(dict.fromkeys(glob for job in jobs for glob in job.databases))
    database = database or database_name(settings.dsn) or ""
    names = ", ".join(job.name for job in jobs)
    log.line(f"started: {plain(names)}; server {plain(address(settings.dsn))}, database {plain(database)}")
    log.line(f"history in {plain(history.name)}")
    schedule.start()
    received = signals.get()
    log.line(f"{received.name}: stopping after this batch; a second signal stops now")
    schedule.stop()
    log.line("ended")
    return 0 if received is signal.SIGTERM else SIGNALLED + received


def on_signals(first: Callable[[signal.Signals], None]) -> None:
    """Calls `first` for the first SIGTERM or SIGINT; the second ends the process at once.

    It is called in the middle of whatever the main thread does, so it can't take a lock.
    """
    received: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        if received:
            # Not sys.exit: it would wait for the thread that sweeps. The server rolls its batch back.
            os._exit(SIGNALLED + number)
        received.append(number)
        first(signal.Signals(number))

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)


def run_once(
    settings: Settings, job: JobSetting, tell: Tell, write: Callable[[Sequence[HistoryEntry]], None]
) -> int:
    """Runs one job in the foreground and has its entries written, one per database. Returns the exit code."""
    job_run = JobRun(job, settings, History.open(settings), "command line", tell, JobTasks())
    arrivals: SimpleQueue[signal.Signals | JobOutcome | BaseException] = SimpleQueue()

    def work() -> None:
        try:
            arrivals.put(job_run.run())
        except BaseException as error:  # noqa: BLE001  # raised by who waits for it
            arrivals.put(error)

    on_signals(arrivals.put)
    # Not in the main thread: a signal's handler could interrupt it while it holds the lock that stop() takes.
    threading.Thread(target=work, name=f"job {job.name}", daemon=True).start()
    received: signal.Signals | None = None
    while isinstance(one := arrivals.get(), signal.Signals):
        received = one
        options.narrate(f"{received.name}: stopping after this batch; a second signal stops now")
        job_run.stop()
    if isinstance(one, BaseException):
        raise one
    write(one.entries)
    return one.exit_code if received is None else SIGNALLED + received


class Log:
    """Lines for a service manager. For any thread.

    systemd's journal has times of its own, and takes the priority in front (`<6>`); else each line begins
    with the time in UTC.
    """

    def __init__(self, stream: TextIO, environ: Mapping[str, str]) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._in_journal = _is_journal(stream, environ)

    def event(self, event: JobEvent) -> None:
        """One line for what a schedule tells."""
        job, entry = plain(event.job), event.entry
        at = "" if event.at is None else event.at.isoformat(" ", timespec="seconds")
        if event.kind == "began":
            self.line(f"{job}: started")
        elif event.kind == "next":
            self.line(f"{job}: next run at {at}")
        elif event.kind == "overlapped":
            self.line(f"{job}: still running, so its run at {at} is skipped", "warning")
        elif event.kind == "missed":
            self.line(f"{job}: missed its run at {at}", "warning")
        elif event.kind == "warning":
            self.line(f"{job}: {plain(event.text)}", "warning")
        elif entry is not None:
            level = _LEVELS.get(entry.result, "info")
            self.line(f"{job}: {plain(entry.database)}: {result_line(entry)}", level)

    def line(self, text: str, level: LogLevel = "info") -> None:
        """One line. Nothing happens if nobody reads any more: the schedule goes on."""
        start = f"<{_PRIORITIES[level]}>" if self._in_journal else f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} "
        with self._lock, suppress(OSError):
            self._stream.write(f"{start}{text}\n")
            self._stream.flush()


def _is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether it leads to systemd's journal, not only the process came from there (systemd.exec(5))."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
