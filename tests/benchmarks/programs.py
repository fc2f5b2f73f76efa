"""Command lines of what is compared: ours, and pg_activity in a virtualenv of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

import psycopg

_PROJECT = Path(__file__).parent.parent.parent


def environment() -> Mapping[str, str]:
    """This process's, with the project importable and no setting that points to another server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "DATABASE_URL"))}
    return {**kept, "PYTHONPATH": str(_PROJECT), "PYTHONDONTWRITEBYTECODE": ""}


def ours(*arguments: str) -> list[str]:
    """`pgwatch-tests …`, as its script runs it."""
    return [sys.executable, "-c", "from pgwatch_tests.cli import main; main()", *arguments]


def dashboard(dsn: str, refresh_s: float) -> list[str]:
    """Our dashboard."""
    return ours("dashboard", "--dsn", dsn, "--refresh", f"{refresh_s:g}")


def pg_activity(program: Path, dsn: str, refresh_s: float) -> list[str]:
    """pg_activity's screen on the same server."""
    return [str(program), "--refresh", f"{refresh_s:g}", psycopg.conninfo.make_conninfo(dsn)]


def installed_pg_activity() -> Path:
    """The program, installed from the package index into the user's cache unless it is there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = cache / "pgwatch-tests-benchmarks" / "pg_activity"
    program = home / "bin" / "pg_activity"
    if not program.exists():
        venv.create(home, with_pip=True)
        install = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "pg_activity[psycopg]"]
        subprocess.run(install, check=True)
    return program
