"""Transactions that tests leave open are told, those that only pytest keeps alive aren't."""

from __future__ import annotations

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from tests.pytest_plugin.suites import run_suite, told
from tests.servers.sessions import Database

pytest_plugins = ["pytester"]

SUITE = """
    import django.db  # as factory_boy does, without settings for it
    import psycopg, pytest
    from sqlalchemy import create_engine
    from conftest import DSN

    KEPT, HANDED_ON = [], []
    ENGINE = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(DSN))

    @pytest.fixture
    def unclosed():
        return psycopg.connect(DSN)

    @pytest.fixture(scope="module")
    def shared():
        with psycopg.connect(DSN) as connection:
            connection.execute("SELECT 1")
            yield connection

    def test_keeps():
        KEPT.append(psycopg.connect(DSN))
        KEPT[-1].execute("INSERT INTO users DEFAULT VALUES")

    def test_opens_one_for_others():
        HANDED_ON.append(psycopg.connect(DSN, autocommit=True))
        HANDED_ON[0].execute("SELECT 1")

    def test_forgets():
        psycopg.connect(DSN).execute("INSERT INTO users DEFAULT VALUES")

    def test_forgets_in_a_cycle():
        connection = psycopg.connect(DSN)
        cycle = [connection]
        cycle.append(cycle)
        connection.execute("INSERT INTO users DEFAULT VALUES")

    def test_has_a_fixture_that_does_not_close(unclosed):
        unclosed.execute("SELECT 1")

    def test_fails_in_a_transaction():
        with psycopg.connect(DSN) as connection:
            connection.execute("SELECT 1")
            unclosed = psycopg.connect(DSN)
            unclosed.execute("SELECT 1")
            assert False

    def test_fails_and_keeps():
        KEPT.append(psycopg.connect(DSN))
        KEPT[-1].execute("SELECT 1")
        assert False

    def test_fails_in_a_transaction_again():
        unclosed = psycopg.connect(DSN)
        unclosed.execute("SELECT 1")
        assert False

    def test_uses_a_transaction_of_a_wider_fixture(shared):
        shared.execute("SELECT 1")

    class TestInOneTransaction:
        @pytest.fixture(scope="class", autouse=True)
        def transaction(self):
            # As Django's TestCase does: BEGIN is sent with the first statement of a test.
            HANDED_ON[0].autocommit = False
            yield
            HANDED_ON[0].rollback()

        def test_first(self):
            HANDED_ON[0].execute("SELECT 1")

        def test_second(self):
            HANDED_ON[0].execute("SELECT 1")

    def test_gives_back_to_the_pool():
        with ENGINE.connect() as connection:
            connection.exec_driver_sql("SELECT 1")

    def test_keeps_a_session_of_the_pool():
        KEPT.append(ENGINE.connect())
        KEPT[-1].exec_driver_sql("SELECT 1")
"""


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_open_transactions(
    pytester: pytest.Pytester, database: Database, owner: Connection[TupleRow]
) -> None:
    owner.execute("CREATE TABLE users (id serial PRIMARY KEY)")
    done = run_suite(pytester, database.dsn, SUITE)
    left = [
        f"left a transaction open in {database.name}: its locks stay, and what it wrote isn't seen by others"
    ]
    found = {
        test: open_
        for test, findings in told(done).items()
        if (open_ := [one for one in findings if "transaction open" in one])
    }
    assert found == {
        "test_keeps": left,
        "test_fails_and_keeps": left,
        "test_keeps_a_session_of_the_pool": left,
    }
    done.assert_outcomes(passed=10, failed=3, errors=1)
