"""A selected row that goes: no key hits a neighbour, and soon the worst trouble is in sight again."""

from __future__ import annotations

import pytest

from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.tui.widgets.detail_pane import DetailPane
from pgwatch_tests.tui.widgets.tables import live_table
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable
from screenshots.pictures import settled
from tests.locks.snapshots import edge, session, snapshot
from tests.tui.acting import Doing
from tests.tui.driving import Feed, confirm, leak_report, until


async def test_after_its_end_was_confirmed_the_next_blocker_is_selected_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_table, "_LOST_S", 10_000.0)
    roots = (session(1, state="idle in transaction"), session(3, state="idle in transaction"))
    both = settle(None, snapshot((edge(2, 1), edge(4, 3)), roots))
    source, doing = Feed(both, leak_report()), Doing()
    app = source.dashboard(act=doing)
    async with app.run_test(size=(100, 24)) as pilot:
        await settled(pilot)
        table = app.query_one("#lock-tree", LiveTable)
        await pilot.press("A")
        await confirm(pilot)
        await until(pilot, lambda: len(doing.asked) == 1)
        source.locks = settle(both, snapshot((edge(4, 3),), roots[1:], after_s=1))
        await pilot.press("r")
        await until(pilot, lambda: table.row_count == 2 and (table.current_key or "").startswith("pid 3 "))
        await pilot.press("A")
        await confirm(pilot)
        await until(pilot, lambda: [one.party.pid for one in doing.asked] == [1, 3])


@pytest.mark.parametrize("lost_s", [0.05, 10_000.0])
async def test_the_first_row_is_selected_after_a_while(
    lost_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_table, "_LOST_S", lost_s)
    both = settle(None, snapshot((edge(2, 1), edge(4, 3)), (session(1, state="idle in transaction"),)))
    source = Feed(both, leak_report())
    app = source.dashboard(act=Doing())
    async with app.run_test(size=(100, 24)) as pilot:
        await settled(pilot)
        table = app.query_one("#lock-tree", LiveTable)
        assert (table.current_key or "").startswith("pid 1 ")
        # Whoever has moved the cursor means a row.
        await pilot.press("down", "up")
        await settled(pilot)
        source.locks = settle(both, snapshot((edge(4, 3),), after_s=1))
        await pilot.press("r")
        if lost_s > 1:
            await until(pilot, lambda: table.row_count == 2)
            await settled(pilot)
            await pilot.press("K")
            await settled(pilot)
            assert table.current_key is None
            assert len(app.screen_stack) == 1
            assert any("has gone" in one.message for one in app._notifications)
        else:
            await until(pilot, lambda: table.row_count == 2 and table.current_key is not None)
            await until(pilot, lambda: app.query_one(DetailPane).display)
            await pilot.press("K")
            await until(pilot, lambda: len(app.screen_stack) == 2)


async def test_a_row_that_was_filtered_away_makes_place_for_the_first_that_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_table, "_LOST_S", 10_000.0)
    both = settle(None, snapshot((edge(2, 1), edge(4, 3, target="advisory lock 7"))))
    app = Feed(both, leak_report()).dashboard(act=Doing())
    async with app.run_test(size=(100, 24)) as pilot:
        await settled(pilot)
        table = app.query_one("#lock-tree", LiveTable)
        # Whoever has moved the cursor means a row.
        await pilot.press("down", "up", "slash", *"advis", "enter")
        await until(pilot, lambda: table.row_count == 2)
        await settled(pilot)
        assert (table.current_key or "").startswith("pid 3 ")
