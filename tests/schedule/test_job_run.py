from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.errors import (
    INTERNAL_ERROR,
    BeingSweptError,
    CannotConnectError,
    PgwatchError,
    RefusedError,
)
from pgwatch_tests.history.history import History
from pgwatch_tests.leaks.model import LeakReport, Leftover, Skipped, TableLeak
from pgwatch_tests.schedule.job_run import JobOutcome, JobRun, JobTasks
from pgwatch_tests.settings.jobs import JobSetting
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep.model import SweepReport
from pgwatch_tests.sweep.request import DEFAULT_SWEEP_KINDS, SweepRequest
from tests.history.histories import report, settings
from tests.schedule.working import Events, Held, Scanner, Worker
from tests.servers.sessions import Database
from tests.waiting import PATIENCE_S

NIGHTLY = JobSetting("nightly", "x", every_s=60.0)


@pytest.fixture
def configured(home: Path) -> Settings:
    """Settings with a history of the test's own."""
    return replace(settings(home / "history.sqlite3"), min_age_s=123.0)


def run(job: JobSetting, configured: Settings, work: JobTasks) -> JobOutcome:
    """What a run comes to; it is in the history as well, and was told."""
    events, history = Events(), History.open(configured)
    outcome = JobRun(job, configured, history, "schedule", events.tell, work).run()
    assert tuple(replace(one, id=None) for one in reversed(history.entries())) == outcome.entries
    assert tuple(event.entry for event in events.of("came_to")) == outcome.entries
    return outcome


@pytest.mark.parametrize(
    ("job", "request_"),
    [
        (NIGHTLY, SweepRequest(DEFAULT_SWEEP_KINDS, dry_run=False, min_age_s=123.0)),
        (
            replace(NIGHTLY, only=("prepared",), dry_run=True, min_age_s=5.0, max_rows=7, keep_unmarked=True),
            SweepRequest(
                ("prepared",),
                dry_run=True,
                min_age_s=5.0,
                min_age_is_firm=True,
                max_rows=7,
                keep_unmarked=True,
            ),
        ),
        (replace(NIGHTLY, action="schemas"), SweepRequest(("schemas",), dry_run=False, min_age_s=123.0)),
    ],
)
def test_what_a_job_asks_for(configured: Settings, job: JobSetting, request_: SweepRequest) -> None:
    worker = Worker()
    outcome = run(job, configured, worker.tasks)

    assert worker.requests == [request_]
    (entry,) = outcome.entries
    assert (entry.job, entry.trigger, entry.action) == ("nightly", "schedule", job.action)
    assert (entry.result, entry.deleted_rows, outcome.exit_code) == ("done", 3, 0)


@pytest.mark.parametrize(
    ("error", "result", "exit_code"),
    [
        (RefusedError("no test database"), "refused", 2),
        (BeingSweptError("pid 3 is at it"), "skipped", 2),
        (CannotConnectError("refused"), "failed", 3),
        (ZeroDivisionError("hunter2"), "failed", INTERNAL_ERROR),
    ],
)
def test_an_error_is_an_outcome(configured: Settings, error: Exception, result: str, exit_code: int) -> None:
    def fail() -> SweepReport:
        raise error

    outcome = run(NIGHTLY, configured, Worker(fail).tasks)

    assert [entry.result for entry in outcome.entries] == [result]
    assert outcome.exit_code == exit_code
    reason = str(error) if isinstance(error, PgwatchError) else "ZeroDivisionError"
    assert outcome.entries[0].reason == reason


def test_leaks_are_counted(configured: Settings) -> None:
    found = LeakReport(
        checked_at=datetime.now(UTC),
        server_version="18.1",
        database="test_app",
        markers=("m",),
        tables_checked=3,
        tables=(TableLeak("public", "users", "table", ("email",), 5),),
        skipped=(Skipped("public", "secret", "no_privilege"),),
        duration_s=0.5,
        leftovers=(Leftover("schema", "test_1"),),
        kinds_checked=("schema",),
    )
    job = replace(NIGHTLY, action="leaks")
    (entry,) = run(job, configured, JobTasks(scan=lambda _: Scanner(found))).entries

    assert (entry.leaked_rows, entry.leftovers, entry.result) == (5, 1, "done")
    assert (entry.kinds, entry.dry_run) == (("rows", "schema"), True)
    assert entry.reason == "1 tables or kinds of leftovers weren't checked"


def test_every_database_that_is_meant(
    configured: Settings, database: Database, owner: Connection[TupleRow]
) -> None:
    names = sorted(f"{database.name}_{letter}" for letter in "ab")
    for name in names:
        owner.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    here = replace(configured, dsn=Dsn(database.dsn, "--dsn"))
    job = replace(NIGHTLY, databases=(f"{database.name}_?", "no_such"))
    try:
        worker = Worker()
        outcome = run(job, here, worker.tasks)
    finally:
        for name in names:
            owner.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))

    assert worker.databases == names
    assert [(entry.database, entry.result, entry.reason) for entry in outcome.entries] == [
        (names[0], "done", ""),
        (names[1], "done", ""),
        ("no_such", "failed", "no such database"),
    ]
    assert outcome.exit_code == 4


def test_databases_that_cannot_be_listed(configured: Settings) -> None:
    here = replace(configured, dsn=Dsn("postgresql://u:hunter2@127.0.0.1:1/d", "--dsn"))
    outcome = run(replace(NIGHTLY, databases=("test_*",)), here, Worker().tasks)

    assert (outcome.entries[0].result, outcome.exit_code) == ("failed", 3)
    assert "refused" in outcome.entries[0].reason
    assert "hunter2" not in outcome.entries[0].reason


def test_real_leaks(configured: Settings, database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE users (email text)")
    owner.execute("INSERT INTO users VALUES ('a@test.example.com'), ('b@test.example.com')")
    here = replace(configured, dsn=Dsn(database.dsn, "--dsn"))

    (entry,) = run(replace(NIGHTLY, action="leaks"), here, JobTasks()).entries
    assert (entry.leaked_rows, entry.database, entry.server) == (2, database.name, entry.server)


@pytest.mark.parametrize(("end", "result"), [("stop", "interrupted"), ("cancel", "interrupted")])
def test_a_run_is_ended_from_another_thread(configured: Settings, end: str, result: str) -> None:
    held, events = Held(), Events()
    job_run = JobRun(NIGHTLY, configured, History.open(configured), "dashboard", events.tell, held.tasks)
    thread = threading.Thread(target=job_run.run)
    thread.start()
    assert held.began.acquire(timeout=10)

    getattr(job_run, end)()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert events.results() == [result]
    assert (held.stopped.is_set(), held.cancelled.is_set()) == (end == "stop", end == "cancel")


def test_a_run_that_was_stopped_before_it_began(configured: Settings) -> None:
    worker, history = Worker(), History.open(configured)
    job_run = JobRun(NIGHTLY, configured, history, "schedule", Events().tell, worker.tasks)
    job_run.stop()

    assert job_run.run() == JobOutcome((), 0)
    assert worker.requests == []


def test_a_history_that_cannot_be_written_is_told(home: Path) -> None:
    (home / "file").touch()
    configured, events = settings(home / "file" / "history.sqlite3"), Events()
    history = History.open(configured)
    outcome = JobRun(NIGHTLY, configured, history, "schedule", events.tell, Worker(report).tasks).run()

    assert (events.results(), outcome.exit_code) == (["done"], 0)
    assert [event.text.partition(": ")[0] for event in events.of("warning")] == ["not recorded"]
