"""Commands without a place for their output, and settings that are no text: one line and an exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import environment
from tests.servers.sessions import Database

COMMAND = f"{sys.executable} -m pgwatch_tests"


def shell(home: Path, line: str, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        text=True,
        errors="replace",
        cwd=home,
        env=environment({"PGWATCH_HISTORY": str(home / "history.sqlite3"), **extra}),
        timeout=60,
    )


@pytest.mark.parametrize("command", ["locks", "leaks --format json", "sweep", "sweep --history", "doctor"])
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_changes_no_exit_code(
    database: Database, home: Path, command: str, closed: str
) -> None:
    run = shell(home, f"{COMMAND} {command} {closed}", PGWATCH_DSN=database.dsn)

    assert run.returncode in (0, 4)
    assert "internal error" not in run.stderr


EVERY = ["--help", "--version", "schedule --help", "locks", "leaks --format json", "sweep", "sweep --history"]
EVERY += ["schedule list", "doctor", "dashboard --once", "baseline"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("command", EVERY)
def test_output_that_cant_be_written(database: Database, home: Path, command: str) -> None:
    run = shell(home, f"{COMMAND} {command} >/dev/full", PGWATCH_DSN=database.dsn)

    assert run.returncode == 2
    *_, last = run.stderr.splitlines()
    assert last == "pgwatch-tests: cannot write to stdout: No space left on device"
    assert "internal error" not in run.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_remarks_that_cant_be_written_change_no_exit_code(database: Database, home: Path) -> None:
    for line, code in (
        (f"{COMMAND} locks --dsn postgresql://nobody@127.0.0.1:1/x 2>/dev/full", 3),
        (f"{COMMAND} sweep 2>/dev/full", 0),
        (f"{COMMAND} locks --min-wait x 2>/dev/full", 2),
        (f"{COMMAND} leaks --marker % 2>/dev/full", 2),
    ):
        assert shell(home, line, PGWATCH_DSN=database.dsn).returncode == code, line


@pytest.mark.parametrize("command", ["--help", "schedule list", "doctor"])
def test_a_reader_that_is_gone(database: Database, home: Path, command: str) -> None:
    # Waits until it is gone: a short document fits into the pipe.
    line = f"{{ read -r _ <gone; {COMMAND} {command}; echo $? >code; }} | {{ exec <&-; echo x >gone; }}"
    run = shell(home, f"mkfifo gone; {line}; cat code", PGWATCH_DSN=database.dsn)

    assert run.stderr == ""
    assert run.stdout.strip() == "141"


@pytest.mark.usefixtures("python")
def test_a_dsn_that_is_no_text(home: Path) -> None:
    run = shell(home, f"PGWATCH_DSN=$'\\xff' {COMMAND} locks")

    assert run.returncode == 2
    assert run.stderr.splitlines() == [
        "pgwatch-tests: PGWATCH_DSN isn't UTF-8 text, so it can't be read as a connection string"
    ]
