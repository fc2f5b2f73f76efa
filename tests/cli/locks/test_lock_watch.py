"""`pgwatch-tests locks --watch` as people and pipelines run it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms
from tests.cli.running import environment, pgwatch
from tests.servers.server_places import server_directory
from tests.servers.sessions import Connect, Database, blocked
from tests.waiting import PATIENCE_S, wait_until

COMMAND = [sys.executable, "-m", "pgwatch_tests", "locks", "--watch"]


@pytest.fixture
def own_server(programs: ServerPrograms, template: Path) -> Iterator[EmbeddedServer]:
    """A server that the test may stop."""
    with EmbeddedServer(programs, server_directory(), {}, template) as server:
        yield server


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return pgwatch(cwd, "locks", "--watch", *arguments)


def start(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=environment(),
    )


def is_watched(dsn: str) -> bool:
    """Whether a watch has polled, and has its connection for names."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgwatch-tests'"
            " AND state = 'idle' AND query LIKE '%pg_stat_get_db_deadlocks%'"
        ).fetchone()
    return row is not None and int(row[0]) > 0


def test_the_report_in_its_three_forms(database: Database, connect: Connect, tmp_path: Path) -> None:
    holder, waiter = connect("pytest:gw0 t.py::test_holder"), connect("pytest:gw1 t.py::test_waiter")
    holder.execute("SELECT pg_advisory_xact_lock(7)")
    blocked(waiter, "SELECT pg_advisory_xact_lock(7)")
    table = run("0.5", "-d", database.dsn, cwd=tmp_path)
    assert (table.returncode, table.stderr) == (0, "")
    assert "t.py::test_holder" in table.stdout
    assert "Blocked sessions, 20" in table.stdout
    markdown = run("0.5", "-d", database.dsn, "--format", "markdown", cwd=tmp_path).stdout
    assert "## By test" in markdown
    assert "| `t.py::test_holder` " in markdown
    done = run("0.5", "-d", database.dsn, "--format", "json", "-o", "seen.json", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    document = json.loads((tmp_path / "seen.json").read_text(encoding="utf-8"))
    assert document["schema"] == "pgwatch-tests.contention/1"
    [pair] = [pair for pair in document["pairs"] if pair["blocker"] == "t.py::test_holder"]
    assert pair["waiter"] == "t.py::test_waiter"
    assert 0 < pair["blocked_s"] <= document["watched_s"]
    assert document["watched_s"] < 60
    assert document["deadlocks"]["counted_by_server"] is not None
    assert {"object": "advisory lock 7", "mode": "EXCLUSIVE"}.items() <= document["objects"][0].items()


def test_who_kept_a_database_from_being_dropped_stays_in_the_report(
    server: EmbeddedServer, database: Database, connect: Connect, tmp_path: Path
) -> None:
    inside, dropping = connect("pool"), connect("teardown", "postgres", autocommit=True)
    inside.execute("SELECT 1")
    with start("600", "-d", server.dsn(), "--format", "json", cwd=tmp_path) as process:
        wait_until(lambda: is_watched(server.dsn()))
        # It fails after 5 s: "is being accessed by other users".
        with pytest.raises(psycopg.errors.ObjectInUse):
            dropping.execute(f"DROP DATABASE {database.name}".encode())
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, stderr
    document = json.loads(stdout)
    [pair] = [pair for pair in document["pairs"] if pair["blocker"] == "pool"]
    assert pair["waiter"] == "teardown"
    assert pair["blocked_s"] > 0
    assert "connected_to_database" in {cause["cause"] for cause in document["causes"]}


def test_ctrl_c_ends_it_with_the_report(database: Database, tmp_path: Path) -> None:
    with start("600", "-d", database.dsn, cwd=tmp_path) as process:
        wait_until(lambda: is_watched(database.dsn))
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, stderr
    assert stdout.startswith(f"database {database.name} · PostgreSQL ")
    assert "interrupted after " in stderr
    assert "Traceback" not in stderr


def test_a_restart_in_the_middle_is_a_gap_in_the_report(own_server: EmbeddedServer, tmp_path: Path) -> None:
    dsn = own_server.dsn()
    with start("600", "-d", dsn, "--format", "json", cwd=tmp_path) as process:
        wait_until(lambda: is_watched(dsn))
        own_server.restart()
        wait_until(lambda: is_watched(dsn))
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, stderr
    assert json.loads(stdout)["unwatched_s"] > 0
    assert stderr.count("not watching: ") == 1


def test_a_server_that_does_not_come_back(own_server: EmbeddedServer, tmp_path: Path) -> None:
    dsn = own_server.dsn()
    with start("4", "-d", dsn, cwd=tmp_path) as process:
        wait_until(lambda: is_watched(dsn))
        own_server.stop()
        stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 3, stderr
    assert ", not watched for " in stdout.splitlines()[0]
    assert "the report covers what was seen before" in stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["5", "-d", "postgresql://u:hunter2@127.0.0.1:1/d"], 3, "refused"),
        (["0"], 2, "Invalid value"),
        (["-1"], 2, "Invalid value"),
        (["soon"], 2, "not a valid float"),
        (["nan"], 2, "isn't a number"),
        (["inf"], 2, "isn't a number"),
        (["5", "-o", "no/such/folder.txt"], 2, "cannot write"),
    ],
)
def test_errors_come_at_once(arguments: list[str], code: int, words: str, tmp_path: Path) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "hunter2" not in done.stderr


def test_forms_that_a_watch_has_not(tmp_path: Path) -> None:
    done = run("5", "--format", "junit", cwd=tmp_path)
    assert done.returncode == 2
    assert "--watch takes the formats table, json, markdown" in done.stderr


def test_a_watch_as_a_gate(database: Database, connect: Connect, tmp_path: Path) -> None:
    assert run("0.3", "--fail", "-d", database.dsn, cwd=tmp_path).returncode == 0
    holder, waiter = connect(), connect()
    holder.execute("SELECT pg_advisory_xact_lock(7)")
    blocked(waiter, "SELECT pg_advisory_xact_lock(7)")
    assert run("1.5", "--fail", "--min-wait", "1s", "-d", database.dsn, cwd=tmp_path).returncode == 1
    assert run("0.3", "--fail", "--min-wait", "2h", "-d", database.dsn, cwd=tmp_path).returncode == 0


@pytest.mark.usefixtures("progress_after_a_second")
def test_progress_in_lines(database: Database, tmp_path: Path) -> None:
    done = run("2", "-d", database.dsn, cwd=tmp_path)
    assert done.returncode == 0
    assert re.fullmatch(r"pgwatch-tests: watched [01] of 2 s\n", done.stderr)
