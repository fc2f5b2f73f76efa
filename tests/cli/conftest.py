"""Commands in this process, whose progress is told by the clock."""

from __future__ import annotations

import pytest

from pgwatch_tests.cli.runs import progress
from tests.waiting import PATIENCE_S


@pytest.fixture(autouse=True)
def quick_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command tells doesn't depend on whether this machine is busy; tests of progress have a clock."""
    monkeypatch.setattr(progress, "_QUIET_S", PATIENCE_S)


@pytest.fixture
def progress_after_a_second(quick_machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress is told as it is to users: after a second."""
    monkeypatch.setattr(progress, "_QUIET_S", 1.0)
