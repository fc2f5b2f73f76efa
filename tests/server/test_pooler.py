"""Connections through a pooler: it is told from a server, and finds nothing of ours in its sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from pgwatch_tests.config import Dsn
from pgwatch_tests.demo.embedded import EmbeddedServer
from pgwatch_tests.server.connect import connect, connect_async
from pgwatch_tests.server.session_limits import SessionLimits
from tests.poolers import MODES, Pooler, pooler, settings_of
from tests.sessions import Database

LIMITS = SessionLimits(
    statement_timeout_s=1.5, lock_timeout_s=0.25, any_bytes=True, more=(("row_security", "off"),)
)


@pytest.fixture(params=MODES)
def pooled(request: pytest.FixtureRequest, server: EmbeddedServer) -> Iterator[Pooler]:
    """A pooler of one session for each database."""
    with pooler(server, request.param, pool_size=1) as started:
        yield started


def test_a_session_is_as_it_was_before(database: Database, pooled: Pooler) -> None:
    dsn = pooled.dsn(database.name)
    before = settings_of(dsn)
    with connect(Dsn(dsn, "the test"), LIMITS, connect_timeout_s=5) as connection:
        assert connection.pooled
        for _ in range(10):
            connection.execute("SELECT 1", prepare=True)
        connection.set({"statement_timeout": "7s"})
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT FROM nothing")
    assert settings_of(dsn) == before


def test_a_statement_runs_with_our_settings(database: Database, pooled: Pooler) -> None:
    with connect(Dsn(pooled.dsn(database.name), "the test"), LIMITS, connect_timeout_s=5) as connection:
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
        connection = await connect_async(
            Dsn(pooled.dsn(database.name), "the test"), LIMITS, connect_timeout_s=5
        )
        async with connection:
            assert connection.pooled
            cursor = await connection.execute("SHOW search_path", prepare=True)
            assert await cursor.fetchone() == ("pg_catalog",)
            with pytest.raises(psycopg.errors.UndefinedTable):
                await connection.execute("SELECT FROM nothing")
            async with connection.transaction():
                cursor = await connection.execute("SHOW search_path")
                assert await cursor.fetchone() == ("pg_catalog",)

    before = settings_of(pooled.dsn(database.name))
    asyncio.run(look())
    assert settings_of(pooled.dsn(database.name)) == before


def test_a_server_itself_is_no_pooler(database: Database) -> None:
    with connect(Dsn(database.dsn, "the test"), LIMITS, connect_timeout_s=5) as connection:
        assert connection.pooled is False
