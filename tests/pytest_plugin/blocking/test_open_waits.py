"""A wait that the last poll saw ends with its test, also where the journal tells nothing more."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from pgwatch_tests.identity.application_name import compose
from pgwatch_tests.locks.watch.wait_journal import JournalWait, JournalWriter, Poll, Side
from pgwatch_tests.pytest_plugin.blocking.blocking import Blocking

if TYPE_CHECKING:
    from pgwatch_tests.pytest_plugin.active import ActivePlugin

HOLDER, WAITER = "tests/a.py::test_holder", "tests/a.py::test_waiter"


def blocking(directory: Path) -> Blocking:
    """The plugin's part in the only process of a run."""
    active = SimpleNamespace(
        shared=SimpleNamespace(worker="", log_directory=str(directory), session="s"),
        config=SimpleNamespace(option=SimpleNamespace(collectonly=True)),
        has_workers=False,
        began=[],
        failed=[],
        ended=[],
        reported=[],
        sections=[],
    )
    return Blocking(cast("ActivePlugin", active))


def side(pid: int, test: str) -> Side:
    return Side(pid, compose("pytest", "", test), "client backend", "active", "UPDATE users", 100.0, 101.0)


def report(test: str, stop: float) -> pytest.TestReport:
    return pytest.TestReport(test, (test, 1, ""), {}, "passed", None, "teardown", start=100.0, stop=stop)


def test_an_open_wait_ends_with_its_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGWATCH_WAITS", raising=False)
    holder, waiter = side(11, HOLDER), side(12, WAITER)
    row = ("transactionid", "SHARE", "EXCLUSIVE", "row of users (id=42)", "users", "same_row", "")
    journal = JournalWriter(tmp_path / "s.waits")
    journal.write(JournalWait(1, waiter, (holder,), 0, (holder,), *row, 101.0))
    journal.write(Poll(101.5, {1: 0.5}))
    part = blocking(tmp_path)

    part._add_blocked_time(report(HOLDER, 101.6))  # reads all that there is
    of_waiter = report(WAITER, 101.75)
    part._add_blocked_time(of_waiter)

    assert ("pgwatch.blocked_s", "0.75") in of_waiter.user_properties
