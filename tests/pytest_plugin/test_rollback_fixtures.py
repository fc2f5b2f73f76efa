"""The fixtures of rollback isolation in a suite, whether the plugin is on or off."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from tests.servers.sessions import Database

pytest_plugins = ["pytester"]

LOOPS = "asyncio_default_fixture_loop_scope = function\n"
SUITE = """
    import pytest
    import sqlalchemy as sa
    from sqlalchemy.orm import sessionmaker

    ADD = sa.text("INSERT INTO users VALUES (1)")
    COUNT = sa.text("SELECT count(*) FROM users")
    local = sessionmaker()

    @pytest.fixture
    def pgwatch_sessionmakers():
        return [local]

    @pytest.mark.parametrize("number", range(2))
    def test_session(number, rollback_session):
        rollback_session.execute(ADD)
        rollback_session.commit()
        with local() as application:
            assert application.scalar(COUNT) == 1

    @pytest.mark.parametrize("number", range(2))
    def test_connection(number, rollback_connection):
        rollback_connection.execute(ADD)
        rollback_connection.commit()
        assert rollback_connection.scalar(COUNT) == 1

    @pytest.mark.asyncio
    @pytest.mark.parametrize("number", range(2))
    async def test_async(number, async_rollback_session, async_rollback_connection):
        # Each has a transaction of its own.
        assert await async_rollback_connection.scalar(COUNT) == 0
        await async_rollback_session.execute(ADD)
        await async_rollback_session.commit()
        assert await async_rollback_session.scalar(COUNT) == 1
        assert await async_rollback_connection.scalar(COUNT) == 0
"""


@pytest.mark.parametrize(("mode", "asyncio_mode"), [("off", "strict"), ("warn", "auto")])
def test_what_a_test_commits_is_gone_with_it(
    mode: str,
    asyncio_mode: str,
    pytester: pytest.Pytester,
    database: Database,
    owner: Connection[TupleRow],
) -> None:
    owner.execute("CREATE TABLE users (id int PRIMARY KEY)")
    pytester.makeini(f"[pytest]\nasyncio_mode = {asyncio_mode}\n{LOOPS}filterwarnings = error\n")
    pytester.makepyfile(SUITE)
    # In any form that --dsn takes.
    dsn = psycopg.conninfo.make_conninfo(database.dsn)
    done = pytester.runpytest_subprocess(f"--pgwatch={mode}", f"--pgwatch-dsn={dsn}")
    done.assert_outcomes(passed=6)
    assert owner.execute("SELECT FROM users").rowcount == 0


WAITING = """
    import pytest
    import sqlalchemy as sa
    import os

    ADD = sa.text("INSERT INTO users VALUES (1)")
    engine = sa.create_engine(sa.make_url(os.environ["PGWATCH_DSN"]).set(drivername="postgresql+psycopg"))

    def request():
        with engine.begin() as connection:
            connection.execute(ADD)

    def test_hides_it(rollback_session):
        rollback_session.execute(ADD)
        try:
            request()
        except sa.exc.OperationalError:
            pass

    def test_fails_by_it(rollback_connection):
        rollback_connection.execute(ADD)
        request()

    def test_waits_for_nobody(rollback_session):
        rollback_session.execute(ADD)
        rollback_session.commit()

    @pytest.fixture(scope="session", autouse=True)
    def disposed():
        yield
        engine.dispose()
"""


@pytest.mark.parametrize("mode", ["off", "fail"])
def test_a_test_that_waits_for_itself_fails_in_its_call(
    mode: str, pytester: pytest.Pytester, database: Database, owner: Connection[TupleRow]
) -> None:
    owner.execute("CREATE TABLE users (id int PRIMARY KEY)")
    pytester.makeini(f"[pytest]\n{LOOPS}filterwarnings = error\n")
    pytester.makepyfile(WAITING)
    pytester._monkeypatch.setenv("PGWATCH_DSN", database.dsn)
    done = pytester.runpytest_subprocess(f"--pgwatch={mode}", "-p", "no:randomly")
    outcomes = done.parseoutcomes()
    assert (outcomes["failed"], outcomes["passed"]) == (2, 1)
    # The finding fails its tear-down as well, where that is asked for.
    assert outcomes.get("errors", 0) == (2 if mode == "fail" else 0)
    for test in ("test_hides_it", "test_fails_by_it"):
        done.stdout.fnmatch_lines([f"*::{test} waits for itself: another connection of its process (pid *"])
    done.stdout.fnmatch_lines(["*SelfWaitError*"])
