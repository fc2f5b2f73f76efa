"""`pgwatch-tests sessions` on a real server."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.running import pgwatch
from tests.servers.sessions import Connect, Database, blocked


def test_sessions_of_one_database_that_run_nothing(
    database: Database, connect: Connect, tmp_path: Path
) -> None:
    holder = connect("pytest:gw0 tests/test_a.py::test_holds")
    holder.execute("CREATE TABLE seats (id int)")
    holder.commit()
    holder.execute("LOCK TABLE seats")
    waiter = connect("pytest:gw1 tests/test_a.py::test_waits")
    blocked(waiter, "SELECT * FROM seats")
    extra, of_this = {"PGWATCH_DSN": database.dsn}, ("--database", database.name)
    shown = pgwatch(tmp_path, "sessions", *of_this, "--format", "csv", extra=extra)
    lines = list(csv.DictReader(io.StringIO(shown.stdout)))
    assert [line["test"] for line in lines] == ["tests/test_a.py::test_holds", "tests/test_a.py::test_waits"]
    assert lines[1]["waits_for"].endswith("seats")
    idle = pgwatch(
        tmp_path, "sessions", "--database", database.name, "--idle", "--format", "json", extra=extra
    )
    (one,) = json.loads(idle.stdout)["sessions"]
    assert (one["test"], one["state"]) == ("tests/test_a.py::test_holds", "idle in transaction")
    assert one["blocks"] == 1
    table = pgwatch(tmp_path, "sessions", "--database", "no_such_*", extra=extra)
    assert (table.returncode, table.stderr) == (0, "")
    assert "No such session." in table.stdout


@pytest.mark.parametrize("options", [["--sort", "age"], ["--fail"]])
def test_options_that_there_are_not(options: list[str], tmp_path: Path) -> None:
    assert pgwatch(tmp_path, "sessions", *options).returncode == 2
