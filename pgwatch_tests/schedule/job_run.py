"""One run of a job, in one database or several, and its entries in the history."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pgwatch_tests.errors import INTERNAL_ERROR, NotCheckedError, PgwatchError
from pgwatch_tests.history.history import History
from pgwatch_tests.history.model import HistoryEntry, Trigger
from pgwatch_tests.history.recorder import Origin, Recorder, failed, with_report
from pgwatch_tests.leaks.gate import DEFAULT_KINDS
from pgwatch_tests.leaks.many_databases import choose_on_server
from pgwatch_tests.leaks.model import LeakReport, NotChecked
from pgwatch_tests.leaks.scan import LeakScan
from pgwatch_tests.postgres.connections.dsn import in_database
from pgwatch_tests.schedule.events import JobEvent
from pgwatch_tests.settings.jobs import JobSetting
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep.model import SweepReport
from pgwatch_tests.sweep.request import DEFAULT_SWEEP_KINDS, SweepRequest
from pgwatch_tests.sweep.run import Sweep
from pgwatch_tests.task import CompoundTask, Task

Tell = Callable[[JobEvent], None]
"""Called in the thread that runs the job."""


def _scan(settings: Settings) -> Task[LeakReport]:
    return LeakScan(settings, kinds=DEFAULT_KINDS)


@dataclass(frozen=True, slots=True)
class JobTasks:
    """Makes the tasks of a job: a sweep or a leak scan of one database."""

    sweep: Callable[[Settings, SweepRequest], Task[SweepReport]] = Sweep
    scan: Callable[[Settings], Task[LeakReport]] = _scan


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """The history's entries of one run of a job: one per database."""

    entries: tuple[HistoryEntry, ...]
    exit_code: int
    """The exit code of the first error; 0 if there was none."""


class JobRun(CompoundTask):
    """One run of one job: a `pgwatch_tests.task.Task`."""

    def __init__(
        self,
        job: JobSetting,
        settings: Settings,
        history: History,
        trigger: Trigger,
        tell: Tell,
        tasks: JobTasks,
    ) -> None:
        super().__init__()
        self._job = job
        self._settings = settings
        self._history = history
        self._origin = Origin(trigger, job.name, job.action)
        self._tell = tell
        self._tasks = tasks
        self._entries: list[HistoryEntry] = []
        self._exit_code = 0
        self._not_checked: tuple[NotChecked, ...] = ()

    def run(self) -> JobOutcome:
        """Runs the job in each of its databases. Errors are told and recorded, not raised."""
        for settings in self._databases():
            if self.is_stopped:
                break
            recorder = self._recorder(settings)
            with self._noting(recorder) as begun:
                if self._job.action == "leaks":
                    self._note(recorder, _with_leaks(begun, self.run_task(self._tasks.scan(settings))))
                else:
                    request = recorder.knowing(self._request)
                    report = self.run_task(self._tasks.sweep(settings, request))
                    self._note(recorder, with_report(begun, report), report)
        self._note_not_checked()
        return JobOutcome(tuple(self._entries), self._exit_code)

    @property
    def _request(self) -> SweepRequest:
        job = self._job
        return SweepRequest(
            kinds=("schemas",) if job.action == "schemas" else job.only or DEFAULT_SWEEP_KINDS,
            dry_run=job.dry_run,
            min_age_s=self._settings.min_age_s if job.min_age_s is None else job.min_age_s,
            min_age_is_firm=job.min_age_s is not None,
            max_rows=job.max_rows,
            keep_unmarked=(self._settings.keep_unmarked if job.keep_unmarked is None else job.keep_unmarked),
        )

    def _recorder(self, settings: Settings) -> Recorder:
        def warn(text: str) -> None:
            self._tell(JobEvent("warning", self._job.name, text=text))

        return Recorder(self._history, settings, self._origin, warn)

    def _databases(self) -> Sequence[Settings]:
        """Returns the settings for each database of the job."""
        if not self._job.databases:
            return (self._settings,)
        recorder = self._recorder(self._settings)
        with self._noting(recorder):
            choice = choose_on_server(self._settings, self._job.databases)
            self._not_checked = choice.not_checked
            dsn = self._settings.dsn
            return [replace(self._settings, dsn=in_database(dsn, name)) for name in choice.names]
        return ()

    def _note_not_checked(self) -> None:
        """Records what was not checked. It is recorded last, so that `schedule list` shows it."""
        recorder = self._recorder(self._settings)
        for one in self._not_checked:
            begun = recorder.begun(self._request)
            self._note(recorder, replace(begun, database=one.database, result="failed", reason=one.reason))
            self._exit_code = self._exit_code or NotCheckedError.exit_code

    @contextmanager
    def _noting(self, recorder: Recorder) -> Iterator[HistoryEntry]:
        """Yields the entry of what begins now. An error inside is recorded and goes no further."""
        begun, since_s = recorder.begun(self._request), time.monotonic()
        try:
            yield begun
        except Exception as error:  # noqa: BLE001  # told and recorded; the job's next run is to come
            self._note(recorder, failed(begun, error, time.monotonic() - since_s))
            code = error.exit_code if isinstance(error, PgwatchError) else INTERNAL_ERROR
            self._exit_code = self._exit_code or code
        except BaseException as error:
            self._note(recorder, failed(begun, error, time.monotonic() - since_s))
            raise

    def _note(self, recorder: Recorder, entry: HistoryEntry, report: SweepReport | None = None) -> None:
        recorder.add(entry, report)
        self._entries.append(entry)
        self._tell(JobEvent("came_to", self._job.name, entry))


def _with_leaks(begun: HistoryEntry, report: LeakReport) -> HistoryEntry:
    missing = len(report.skipped) + len(report.unchecked)
    return replace(
        begun,
        database=report.database,
        dry_run=True,  # it changes nothing
        kinds=("rows", *report.kinds_checked),
        markers=report.markers,
        min_age_s=0.0,
        leaked_rows=report.total,
        leftovers=len(report.leftovers),
        reason=f"{missing:,} tables or kinds of leftovers weren't checked" if missing else "",
        duration_s=report.duration_s,
    )
