"""The schedule at work: its jobs by the clock, or when somebody asks, in threads of their own.

APScheduler keeps the time, in memory: its SQLAlchemy job store would make a table in the database that is
swept, and let two schedulers run every job twice. A BackgroundScheduler serves the daemon and the
dashboard alike: the daemon's main thread is left to signals, and the dashboard's loop to its screen.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import UTC, datetime

from apscheduler.events import (
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    JobExecutionEvent,
    JobSubmissionEvent,
)
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from pgwatch_tests.errors import HistoryError, RefusedError
from pgwatch_tests.history.history import History
from pgwatch_tests.history.model import HistoryEntry, JobState, Trigger
from pgwatch_tests.schedule.events import JobEvent
from pgwatch_tests.schedule.job_run import JobRun, JobTasks, Tell
from pgwatch_tests.schedule.turns import trigger, when
from pgwatch_tests.settings.jobs import JobSetting
from pgwatch_tests.settings.load import Settings

LATE_S = 300
"""A job whose turn came longer ago than this waits for its next turn."""

# Some clocks stand still while the machine sleeps, and people set others.
_LOOK_AT_THE_CLOCK_S = 30.0
# APScheduler's own log messages are told as events instead.
logging.getLogger("apscheduler").addHandler(logging.NullHandler())


class Schedule:
    """`start` it, and `stop` it in the end. For any thread.

    One job runs at a time, others wait for it. A job whose turn comes while it still runs is left out, and
    of several turns that were missed, one is made up for.
    """

    def __init__(
        self,
        settings: Settings,
        jobs: Sequence[JobSetting],
        history: History,
        tell: Tell,
        tasks: JobTasks | None = None,
    ) -> None:
        """Raises ConfigurationError for a job whose `cron` isn't valid.

        `tell` is called in several threads; it must not wait for one that stops this.
        """
        self._settings = settings
        self._jobs = {job.name: job for job in jobs}
        self._triggers = {job.name: trigger(job) for job in jobs}
        self._history = history
        self._tell = tell
        self._tasks = tasks or JobTasks()
        self._lock = threading.Lock()
        self._running: tuple[str, JobRun] | None = None
        self._asked_for: set[str] = set()
        self._paused: set[str] = set()
        self._overlaps: set[str] = set()
        self._stopping = threading.Event()
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(1)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": LATE_S},
        )
        self._scheduler.add_listener(self._left_out, EVENT_JOB_MAX_INSTANCES | EVENT_JOB_MISSED)

    def start(self) -> None:
        """Starts the clock. Returns at once."""
        for job in self._jobs.values():
            if job.enabled:
                self._scheduler.add_job(
                    self._run, self._triggers[job.name], args=[job, "schedule"], id=job.name, name=job.name
                )
        for name in tuple(self._paused):
            self.pause(name)
        self._scheduler.start()
        threading.Thread(target=self._watch_the_clock, name="schedule's clock", daemon=True).start()
        for name in self._jobs:
            self._tell_next(name)

    def jobs(self) -> tuple[JobState, ...]:
        """All jobs and their present state; reads the last outcome of each from the history."""
        return tuple(self._state(job) for job in self._jobs.values())

    def run_now(self, name: str, by: Trigger = "dashboard") -> None:
        """Runs a job out of turn, also a paused or disabled one. Returns at once.

        Raises RefusedError if there is no such job, or it is running already.
        """
        job = self._job(name)
        with self._lock:
            if self._stopping.is_set():
                raise RefusedError("the schedule is stopping")
            if name in self._asked_for or (self._running is not None and self._running[0] == name):
                raise RefusedError(f"job {name!r} is already running")
            self._asked_for.add(name)
        self._scheduler.add_job(self._run, args=[job, by], name=name, misfire_grace_time=None)

    def pause(self, name: str) -> None:
        """Pauses a job: no further turn of it comes until it is resumed.

        Raises RefusedError for an unknown name.
        """
        self._job(name)
        with self._lock:
            self._paused.add(name)
        if self._scheduler.get_job(name) is not None:
            self._scheduler.pause_job(name)

    def resume(self, name: str) -> None:
        """Resumes a paused job; missed turns aren't made up for. Raises RefusedError for an unknown name."""
        self._job(name)
        with self._lock:
            self._paused.discard(name)
        if self._scheduler.get_job(name) is not None:
            self._scheduler.resume_job(name)
            self._tell_next(name)

    def stop(self) -> None:
        """Stops the schedule: a running sweep after its batch. Returns when it has ended."""
        self._end(cancel=False)
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)

    def cancel(self) -> None:
        """Cancels the schedule, and a running job within moments. Returns at once."""
        self._end(cancel=True)
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def _end(self, *, cancel: bool) -> None:
        with self._lock:
            self._stopping.set()
            run = self._running
        if run is not None:
            (run[1].cancel if cancel else run[1].stop)()

    def _run(self, job: JobSetting, by: Trigger) -> None:
        run = JobRun(job, self._settings, self._history, by, self._tell, self._tasks)
        with self._lock:
            self._asked_for.discard(job.name)
            if self._stopping.is_set():
                return
            self._running = job.name, run
            self._overlaps.discard(job.name)
        self._tell(JobEvent("began", job.name))
        try:
            run.run()
        finally:
            with self._lock:
                self._running = None
            if not self._stopping.is_set():
                self._tell_next(job.name)

    def _left_out(self, event: JobSubmissionEvent | JobExecutionEvent) -> None:
        missed = event.code == EVENT_JOB_MISSED
        with self._lock:
            told_already = not missed and event.job_id in self._overlaps
            if not missed:
                self._overlaps.add(event.job_id)
        if told_already:  # once per run is enough
            return
        at = event.scheduled_run_time if missed else event.scheduled_run_times[-1]
        self._tell(JobEvent("missed" if missed else "overlapped", event.job_id, at=at))

    def _watch_the_clock(self) -> None:
        while not self._stopping.wait(_LOOK_AT_THE_CLOCK_S):
            if self._scheduler.running:
                self._scheduler.wakeup()

    def _job(self, name: str) -> JobSetting:
        job = self._jobs.get(name)
        if job is None:
            raise RefusedError(f"there is no job {name!r}; known jobs: {', '.join(self._jobs) or 'none'}")
        return job

    def _tell_next(self, name: str) -> None:
        at = self._next_run(name)
        if at is not None:
            self._tell(JobEvent("next", name, at=at))

    def _next_run(self, name: str) -> datetime | None:
        if self._scheduler.running:
            scheduled = self._scheduler.get_job(name)
            at: datetime | None = None if scheduled is None else scheduled.next_run_time
            return at
        job = self._jobs[name]
        if not job.enabled or job.cron is None:
            return None
        following: datetime | None = self._triggers[name].get_next_fire_time(None, datetime.now(UTC))
        return following

    def _state(self, job: JobSetting) -> JobState:
        with self._lock:
            running = self._running is not None and self._running[0] == job.name
            paused = job.name in self._paused
        return JobState(
            name=job.name,
            action=job.action,
            when=when(job),
            dry_run=job.dry_run,
            enabled=job.enabled,
            paused=paused,
            running=running,
            next_run=None if paused else self._next_run(job.name),
            last=self._last(job.name),
        )

    def _last(self, name: str) -> HistoryEntry | None:
        try:
            return self._history.last(name)
        except HistoryError as error:
            self._tell(JobEvent("warning", name, text=f"its last run could not be read: {error}"))
            return None
