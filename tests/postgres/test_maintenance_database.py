"""Connections to the maintenance database, or to the DSN's own where that one isn't to be had."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.errors import NoSlotError
from pgwatch_tests.locks.naming.catalog_lookups import LIMITS
from pgwatch_tests.postgres.connections import maintenance_database
from pgwatch_tests.postgres.connections.attempts import ConnectionAttempts
from pgwatch_tests.postgres.connections.connect import connect
from pgwatch_tests.postgres.connections.connection import AsyncOwnConnection, OwnConnection
from pgwatch_tests.postgres.connections.maintenance_database import connect_outside, connect_outside_async
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.settings.load import Dsn, Settings
from tests.servers.sessions import Database, MakeRole


@pytest.fixture
def dsn(server: EmbeddedServer, database: Database, make_role: MakeRole) -> Iterator[Dsn]:
    """A role's that may not connect to the maintenance database, to one that takes a single session."""
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        limit = sql.SQL("ALTER DATABASE {} CONNECTION LIMIT 1").format(sql.Identifier(database.name))
        administrator.execute(limit)
        administrator.execute("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC")
        yield Dsn(make_conninfo(database.dsn, user=make_role()), "the test")
        administrator.execute("GRANT CONNECT ON DATABASE postgres TO PUBLIC")


@pytest.fixture
def ending(dsn: Dsn) -> Iterator[Connection[TupleRow]]:
    """A session that is still counted, as a refused attempt's own is until its backend has ended."""
    with psycopg.connect(dsn.value) as connection:
        yield connection


def test_a_place_that_is_just_given_up_is_waited_for(
    dsn: Dsn, ending: Connection[TupleRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    def noted(
        dsn: Dsn, limits: SessionLimits, *, connect_timeout_s: float, database: str | None
    ) -> OwnConnection:
        try:
            return connect(dsn, limits, connect_timeout_s=connect_timeout_s, database=database)
        except NoSlotError:
            ending.close()
            raise

    monkeypatch.setattr(maintenance_database, "connect", noted)
    with connect_outside(dsn, LIMITS, connect_timeout_s=60) as connection:
        assert ending.closed
        assert connection.info.dbname != maintenance_database.MAINTENANCE_DATABASE


def test_so_does_code_of_asyncio(
    dsn: Dsn, ending: Connection[TupleRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = ConnectionAttempts.connect

    async def noted(
        attempts: ConnectionAttempts, limits: SessionLimits, database: str | None, *, timeout_s: float
    ) -> AsyncOwnConnection:
        try:
            return await attempt(attempts, limits, database, timeout_s=timeout_s)
        except NoSlotError:
            ending.close()
            raise

    async def scenario() -> str:
        connection = await connect_outside_async(ConnectionAttempts(Settings(dsn=dsn)), LIMITS)
        async with connection:
            return connection.info.dbname

    monkeypatch.setattr(ConnectionAttempts, "connect", noted)
    assert asyncio.run(scenario()) != maintenance_database.MAINTENANCE_DATABASE
    assert ending.closed


def test_places_that_are_all_taken_are_told(dsn: Dsn, ending: Connection[TupleRow]) -> None:
    assert not ending.closed
    with pytest.raises(NoSlotError, match="CONNECTION LIMIT is used up"):
        connect_outside(dsn, LIMITS, connect_timeout_s=60)
