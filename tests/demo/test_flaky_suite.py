"""The flaky suite: each scenario blocks as it is meant to, and the suite survives its own failures."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import psutil
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.demo.booking import INSTRUCTORS, PARENTS
from pgwatch_tests.demo.flaky_suite.__main__ import make_application
from pgwatch_tests.demo.flaky_suite.conductor import most_parts
from pgwatch_tests.demo.suite_process import FlakySuite
from pgwatch_tests.errors import ConfigurationError
from tests.servers.sessions import Connect, Database
from tests.waiting import wait_until

Edge = tuple[str, str, str, str, str]

EDGES = """
    SELECT split_part(waiter.application_name, '::', 2),
           coalesce(split_part(blocker.application_name, '::', 2), ''),
           lock.locktype, lock.mode, coalesce(blocker.state, '')
    FROM pg_locks AS lock
    JOIN pg_stat_activity AS waiter ON waiter.pid = lock.pid AND waiter.datname = current_database()
    CROSS JOIN unnest(pg_blocking_pids(waiter.pid)) AS blocker_pid
    LEFT JOIN pg_stat_activity AS blocker ON blocker.pid = blocker_pid
    WHERE NOT lock.granted
"""

IDLE, ACTIVE = "idle in transaction", "active"

# Who waits, for whom, on what kind of lock, wanting what; and what the blocker is doing.
SHAPES: dict[str, set[Edge]] = {
    "last_slot": {
        ("test_second_parent_refused", "test_books_the_last_slot", "transactionid", "ShareLock", IDLE),
        ("test_slot_offered_once", "test_books_the_last_slot", "transactionid", "ShareLock", IDLE),
    },
    "same_row": {
        ("test_rate_is_rounded", "test_raise_applies_at_once", "transactionid", "ShareLock", IDLE),
        ("test_new_rate_on_invoice", "test_rate_is_rounded", "tuple", "ExclusiveLock", ACTIVE),
    },
    "open_transaction": {
        ("test_rename_instructor", "test_sync_with_calendar", "transactionid", "ShareLock", IDLE),
        ("test_books_with_instructor", "test_sync_with_calendar", "transactionid", "ShareLock", IDLE),
    },
    "deadlock": {
        ("test_merge_families", "test_split_family", "transactionid", "ShareLock", ACTIVE),
        ("test_split_family", "test_merge_families", "transactionid", "ShareLock", ACTIVE),
    },
    "truncate": {
        ("clean_notifications", "test_reads_notifications", "relation", "AccessExclusiveLock", IDLE),
        ("test_counts_notifications", "clean_notifications", "relation", "AccessShareLock", ACTIVE),
        ("test_reminder_is_sent", "clean_notifications", "relation", "RowExclusiveLock", ACTIVE),
    },
    "advisory_lock": {
        ("test_export", "test_import", "advisory", "ExclusiveLock", ACTIVE),
        ("test_export_in_time", "test_import", "advisory", "ExclusiveLock", ACTIVE),
    },
    "prepared_transaction": {("test_pay_at_once", "", "transactionid", "ShareLock", "")},
    "static_email": {
        ("test_new_parent_gets_a_mail", "test_parent_signs_up", "transactionid", "ShareLock", IDLE)
    },
}


@pytest.fixture
def observer(connect: Connect) -> Connection[TupleRow]:
    """An autocommit connection of the test's own."""
    return connect("observer", autocommit=True)


@pytest.fixture
def whole_suite(database: Database) -> Iterator[FlakySuite]:
    """All scenarios, at a quick pace."""
    with FlakySuite(seed=7, pace=0.1) as suite:
        suite.begin(database.dsn)
        yield suite


def number(observer: Connection[TupleRow], query: str) -> int:
    """The single number that a query returns."""
    row = observer.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_each_scenario_blocks_as_it_is_meant_to(database: Database, observer: Connection[TupleRow]) -> None:
    unseen = dict(SHAPES)

    def all_seen() -> bool:
        edges = set(observer.execute(EDGES.encode()).fetchall())
        for scenario in [name for name, shape in unseen.items() if shape <= edges]:
            del unseen[scenario]
        return not unseen

    with FlakySuite(workers=8, seed=1, pace=0.3, scenarios=list(SHAPES)) as suite:
        suite.begin(database.dsn)
        wait_until(all_seen, timeout_s=30, message="each scenario's shape was seen")


def test_tests_leave_rows_and_schemas_behind(database: Database, observer: Connection[TupleRow]) -> None:
    leaks = (
        "SELECT count(*) FROM children WHERE name ~ '^child_1[0-9]{12}_[0-9a-f]+$'",
        "SELECT count(*) FROM users WHERE email ~ '^parent-.*@test.example.com$'",
        "SELECT count(*) FROM users WHERE clerk_id ~ '^clerk_1[0-9]{12}_[0-9a-f]+$'",
        "SELECT count(*) FROM bookings WHERE reference ~ '^booking_1[0-9]{12}_[0-9a-f]+$'",
        "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^test_1[0-9]{12}_[0-9]+_[0-9a-f]+$'",
    )
    forgetful = ["forgotten_family", "forgotten_parent", "forgotten_booking", "forgotten_schema"]
    with FlakySuite(workers=most_parts(), pace=0.1, scenarios=forgetful) as suite:
        suite.begin(database.dsn)
        for query in leaks:
            wait_until(partial(number, observer, query), message=query)


def test_real_rows_bear_no_marker(database: Database, observer: Connection[TupleRow]) -> None:
    make_application(database.dsn)
    assert number(observer, "SELECT count(*) FROM users") == len(INSTRUCTORS + PARENTS)
    assert number(observer, "SELECT count(*) FROM users WHERE email LIKE '%@test.example.com'") == 0
    assert number(observer, "SELECT count(*) FROM users WHERE clerk_id ~ '_1[0-9]{12}_'") == 0


def test_leaks_do_not_grow_without_bound(database: Database, observer: Connection[TupleRow]) -> None:
    leaks = ["forgotten_family", "forgotten_booking", "forgotten_schema", "begin_run"]
    with FlakySuite(workers=most_parts(), seed=3, pace=0.01, scenarios=leaks) as suite:
        suite.begin(database.dsn)
        wait_until(lambda: number(observer, "SELECT max(id) FROM users") > 60)
        marked = "SELECT count(*) FROM users WHERE email LIKE '%@test.example.com'"
        assert 0 < number(observer, marked) <= 30
        assert number(observer, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'test\\_%'") <= 6


def test_interesting_means_somebody_waits_and_a_row_is_left(
    whole_suite: FlakySuite, observer: Connection[TupleRow]
) -> None:
    for _ in range(3):
        whole_suite.wait_until_interesting()
        assert number(observer, "SELECT count(*) FROM users WHERE email LIKE '%@test.example.com'")


def test_workers_hide_the_connection_string_and_end_with_a_killed_conductor(
    whole_suite: FlakySuite, database: Database
) -> None:
    conductor = psutil.Process(whole_suite.pid)
    workers = conductor.children()
    assert len(workers) == 7
    for process in (conductor, *workers):
        assert database.name not in " ".join(process.cmdline())
        assert database.name not in " ".join(process.environ().values())
    conductor.kill()
    wait_until(lambda: not [worker for worker in workers if worker.is_running()])


def test_goes_on_after_failures(whole_suite: FlakySuite, observer: Connection[TupleRow]) -> None:
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    wait_until(lambda: number(observer, deadlocks), timeout_s=30)
    whole_suite.wait_until_interesting()
    tally = whole_suite.close()
    assert tally.failures["DeadlockDetected"] >= 1
    assert tally.tests > sum(tally.failures.values())
    assert f"{tally.tests} tests" in tally.in_words()


def test_goes_on_when_sessions_and_workers_are_killed(
    whole_suite: FlakySuite, observer: Connection[TupleRow]
) -> None:
    whole_suite.wait_until_interesting()
    observer.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    whole_suite.wait_until_interesting()
    psutil.Process(whole_suite.pid).children()[0].kill()
    whole_suite.wait_until_interesting()
    assert whole_suite.close().failures["worker died"] == 1


@pytest.mark.usefixtures("python")
def test_a_suite_that_cannot_start_says_why() -> None:
    with FlakySuite() as suite, pytest.raises(ConfigurationError, match="didn't start"):
        suite.begin("postgresql://postgres@/none?host=/nonexistent")
