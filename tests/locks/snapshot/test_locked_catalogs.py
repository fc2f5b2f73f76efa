"""A session that has locked a catalog: the tree is shown all the same, and nothing of ours piles up."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import AsyncConnection, Connection
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms
from pgwatch_tests.errors import NoAnswerError
from pgwatch_tests.locks.model import Party
from pgwatch_tests.locks.naming.catalog_lookups import Lookups
from pgwatch_tests.locks.snapshot.live_source import LiveSource
from pgwatch_tests.postgres.connections.attempts import ConnectionAttempts
from pgwatch_tests.postgres.connections.session_settings import Row
from pgwatch_tests.settings.load import Dsn, Settings
from tests.servers.server_places import server_directory
from tests.servers.sessions import RunningStatement, blocked, close_at_once
from tests.waiting import PATIENCE_S, wait_until

PER_DATABASE = ["pg_class", "pg_type", "pg_namespace", "pg_attribute", "pg_proc"]
SHARED = ["pg_database", "pg_authid"]

OURS = """
    SELECT count(DISTINCT lock.pid)
    FROM pg_lock_status() AS lock LEFT JOIN pg_stat_get_activity(lock.pid) AS activity ON true
    WHERE NOT lock.granted AND coalesce(activity.application_name, '') IN ('', 'pgwatch-tests')
      AND coalesce(activity.backend_type, 'client backend') = 'client backend'
"""


OUR_SESSIONS = """
    SELECT pid FROM pg_stat_get_activity(NULL)
    WHERE application_name IN ('', 'pgwatch-tests') AND backend_type = 'client backend'
      AND pid <> pg_backend_pid()
"""


class Scene:
    """A holder and a waiter in database `app`, with an observer whose catalogs are warm and elsewhere."""

    def __init__(self, server: EmbeddedServer) -> None:
        self.server = server
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            admin.execute("CREATE DATABASE app")
        self.observer = psycopg.connect(server.dsn("template1"), autocommit=True)
        self.observer.execute(OURS.encode())
        self.observer.execute(OUR_SESSIONS.encode())
        self.holder = psycopg.connect(server.dsn("app"), application_name="pytest:gw0 t.py::test_holder")
        self.waiter = psycopg.connect(server.dsn("app"), application_name="pytest:gw1 t.py::test_waiter")
        self.holder.execute("CREATE TABLE accounts (id int PRIMARY KEY)")
        self.holder.execute("INSERT INTO accounts VALUES (42)")
        self.holder.commit()
        self.waiter.execute("SELECT * FROM accounts")
        self.waiter.commit()
        self.holder.execute("UPDATE accounts SET id = 42")

    def block(self) -> RunningStatement:
        return blocked(self.waiter, "UPDATE accounts SET id = 42", observer=self.observer)

    def lock(self, catalog: str) -> None:
        self.holder.execute(f"LOCK TABLE {catalog} IN ACCESS EXCLUSIVE MODE".encode())

    def ours_waiting(self) -> int:
        row = self.observer.execute(OURS.encode()).fetchone()
        assert row is not None
        return int(row[0])

    def ours(self) -> int:
        """How many sessions of ours there are, waiting or not."""
        return len(self.observer.execute(OUR_SESSIONS.encode()).fetchall())

    @property
    def edge(self) -> tuple[Party, Party]:
        return Party(self.waiter.info.backend_pid), Party(self.holder.info.backend_pid)


@pytest.fixture
def scene(programs: ServerPrograms, template: Path) -> Iterator[Scene]:
    """On a server of its own: whoever connects to it meanwhile would wait as well."""
    with EmbeddedServer(programs, server_directory(), {"autovacuum": "off"}, template) as server:
        made = Scene(server)
        connections: list[Connection[TupleRow]] = [made.holder, made.waiter]
        yield made
        pids = [one.info.backend_pid for one in connections]
        made.observer.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", [pids])
        made.observer.close()
        close_at_once(connections, server.dsn())


def settings(dsn: str, connect_timeout_s: float = 5.0) -> Settings:
    return Settings(dsn=Dsn(dsn, "the test"), connect_timeout_s=connect_timeout_s)


@pytest.mark.parametrize("catalog", [*PER_DATABASE, *SHARED])
def test_locked_after_the_start(scene: Scene, catalog: str) -> None:
    async def scenario() -> None:
        async with LiveSource(settings(scene.server.dsn("app"))) as source:
            await source.read()
            running = scene.block()
            scene.lock(catalog)
            for _ in range(8):
                snapshot = await source.read()
                assert [(edge.waiter, edge.blocker) for edge in snapshot.edges] == [scene.edge]
                # One look-up at most waits, for as long as its lock_timeout.
                assert scene.ours_waiting() <= 1
            [edge] = snapshot.edges
            assert edge.lock.target.startswith("row of ")
        assert running.thread.is_alive()
        wait_until(lambda: scene.ours_waiting() == 0, message="nothing of ours waits after the end")

    asyncio.run(scenario())


@pytest.mark.parametrize("catalog", PER_DATABASE)
def test_locked_before_the_start(scene: Scene, catalog: str) -> None:
    async def scenario() -> None:
        scene.block()
        scene.lock(catalog)
        async with LiveSource(settings(scene.server.dsn("app"))) as source:
            for _ in range(8):
                snapshot = await source.read()
                seen = {(edge.waiter, edge.blocker) for edge in snapshot.edges}
                # Perhaps with our own session that isn't let in, which nobody knows the name of yet.
                unnamed = {Party(one.pid) for one in snapshot.sessions if not one.application_name}
                assert {(waiter, blocker) for waiter, blocker in seen if waiter not in unnamed} == {
                    scene.edge
                }
                assert snapshot.database == "app"
                assert scene.ours_waiting() <= 1
            assert any("test_holder" in session.application_name for session in snapshot.sessions)

    asyncio.run(scenario())


@pytest.mark.parametrize("catalog", PER_DATABASE)
def test_sessions_of_ours_do_not_pile_up(scene: Scene, catalog: str) -> None:
    """However often names are asked for again."""

    async def scenario() -> None:
        scene.block()
        scene.lock(catalog)
        now_s = 0.0
        async with LiveSource(settings(scene.server.dsn("app")), lambda: now_s) as source:
            counts = []
            for _ in range(5):
                snapshot = await source.read_with_counts()
                counts.append(scene.ours())
                now_s += 120.0
        assert counts[-1] <= counts[0], counts
        assert max(counts) <= 3, "one that polls, one for names beside it, one that waits in `app`"
        users = {session.user for session in snapshot.sessions if "test_holder" in session.application_name}
        assert users == {scene.holder.info.user}

    asyncio.run(scenario())


def test_a_look_up_without_an_answer_keeps_its_session_and_is_not_repeated(scene: Scene) -> None:
    """As on PostgreSQL 18, which can hang in the abort after its own lock_timeout; here it is stopped."""
    asked: list[int] = []

    async def read(connection: AsyncConnection[Row]) -> None:
        asked.append(connection.info.backend_pid)
        await connection.execute("SELECT 1")

    async def scenario() -> None:
        now_s = 0.0
        attempts = ConnectionAttempts(settings(scene.server.dsn("app")))
        names = Lookups(attempts, lambda: now_s, deadline_s=0.1)
        try:
            with names.visit("app"):
                await names.attempt("app", ["first"], read)
                assert names.due(["first"]) == ["first"]
                os.kill(asked[0], signal.SIGSTOP)
                await names.attempt("app", ["name"], read)
            for _ in range(4):
                await names.attempt("app", ["name"], read)
                assert names.due(["name"]) == []
                now_s += 120.0
                names.disconnect()
                assert scene.ours() == 1
            assert len(asked) == 2
        finally:
            os.kill(asked[0], signal.SIGCONT)
        deadline_s = time.monotonic() + PATIENCE_S
        while len(asked) == 2 and time.monotonic() < deadline_s:
            now_s += 120.0
            await asyncio.sleep(0.01)
            await names.attempt("app", ["name"], read)
        assert asked[:2] == [asked[0]] * 2
        assert len(asked) == 3, "once it has answered, it is asked again"
        names.close()
        attempts.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("catalog", SHARED)
def test_nobody_gets_in_at_all_and_only_two_of_ours_wait(scene: Scene, catalog: str) -> None:
    """Until the lock is gone; then the attempts that waited are used."""

    async def scenario() -> None:
        scene.block()
        scene.lock(catalog)
        async with LiveSource(settings(scene.server.dsn("app"), connect_timeout_s=0.3)) as source:
            for _ in range(4):
                with pytest.raises(NoAnswerError, match="no answer from the server"):
                    await source.read()
                assert scene.ours_waiting() <= 2
            scene.holder.rollback()
            assert (await source.read()).database == "app"

    asyncio.run(scenario())
