"""Recorded sweeps: their outcomes go into the history, whether they end with a report or an error."""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pgwatch_tests.errors import BeingSweptError, HistoryError, PgwatchError, RefusedError
from pgwatch_tests.history.history import History
from pgwatch_tests.history.model import HistoryEntry, RunResult, Trigger
from pgwatch_tests.postgres.connections.dsn import address, database_name, role
from pgwatch_tests.postgres.sessions.session import WorkCancelledError
from pgwatch_tests.settings.jobs import JobAction
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep.ended_leases import noted_ends
from pgwatch_tests.sweep.model import SweepReport
from pgwatch_tests.sweep.request import SweepRequest
from pgwatch_tests.task import CompoundTask, Task


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a sweep: a person or the clock, and the job of the schedule if there is one."""

    trigger: Trigger = "command line"
    job: str = ""
    action: JobAction = "sweep"


class Recorder:
    """Records the outcomes of sweeps of one database.

    `warn` is told, in one line, what couldn't be recorded: that doesn't make a sweep a failed one.
    """

    def __init__(
        self, history: History, settings: Settings, origin: Origin, warn: Callable[[str], None]
    ) -> None:
        self._history = history
        self._settings = settings
        self._origin = origin
        self._warn = warn

    def knowing(self, request: SweepRequest) -> SweepRequest:
        """Returns the request with the leases that have ended, and what the last sweep was refused.

        If the history can't be read, refused rows are tried again; `add` warns when it can't be written.
        """
        if not request.min_age_is_firm:
            request = replace(request, ended_leases=noted_ends())
        begun = self.begun(request)
        try:
            last = self._history.last_sweep(begun.server, begun.database)
        except HistoryError:
            return request
        if last is None:
            return request
        refused = {(kept.schema, kept.table, kept.detail) for kept in last.kept if kept.reason == "refused"}
        return replace(request, refused_before=frozenset(refused))

    def begun(self, request: SweepRequest) -> HistoryEntry:
        """Returns the entry of a sweep or a job that begins now, before its outcome is known."""
        dsn = self._settings.dsn
        return HistoryEntry(
            started_at=datetime.now(UTC),
            action=self._origin.action,
            trigger=self._origin.trigger,
            job=self._origin.job,
            account=f"{_user()}@{socket.gethostname()}",
            pid=os.getpid(),
            role=role(dsn),
            server=address(dsn),
            database=database_name(dsn) or role(dsn),  # libpq's own default
            dry_run=request.dry_run,
            kinds=request.sought,
            markers=tuple(marker.name for marker in self._settings.markers),
            min_age_s=request.min_age_s,
            part="" if request.part is None else request.part.name,
            result="done",
        )

    def add(self, entry: HistoryEntry, report: SweepReport | None = None) -> None:
        """Records it, or warns."""
        try:
            self._history.add(entry, report)
        except HistoryError as error:
            self._warn(f"not recorded: {error}")


class RecordedSweep(CompoundTask):
    """A sweep that `recorder` records when it is run: a `pgwatch_tests.task.Task`."""

    def __init__(self, sweep: Task[SweepReport], request: SweepRequest, recorder: Recorder) -> None:
        super().__init__()
        self._sweep = sweep
        self._request = request
        self._recorder = recorder

    def run(self) -> SweepReport:
        """Runs and records the sweep. Returns and raises what the sweep does."""
        begun, since_s = self._recorder.begun(self._request), time.monotonic()
        try:
            report = self.run_task(self._sweep)
        except BaseException as error:
            self._recorder.add(failed(begun, error, time.monotonic() - since_s))
            raise
        self._recorder.add(with_report(begun, report), report)
        return report


def with_report(begun: HistoryEntry, report: SweepReport) -> HistoryEntry:
    """Returns the entry of a sweep that ended with a report."""
    result: RunResult = "failed" if report.error else "interrupted" if report.interrupted else "done"
    return replace(
        begun,
        started_at=report.started_at,
        database=report.database,
        markers=report.markers,
        result=result,
        reason=report.error,
        planned_rows=report.planned_rows,
        deleted_rows=report.deleted_rows,
        kept_rows=sum(kept.rows for kept in report.kept),
        orphans_removed=sum(orphan.removed for orphan in report.orphans),
        passes=report.passes,
        duration_s=report.duration_s,
        longest_transaction_s=report.longest_transaction_s,
    )


def failed(begun: HistoryEntry, error: BaseException, duration_s: float) -> HistoryEntry:
    """Returns the entry of a sweep or a job that ended with an error."""
    result, reason = _outcome(error)
    return replace(begun, result=result, reason=reason, duration_s=duration_s)


def _outcome(error: BaseException) -> tuple[RunResult, str]:
    if isinstance(error, BeingSweptError):
        return "skipped", str(error)
    if isinstance(error, RefusedError):
        return "refused", str(error)
    if isinstance(error, WorkCancelledError | KeyboardInterrupt | SystemExit):
        return "interrupted", "it was cancelled"
    # The messages of errors that aren't ours may hold anything, at worst a password.
    return "failed", str(error) if isinstance(error, PgwatchError) else type(error).__name__


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user that has no name
        return str(os.getuid())
