"""A count beside somebody who waits for a table that it reads: it lets him through, and counts again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import LiteralString

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.reports.leaks import leak_table
from tests.leaks.scanning import RunningScan, counting, insert, make_slow_table, only_skipped, rows, settings
from tests.servers.sessions import Connect, Database
from tests.waiting import wait_until

# What a plain reader is in the way of: the table's lock, and what waits for open transactions.
WAITERS: tuple[LiteralString, ...] = (
    "TRUNCATE slow",
    "ALTER TABLE slow ADD COLUMN more int",
    "DROP TABLE slow",
    "CREATE INDEX CONCURRENTLY ON slow ((1))",
)


@pytest.fixture
def suite(connect: Connect) -> Connection[TupleRow]:
    """A superuser's session in the test's database, which waits for nothing longer than 2 s."""
    connection = connect(autocommit=True)
    connection.execute("SET statement_timeout = '2s'")
    return connection


@pytest.fixture
def running(database: Database, suite: Connection[TupleRow]) -> Iterator[RunningScan]:
    """A scan in the middle of a table that takes minutes."""
    suite.execute("CREATE TABLE users (email text)")
    insert(suite, "users", "a@test.example.com")
    make_slow_table(suite, "slow")
    running = RunningScan(settings(database.dsn))
    wait_until(lambda: counting(suite))
    yield running
    running.scan.cancel()


@pytest.mark.parametrize("statement", WAITERS)
def test_whoever_waits_for_a_table_is_let_through(
    running: RunningScan, suite: Connection[TupleRow], statement: LiteralString
) -> None:
    suite.execute(statement)


def test_the_count_goes_on_afterwards(running: RunningScan, suite: Connection[TupleRow]) -> None:
    suite.execute("TRUNCATE slow")
    report = running.result()
    assert (rows(report), report.complete) == ({"public.users": 1}, True)


def test_a_table_that_others_want_each_time_isnt_checked(
    running: RunningScan, suite: Connection[TupleRow]
) -> None:
    over = threading.Event()
    suite.execute("SET application_name = 'pytest:gw1 changer'")

    def change() -> None:
        while not over.is_set():
            if counting(suite):
                suite.execute("BEGIN; LOCK TABLE slow; COMMIT")

    changing = threading.Thread(target=change, daemon=True)
    changing.start()
    report = running.result(timeout_s=30)
    over.set()
    changing.join()
    skipped = only_skipped(report)
    assert skipped.table == "slow"
    assert skipped.reason.startswith("given up: pid ")
    assert skipped.reason.endswith(" (pytest:gw1 changer) waited to change it")
    assert rows(report) == {"public.users": 1}
    assert "run it again when no test changes or empties it" in leak_table.table(report)


def test_a_statement_in_a_transaction_runs_on(
    database: Database, connect: Connect, suite: Connection[TupleRow]
) -> None:
    suite.execute("CREATE TABLE held (id int)")
    session = DatabaseSession(settings(database.dsn), read_only=False)
    try:
        session.open()
        session.execute(b"BEGIN")
        session.execute(b"SELECT FROM public.held")
        blocked = connect(autocommit=True)
        waiting = threading.Thread(target=lambda: blocked.execute("TRUNCATE held"), daemon=True)
        waiting.start()
        session.execute(b"SELECT pg_catalog.pg_sleep(1.2)")
        session.execute(b"COMMIT")
        waiting.join(5)
        assert not waiting.is_alive()
    finally:
        session.close()
