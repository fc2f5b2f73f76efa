"""Commands without a place for their output, and settings that are no text: one line and an exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import environment
from tests.sessions import Database

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


def test_a_dsn_that_is_no_text(home: Path) -> None:
    run = shell(home, f"PGWATCH_DSN=$'\\xff' {COMMAND} locks")

    assert run.returncode == 2
    assert run.stderr.splitlines() == [
        "pgwatch-tests: PGWATCH_DSN isn't UTF-8 text, so it can't be read as a connection string"
    ]
