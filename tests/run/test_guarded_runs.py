"""`pgwatch-tests run` with its guards, as a process."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests import cli
from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.postgres.runs import Announcement
from pgwatch_tests.run.database.alone import RunLease
from pgwatch_tests.settings.load import Dsn, Settings
from tests.run.programs import run
from tests.servers.poolers import pooler
from tests.servers.sessions import Database

HANGS = """
import os, psycopg
root, waiter = (
    psycopg.connect(os.environ["PGWATCH_DSN"], application_name=f"pytest:gw{n} tests/test_a.py::test_{n}")
    for n in (0, 1)
)
root.execute("UPDATE users SET name = 'b' WHERE id = 1")
waiter.execute("UPDATE users SET name = 'c' WHERE id = 1")
waiter.commit()
"""


@pytest.fixture
def users(owner: Connection[TupleRow]) -> Connection[TupleRow]:
    owner.execute("CREATE TABLE users (id int PRIMARY KEY, name text); INSERT INTO users VALUES (1, 'a')")
    return owner


def test_suite_that_hangs_tells_its_root_and_is_helped(
    home: Path, database: Database, users: Connection[TupleRow], python: str
) -> None:
    options = ["--no-record", "--hang", "500ms=end", "--fail-on", "hang"]
    done = run(home, python, "-c", HANGS, options=options, extra={"PGWATCH_DSN": database.dsn})
    assert done.returncode == 1, done.stderr
    assert "behind test_0 (gw0, pid " in done.stderr
    assert "row of users (id=1)" in done.stderr
    assert ") was ended: it was idle in transaction for " in done.stderr
    assert users.execute("SELECT name FROM users").fetchone() == ("c",)
    index = json.loads((home / "pgwatch-results" / "run.json").read_text())
    # On a busy machine its start or its end may be a hang as well: nothing of it does anything.
    [hang] = [hang for hang in index["hangs"] if hang["kind"] == "blocked"]
    assert hang["ended_root"].startswith("test_0 (gw0, pid ")
    assert {finding["kind"] for finding in index["findings"]} == {"hang"}


def test_database_that_is_not_free_is_refused_before_anything_begins(
    home: Path, database: Database, server: EmbeddedServer, users: Connection[TupleRow]
) -> None:
    told = Announcement("1a2b3c4d", "", "shared", datetime.now(UTC), "anna@here", "pytest -n 4")
    other = RunLease(Settings(Dsn(database.dsn, "the test")), told, print)
    command = ("touch", "begun")
    with ExitStack() as held:
        held.callback(other.release)
        assert other.hold_alone(wait=False)
        done = run(home, *command, options=["--alone"], extra={"PGWATCH_DSN": database.dsn})
        assert done.returncode == 2
        assert f"{database.name} isn't free: run 1a2b3c4d, anna@here, for " in done.stderr
        # It neither begins, nor replaces the results of the run before.
        assert not (home / "begun").exists()
        assert not (home / "pgwatch-results").exists()
    with pooler(server, "transaction") as between:
        behind = {"PGWATCH_DSN": between.dsn(database.name)}
        done = run(home, *command, options=["--alone=wait"], extra=behind)
    assert done.returncode == 2
    assert "a connection pooler is in between" in done.stderr
    assert not (home / "begun").exists()
    for wrong in (["--keep"], ["--hang", "soon"]):
        assert run(home, *command, options=wrong).returncode == 2


def test_lane_leads_the_command_and_is_gone_after_it(
    home: Path, database: Database, users: Connection[TupleRow]
) -> None:
    # The option takes the place of what follows only by its `=`.
    users.close()
    tell = (
        "import os, psycopg; c = psycopg.connect(os.environ['DATABASE_URL']);"
        "print(c.info.dbname, os.environ['PGDATABASE'], *c.execute('SELECT count(*) FROM users').fetchone())"
    )
    migrations = home / "migrations.sql"
    migrations.write_text("CREATE TABLE users ()", encoding="utf-8")
    options = ["--no-record", "--migrations-hash", "migrations.sql", "--lane"]
    extra = {"PGWATCH_DSN": database.dsn, "DATABASE_URL": database.dsn}
    done = run(home, sys.executable, "-c", tell, options=options, extra=extra)
    assert done.returncode == 0, done.stderr
    name, variable, rows = done.stdout.split()
    assert name == variable != database.name
    assert rows == "1"
    assert f"the command had a lane, {name}, copied from {database.name}" in done.stderr
    migrations.write_text("CREATE TABLE others ()", encoding="utf-8")
    done = run(home, "touch", "begun", options=options, extra=extra)
    assert done.returncode == 2
    assert f"{database.name} has the schema of other migrations" in done.stderr
    assert not (home / "begun").exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--no-record", "--every", "1s"], "--every is about the recording"),
        (["--no-record", "--max-size", "9MB"], "--max-size is about the recording"),
        (["--no-record", "--fail-on", "rows,blocked=2s"], "need the recording"),
        (["--no-record", "--fail-on", "deadlock"], "need the recording"),
        (["--fail-on", "rows,hang"], "needs --hang"),
        (["--fail-on", "all"], "needs --hang"),
        (["--since", "before.json", "--lane"], "another database than the lane"),
        (["--every", "0s"], "must be more than 0"),
        (["--junit", ""], "names no file"),
        (["--migrations-hash", ""], "names neither a file nor a command"),
    ],
)
def test_options_that_cannot_be_followed_are_refused_before_anything_begins(
    options: list[str],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["run", *options, "--", "touch", "begun"]) == 2
    assert reason in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.iterdir())
