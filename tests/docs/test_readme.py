"""README: the line that names tests does so, and the test command is what CI runs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import psycopg

from tests.cli.running import environment
from tests.docs.test_links import ROOT
from tests.servers.sessions import Database

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
SUITE = """
import os

import psycopg


def test_books():
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE told AS SELECT current_setting('application_name') AS name")
"""


def test_its_line_of_settings_names_tests(python: str, home: Path, database: Database) -> None:
    [settings] = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    (home / "pyproject.toml").write_text(settings)
    (home / "test_booking.py").write_text(SUITE)
    extra = {
        "DATABASE_URL": database.dsn,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_ADDOPTS": "-p pgwatch",
    }
    run = [python, "-m", "pytest", "-q"]
    done = subprocess.run(run, cwd=home, env=environment(extra), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    assert name_told(database) == "pytest: test_booking.py::test_books"
    assert "pgwatch: " in done.stdout


def name_told(database: Database) -> object:
    with psycopg.connect(database.dsn) as connection:
        found = connection.execute("SELECT name FROM told").fetchone()
    assert found is not None
    return found[0]


def test_its_test_command_is_what_ci_runs() -> None:
    commands = re.findall(r"```sh\n(.*?)\n```", TEXT, re.DOTALL)
    [tests] = [one for one in commands if one.endswith("pytest")]
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert tests.replace("install -e", "install -q -e") in ci
