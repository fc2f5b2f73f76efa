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
