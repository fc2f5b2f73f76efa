"""Whatever goes wrong in pgwatch-tests itself, a run ends as its command did, and says what is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import environment

pytestmark = pytest.mark.usefixtures("python")

BROKEN = """
import importlib, sys
module, name, *arguments = sys.argv[1:]
def raises(*_args, **_kwargs):
    raise OSError(22, "Invalid argument")
owner = importlib.import_module(module)
*path, last = name.split(".")
for part in path:
    owner = getattr(owner, part)
setattr(owner, last, raises)
from pgwatch_tests.cli import run
sys.exit(run(arguments))
"""
"""The command line, with a function that raises what an operating system may at any call."""

ENDING = "pgwatch_tests.run.ending"
FAULTS = {
    (ENDING, "RunEnding._check_leaks"): "leaks weren't checked",
    ("pgwatch_tests.run.outcome.run_recorder", "RunRecorder.end"): "the recording wasn't ended in order",
    (ENDING, "RunEnding._read_server_log"): "the server's log wasn't read",
    (ENDING, "judge"): "the run wasn't judged",
    (ENDING, "RunEnding._write_documents"): "the report wasn't written",
    (ENDING, "RunEnding._release"): "the lease wasn't given back in order",
    ("pgwatch_tests.run.session", "Beside"): "no lease was held, and no baseline taken",
    ("pgwatch_tests.run.guards", "RunGuards.command_began"): "hangs weren't looked for",
    ("pgwatch_tests.run.command.surroundings", "repository_facts"): "the commit wasn't looked up",
}


@pytest.mark.parametrize(("place", "undone"), FAULTS.items(), ids=FAULTS.values())
@pytest.mark.parametrize("code", [0, 7])
def test_an_error_of_ours_is_told_and_changes_no_result(
    home: Path, place: tuple[str, str], undone: str, code: int
) -> None:
    options = ["run", "--fail-on", "rows", "--", "sh", "-c", f"exit {code}"]
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, *place, *options],
        cwd=home,
        env=environment({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/test_gone"}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    # A gate doesn't pass on what wasn't checked.
    assert done.returncode == (code or 4), done.stderr
    assert f"not checked: {undone}: Invalid argument" in done.stderr
    assert "internal error" not in done.stderr
    index = json.loads((home / "pgwatch-results" / "run.json").read_text())
    assert (index["exit_code"], index["command_exit_code"]) == (done.returncode, code)
