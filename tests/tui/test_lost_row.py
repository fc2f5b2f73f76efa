"""A selected row that goes: no key hits a neighbour, and soon the worst trouble is in sight again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgwatch_tests.leaks.model import Leftover
from pgwatch_tests.locks.actions.action import SessionAction
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import LockSnapshot, LockTag, Party
from pgwatch_tests.tui.widgets.detail_pane import DetailPane
from pgwatch_tests.tui.widgets.tables import live_table
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable
from screenshots.pictures import settled
from tests.locks.snapshots import edge, session, snapshot
from tests.tui.acting import Doing
from tests.tui.driving import Feed, confirm, dialog_text, leak_report, text_of, until
from tests.tui.tabs.sweeping import Sweeping

TABLE, ROW = LockTag("relation", 5, 16400), LockTag("transactionid", transactionid=700)


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


def three_troubles(after_s: float = 0.0, *, cancelled: bool = False, ended: bool = False) -> LockSnapshot:
    """A change of a table (5) is behind 10, which also blocks 11, 12 and 13; 20 blocks 21 to 29."""
    idle = "idle in transaction"
    roots = (session(10, state=idle), session(11, state=idle if ended else "active"), session(20, state=idle))
    change = session(5, "migrations", query="ALTER TABLE t ADD n int")
    inner = tuple(edge(pid, 11, tag=ROW) for pid in (12, 13))
    edges = (*inner, *(edge(pid, 20, tag=ROW) for pid in range(21, 30)))
    if not ended:
        edges = (edge(11, 10, tag=ROW), *edges)
    if not cancelled:
        queue = tuple(edge(pid, 5, "soft", mode="AccessShareLock", tag=TABLE) for pid in range(40, 53))
        edges = (edge(5, 10, mode="AccessExclusiveLock", tag=TABLE), *queue, *edges)
    return settle(None, snapshot(edges, (change, *roots), after_s))


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
async def test_one_key_leads_through_all_troubles_of_a_group_and_then_to_the_next(
    size: tuple[int, int],
) -> None:
    source, doing = Feed(three_troubles(), leak_report()), Doing()
    app = source.dashboard(act=doing)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        table = app.query_one("#lock-tree", LiveTable)

        async def follow(asks: str, then: LockSnapshot, key: str) -> None:
            """Does what the advice says, once its question `asks` that; then that row is selected."""
            await pilot.press("A")
            await until(pilot, lambda: asks in dialog_text(app))
            await confirm(pilot)
            source.locks = then
            await pilot.press("r")
            await until(pilot, lambda: (table.current_key or "").startswith(key))

        # The largest group is another one by then, and on top: the cursor stays.
        await follow(
            "Cancel the ALTER TABLE of migrations? Frees 13 of 17. ALTER TABLE fails.",
            three_troubles(1, cancelled=True),
            "pid 10 ",
        )
        assert table.cursor_row > 0
        await follow(
            "End the session of test_10 (gw10)? Frees 1 of 3. Its transaction is lost.",
            three_troubles(2, cancelled=True, ended=True),
            "pid 11 ",
        )
        assert table.cursor_row > 0
        only = snapshot(tuple(edge(pid, 20, tag=ROW) for pid in range(21, 30)), (session(20),), 3)
        await follow(
            "End the session of test_11 (gw11)? Frees both. Its transaction is lost.",
            settle(None, only),
            "pid 20 ",
        )
        assert table.cursor_row == 0
    acted = [(one.how, one.party.pid) for one in doing.asked if isinstance(one, SessionAction)]
    assert acted == [("cancel", 5), ("terminate", 10), ("terminate", 11)]


async def test_a_question_that_is_denied_leaves_the_cursor_where_it_is() -> None:
    source = Feed(three_troubles(), leak_report())
    app = source.dashboard(act=Doing())
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        table = app.query_one("#lock-tree", LiveTable)
        await pilot.press("A", "n")
        source.locks = three_troubles(1, cancelled=True)
        await pilot.press("r")
        await until(pilot, lambda: (table.current_key or "").startswith("pid 10 ") and table.cursor_row > 0)


def three_sessions(*pids: int, after_s: float = 0.0) -> LockSnapshot:
    return snapshot((), tuple(session(pid) for pid in pids), after_s)


@pytest.mark.parametrize("acts", [True, False])
async def test_of_sessions_without_groups_none_is_selected_in_the_place_of_one_that_ended(acts: bool) -> None:
    source, doing = Feed(three_sessions(1, 2, 3), leak_report()), Doing()
    app = source.dashboard(act=doing)
    async with app.run_test(size=(100, 24), notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("2", "down")
        tab = app._tab
        assert tab.selected == Party(2)
        if acts:
            await pilot.press("K")
            await confirm(pilot)
            await until(pilot, lambda: len(doing.asked) == 1)
        for after_s in (1.0, 2.0):
            source.locks = three_sessions(1, 3, after_s=after_s)
            await pilot.press("r")
            await until(pilot, lambda: tab.table.row_count == 2)
            await settled(pilot)
            assert tab.selected is None
            await pilot.press("K")
            words = "The selected row has gone: an arrow key selects another."
            assert words in text_of(app, "#session-detail StillText")
            assert [one.message for one in app._notifications][-1] == words
            assert len(app.screen_stack) == 1
        await pilot.press("down")
        assert tab.selected == Party(3)
        await pilot.press("K")
        assert len(app.screen_stack) == 2
    assert len(doing.asked) == acts


async def test_a_session_that_is_back_is_selected_again() -> None:
    """As on the way through the past, and back."""
    source = Feed(three_sessions(1, 2, 3), leak_report())
    app = source.dashboard()
    async with app.run_test(size=(100, 24)) as pilot:
        await settled(pilot)
        await pilot.press("2", "down")
        for pids, selected in (
            ((1, 3), None),
            ((3,), None),
            ((1, 2, 3), Party(2)),
            ((), None),
            ((3,), Party(3)),
        ):
            source.locks = three_sessions(*pids, after_s=len(pids))
            await pilot.press("r")
            await until(pilot, lambda: app._tab.table.row_count == len(pids))  # noqa: B023 (it is awaited here)
            assert app._tab.selected == selected


async def test_whoever_hasnt_moved_the_cursor_or_types_a_filter_has_the_first_row() -> None:
    source = Feed(three_sessions(1, 2, 3), leak_report())
    app = source.dashboard()
    async with app.run_test(size=(100, 24)) as pilot:
        await settled(pilot)
        await pilot.press("2")
        source.locks = three_sessions(2, 3, after_s=1)
        await pilot.press("r")
        await until(pilot, lambda: app._tab.table.row_count == 2)
        assert app._tab.selected == Party(2)
        await pilot.press("down", "up", "slash", *"test_3", "enter")
        await until(pilot, lambda: app._tab.table.row_count == 1)
        assert app._tab.selected == Party(3)


async def test_in_leaks_none_is_selected_in_the_place_of_what_is_gone() -> None:
    left = tuple(Leftover("schema", f"test_{name}") for name in "abc")
    source = Feed(snapshot(), replace(leak_report(), leftovers=left))
    app = source.dashboard(sweeps=Sweeping().desk())
    async with app.run_test(size=(100, 24), notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("3", "down")
        source.leaks = replace(leak_report(), leftovers=(left[0], left[2]))
        await pilot.press("r")
        await until(pilot, lambda: app._tab.table.row_count == 2)
        await pilot.press("w")
        assert app._tab.table.current_key is None
        assert len(app.screen_stack) == 1
