"""Commands through a pooler: what they leave behind (nothing), what they say, and what they refuse."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests import cli
from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.locks.snapshot.live_source import LiveSource
from pgwatch_tests.settings.load import Dsn, Settings
from tests.servers.poolers import MODES, Pooler, pooler, settings_of
from tests.servers.sessions import Connect, Database, blocked

STATEMENTS = 200
MARKED = "user@test.example.com"
READING = {
    "locks": ["locks"],
    "locks as a document": ["locks", "--format", "json"],
    "locks for a while": ["locks", "--watch", "0.6"],
    "leaks": ["leaks"],
    "leaks of all kinds": ["leaks", "--kinds", "all"],
    "leaks of many databases": ["leaks", "--databases", "test_*"],
    "leaks since": ["leaks", "--since", "baseline.json"],
    "any leaks since": ["leaks", "--any", "--since", "baseline.json"],
    "leak indexes": ["leaks", "index", "--list"],
    "baseline": ["baseline"],
    "sweep": ["sweep", "--only", "rows,schemas,sessions,prepared,databases"],
    "sweep of many databases": ["sweep", "--databases", "test_*"],
    "doctor": ["doctor"],
    "dashboard": ["dashboard", "--once"],
}
REFUSED = {
    "sweep": ["sweep", "--yes"],
    "sweep of schemas": ["sweep", "--yes", "--only", "schemas"],
    "sweep with an index": ["sweep", "--yes", "--temp-index"],
    "sweep of many databases": ["sweep", "--yes", "--databases", "{database}"],
    "making an index": ["leaks", "index", "--create", "--yes"],
    "dropping an index": ["leaks", "index", "--drop", "--yes"],
    "advisory locks": ["leaks", "--kinds", "advisory_locks"],
    "failing on advisory locks": ["leaks", "--fail-on", "rows,advisory_locks"],
}


@pytest.fixture(params=MODES)
def pooled(
    request: pytest.FixtureRequest,
    server: EmbeddedServer,
    owner: Connection[TupleRow],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Pooler]:
    """A pooler of one session a database; a table with a marked row, a baseline, and no settings but ours."""
    owner.execute("CREATE TABLE account (id serial PRIMARY KEY, email text)")
    monkeypatch.chdir(home)
    for name in ("PGWATCH_DSN", "DATABASE_URL", "PGAPPNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PGWATCH_HISTORY", str(home / "history.sqlite3"))
    assert cli.run(["baseline", "--dsn", owner.info.dsn, "-o", "baseline.json"]) == 0
    owner.execute("INSERT INTO account (email) VALUES (%s)", [MARKED])
    with pooler(server, request.param, pool_size=1) as started:
        yield started


def run_suite(dsn: str) -> int:
    """How many of a suite's statements go well, on connections that are opened and closed."""
    well = 0
    for _ in range(STATEMENTS // 2):
        with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as connection:
            well += connection.execute("INSERT INTO account (email) VALUES ('kept')").rowcount
            [(count,)] = connection.execute("SELECT count(*) > 0 FROM account").fetchall()
            well += bool(count)
    return well


@pytest.mark.parametrize("arguments", READING.values(), ids=READING)
def test_a_suite_goes_on_as_before(arguments: list[str], database: Database, pooled: Pooler) -> None:
    dsn = pooled.dsn(database.name)
    before = settings_of(dsn)
    assert cli.run([*arguments, "--dsn", dsn]) == 0
    assert settings_of(dsn) == before
    assert run_suite(dsn) == STATEMENTS


@pytest.mark.parametrize("arguments", REFUSED.values(), ids=REFUSED)
def test_what_needs_a_session_is_refused(
    arguments: list[str],
    database: Database,
    owner: Connection[TupleRow],
    pooled: Pooler,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dsn = pooled.dsn(database.name)
    before = settings_of(dsn)
    asked = [word.format(database=database.name) for word in arguments]
    capsys.readouterr()
    assert cli.run([*asked, "--dsn", dsn]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "a connection pooler is in between: connect to the server directly" in line
    assert owner.execute("SELECT count(*) FROM account WHERE email = %s", [MARKED]).fetchone() == (1,)
    assert settings_of(dsn) == before


@pytest.mark.parametrize("how", ["cancel", "terminate"])
def test_actions(
    how: str,
    database: Database,
    connect: Connect,
    pooled: Pooler,
) -> None:
    dsn = pooled.dsn(database.name)
    before = settings_of(dsn)
    blocker = connect("pytest:gw0 test_a.py::test_blocks")
    blocker.execute("LOCK TABLE account")
    waiting = blocked(connect("pytest:gw1 test_a.py::test_waits"), "LOCK TABLE account")
    pid = waiting.pid if how == "cancel" else blocker.info.backend_pid
    assert cli.run(["locks", f"--{how}", str(pid), "--yes", "--dsn", dsn]) == 0
    assert settings_of(dsn) == before


def test_a_prepared_transaction_is_rolled_back(database: Database, connect: Connect, pooled: Pooler) -> None:
    dsn = pooled.dsn(database.name)
    before = settings_of(dsn)
    connection = connect()
    connection.execute("LOCK TABLE account")
    connection.execute(f"PREPARE TRANSACTION '{database.name}'".encode())
    connection.rollback()
    assert cli.run(["locks", "--rollback-prepared", database.name, "--yes", "--dsn", dsn]) == 0
    assert settings_of(dsn) == before


def test_a_history_behind_a_pooler(
    database: Database, pooled: Pooler, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn = pooled.dsn(database.name)
    before = settings_of(dsn)
    monkeypatch.setenv("PGWATCH_HISTORY", f"postgresql:///{database.name}?host={pooled.directory}&port=6432")
    assert cli.run(["sweep", "--dsn", dsn]) == 0
    capsys.readouterr()
    assert cli.run(["sweep", "--history", "--dsn", dsn]) == 0
    assert database.name in capsys.readouterr().out
    assert settings_of(dsn) == before


def test_who_looks_is_told(database: Database, pooled: Pooler, capsys: pytest.CaptureFixture[str]) -> None:
    through = ["--dsn", pooled.dsn(database.name)]
    capsys.readouterr()
    for arguments in (["locks"], ["locks", "--watch", "0.1"], ["dashboard", "--once"]):
        assert cli.run([*arguments, *through]) == 0
        assert "a connection pooler is in between" in capsys.readouterr().err
    assert cli.run(["doctor", *through]) == 0
    assert "a connection pooler is in between" in capsys.readouterr().out
    assert cli.run(["locks", "--format", "json", *through]) == 0
    assert json.loads(capsys.readouterr().out)["pooler"] is True
    assert cli.run(["doctor", "--format", "json", *through]) == 0
    assert json.loads(capsys.readouterr().out)["connection"]["pooler"] is True


def test_advisory_locks_are_not_checked(
    database: Database, pooled: Pooler, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert cli.run(["leaks", "--format", "json", "--dsn", pooled.dsn(database.name)]) == 0
    unchecked = json.loads(capsys.readouterr().out)["unchecked"]
    assert [one["kind"] for one in unchecked] == ["advisory_lock"]


@pytest.mark.parametrize("pooled", ["transaction"], indirect=True)
def test_a_dry_sweep_frees_no_lock(database: Database, pooled: Pooler) -> None:
    dsn = pooled.dsn(database.name)
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as connection:
        connection.execute("SELECT pg_advisory_lock(4711)")
    assert cli.run(["sweep", "--dsn", dsn]) == 0
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711"
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as connection:
        assert connection.execute(held).fetchone() == (1,)


@pytest.mark.parametrize("pooled", ["transaction"], indirect=True)
def test_a_suite_beside_a_watch(database: Database, pooled: Pooler) -> None:
    dsn = pooled.dsn(database.name)
    before = settings_of(dsn)
    well: list[int] = []
    suite = threading.Thread(target=lambda: well.append(run_suite(dsn)))
    suite.start()
    assert cli.run(["locks", "--watch", "3", "--dsn", dsn]) == 0
    suite.join()
    assert well == [STATEMENTS]
    assert settings_of(dsn) == before


def test_waits_are_named_where_the_pooler_calls_the_database_otherwise(
    server: EmbeddedServer, database: Database, connect: Connect, owner: Connection[TupleRow]
) -> None:
    owner.execute("CREATE TABLE account (id int PRIMARY KEY); INSERT INTO account VALUES (1)")
    delete = "DELETE FROM account WHERE id = 1"
    connect("pytest:gw0 test_a.py::test_blocks").execute(delete)
    waiting = blocked(connect("pytest:gw1 test_a.py::test_waits"), delete, observer=owner)

    async def read(dsn: str) -> LockSnapshot:
        async with LiveSource(Settings(Dsn(dsn, "the test"))) as source:
            return await source.read_twice()

    with pooler(server, "transaction", aliases={"app": database.name}) as pooled:
        snapshot = asyncio.run(read(pooled.dsn("app")))
    # What is in this database matters to `run --hang`, and its rows are looked up in it.
    assert snapshot.database == database.name
    [target] = {edge.lock.target for edge in snapshot.edges if edge.waiter.pid == waiting.pid}
    assert target == "row of account (id=1)"
