"""`D` where no deadlock lasts: those that polls have caught, in Locks as in Contention."""

from __future__ import annotations

from dataclasses import replace

from textual.pilot import Pilot

from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.tui.screens.deadlocks import DeadlocksScreen
from screenshots.pictures import settled
from tests.locks.snapshots import edge, session, snapshot
from tests.tui.acting import until_drawn
from tests.tui.driving import Feed, leak_report, screen_text, until


def ring(first: int, after_s: float, before: LockSnapshot | None = None) -> LockSnapshot:
    edges = edge(first, first + 1), edge(first + 1, first)
    sessions = tuple(session(pid, f"pytest:gw0 t.py::test_{pid}") for pid in (first, first + 1))
    return settle(before, snapshot(edges, sessions, after_s))


async def deadlock(pilot: Pilot[int], source: Feed, first: int, after_s: float) -> None:
    """Two polls see it; the third one no more."""
    source.locks = before = ring(first, after_s)
    await pilot.press("r")
    await settled(pilot)
    source.locks = ring(first, after_s + 0.25, before)
    await pilot.press("r")
    await settled(pilot)
    source.locks = replace(snapshot(), sampled_at=source.locks.sampled_at)
    await pilot.press("r")
    await settled(pilot)


async def test_those_that_are_over_one_after_the_other() -> None:
    source = Feed(snapshot(), leak_report())
    app = source.dashboard()
    async with app.run_test(notifications=True, size=(100, 30)) as pilot:
        await settled(pilot)
        await pilot.press("D")
        await until_drawn(pilot, "No deadlock was seen since")
        await deadlock(pilot, source, 1, 1.0)
        await deadlock(pilot, source, 3, 5.0)
        assert "D shows the statements of a deadlock" in screen_text(app)
        for tab in "14":
            await pilot.press(tab, "D")
            await until_drawn(pilot, "Deadlock of test_3 and test_4")
            assert "1 of 2: D goes on" in screen_text(app)
            await pilot.press("D")
            await until_drawn(pilot, "Deadlock of test_1 and test_2")
            await pilot.press("D")
            await until_drawn(pilot, "Deadlock of test_3 and test_4")
            await pilot.press("escape")
            await until(pilot, lambda: not isinstance(app.screen, DeadlocksScreen))


async def test_the_selected_one_in_full() -> None:
    source = Feed(snapshot(), leak_report())
    app = source.dashboard()
    async with app.run_test(size=(100, 30)) as pilot:
        await settled(pilot)
        source.locks = before = ring(1, 1.0)
        await pilot.press("r")
        await settled(pilot)
        source.locks = ring(1, 1.25, before)
        await pilot.press("r")
        await settled(pilot)
        await pilot.press("D")
        await settled(pilot)
        await pilot.press("D")
        await until_drawn(pilot, "Deadlock of test_1 and test_2")
