"""The live source: restarts, stopped servers, foreign bytes."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms
from pgwatch_tests.errors import CannotConnectError, ConnectionLostError
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.locks.snapshot.live_source import POLL_DEADLINE_S, LiveSource
from pgwatch_tests.reports.locks import lock_tree
from pgwatch_tests.reports.locks.formats import lock_json
from pgwatch_tests.settings.load import Dsn, Settings
from tests.locks.looking import look
from tests.servers.server_places import server_directory
from tests.servers.sessions import Connect, Database
from tests.waiting import PATIENCE_S, wait_until


@pytest.fixture
def own_server(programs: ServerPrograms, template: Path) -> Iterator[EmbeddedServer]:
    """A server that the test may stop."""
    with EmbeddedServer(programs, server_directory(), {}, template) as server:
        yield server


def settings(dsn: str, connect_timeout_s: float = 5.0) -> Settings:
    return Settings(dsn=Dsn(dsn, "the test"), connect_timeout_s=connect_timeout_s)


async def read_until_it_works(source: LiveSource) -> LockSnapshot:
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await source.read()
        except (CannotConnectError, ConnectionLostError):
            assert time.monotonic() < deadline_s
            await asyncio.sleep(0.05)


def test_a_restart_is_survived(own_server: EmbeddedServer) -> None:
    async def scenario() -> None:
        async with LiveSource(settings(own_server.dsn())) as source:
            await source.read()
            own_server.restart()
            with pytest.raises(ConnectionLostError) as caught:
                await source.read()
            assert "\n" not in str(caught.value)
            assert (await read_until_it_works(source)).database == "postgres"

    asyncio.run(scenario())


def test_a_stopped_server_is_given_up_after_the_deadline(own_server: EmbeddedServer) -> None:
    async def scenario() -> float:
        async with LiveSource(settings(own_server.dsn())) as source:
            await source.read()
            stop(own_server.pid)
            began_s = time.monotonic()
            with pytest.raises(ConnectionLostError, match="hasn't answered"):
                await source.read()
            return time.monotonic() - began_s

    took_s = asyncio.run(scenario())
    cont(own_server.pid)
    assert POLL_DEADLINE_S <= took_s < POLL_DEADLINE_S + 10


def test_leaving_does_not_wait_for_a_stopped_server(own_server: EmbeddedServer) -> None:
    async def scenario() -> float:
        async with LiveSource(settings(own_server.dsn())) as source:
            await source.read()
            stop(own_server.pid)
            reading = asyncio.create_task(source.read())
            await asyncio.sleep(0)
            began_s = time.monotonic()
            reading.cancel()
            await asyncio.wait({reading})
        return time.monotonic() - began_s

    took_s = asyncio.run(scenario())
    cont(own_server.pid)
    assert took_s < POLL_DEADLINE_S


def test_a_query_of_invalid_bytes_and_escapes(database: Database, connect: Connect) -> None:
    name = f"{database.name}_ascii"
    admin = connect(autocommit=True)
    admin.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' TEMPLATE template0".encode())
    try:
        dsn = psycopg.conninfo.make_conninfo(database.dsn, dbname=name, client_encoding="SQL_ASCII")
        with psycopg.connect(dsn) as holder, psycopg.connect(dsn) as waiter:
            holder.execute("SELECT pg_advisory_lock(1)")
            query = b"SELECT pg_advisory_lock(1) /* [red]\n\x1b[31m \xff\xfe */"
            waiter.pgconn.send_query(query)
            wait_until(
                lambda: admin.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone(), message="waits"
            )
            graph = look(dsn)
            [seen] = [one.query for one in graph.snapshot.sessions if "[red]" in one.query]
            assert seen == "SELECT pg_advisory_lock(1) /* [red]\n\x1b[31m \\xff\\xfe */"
            assert "\x1b" not in lock_tree.text(graph.snapshot)
            assert "\x1b" not in lock_json.document(graph.snapshot)
            holder.cancel()
            holder.rollback()
            holder.execute("SELECT pg_advisory_unlock_all()")
            waiter.pgconn.get_result()
            while waiter.pgconn.get_result() is not None:
                pass
    finally:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_polls_show_no_session_of_ours(database: Database) -> None:
    assert look(database.dsn).snapshot.clients == ()


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def stop(postmaster: int) -> None:
    for pid in [postmaster, *children(postmaster)]:
        os.kill(pid, signal.SIGSTOP)


def cont(postmaster: int) -> None:
    for pid in [*children(postmaster), postmaster]:
        os.kill(pid, signal.SIGCONT)
