"""A server, or a role, with place for one connection of ours: just when a suite has used up the others."""

from __future__ import annotations

import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg
import pytest

from pgwatch_tests.embedded.server import EmbeddedServer
from tests.cli.running import environment, pgwatch
from tests.servers.sessions import Connect, Database, MakeRole, RunningStatement, blocked
from tests.terminals import Terminal, needs_tmux, terminal


class Scene:
    """One test that keeps another waiting for a row, and a role that may connect once."""

    def __init__(
        self, server: EmbeddedServer, database: Database, connect: Connect, make_role: MakeRole, home: Path
    ) -> None:
        (home / "pyproject.toml").touch()
        self._home = home
        suite, watcher = make_role(), make_role("CONNECTION LIMIT 1")
        with psycopg.connect(database.dsn, autocommit=True) as owner:
            owner.execute(f"GRANT pg_monitor, pg_signal_backend TO {watcher}".encode())
            owner.execute("CREATE TABLE accounts (id int PRIMARY KEY)")
            owner.execute("INSERT INTO accounts VALUES (42)")
            owner.execute("GRANT ALL ON accounts TO PUBLIC")
        self._dsn = server.dsn(database.name, watcher)
        self.holder = connect("pytest:gw0 t.py::test_holder", user=suite)
        waiter = connect("pytest:gw1 t.py::test_waiter", user=suite)
        self.holder.execute("UPDATE accounts SET id = 42")
        self.waiting: RunningStatement = blocked(waiter, "UPDATE accounts SET id = 42")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return pgwatch(self._home, *arguments, "--dsn", self._dsn)

    def dashboard(self) -> AbstractContextManager[Terminal]:
        program = (sys.executable, "-m", "pgwatch_tests", "--refresh", "0.25")
        return terminal(program, environment({"PGWATCH_DSN": self._dsn}))


@pytest.fixture
def scene(
    server: EmbeddedServer, database: Database, connect: Connect, make_role: MakeRole, tmp_path: Path
) -> Scene:
    return Scene(server, database, connect, make_role, tmp_path)


def test_the_locks_with_their_names(scene: Scene) -> None:
    done = scene.run("locks")
    assert (done.returncode, done.stderr) == (0, "")
    assert "row of accounts (id=42)" in done.stdout


def test_a_watch(scene: Scene) -> None:
    done = scene.run("locks", "--watch", "1")
    assert done.returncode == 0, done.stderr
    assert "t.py::test_holder" in done.stdout


def test_an_action(scene: Scene) -> None:
    done = scene.run("locks", "--terminate", str(scene.holder.info.backend_pid), "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    scene.waiting.result()


def test_locks_and_leaks_as_text(scene: Scene) -> None:
    done = scene.run("dashboard", "--once")
    assert (done.returncode, done.stderr) == (0, "")
    assert "row of accounts (id=42)" in done.stdout
    assert "Checked " in done.stdout


@needs_tmux
def test_an_action_in_the_dashboard(scene: Scene) -> None:
    """The poll has the only place, and gives it to the action."""
    with scene.dashboard() as opened:
        opened.shows("blocks 1 test")
        opened.type("K")
        opened.shows("y yes")
        opened.type("y")
        scene.waiting.result()
        opened.shows("Nothing is blocked")
