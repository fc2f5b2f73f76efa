"""All times in the dashboard are in one zone, this machine's, and named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from textual.pilot import Pilot

from screenshots.pictures import settled
from screenshots.zone import local_zone
from tests.reports.sweeps.test_history_reports import ENTRY
from tests.tui.acting import Doing, locked
from tests.tui.driving import Feed, blocked_snapshot, screen_text
from tests.tui.tabs.leaking import messy
from tests.tui.tabs.sweeping import JOBS, Sweeping

CLOCK = re.compile(r"\b\d\d:\d\d(?::\d\d)?\b(?!:|/|\s+IST)")


@pytest.fixture
def _india() -> Iterator[None]:
    # No zone of whole hours: the minutes would be right in any.
    with local_zone("Asia/Kolkata"):
        yield


async def drawn(pilot: Pilot[int], *keys: str) -> str:
    for key in keys:
        await pilot.press(key)
        await settled(pilot)
    return screen_text(pilot.app)


@pytest.mark.usefixtures("_india")
async def test_all_times_are_local_and_say_so() -> None:
    at = datetime(2026, 3, 1, 21, 0, tzinfo=UTC)
    leaks = replace(messy(), checked_at=at)
    leaks = replace(leaks, tables=tuple(replace(one, oldest=at - timedelta(hours=1)) for one in leaks.tables))
    jobs = tuple(replace(job, when="every day", next_run=at) for job in JOBS)
    sweeping = Sweeping(jobs=jobs, history=(ENTRY,))
    source = Feed(locked(), leaks)
    app = source.dashboard(act=Doing(), sweeps=sweeping.desk())
    async with app.run_test(size=(140, 40)) as pilot:
        await drawn(pilot)
        source.locks = blocked_snapshot(after_s=1)
        seen = {
            "question": await drawn(pilot, "r", "K"),
            "sessions": await drawn(pilot, "escape", "2"),
            "leaks": await drawn(pilot, "3"),
            "leak": await drawn(pilot, "enter"),
            "contention": await drawn(pilot, "escape", "4"),
            "plan": await drawn(pilot, "5", "p"),
            "jobs": await drawn(pilot, "s"),
            "history": await drawn(pilot, "s"),
            "entry": await drawn(pilot, "enter"),
        }
    assert "since 17:29:00 IST" in seen["question"]
    assert "at 02:30:00 IST" in seen["leaks"]
    assert "oldest 2026-03-02 01:30:00 IST" in seen["leak"]
    assert "since 17:30:0" in seen["contention"]
    assert "02 Mar 02:30 IST" in seen["jobs"]
    for name, screen in seen.items():
        assert CLOCK.findall(screen) == [], f"{name}\n{screen}"
        assert "UTC" not in screen, name
    assert all(" IST" in seen[name] for name in ("plan", "history", "entry"))
