"""The verdict is about the largest trouble, the pane about the selected row: it says where the other is."""

from __future__ import annotations

from dataclasses import replace

from textual.pilot import Pilot

from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import Edge, LockSnapshot
from pgwatch_tests.tui.widgets.detail_pane import DetailPane
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable
from screenshots.pictures import settled
from tests.locks.snapshots import edge, session, snapshot
from tests.tui.driving import Feed, leak_report, screen_text, text_of


def blocking(*roots: tuple[int, int], more: tuple[Edge, ...] = (), after_s: float = 0.0) -> LockSnapshot:
    """Each of these sessions blocks so many."""
    edges = [
        edge(10 * root + number, root) for root, number_of in roots for number in range(1, number_of + 1)
    ]
    sessions = tuple(session(root, f"pytest:gw0 t.py::test_root_{root}") for root, _ in roots)
    return settle(None, snapshot((*edges, *more), sessions, after_s))


def border(pilot: Pilot[int]) -> str:
    return str(pilot.app.query_one("#lock-detail", DetailPane).border_title or "")


def selected(pilot: Pilot[int]) -> str:
    return pilot.app.query_one("#lock-tree", LiveTable).current_key or ""


async def test_a_cursor_that_nobody_moved_follows_the_verdict() -> None:
    source = Feed(blocking((1, 1)), leak_report())
    app = source.dashboard()
    async with app.run_test(size=(100, 30)) as pilot:
        await settled(pilot)
        assert selected(pilot).startswith("pid 1 ")
        source.locks = blocking((1, 1), (2, 3), after_s=1.0)
        await pilot.press("r")
        await settled(pilot)
        assert text_of(app, "#verdict").startswith("● test_root_2 blocks 3 tests")
        assert selected(pilot).startswith("pid 2 ")
        assert "test_root_2  t.py::test_root_2" in screen_text(app)
        assert border(pilot) == ""


async def test_a_cursor_that_was_moved_stays_and_the_pane_says_where_the_verdict_is() -> None:
    source = Feed(blocking((1, 1)), leak_report())
    app = source.dashboard()
    async with app.run_test(size=(100, 30)) as pilot:
        await settled(pilot)
        await pilot.press("down", "up")
        source.locks = blocking((1, 1), (2, 3), after_s=1.0)
        await pilot.press("r")
        await settled(pilot)
        assert selected(pilot).startswith("pid 1 ")
        assert border(pilot) == "home: test_root_2, the largest trouble"
        await pilot.press("home")
        await settled(pilot)
        assert selected(pilot).startswith("pid 2 ")
        assert border(pilot) == ""
        # One of its waiters is of the same trouble.
        await pilot.press("down")
        await settled(pilot)
        assert border(pilot) == ""


async def test_a_row_whose_detail_was_opened_counts_as_chosen() -> None:
    source = Feed(blocking((1, 1)), leak_report())
    app = source.dashboard()
    async with app.run_test(size=(100, 30)) as pilot:
        await settled(pilot)
        await pilot.press("enter", "escape")
        source.locks = blocking((1, 1), (2, 3), after_s=1.0)
        await pilot.press("r")
        await settled(pilot)
        assert selected(pilot).startswith("pid 1 ")


async def test_a_deadlock_that_isnt_in_the_first_tree_has_its_own_key() -> None:
    ring = (edge(8, 9), edge(9, 8))
    seen = blocking((1, 4), more=ring)
    source = Feed(replace(seen, deadlocks=seen.probable_deadlocks, probable_deadlocks=()), leak_report())
    app = source.dashboard()
    async with app.run_test(size=(100, 40)) as pilot:
        await settled(pilot)
        assert "deadlock each other" in text_of(app, "#verdict")
        assert border(pilot) == "D: test_8, the largest trouble"
        await pilot.press("D")
        await settled(pilot)
        assert border(pilot) == ""


async def test_what_the_filter_hides_is_told() -> None:
    source = Feed(blocking((1, 1), (2, 3)), leak_report())
    app = source.dashboard()
    async with app.run_test(size=(100, 30)) as pilot:
        await settled(pilot)
        await pilot.press("slash", *"root_1", "enter")
        await settled(pilot)
        assert border(pilot) == "test_root_2, the largest trouble, is hidden by the filter"


async def test_80_columns_tell_the_database_of_a_root_in_another_one() -> None:
    name = "pytest:gw0 tests/test_booking_calendar.py::test_books_a_slot_in_the_calendar"
    elsewhere = replace(session(7, name, "idle in transaction"), database="test_app_gw1")
    source = Feed(blocking((1, 3)), leak_report())
    app = source.dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "Database" not in screen_text(app)
        await pilot.press("down")
        seen = blocking((1, 3), more=(edge(71, 7),), after_s=1.0)
        sessions = tuple(elsewhere if one.pid == 7 else one for one in seen.sessions)
        source.locks = replace(seen, sessions=sessions)
        await pilot.press("r")
        await settled(pilot)
        assert selected(pilot).startswith("pid 11 ")
        [row] = [line for line in screen_text(app).splitlines() if line.startswith(" ▾ test_books")]
        assert row.endswith("test_…p_gw1")
        await pilot.press("n")
        await settled(pilot)
        # In one line or, where there is room for that, in two.
        assert " · pid 7 · " in " ".join(screen_text(app).split())
        assert "test_app_gw1\n" in screen_text(app)


async def test_the_next_root_is_shown_with_its_waiters() -> None:
    source = Feed(blocking(*((root, 2) for root in range(1, 9))), leak_report())
    app = source.dashboard()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("N")
        await settled(pilot)
        assert selected(pilot).startswith("pid 8 ")
        drawn = screen_text(app)
        assert " └ test_82 " in drawn
        await pilot.press("slash", *"nobody", "enter", "n")
        await settled(pilot)
        assert any("No blocked session matches" in one.message for one in app._notifications)
