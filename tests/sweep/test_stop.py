"""Sweeps that are told to end, and what others see of one that goes on."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.errors import RefusedError
from pgwatch_tests.postgres.sessions.session import WorkCancelledError
from pgwatch_tests.sweep.model import SweepProgress
from pgwatch_tests.sweep.run import Sweep
from tests.servers.sessions import Connect, Database
from tests.sweep.rows.bookings import (
    BOOKINGS,
    ITEMS,
    REQUEST,
    WHOLE,
    PausingProgress,
    RunningSweep,
    add_users,
    count,
    half_users,
    kept,
    make_tables,
    marked_users,
    now_ms,
    settings,
    swept,
)
from tests.waiting import wait_until


@pytest.fixture
def users(owner: Connection[TupleRow]) -> Connection[TupleRow]:
    """A hundred of them that tests left."""
    make_tables(owner)
    add_users(owner, 1, 100)
    return owner


def test_stopped_in_the_middle(users: Connection[TupleRow], database: Database) -> None:
    def stop(progress: SweepProgress) -> None:
        if progress.rows >= 30 * WHOLE:
            sweep.stop()

    sweep = Sweep(settings(database.dsn), replace(REQUEST, clusters_at_once=10), stop)
    report = sweep.run()

    assert report.interrupted
    gone = report.deleted_rows // WHOLE
    assert 30 <= gone < 40
    left = 100 - gone
    assert report.deleted_rows == gone * WHOLE
    assert kept(report) == {
        ("users", "interrupted"): left,
        ("bookings", "interrupted"): left * BOOKINGS,
        ("items", "interrupted"): left * ITEMS,
    }
    assert len(marked_users(users)) == left
    assert half_users(users) == []
    assert report.complete  # the next one does the rest
    assert swept(database.dsn).deleted_rows == left * WHOLE


def test_stopped_before_it_began(users: Connection[TupleRow], database: Database) -> None:
    sweep = Sweep(settings(database.dsn), REQUEST)
    sweep.stop()

    report = sweep.run()

    assert report.interrupted
    assert report.deleted_rows == 0
    assert kept(report) == {("users", "interrupted"): 100}
    assert len(marked_users(users)) == 100


def test_a_dry_run_that_is_stopped(users: Connection[TupleRow], database: Database) -> None:
    sweep = Sweep(settings(database.dsn), replace(REQUEST, dry_run=True))
    sweep.stop()

    assert sweep.run().interrupted


def test_cancelled_in_the_middle_of_a_statement(
    users: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    users.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep(60); RETURN OLD; END'"
    )
    users.execute("CREATE TRIGGER slow BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION slow()")
    running = RunningSweep(settings(database.dsn))
    wait_until(
        lambda: (
            users.execute(
                "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
            ).fetchone()
            is not None
        )
    )
    begun = time.monotonic()

    running.sweep.cancel()
    with pytest.raises(WorkCancelledError):
        running.result()

    assert time.monotonic() - begun < 30
    users.execute("DROP TRIGGER slow ON users")  # once the server has rolled back
    assert len(marked_users(users)) == 100
    assert half_users(users) == []


def test_cancelled_between_two_batches(users: Connection[TupleRow], database: Database) -> None:
    paused = PausingProgress()
    running = RunningSweep(settings(database.dsn), replace(REQUEST, clusters_at_once=10), paused)
    paused.wait()
    running.sweep.cancel()
    paused.release()

    with pytest.raises(WorkCancelledError):
        running.result()

    assert len(marked_users(users)) == 90
    assert half_users(users) == []


def test_what_others_see_of_it(users: Connection[TupleRow], database: Database) -> None:
    paused = PausingProgress()
    running = RunningSweep(settings(database.dsn), progress=paused)
    paused.wait()

    session = users.execute(
        "SELECT state, backend_xid, backend_xmin FROM pg_stat_activity"
        " WHERE application_name = 'pgwatch-tests' AND datname = current_database()"
    ).fetchall()
    locks = users.execute(
        "SELECT locktype FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE application_name = 'pgwatch-tests' AND datname = current_database()"
    ).fetchall()
    temporary = users.execute("SELECT FROM pg_class WHERE relpersistence = 't'").fetchall()
    paused.release()
    running.result()

    assert session == [("idle", None, None)]
    assert locks == [("advisory",)]
    assert temporary == []


def test_more_than_is_allowed(users: Connection[TupleRow], database: Database) -> None:
    with pytest.raises(RefusedError, match=f"{100 * WHOLE} rows would go"):
        swept(database.dsn, replace(REQUEST, max_rows=100 * WHOLE - 1))

    assert len(marked_users(users)) == 100
    assert swept(database.dsn, replace(REQUEST, max_rows=100 * WHOLE)).deleted_rows == 100 * WHOLE


def test_a_cluster_that_is_larger_than_a_batch(users: Connection[TupleRow], database: Database) -> None:
    users.execute("INSERT INTO bookings SELECT 10000 + n, 7, 'many' FROM generate_series(1, 5000) AS n")

    report = swept(database.dsn, replace(REQUEST, clusters_at_once=1))

    assert report.deleted_rows == 100 * WHOLE + 5000
    assert count(users, "bookings") == 0


def test_most_are_too_young(users: Connection[TupleRow], database: Database) -> None:
    add_users(users, 1001, 2000, at_ms=now_ms())

    report = swept(database.dsn)

    assert report.deleted_rows == 100 * WHOLE
    assert kept(report) == {
        ("users", "too_young"): 1000,
        ("bookings", "too_young"): 1000 * BOOKINGS,
        ("items", "too_young"): 1000 * ITEMS,
    }
    assert report.complete
