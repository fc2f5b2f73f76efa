"""Our own connections are nobody's sessions, also in the moment in which they have no name yet."""

from __future__ import annotations

import asyncio

import psycopg

from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.locks.snapshot.live_source import LiveSource
from pgwatch_tests.postgres.connections.own_backends import OWN_BACKENDS, OwnBackends
from pgwatch_tests.settings.load import Dsn, Settings
from tests.servers.sessions import Database


def test_one_without_a_name_is_ours_for_a_second() -> None:
    now_s = 100.0
    own = OwnBackends(lambda: now_s)
    own.add(1)
    now_s = 100.6
    own.add(2)
    assert own.recent() == {1, 2}
    now_s = 101.2
    assert own.recent() == {2}


def test_what_was_just_opened_is_no_session_of_a_suite(database: Database) -> None:
    async def read() -> LockSnapshot:
        async with LiveSource(Settings(dsn=Dsn(database.dsn, "the test"))) as source:
            return await source.read()

    with psycopg.connect(database.dsn) as nameless, psycopg.connect(database.dsn) as other:
        pids = nameless.info.backend_pid, other.info.backend_pid
        OWN_BACKENDS.add(pids[0])
        told = asyncio.run(read())
        assert [one.pid for one in told.clients if one.pid in pids] == [pids[1]]
        # Whoever has another name isn't ours, whatever his pid was.
        other.execute("SET application_name = 'a suite'")
        OWN_BACKENDS.add(pids[1])
        assert pids[1] in [one.pid for one in asyncio.run(read()).clients]
