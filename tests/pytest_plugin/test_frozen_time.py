"""The plugin's own deadlines go on while a test's time stands still, and the suite's time is left alone."""

from __future__ import annotations

import pytest

from tests.pytest_plugin.suites import run_suite, told
from tests.servers.sessions import Connect, Database

pytest_plugins = ["pytester"]

SUITE = """
    import datetime, time
    import freezegun, pytest, time_machine
    from conftest import write

    THEN = datetime.datetime(2020, 1, 2, tzinfo=datetime.timezone.utc)

    def test_deadlines_go_on():
        with freezegun.freeze_time(THEN):
            clock = {"time": time, "__name__": "pgwatch_tests.postgres.some_deadline"}
            assert eval("time.time()", clock) > THEN.timestamp() + 10**8
            clock["__name__"] = "pgwatch_tests.testing.something_of_the_suite"
            assert eval("time.time()", clock) == THEN.timestamp()

    @pytest.fixture(scope="module", params=["freezegun", "time_machine"])
    def frozen(request):
        # Wider than a test: it is judged while its time stands still.
        if request.param == "freezegun":
            with freezegun.freeze_time(THEN):
                yield
        else:
            with time_machine.travel(THEN, tick=False):
                yield

    def test_leaves(frozen, conn):
        assert datetime.datetime.now(datetime.timezone.utc) == THEN
        write(conn, "INSERT INTO users (email) VALUES ('a')")
        assert datetime.datetime.now(datetime.timezone.utc) == THEN
        assert time.time() == THEN.timestamp()

    def test_cleans_up(frozen, conn):
        write(conn, "INSERT INTO users (email) VALUES ('b')")
        write(conn, "DELETE FROM users WHERE email = 'b'")
"""


def test_time_stands_still(pytester: pytest.Pytester, database: Database, connect: Connect) -> None:
    connect(autocommit=True).execute("CREATE TABLE users (id serial PRIMARY KEY, email text)")
    done = run_suite(pytester, database.dsn, SUITE, "--timeout=60")
    assert set(told(done)) == {"test_leaves[freezegun]", "test_leaves[time_machine]"}
    done.assert_outcomes(passed=5, errors=2)
