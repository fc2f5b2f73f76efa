"""Connections through a pooler: it is told from a server, and finds nothing of ours in its sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import cast

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.errors import NotCheckedError
from pgwatch_tests.postgres.connections import connect as server_connect
from pgwatch_tests.postgres.connections.connect import connect_async
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.settings.load import Dsn
from tests.servers.poolers import MODES, Pooler, pooler, settings_of
from tests.servers.sessions import Connect, Database
from tests.waiting import wait_until

LIMITS = SessionLimits(
    statement_timeout_s=1.5, lock_timeout_s=0.25, any_bytes=True, more=(("row_security", "off"),)
)


@pytest.fixture(params=MODES)
def pooled(request: pytest.FixtureRequest, server: EmbeddedServer) -> Iterator[Pooler]:
    """A pooler of one session for each database."""
    with pooler(server, request.param, pool_size=1) as started:
        yield started


def own_connection(dsn: str) -> OwnConnection:
    return server_connect.connect(Dsn(dsn, "the test"), LIMITS, connect_timeout_s=5)


def _dsn(pooled: Pooler, database: Database) -> Dsn:
    return Dsn(pooled.dsn(database.name), "the test")


def test_a_session_is_as_it_was_before(database: Database, pooled: Pooler) -> None:
    dsn = pooled.dsn(database.name)
    before = settings_of(dsn)
    with own_connection(dsn) as connection:
        assert connection.pooled
        for _ in range(10):
            connection.execute("SELECT 1", prepare=True)
        connection.set({"statement_timeout": "7s"})
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT FROM nothing")
    assert settings_of(dsn) == before


def test_a_statement_runs_with_our_settings(database: Database, pooled: Pooler) -> None:
    with own_connection(pooled.dsn(database.name)) as connection:
        names = [
            "application_name",
            "statement_timeout",
            "transaction_read_only",
            "row_security",
            "DateStyle",
        ]
        values = [connection.execute(f"SHOW {name}".encode()).fetchone() for name in names]
        assert values == [("pgwatch-tests",), ("1500ms",), ("on",), ("off",), ("ISO, MDY",)]
        connection.set({"statement_timeout": "7s"})
        assert connection.execute("SHOW statement_timeout").fetchone() == ("7s",)
        assert connection.execute("SELECT 'größe'".encode()).fetchone() == ("größe",)
        with connection.transaction():
            assert connection.execute("SHOW statement_timeout").fetchone() == ("7s",)


def test_async_connections_are_the_same(database: Database, pooled: Pooler) -> None:
    async def look() -> None:
        connection = await connect_async(_dsn(pooled, database), LIMITS, connect_timeout_s=5)
        async with connection:
            assert connection.pooled
            cursor = await connection.execute("SHOW search_path", prepare=True)
            assert await cursor.fetchone() == ("pg_catalog, pg_temp",)
            with pytest.raises(psycopg.errors.UndefinedTable):
                await connection.execute("SELECT FROM nothing")
            async with connection.transaction():
                cursor = await connection.execute("SHOW search_path")
                assert await cursor.fetchone() == ("pg_catalog, pg_temp",)

    before = settings_of(pooled.dsn(database.name))
    asyncio.run(look())
    assert settings_of(pooled.dsn(database.name)) == before


def test_a_server_itself_is_no_pooler(database: Database) -> None:
    with own_connection(database.dsn) as connection:
        assert connection.pooled is False


def test_tasks_that_share_a_connection_have_a_transaction_each(database: Database, pooled: Pooler) -> None:
    async def look() -> None:
        connection = await connect_async(_dsn(pooled, database), LIMITS, connect_timeout_s=5)

        async def ask() -> object:
            query = "SELECT current_setting('lock_timeout'), now()"
            return await (await connection.execute(query)).fetchone()

        async with connection:
            told = cast(list[tuple[str, object]], await asyncio.gather(*(ask() for _ in range(20))))
            assert {timeout for timeout, _ in told} == {"250ms"}
            assert len({begun for _, begun in told}) == 20

    before = settings_of(pooled.dsn(database.name))
    asyncio.run(look())
    assert settings_of(pooled.dsn(database.name)) == before


def is_asleep(observer: Connection[TupleRow]) -> bool:
    query = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
    return observer.execute(query).fetchone() is not None


def test_a_cancelled_statement_takes_the_connection_along(
    database: Database, owner: Connection[TupleRow], pooled: Pooler
) -> None:
    cancelled_before = pooled.cancelled()

    async def look() -> None:
        connection = await connect_async(_dsn(pooled, database), LIMITS, connect_timeout_s=5)
        running = asyncio.create_task(connection.execute("SELECT pg_sleep(60)"))
        await asyncio.to_thread(wait_until, lambda: is_asleep(owner))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert connection.closed

    asyncio.run(look())
    with psycopg.connect(pooled.dsn(database.name), autocommit=True) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert pooled.cancelled() == cancelled_before


def test_while_catalogs_are_locked_it_counts_as_one(database: Database, connect: Connect) -> None:
    locking = connect()
    locking.execute("LOCK TABLE pg_proc IN ACCESS EXCLUSIVE MODE")
    with own_connection(database.dsn) as connection:
        assert connection.pooled is None
        locking.rollback()
        assert connection.execute("SHOW statement_timeout").fetchone() == ("1500ms",)
        with pytest.raises(NotCheckedError, match="catalogs are locked"):
            connection.require_session("a test")
