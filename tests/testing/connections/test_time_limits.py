"""Tests' transactions have time limits, if asked for; what the suite sets stays, and nothing is left."""

from __future__ import annotations

import asyncpg
import psycopg
import psycopg2
import pytest
import sqlalchemy as sa
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.testing.connections.drivers import Drivers
from pgwatch_tests.testing.connections.time_limits import NO_LIMITS, TimeLimits
from pgwatch_tests.testing.current_test import running
from tests.servers.poolers import pooler
from tests.testing.connections.watch import Watch

LOCK, IDLE = "lock_timeout", "idle_in_transaction_session_timeout"
BOTH = f"SELECT current_setting('{LOCK}'), current_setting('{IDLE}')"


@pytest.fixture
def limited(watch: Watch) -> Watch:
    watch.drivers.remove()
    watch.drivers = Drivers(watch.hooked, watch.warnings.append, limits=TimeLimits(1.5, 0.25))
    watch.drivers.look()
    return watch


def shown(connection: Connection[TupleRow]) -> TupleRow | None:
    return connection.execute(BOTH).fetchone()


def test_each_transaction_has_them_for_itself(limited: Watch) -> None:
    connection = psycopg.connect(limited.database.dsn)
    with connection:
        for owner in (limited.one, limited.two, limited.two):
            with running(owner):
                assert shown(connection) == ("1500ms", "250ms")
                connection.execute("SAVEPOINT a")
                connection.rollback()
        # For nobody's transaction.
        assert shown(connection) == ("0", "0")
        connection.rollback()
        with running(limited.one), connection.transaction():
            connection.execute("INSERT INTO t (a) VALUES ('a')")
    assert limited.commits() == [(limited.one, None)]
    assert limited.findings == []


def test_what_the_suite_sets_stays(limited: Watch) -> None:
    with running(limited.one):
        with psycopg.connect(limited.database.dsn, options=f"-c {LOCK}=7s") as connection:
            assert shown(connection) == ("7s", "250ms")
        with psycopg.connect(limited.database.dsn) as connection:
            connection.execute(f"SET {LOCK} = '3s'")
            assert shown(connection) == ("3s", "250ms")
            connection.commit()
            assert shown(connection) == ("3s", "250ms")


def test_statements_of_their_own_have_them_too(limited: Watch) -> None:
    with psycopg.connect(limited.database.dsn, autocommit=True) as connection:
        with running(limited.one):
            assert shown(connection) == ("1500ms", "250ms")
        with running(limited.two):
            connection.execute("SELECT count(*) FROM t")
            connection.execute("SET work_mem = '5MB'")
        with running(limited.one):
            assert shown(connection) == ("1500ms", "250ms")
    # What is told of the session is what its test has done.
    [finding] = limited.findings
    assert "work_mem" in finding.reason
    assert LOCK not in finding.reason


async def test_asyncpg(limited: Watch) -> None:
    with running(limited.one):
        async with asyncpg.create_pool(limited.database.dsn, min_size=1, max_size=1) as pool:
            for _ in range(2):
                async with pool.acquire() as connection:
                    assert tuple(await connection.fetchrow(BOTH)) == ("1500ms", "250ms")
                    async with connection.transaction():
                        assert tuple(await connection.fetchrow(BOTH)) == ("1500ms", "250ms")
    assert limited.findings == []


def test_psycopg_2_by_itself_and_through_sqlalchemy(limited: Watch) -> None:
    engine = sa.create_engine(limited.url("psycopg2"))
    connection = psycopg2.connect(limited.database.dsn)
    try:
        for owner in (limited.one, limited.two):
            with running(owner):
                with engine.connect() as checked_out:
                    assert tuple(checked_out.execute(sa.text(BOTH)).one()) == ("1500ms", "250ms")
                with connection, connection.cursor() as cursor:
                    cursor.execute(BOTH)
                    assert cursor.fetchone() == ("1500ms", "250ms")
    finally:
        connection.close()
        engine.dispose()
    assert limited.findings == []


def test_behind_a_pooler_nothing_outlives_a_transaction(server: EmbeddedServer, limited: Watch) -> None:
    with pooler(server, "transaction", pool_size=1) as pool:
        dsn = pool.dsn(limited.database.name)
        with running(limited.one), psycopg.connect(dsn, prepare_threshold=None) as connection:
            for _ in range(2):
                with connection.transaction():
                    assert shown(connection) == ("1500ms", "250ms")
        with psycopg.connect(dsn, prepare_threshold=None) as other:
            assert shown(other) == ("0", "0")


def test_statements_qualify_all_names() -> None:
    assert not NO_LIMITS
    assert TimeLimits(idle_s=0.0001).settings == {IDLE: "1"}
    assert "pg_catalog.set_config('lock_timeout', '10000', true)" in TimeLimits(10.0).statement(local=True)
