"""Two thousand that wait for one row: all tabs and keys, without going through the queue for each of them."""

from __future__ import annotations

import pytest

from pgwatch_tests.locks.graph.settled_waits import settle
from screenshots.pictures import settled
from tests.locks.long_queue import PIDS, WAITERS, count_steps, long_queue
from tests.tui.driving import Feed, leak_report, screen_text


async def test_tabs_and_keys_beside_a_queue_of_two_thousand(monkeypatch: pytest.MonkeyPatch) -> None:
    first = settle(None, long_queue())
    steps = count_steps(monkeypatch)
    source = Feed(first, leak_report())
    app = source.dashboard()
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        assert f"blocks {WAITERS:,}" in screen_text(app)
        assert f"{WAITERS - 3:,} more wait" in screen_text(app)
        await pilot.press("down", "down")
        source.locks = settle(first, long_queue(0.25))
        await pilot.press("r")
        await settled(pilot)
        await pilot.press("2", "end")
        assert f"test_{PIDS[-1]}" in screen_text(app)
        await pilot.press("3", "1", "end", "right", "end", "enter")
        await settled(pilot)
        assert "… and behind 1,994 more" in screen_text(app)
        await pilot.press("escape", "left")
    assert steps.are_few, f"{steps.number:,} steps through a queue of {WAITERS:,}"
