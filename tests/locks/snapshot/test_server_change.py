"""A DSN of several hosts: another server answers, and nothing is done there that was meant for the first."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms, free_directory
from pgwatch_tests.errors import ConnectionLostError, RefusedError
from pgwatch_tests.locks.actions.action import PreparedRollback
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.locks.snapshot.live_source import LiveSource
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep.request import SweepRequest
from pgwatch_tests.sweep.run import Sweep
from pgwatch_tests.tui.answers.latest_answers import server_change
from tests.locks.actions.acting import do, seen
from tests.locks.snapshots import MOMENT, snapshot
from tests.servers.sessions import Connect, Database


@pytest.fixture
def two_servers(programs: ServerPrograms, template: Path) -> Iterator[tuple[EmbeddedServer, EmbeddedServer]]:
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(EmbeddedServer(programs, free_directory("pgwatch-tests-"), {}, template))
            for _ in range(2)
        )
        yield first, second


def either(*servers: EmbeddedServer) -> Settings:
    hosts = ",".join(parse_qs(urlsplit(server.dsn()).query)["host"][0] for server in servers)
    dsn = psycopg.conninfo.make_conninfo(host=hosts, port=5432, user="postgres", dbname="app_test")
    return Settings(dsn=Dsn(dsn, "the test"), connect_timeout_s=20.0)


def test_the_second_server_answers(two_servers: tuple[EmbeddedServer, EmbeddedServer]) -> None:
    first, second = two_servers
    with ExitStack() as stack:
        for number, server in enumerate(two_servers):
            admin = stack.enter_context(psycopg.connect(server.dsn(), autocommit=True))
            # So that the same OID is another name.
            admin.execute(f"CREATE DATABASE named_{number}".encode())
            admin.execute("CREATE DATABASE app_test")
            stack.enter_context(psycopg.connect(server.dsn(f"named_{number}")))

        async def scenario() -> tuple[LockSnapshot, LockSnapshot]:
            async with LiveSource(either(*two_servers)) as source:
                before = await source.read_twice()
                first.stop()
                with pytest.raises(ConnectionLostError):
                    await source.read()
                return before, await source.read_twice()

        before, after = asyncio.run(scenario())
    assert "named_0" in {one.database for one in before.sessions}
    assert {one.database for one in after.sessions} & {"named_0", "named_1"} == {"named_1"}
    # Both are copies of one data directory, as a standby is of its primary.
    assert before.system_identifier == after.system_identifier is not None
    assert server_change(before, after).startswith(f"Another server answers now: {after.server} instead of ")
    assert str(second.directory) in after.server


def test_a_restart_is_told_apart() -> None:
    before = replace(snapshot(), server_started=MOMENT)
    again = replace(before, server_started=MOMENT + timedelta(seconds=1))
    assert server_change(before, again).startswith("localhost:5432 was restarted. ")
    assert server_change(before, before) == server_change(None, again) == ""
    one, other = (replace(again, system_identifier=name) for name in ("1", "2"))
    assert server_change(replace(before, system_identifier="1"), one).startswith("localhost:5432 was restart")
    assert server_change(replace(before, system_identifier="1"), other).startswith("Another server answers")


def test_no_session_of_another_server_is_ended(database: Database, connect: Connect) -> None:
    session = connect("pytest:gw0 t.py::test_a", autocommit=True)
    action = seen(database.dsn, session, "terminate")
    assert action.server_started is not None
    elsewhere = replace(action, server_started=action.server_started - timedelta(microseconds=1))
    outcome = do(database.dsn, elsewhere)
    assert outcome.result == "refused"
    assert "another server answers" in outcome.message
    session.execute("SELECT 1")
    assert do(database.dsn, action).result == "done"


def test_no_transaction_of_another_server_is_rolled_back(database: Database, connect: Connect) -> None:
    session = connect()
    session.execute("CREATE TABLE t ()")
    session.execute(f"PREPARE TRANSACTION '{database.name}'".encode())
    found = connect(autocommit=True).execute(
        "SELECT prepared, pg_postmaster_start_time() FROM pg_prepared_xacts WHERE gid = %s", [database.name]
    )
    [(prepared_at, started)] = found.fetchall()
    action = PreparedRollback(database.name, database.name, None, prepared_at, server_started=started)
    outcome = do(database.dsn, replace(action, server_started=started + timedelta(seconds=1)))
    assert outcome.result == "refused"
    assert "another server answers" in outcome.message
    assert do(database.dsn, action).result == "done"


def test_no_preview_of_another_server_is_swept(database: Database) -> None:
    settings = Settings(dsn=Dsn(database.dsn, "the test"))
    previewed = Sweep(settings, SweepRequest()).run()
    assert previewed.server_started is not None
    request = SweepRequest(dry_run=False, server_started=previewed.server_started)
    elsewhere = replace(request, server_started=previewed.server_started - timedelta(microseconds=1))
    with pytest.raises(RefusedError, match="another server answers than the one of the preview"):
        Sweep(settings, elsewhere).run()
    assert Sweep(settings, request).run().error == ""
