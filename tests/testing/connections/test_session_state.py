"""What a test hands on with its session: settings, channels, temporary tables, locks, a transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import asyncpg
import psycopg
import psycopg2
import pytest
import sqlalchemy as sa
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool
from sqlalchemy import event

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.testing.connections.left_sessions import LeftSessions
from pgwatch_tests.testing.current_test import Owner, acting_for, running
from tests.servers.poolers import pooler
from tests.testing.connections.watch import Watch, name_of

DIRT = {
    "SET statement_timeout = 5000": "statement_timeout = '5000' (it was '0')",
    "SET ROLE pg_monitor": "role = 'pg_monitor' (it was 'none')",
    "SET app.token = 'secret'": "the setting app.token changed",
    "LISTEN jobs": "LISTEN jobs",
    "CREATE TEMP TABLE basket ()": "the temporary table basket",
    "SELECT 1 AS a INTO TEMP chosen": "the temporary table chosen",
    "SELECT pg_advisory_lock(7)": "the advisory lock 7 (ExclusiveLock)",
    "SELECT pg_try_advisory_lock_shared(-1, 2)": "the advisory lock -1, 2 (ShareLock)",
    "DO $$BEGIN SET lock_timeout = '2s'; END$$": "lock_timeout = '2000' (it was '0')",
}
CLEAN = (
    "SET LOCAL statement_timeout = 5000",
    "SET statement_timeout = 0",
    "SELECT set_config('statement_timeout', '1', true)",
    "SELECT pg_advisory_xact_lock(7)",
    "SELECT pg_advisory_lock(7), pg_advisory_unlock(7)",
    "CREATE TEMP TABLE basket () ON COMMIT DROP",
    "LISTEN jobs; UNLISTEN jobs",
    "UPDATE t SET a = 'b'",
    "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
)
Session = Callable[..., Any]


@pytest.fixture(params=["psycopg", "psycopg2"])
def engine(request: pytest.FixtureRequest, watch: Watch) -> Iterator[sa.Engine]:
    """An engine of one connection, in use."""
    engine = sa.create_engine(watch.url(request.param), pool_size=1)
    with running(Owner("fixture", "engine")), engine.connect() as connection:
        connection.execute(sa.text("SELECT * FROM t"))
    yield engine
    engine.dispose()


def run(engine: sa.Engine, owner: Owner, *statements: str) -> None:
    with running(owner), engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def test_dirt_is_told_once_with_the_test_that_left_it(engine: sa.Engine, watch: Watch) -> None:
    expected = []
    for number, (statement, words) in enumerate(DIRT.items()):
        one = Owner("test", f"test_{number}")
        run(engine, one, statement)
        run(engine, watch.two, "SELECT 1")
        run(engine, watch.one, "SELECT 1")
        expected.append(f"test_{number} handed a session on with {words}; {watch.two.name} got it")
    assert watch.reasons == expected
    assert {finding.kind for finding in watch.findings} == {"session_state"}
    assert all(finding.fails and finding.advice for finding in watch.findings)


def test_what_ends_with_the_transaction_or_the_test_is_no_dirt(engine: sa.Engine, watch: Watch) -> None:
    for statement in CLEAN:
        run(engine, watch.one, statement)
        run(engine, watch.two, "SELECT 1")
    with running(watch.one):
        with engine.connect() as connection:
            connection.exec_driver_sql("SET statement_timeout = 5000")
            connection.rollback()
        run(engine, watch.one, "SET lock_timeout = 1000")
        run(engine, watch.one, "RESET lock_timeout")
    run(engine, watch.two, "SELECT 1")
    assert watch.reasons == []


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_what_the_application_sets_for_each_session_is_no_dirt(driver: str, watch: Watch) -> None:
    engine = sa.create_engine(watch.url(driver), pool_size=1)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 5000")
            cursor.execute("LISTEN jobs")
        connection.commit()

    @event.listens_for(engine, "checkout")
    def hand_out(connection: Any, _: object, __: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET app.tenant = 'one'")
        connection.commit()

    for owner in (watch.one, watch.two, watch.one):
        run(engine, owner, "SELECT 1")
    assert watch.reasons == []
    run(engine, watch.one, "SET statement_timeout = 6000")
    run(engine, watch.two, "SELECT 1")
    run(engine, watch.two, "RESET statement_timeout")
    run(engine, watch.one, "SELECT 1")
    engine.dispose()
    one, two = watch.one.name, watch.two.name
    assert watch.reasons == [
        f"{one} handed a session on with statement_timeout = '6000' (it was '5000'); {two} got it",
        f"{two} handed a session on with statement_timeout = '0' (it was '6000'); {one} got it",
    ]


def test_a_pool_of_psycopg(watch: Watch) -> None:
    def configure(connection: psycopg.Connection[TupleRow]) -> None:
        connection.execute("SET statement_timeout = 5000")
        connection.commit()

    with (
        running(Owner("fixture", "pool")),
        ConnectionPool(watch.database.dsn, min_size=1, configure=configure) as pool,
    ):
        for owner in (watch.one, watch.two):
            with running(owner), pool.connection() as connection:
                connection.execute("SELECT 1")
        assert watch.reasons == []
        with running(watch.one), pool.connection() as connection:
            connection.execute("SET statement_timeout = 6000")
        with running(watch.two), pool.connection() as connection:
            connection.execute("SELECT 1")
    assert [finding.owner for finding in watch.findings] == [watch.one]


def test_a_connection_that_a_fixture_prepared(watch: Watch) -> None:
    with running(Owner("fixture", "connection [module]")):
        connection = psycopg.connect(watch.database.dsn, autocommit=True)
        connection.execute("SET statement_timeout = 5000")
    with connection:
        for owner in (watch.one, watch.two):
            with running(owner):
                connection.execute("SELECT a FROM t")
        assert watch.reasons == []
        with running(watch.two):
            connection.execute("CREATE TEMP TABLE basket ()")
        with running(watch.one):
            connection.execute("SELECT 1")
    one, two = watch.one.name, watch.two.name
    assert watch.reasons == [f"{two} handed a session on with the temporary table basket; {one} got it"]


async def test_what_a_pool_of_asyncpg_resets_is_no_dirt(watch: Watch) -> None:
    with running(Owner("fixture", "pool")):
        pool = await asyncpg.create_pool(watch.database.dsn, min_size=1, max_size=1)
    async with pool:
        with running(watch.one):
            async with pool.acquire() as connection:
                await connection.fetch("SELECT * FROM t")
                await connection.execute(
                    "SET statement_timeout = 5000; LISTEN jobs; SELECT pg_advisory_lock(7)"
                )
            async with pool.acquire() as connection:
                await connection.execute("CREATE TEMP TABLE basket ()")
        with running(watch.two):
            async with pool.acquire() as connection, connection.transaction():
                await connection.fetchval("SELECT 1")
    one, two = watch.one.name, watch.two.name
    assert watch.reasons == [f"{one} handed a session on with the temporary table basket; {two} got it"]


def test_an_open_transaction_takes_the_name_of_the_next_test(watch: Watch) -> None:
    with (
        closing(psycopg.connect(watch.database.dsn)) as connection,
        closing(psycopg2.connect(watch.database.dsn)) as other,
        other.cursor() as cursor,
    ):
        pids = connection.info.backend_pid, other.get_backend_pid()

        def names() -> set[str]:
            connection.execute("SELECT 1")
            cursor.execute("SELECT 1")
            return {watch.name(pid) for pid in pids}

        with running(watch.one):
            assert names() == {name_of(watch.one)}
        watch.one.end()
        with acting_for(watch.one):
            # A late request of the test's own.
            assert names() == {name_of(watch.one)}
        with running(watch.two):
            assert names() == {name_of(watch.two)}
            connection.execute("INSERT INTO t (a) VALUES ('a')")
            connection.commit()
            connection.rollback()
            assert names() == {name_of(watch.two)}
    # The verdicts tell transactions that are left open.
    assert watch.reasons == []
    assert watch.commits() == [(watch.two, None)]


def test_a_session_of_a_pooler_is_not_asked(server: EmbeddedServer, watch: Watch) -> None:
    with (
        pooler(server, "transaction", pool_size=1) as pool,
        psycopg.connect(pool.dsn(watch.database.name), prepare_threshold=None) as connection,
    ):
        for owner in (watch.one, watch.two, watch.one):
            with running(owner), connection.transaction():
                connection.execute("SELECT a FROM t")
                connection.execute("SET statement_timeout = 5000")
    assert watch.reasons == []


def test_the_last_sessions_are_looked_at_in_the_end(server: EmbeddedServer, watch: Watch) -> None:
    engine = sa.create_engine(watch.url("psycopg2"), pool_size=1)
    run(engine, watch.one, "SELECT * FROM t", "LISTEN jobs")
    with (
        closing(psycopg.connect(watch.database.dsn)) as left,
        pooler(server, "transaction", pool_size=1) as pool,
        running(watch.two),
        closing(psycopg.connect(watch.database.dsn)) as closed,
        closing(psycopg.connect(pool.dsn(watch.database.name), prepare_threshold=None)) as pooled,
    ):
        own = psycopg.connect(watch.database.dsn)
        for connection in (left, closed, pooled):
            connection.execute("SELECT * FROM t")
            connection.execute("SET statement_timeout = 5000")
            connection.commit()
        closed.close()
        pooled.commit()
        LeftSessions(watch.drivers.hooks).tell()
        own.close()
    engine.dispose()
    one, two = watch.one.name, watch.two.name
    assert sorted(watch.reasons) == sorted(
        [
            f"{one} handed a session on with LISTEN jobs",
            f"{two} handed a session on with statement_timeout = '5000' (it was '0')",
            f"{two} left 2 connections open that no other test has used",
        ]
    )
    assert [finding.fails for finding in watch.findings if finding.kind == "connections"] == [False]
