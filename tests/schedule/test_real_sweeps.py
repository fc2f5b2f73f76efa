"""Jobs that really sweep."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.history.history import History
from pgwatch_tests.postgres.sweep_lock import LOCK_KEY
from pgwatch_tests.schedule.job_run import JobOutcome, JobRun, JobTasks
from pgwatch_tests.settings.jobs import JobSetting
from pgwatch_tests.settings.load import Dsn, Settings
from tests.history.histories import entry, settings
from tests.schedule.working import Events
from tests.servers.sessions import Database

JOB = JobSetting("nightly", "x", every_s=60.0, only=("rows",), min_age_s=0.0)


def run(configured: Settings, job: JobSetting = JOB) -> JobOutcome:
    """What a run comes to."""
    history = History.open(configured)
    return JobRun(job, configured, history, "schedule", Events().tell, JobTasks()).run()


def make_users(owner: Connection[TupleRow]) -> None:
    """Two that bear markers and one that doesn't."""
    owner.execute("CREATE TABLE users (email text PRIMARY KEY)")
    owner.execute("INSERT INTO users VALUES ('a@test.example.com'), ('b@test.example.com'), ('real@x.org')")


def test_rows_go_and_all_of_it_is_recorded(
    home: Path, database: Database, owner: Connection[TupleRow]
) -> None:
    make_users(owner)
    configured = settings(home / "history.sqlite3", database.dsn)

    dry = run(configured, replace(JOB, dry_run=True)).entries[0]
    assert (dry.result, dry.dry_run, dry.planned_rows, dry.deleted_rows) == ("done", True, 2, 0)
    swept = run(configured).entries[0]
    assert (swept.result, swept.dry_run, swept.deleted_rows, swept.database) == (
        "done",
        False,
        2,
        database.name,
    )
    assert owner.execute("SELECT email FROM users").fetchall() == [("real@x.org",)]
    assert run(configured).entries[0].deleted_rows == 0

    history = History.open(configured)
    third, second, first = history.entries()
    assert [(one.dry_run, one.deleted_rows) for one in (first, second, third)] == [
        (True, 0),
        (False, 2),
        (False, 0),
    ]
    assert second.id is not None
    report = history.report(second.id)
    assert report is not None
    assert [(table.table, table.marked) for table in report.deleted] == [("users", 2)]


def test_while_another_sweep_is_at_it(home: Path, database: Database, owner: Connection[TupleRow]) -> None:
    make_users(owner)
    owner.execute("SELECT pg_advisory_lock(%s)", [LOCK_KEY])

    (one,) = run(settings(home / "history.sqlite3", database.dsn)).entries
    assert one.result == "skipped"
    assert f"pid {owner.info.backend_pid}" in one.reason
    assert owner.execute("SELECT count(*) FROM users").fetchone() == (3,)


def test_what_is_no_test_database(home: Path, database: Database) -> None:
    outcome = run(settings(home / "history.sqlite3", database.dsn.replace(database.name, "postgres")))
    assert (outcome.entries[0].result, outcome.exit_code) == ("refused", 2)
    assert "the server's own" in outcome.entries[0].reason


def test_a_history_in_the_database_itself_stays(database: Database, owner: Connection[TupleRow]) -> None:
    make_users(owner)
    configured = settings(Dsn(database.dsn, "PGWATCH_HISTORY"), database.dsn)
    History.open(configured).add(replace(entry(), account="ci@test.example.com"))

    swept = run(configured, replace(JOB, only=("rows", "schemas"))).entries[0]
    assert (swept.result, swept.deleted_rows) == ("done", 2)
    assert [one.account for one in History.open(configured).entries()] == [
        swept.account,
        "ci@test.example.com",
    ]
