"""Sweeps that a test makes up, in place of those that `pgwatch-tests sweep` would run."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgwatch_tests.cli.runs import sweep_run
from tests.sweep.plan.fakes import Sweeps


@pytest.fixture
def sweeps(monkeypatch: pytest.MonkeyPatch, home: Path) -> Sweeps:
    """What is run in place of sweeps; the history is in the test's own directory."""
    made = Sweeps()
    monkeypatch.setattr(sweep_run, "Sweep", made.make)
    monkeypatch.chdir(home)
    for name in ("PGWATCH_MIN_AGE", "PGWATCH_READ_ONLY", "PGWATCH_DSN", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PGWATCH_HISTORY", str(home / "history.sqlite3"))
    return made
