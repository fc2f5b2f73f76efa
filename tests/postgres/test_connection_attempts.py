"""Connections that are opened for several who ask: each has one owner, who closes it."""

from __future__ import annotations

import asyncio
import gc
import time

import pytest
from psycopg import AsyncConnection, Connection
from psycopg.rows import TupleRow

from pgwatch_tests.errors import ConnectionLostError
from pgwatch_tests.locks.naming.catalog_lookups import LIMITS, Lookups
from pgwatch_tests.postgres.connections.attempts import ConnectionAttempts
from pgwatch_tests.postgres.connections.session_settings import Row
from pgwatch_tests.settings.load import Dsn, Settings
from tests.servers.sessions import Database
from tests.waiting import wait_until

_OURS = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND application_name = 'pgwatch-tests'"


def ours(owner: Connection[TupleRow]) -> int:
    row = owner.execute(_OURS, [owner.info.dbname]).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def attempts(database: Database) -> ConnectionAttempts:
    return ConnectionAttempts(Settings(dsn=Dsn(database.dsn, "the test")))


def test_a_probe_leaves_no_session(
    attempts: ConnectionAttempts,
    database: Database,
    owner: Connection[TupleRow],
    recwarn: pytest.WarningsRecorder,
) -> None:
    assert asyncio.run(attempts.probe(LIMITS)) == database.name
    gc.collect()
    assert not recwarn.list
    wait_until(lambda: ours(owner) == 0, message="the session has ended")


def test_two_look_ups_at_once_have_one_session(
    attempts: ConnectionAttempts, database: Database, owner: Connection[TupleRow]
) -> None:
    pids: set[int] = set()

    async def read(connection: AsyncConnection[Row]) -> None:
        pids.add(connection.info.backend_pid)
        await connection.execute("SELECT pg_catalog.pg_sleep(0.05)")

    async def scenario() -> None:
        lookups = Lookups(attempts, time.monotonic)
        await asyncio.gather(*(lookups.attempt(database.name, [number], read) for number in range(3)))

    asyncio.run(scenario())
    assert len(pids) == 1
    wait_until(lambda: ours(owner) == 0, message="their session has ended")


def test_whoever_waits_when_it_is_closed_gets_none(
    attempts: ConnectionAttempts, owner: Connection[TupleRow]
) -> None:
    """No attempt is made that nobody gives up any more."""

    async def scenario() -> None:
        waiting = asyncio.create_task(attempts.connect(LIMITS))
        await asyncio.sleep(0)
        attempts.close()
        with pytest.raises(ConnectionLostError):
            await waiting

    asyncio.run(scenario())
    wait_until(lambda: ours(owner) == 0, message="no session stays")
