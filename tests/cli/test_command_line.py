"""The command line as a whole: light to start, helpful when it is wrong, one line for an error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from pgwatch_tests import __version__, cli
from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.errors import INTERNAL_ERROR, ConfigurationError
from tests.cli.running import environment, pgwatch
from tests.servers.sessions import Connect, Database, blocked

HEAVY = ("textual", "rich", "sqlalchemy", "psycopg", "tabulate", "cattrs", "apscheduler")


def run(*arguments: str, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    return pgwatch(cwd, *arguments, extra=extra)


def test_help_is_light(python: str, tmp_path: Path) -> None:
    commands = [["--help"], ["--version"], *([name, "--help"] for name in cli.COMMANDS)]
    code = f"""
import sys
from contextlib import redirect_stdout
from io import StringIO
from pgwatch_tests import cli
for arguments in {commands!r}:
    with redirect_stdout(StringIO()) as said:
        exit_code = cli.run(arguments)
    loaded = [name for name in {HEAVY!r} if name in sys.modules]
    print(arguments, exit_code, bool(said.getvalue()), loaded)
"""
    done = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment()
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [f"{arguments} 0 True []" for arguments in commands]


def test_locks_and_leaks_need_no_dashboard(python: str, tmp_path: Path) -> None:
    code = (
        "import sys, pgwatch_tests.locks.snapshot.live_source, pgwatch_tests.leaks.scan\n"
        "print([name for name in ('textual', 'click') if name in sys.modules])"
    )
    done = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment()
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_every_command_is_in_the_help_and_has_one(tmp_path: Path) -> None:
    listed = run("--help", cwd=tmp_path).stdout
    for name in cli.COMMANDS:
        assert f"  {name} " in listed
        assert "Usage:" in run(name, "--help", cwd=tmp_path).stdout
    assert run("--version", cwd=tmp_path).stdout == f"pgwatch-tests {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nonsense"], 2, "No such command"),
        (
            ["--min-age", "1h"],
            2,
            "'--min-age' here. It is one of `pgwatch-tests sweep`, `pgwatch-tests schedule run`.",
        ),
        (
            ["leaks", "--temp-index"],
            2,
            "No such option '--temp-index' here. It is an option of `pgwatch-tests sweep`.",
        ),
        (["--refesh", "3"], 2, "Did you mean '--refresh'?"),
        (["lock"], 2, "Did you mean 'locks'?"),
        (["locks", "--dsn", " "], 2, "it is empty: name a server, or leave it out"),
        (["postgresql://u:hunter2@h/x"], 2, "A connection string is given by --dsn"),
        (["locks", "postgresql://u:hunter2@h/x"], 2, "A connection string is given by --dsn"),
        (["locks", "--format", "xml"], 2, "Invalid value"),
        (["locks", "-d", "mysql://u:hunter2@h/d"], 2, "postgresql:// URL is needed"),
        (["locks", "-d", "postgresql://u:hunter2@127.0.0.1:1/d"], 3, "refused"),
        (["leaks", "-d", "postgresql://u:hunter2@127.0.0.1:1/d"], 3, "refused"),
        (["dashboard", "-d", "postgresql://u:hunter2@127.0.0.1:1/d"], 3, "refused"),
        (["-d", "x"], 2, "can't be read as a connection string"),
        (["--once", "-d", "postgresql://u:hunter2@127.0.0.1:1/d"], 3, "refused"),
        (["--debug", "-x"], 2, "No such option"),
    ],
)
def test_errors_have_their_code(arguments: list[str], code: int, words: str, tmp_path: Path) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "hunter2" not in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    if code == 3:
        assert len(done.stderr.splitlines()) == 1


def test_a_part_of_a_password_is_not_named_as_a_parameter(tmp_path: Path) -> None:
    dsn = "postgresql://127.0.0.1:1/d?user=u&password=half&hunter2=1&schema=s"
    done = run("locks", "-d", dsn, cwd=tmp_path)
    assert "ignored parameters that libpq doesn't know: 2 parameters" in done.stderr
    assert "hunter2" not in done.stderr


def test_debug_adds_the_traceback_but_no_password(tmp_path: Path) -> None:
    done = run("--debug", "locks", "-d", "postgresql://u:hunter2@127.0.0.1:1/d", cwd=tmp_path)
    assert done.returncode == 3
    assert "Traceback" in done.stderr
    assert "hunter2" not in done.stderr


def test_an_error_of_our_own_is_not_taken_for_findings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("hunter2")

    monkeypatch.setattr(cli.group, "main", broken)
    assert cli.run([]) == INTERNAL_ERROR
    said = capsys.readouterr().err
    assert "ZeroDivisionError in test_command_line.py" in said
    assert "hunter2" not in said


def test_a_reader_that_goes_away(database: Database, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "pgwatch_tests", "locks", "-d", database.dsn],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment(),
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_locks_as_text_as_json_and_into_a_file(database: Database, connect: Connect, tmp_path: Path) -> None:
    holder, waiter = connect("pytest:gw0 t.py::test_holder"), connect("pytest:gw1 t.py::test_waiter")
    holder.execute("SELECT pg_advisory_lock(7)")
    blocked(waiter, "SELECT pg_advisory_lock(7)")
    text = run("locks", cwd=tmp_path, PGWATCH_DSN=database.dsn).stdout
    assert f"pid {holder.info.backend_pid}  gw0 t.py::test_holder  idle in transaction for" in text
    assert "blocks 1 (1 directly)" in text
    assert "for advisory lock 7" in text
    done = run("locks", "--format", "json", "-o", "locks.json", cwd=tmp_path, DATABASE_URL=database.dsn)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    document = json.loads((tmp_path / "locks.json").read_text())
    assert document["schema"] == "pgwatch-tests.locks/1"
    assert document["blocked"] == 1
    [edge] = document["edges"]
    assert (edge["waiter_pid"], edge["blocker_pid"]) == (waiter.info.backend_pid, holder.info.backend_pid)
    assert edge["lock"]["target"] == "advisory lock 7"
    [root] = document["roots"]
    assert root["cause"] == "advisory_lock"
    assert {one["test"] for one in document["sessions"]} == {"t.py::test_holder", "t.py::test_waiter"}


def test_a_file_that_cannot_be_written(database: Database, tmp_path: Path) -> None:
    done = run("locks", "-d", database.dsn, "-o", "no/such/folder.txt", cwd=tmp_path)
    assert done.returncode == ConfigurationError.exit_code
    assert "cannot write" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk(database: Database, tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pgwatch_tests", "locks", "-d", database.dsn],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=environment(),
        )
    assert done.returncode == ConfigurationError.exit_code
    assert done.stderr == "pgwatch-tests: cannot write to stdout: No space left on device\n"


def test_an_ascii_terminal(database: Database, connect: Connect, tmp_path: Path) -> None:
    holder, waiter = connect(), connect()
    holder.execute("SELECT pg_advisory_lock(7)")
    blocked(waiter, "SELECT pg_advisory_lock(7)")
    done = run("locks", "-d", database.dsn, cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "advisory lock 7" in done.stdout


def test_without_a_terminal_the_dashboard_is_text(database: Database, tmp_path: Path) -> None:
    for arguments in ([], ["dashboard"], ["dashboard", "--once"]):
        done = run(*arguments, cwd=tmp_path, PGWATCH_DSN=database.dsn)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("Nothing is blocked · ")
        assert "0 tables" in done.stdout


def test_libpq_finds_its_own_way(server: EmbeddedServer, database: Database, tmp_path: Path) -> None:
    server_directory = conninfo_to_dict(server.dsn())["host"]
    service = tmp_path / "services"
    service.write_text(f"[ours]\nhost={server_directory}\nuser=postgres\ndbname={database.name}\n")
    done = run("locks", cwd=tmp_path, PGSERVICEFILE=str(service), PGSERVICE="ours")
    assert f"database {database.name}" in done.stdout, done.stderr
    done = run(
        "locks", cwd=tmp_path, PGHOST=str(server_directory), PGUSER="postgres", PGDATABASE=database.name
    )
    assert f"database {database.name}" in done.stdout, done.stderr
