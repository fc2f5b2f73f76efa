"""What a pooled session's owner has made temporary there takes no name of the server's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import Connection, errors
from psycopg.rows import TupleRow

from pgwatch_tests import cli
from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.postgres.connections.connect import connect
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.settings.load import Dsn
from tests.servers.poolers import pooler
from tests.servers.sessions import Database

LIMITS = SessionLimits(statement_timeout_s=5, lock_timeout_s=1)
TYPES = ("text", "oid", "name", "int2", "int4", "int8", "float8", "bool", "timestamptz", "regclass", "json")
TABLES = ("pg_class", "pg_attribute", "pg_namespace", "pg_type", "pg_proc", "pg_database", "pg_roles")
COMMANDS = (
    "locks",
    "leaks --kinds all",
    "leaks --any --since baseline.json",
    "leaks --since content.json",
    "leaks index --list",
    "baseline --content",
    "sweep --only rows,schemas,sessions,prepared,databases --min-age 0s",
    "doctor",
    "dashboard --once",
)


@pytest.fixture
def pooled(
    server: EmbeddedServer,
    database: Database,
    owner: Connection[TupleRow],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[str]:
    """A DSN for a pooler's only session, in which a suite has made what looks like the server's own."""
    owner.execute("CREATE TABLE account (id int PRIMARY KEY, email text)")
    monkeypatch.chdir(home)
    monkeypatch.setenv("PGWATCH_HISTORY", str(home / "history.sqlite3"))
    for options in (["-o", "baseline.json"], ["--content", "-o", "content.json"]):
        assert cli.run(["baseline", *options, "--dsn", database.dsn]) == 0
    owner.execute("INSERT INTO account VALUES (1, 'a@test.example.com')")
    with pooler(server, "transaction", pool_size=1) as started:
        dsn = started.dsn(database.name)
        with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as suite:
            suite.execute(
                "CREATE FUNCTION pg_temp.spring() RETURNS bool LANGUAGE plpgsql"
                " AS $$ BEGIN RAISE EXCEPTION 'sprung'; END $$"
            )
            for name in TYPES:
                suite.execute(
                    f"CREATE DOMAIN pg_temp.{name} AS pg_catalog.{name} CHECK (pg_temp.spring())".encode()
                )
            for name in TABLES:
                suite.execute(f"CREATE TEMPORARY TABLE {name} (taken pg_catalog.bool)".encode())
        yield dsn


def test_a_bare_name_is_the_servers_own(pooled: str) -> None:
    with psycopg.connect(pooled, autocommit=True, prepare_threshold=None) as suite:
        with pytest.raises(errors.RaiseException, match="sprung"):
            suite.execute("SELECT 'x'::text")
        assert suite.execute("SELECT FROM pg_class").rowcount == 0
    with connect(Dsn(pooled, "the test"), LIMITS, connect_timeout_s=5) as connection:
        assert connection.pooled
        assert connection.execute("SELECT 'x'::text").fetchone() == ("x",)
        assert connection.execute("SELECT FROM pg_class").rowcount > 0
        assert connection.execute("SELECT pg_catalog.format_type(25, -1)").fetchone() == ("text",)


def test_a_session_of_its_own_has_the_same_path(database: Database) -> None:
    with connect(Dsn(database.dsn, "the test"), LIMITS, connect_timeout_s=5) as connection:
        connection.set({"search_path": "pg_catalog, pg_temp"})
        assert connection.execute("SHOW search_path").fetchone() == ("pg_catalog, pg_temp",)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_go_on(
    command: str, database: Database, pooled: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    codes = {dsn: cli.run([*command.split(), "--dsn", dsn]) for dsn in (database.dsn, pooled)}
    assert set(codes.values()) == {0}, capsys.readouterr().err


def test_leaks_are_found(pooled: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert cli.run(["leaks", "--format", "json", "--dsn", pooled]) == 0
    [table] = json.loads(capsys.readouterr().out)["tables"]
    assert (table["table"], table["rows"]) == ("account", 1)
