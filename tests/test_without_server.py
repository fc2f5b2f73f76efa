"""`pytest --without-server`: what it runs, and that no server is started unseen."""

from __future__ import annotations

import os
import subprocess
import sys
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
def test_by_a_process():
    subprocess.run([sys.executable, "-m", "pgwatch_tests", "demo", "--once"], check=True)
"""


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PGWATCH_PG_BIN"}


def test_what_starts_a_server_by_no_fixture_fails(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(TESTS, encoding="utf-8")
    root = Path(without_server.__file__).parents[1]
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-v", "-p", "tests.conftest", "-p", "no:cacheprovider"),
            *("-c", os.devnull, "--rootdir", str(tmp_path), without_server.OPTION, str(tmp_path)),
        ],
        # Where this test runs without a server itself, the child has to find the programs first.
        env={**_environment(), "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
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
    assert outcomes == {
        "test_without": "PASSED",
        "test_by_itself": "FAILED",
        "test_by_a_late_fixture": "FAILED",
        "test_by_a_process": "FAILED",
    }, ran.stdout
    assert "3 deselected" in ran.stdout
    assert ran.stdout.count("none of its fixtures does") >= 1
