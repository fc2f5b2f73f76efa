from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from pgwatch_tests.errors import BeingSweptError, ConfigurationError, RefusedError
from pgwatch_tests.history.history import History
from pgwatch_tests.schedule.schedule import LATE_S, Schedule
from pgwatch_tests.settings.jobs import JobSetting
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep.model import SweepReport
from tests.history.histories import report, settings
from tests.schedule.working import Events, Held, Worker
from tests.waiting import wait_until

OFTEN = JobSetting("often", "x", every_s=0.1)
RARELY = JobSetting("rarely", "x", every_s=3600.0)
NIGHTLY = JobSetting("nightly", "x", cron="30 2 * * *", timezone="Europe/Berlin")


@pytest.fixture
def configured(home: Path) -> Settings:
    """Settings with a history of the test's own."""
    return settings(home / "history.sqlite3")


class Started:
    """A schedule at work, its events and its history."""

    def __init__(self, configured: Settings, worker: Worker, *jobs: JobSetting) -> None:
        self.worker = worker
        self.events = Events()
        self.history = History.open(configured)
        self.schedule = Schedule(configured, jobs, self.history, self.events.tell, worker.tasks)
        self.schedule.start()

    def turn_came(self, name: str, ago_s: float) -> None:
        """Lets the clock find that a job's turn came so long ago, as when the machine was asleep."""
        self.schedule._scheduler.modify_job(name, next_run_time=datetime.now(UTC) - timedelta(seconds=ago_s))

    def close(self) -> None:
        if isinstance(self.worker, Held):
            self.worker.let_go.set()
        self.schedule.stop()


@pytest.fixture
def start(configured: Settings) -> Iterator[type[Started]]:
    """Starts schedules that are stopped at the end."""
    started: list[Started] = []

    class Here(Started):
        def __init__(self, configured: Settings, worker: Worker, *jobs: JobSetting) -> None:
            super().__init__(configured, worker, *jobs)
            started.append(self)

    yield Here
    for one in started:
        one.close()


def test_a_job_runs_again_and_again(configured: Settings, start: type[Started]) -> None:
    here = start(configured, Worker(), replace(OFTEN, every_s=0.5))

    wait_until(lambda: len(here.history.entries()) >= 2)
    here.schedule.stop()
    entries = here.history.entries()
    assert {(entry.job, entry.trigger, entry.result) for entry in entries} == {("often", "schedule", "done")}
    apart_s = (entries[0].started_at - entries[1].started_at).total_seconds()
    assert apart_s == pytest.approx(0.5, abs=0.3)
    assert here.events.of("next")[0].at is not None


def test_a_job_that_fails_goes_on(configured: Settings, start: type[Started]) -> None:
    errors = iter([ZeroDivisionError(), BeingSweptError("pid 3 is at it")])

    def fail_twice() -> SweepReport:
        for error in errors:
            raise error
        return report()

    here = start(configured, Worker(fail_twice), OFTEN)
    for _ in range(3):
        here.turn_came("often", 0)
        assert here.worker.began.acquire(timeout=10)
    wait_until(lambda: len(here.events.results()) >= 3)
    assert here.events.results()[:3] == ["failed", "skipped", "done"]


def test_a_turn_that_comes_while_the_job_runs_is_left_out(configured: Settings, start: type[Started]) -> None:
    here = start(configured, Held(), OFTEN)
    assert here.worker.began.acquire(timeout=10)

    wait_until(lambda: here.events.of("overlapped"))
    here.turn_came("often", 0)
    assert len(here.worker.requests) == 1
    assert [state.running for state in here.schedule.jobs()] == [True]


def test_of_missed_turns_one_is_made_up_for(configured: Settings, start: type[Started]) -> None:
    job = replace(RARELY, name="often", every_s=60.0)
    here = start(configured, Worker(), job)
    here.turn_came("often", 59 * 60 + 30)  # so it came 60 times, the last 30 s ago

    wait_until(lambda: here.events.results() == ["done"])
    (state,) = here.schedule.jobs()
    assert state.next_run is not None
    assert 0 < (state.next_run - datetime.now(UTC)).total_seconds() <= 60
    assert len(here.worker.requests) == 1


def test_what_was_missed_long_ago_waits_for_its_next_turn(configured: Settings, start: type[Started]) -> None:
    here = start(configured, Worker(), RARELY)
    here.turn_came("rarely", LATE_S + 1)

    wait_until(lambda: here.events.of("missed"))
    assert here.worker.requests == []


def test_one_job_at_a_time(configured: Settings, start: type[Started]) -> None:
    jobs = [replace(RARELY, name=name) for name in "abc"]
    here = start(configured, Worker(), *jobs)
    for job in jobs:
        here.turn_came(job.name, 0)

    wait_until(lambda: len(here.events.results()) == 3)
    assert here.worker.most_at_once == 1


def test_a_person_runs_a_job_out_of_turn(configured: Settings, start: type[Started]) -> None:
    here = start(configured, Held(), replace(RARELY, enabled=False), NIGHTLY)
    here.schedule.run_now("rarely")
    assert here.worker.began.acquire(timeout=10)

    with pytest.raises(RefusedError, match="job 'rarely' is already running"):
        here.schedule.run_now("rarely")
    with pytest.raises(RefusedError, match="no job 'nigthly'; known jobs: rarely, nightly"):
        here.schedule.run_now("nigthly")
    assert isinstance(here.worker, Held)
    here.worker.let_go.set()
    last = wait_until(lambda: here.history.last("rarely"))
    assert last is not None
    assert (last.trigger, last.result) == ("dashboard", "done")
    wait_until(lambda: not here.schedule.jobs()[0].running)
    assert here.schedule.jobs()[0].last == last


def test_pause_and_resume(configured: Settings, start: type[Started]) -> None:
    here = start(configured, Worker(), RARELY)
    assert here.schedule.jobs()[0].next_run is not None

    here.schedule.pause("rarely")
    state = here.schedule.jobs()[0]
    assert (state.paused, state.next_run) == (True, None)
    here.schedule.resume("rarely")
    state = here.schedule.jobs()[0]
    assert state.paused is False
    assert state.next_run is not None
    assert state.next_run > datetime.now(UTC)
    with pytest.raises(RefusedError):
        here.schedule.pause("x")


def test_the_state_of_jobs_that_nobody_started(configured: Settings) -> None:
    schedule = Schedule(
        configured,
        [RARELY, NIGHTLY, replace(NIGHTLY, name="off", enabled=False)],
        History.open(configured),
        Events().tell,
    )
    rarely, nightly, off = schedule.jobs()

    assert (rarely.when, rarely.next_run, rarely.last) == ("every 1 h", None, None)
    assert nightly.next_run is not None
    assert nightly.next_run.astimezone(ZoneInfo("Europe/Berlin")).strftime("%H:%M") == "02:30"
    assert (off.enabled, off.next_run) == (False, None)
    schedule.stop()


def test_stop_ends_a_sweep_after_its_batch_and_waits(configured: Settings, start: type[Started]) -> None:
    here = start(configured, Held(), OFTEN)
    assert here.worker.began.acquire(timeout=10)

    here.schedule.stop()
    assert here.events.results() == ["interrupted"]
    assert isinstance(here.worker, Held)
    assert not here.worker.cancelled.is_set()
    with pytest.raises(RefusedError, match="stopping"):
        here.schedule.run_now("often")


def test_cancel_does_not_wait(configured: Settings, start: type[Started]) -> None:
    here = start(configured, Held(), OFTEN)
    assert here.worker.began.acquire(timeout=10)

    here.schedule.cancel()
    wait_until(lambda: here.events.results() == ["interrupted"])
    assert isinstance(here.worker, Held)
    assert here.worker.cancelled.is_set()


def test_a_history_that_is_gone_is_told(home: Path, start: type[Started]) -> None:
    (home / "file").touch()
    here = start(settings(home / "file" / "h"), Worker(), RARELY)

    assert here.schedule.jobs()[0].last is None
    assert "its last run could not be read" in here.events.of("warning")[0].text


def test_a_time_that_is_none(configured: Settings) -> None:
    job = replace(NIGHTLY, cron="61 * * * *", source="schedule.nightly in f")
    with pytest.raises(ConfigurationError, match=r"schedule\.nightly in f: '61 "):
        Schedule(configured, [job], History.open(configured), Events().tell)


def test_two_schedules_and_one_history(configured: Settings, start: type[Started]) -> None:
    turn = threading.Lock()

    def one_of_two() -> SweepReport:
        if not turn.acquire(blocking=False):
            raise BeingSweptError("another one is at it")
        try:
            return report()
        finally:
            turn.release()

    pair = [start(configured, Worker(one_of_two), OFTEN) for _ in range(2)]
    wait_until(lambda: all(len(one.events.results()) >= 2 for one in pair))
    for one in pair:
        one.schedule.stop()
    told = sorted(result for one in pair for result in one.events.results())
    assert sorted(entry.result for entry in pair[0].history.entries()) == told
    assert set(told) <= {"done", "skipped"}
