"""`--without-server` and `--without-processes`: what they run, and that nothing is started unseen."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests import without_server

TESTS = """
import subprocess, sys
import pytest
from pgwatch_tests.embedded.server import EmbeddedServer, find_programs, free_directory

PROGRAMS = find_programs()

def test_by_a_fixture(server): ...
@pytest.mark.usefixtures("database")
def test_by_a_mark(): ...
@pytest.fixture
def own(programs): ...
def test_by_a_fixture_of_its_own(own): ...
def test_without(): ...
def test_by_itself():
    with EmbeddedServer(PROGRAMS, free_directory()): ...
def test_by_a_late_fixture(request):
    request.getfixturevalue("server")
def test_a_process_by_a_fixture(python):
    subprocess.run([python, "-c", ""], check=True)
def test_by_a_process():
    subprocess.run([sys.executable, "-m", "pgwatch_tests", "demo", "--once"], check=True)
"""


def test_what_starts_a_server_by_no_fixture_fails(python: str, tmp_path: Path) -> None:
    outcomes, said = _run(python, tmp_path, without_server.OPTION)

    assert outcomes == {
        "test_without": "PASSED",
        "test_a_process_by_a_fixture": "PASSED",
        "test_by_itself": "FAILED",
        "test_by_a_late_fixture": "FAILED",
        "test_by_a_process": "FAILED",
    }, said
    assert "3 deselected" in said
    assert said.count("none of its fixtures does") >= 1


def test_what_starts_a_process_by_no_fixture_fails(python: str, tmp_path: Path) -> None:
    outcomes, said = _run(python, tmp_path, without_server.PROCESSES_OPTION)

    assert outcomes == {
        "test_without": "PASSED",
        "test_by_itself": "FAILED",
        "test_by_a_late_fixture": "FAILED",
        "test_by_a_process": "FAILED",
    }, said
    assert "4 deselected" in said
    assert "a test starts a process, and none of its fixtures does: use `python`" in said


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PGWATCH_PG_BIN"}


def _run(python: str, tmp_path: Path, *arguments: str) -> tuple[dict[str, str], str]:
    """The outcome per test of `TESTS`, and what pytest prints."""
    (tmp_path / "test_some.py").write_text(TESTS, encoding="utf-8")
    root = Path(without_server.__file__).parents[1]
    ran = subprocess.run(
        [
            *(python, "-m", "pytest", "-v", "-p", "tests.conftest", "-p", "no:cacheprovider"),
            *("-c", os.devnull, "--rootdir", str(tmp_path), str(tmp_path), *arguments),
        ],
        # Where this test runs without a server itself, the child has to find the programs first.
        env={**_environment(), "PYTHONPATH": str(root), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
    )

    outcomes = {
        line.split("::")[1].split()[0]: line.split()[1]
        for line in ran.stdout.splitlines()
        if "::test_" in line and not line.startswith(("FAILED", "ERROR"))
    }
    return outcomes, ran.stdout
