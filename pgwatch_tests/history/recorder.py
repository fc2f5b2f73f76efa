"""A sweep whose outcome is recorded, whatever it is."""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from pgwatch_tests.errors import BeingSweptError, HistoryError, PgwatchError, RefusedError
from pgwatch_tests.history.history import History
from pgwatch_tests.history.model import Action, HistoryEntry, Result, Trigger
from pgwatch_tests.postgres.connections.dsn import address, database_name, role
from pgwatch_tests.postgres.sessions.session import ScanCancelledError
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep.ended_leases import noted_ends
from pgwatch_tests.sweep.model import SweepReport, SweepRequest


class Sweeping(Protocol):
    """What `sweep.run.Sweep` is, for who only needs to run it."""

    def run(self) -> SweepReport:
        """See `sweep.run.Sweep`."""
        ...

    def stop(self) -> None:
        """See `sweep.run.Sweep`."""
        ...

    def cancel(self) -> None:
        """See `sweep.run.Sweep`."""
        ...


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asks for a sweep: a person, or the clock; and for which job of the schedule, if for one."""

    trigger: Trigger = "command line"
    job: str = ""
    action: Action = "sweep"


class Recorder:
    """Records what the sweeps of one database come to.

    `warn` is told, in a line, what couldn't be recorded: a sweep that worked isn't a failed one for that.
    """

    def __init__(
        self, history: History, settings: Settings, origin: Origin, warn: Callable[[str], None]
    ) -> None:
        self._history = history
        self._settings = settings
        self._origin = origin
        self._warn = warn

    def knowing(self, request: SweepRequest) -> SweepRequest:
        """The request with the leases that have ended, and what the last sweep of this database was refused.

        Where that can't be read, it is tried anew; that the history is damaged is told when it is written.
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

    def run(self, sweep: Sweeping, request: SweepRequest) -> SweepReport:
        """Runs it and records it. Returns and raises what `sweep.run()` does."""
        begun, since_s = self.begun(request), time.monotonic()
        try:
            report = sweep.run()
        except BaseException as error:
            self.add(failed(begun, error, time.monotonic() - since_s))
            raise
        self.add(with_report(begun, report), report)
        return report

    def begun(self, request: SweepRequest) -> HistoryEntry:
        """The entry of something that begins now, with nothing come of it yet."""
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
            result="done",
        )

    def add(self, entry: HistoryEntry, report: SweepReport | None = None) -> None:
        """Records it, or warns."""
        try:
            self._history.add(entry, report)
        except HistoryError as error:
            self._warn(f"not recorded: {error}")


def with_report(begun: HistoryEntry, report: SweepReport) -> HistoryEntry:
    """The entry of a sweep that has come to a report."""
    result: Result = "failed" if report.error else "interrupted" if report.interrupted else "done"
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
    """The entry of something that ended with an error."""
    result, reason = _outcome(error)
    return replace(begun, result=result, reason=reason, duration_s=duration_s)


def _outcome(error: BaseException) -> tuple[Result, str]:
    if isinstance(error, BeingSweptError):
        return "skipped", str(error)
    if isinstance(error, RefusedError):
        return "refused", str(error)
    if isinstance(error, ScanCancelledError | KeyboardInterrupt | SystemExit):
        return "interrupted", "it was cancelled"
    # The messages of errors that aren't ours may hold anything, at worst a password.
    return "failed", str(error) if isinstance(error, PgwatchError) else type(error).__name__


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user that has no name
        return str(os.getuid())
