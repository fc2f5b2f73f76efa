"""Sessions in groups: by what, what a heading tells, how they fold, and that the choice is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgwatch_tests.locks.capacity import Capacity
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.tui.app import Dashboard
from pgwatch_tests.tui.keys.preferences import Preferences
from pgwatch_tests.tui.tabs.sessions_tab import SessionsTab
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable
from screenshots.pictures import settled
from tests.locks.snapshots import edge, session, snapshot
from tests.tui.driving import NEVER, Feed, leak_report, screen_text, text_of
from tests.tui.keys.test_preferences import Kept


def several() -> LockSnapshot:
    """Of `test_app`: 2 waits 12 s for 1, which is idle in transaction; of `shop`: 3 runs, 4 is idle."""
    sessions = (
        session(1, "pytest:gw0 tests/test_a.py::test_holds", "idle in transaction"),
        session(2, "pytest:gw1 tests/test_a.py::test_waits"),
        replace(session(3, "pytest:gw0 tests/test_a.py::test_holds"), database="shop", state_age_s=90.0),
        replace(session(4, "psql", "idle"), database="shop", user="ci"),
    )
    return settle(None, snapshot((edge(2, 1, wait_s=12.0),), sessions))


def dashboard(preferences: Preferences | None = None) -> tuple[Feed, Dashboard]:
    source = Feed(several(), leak_report())
    app = Dashboard(source.read_locks, source.read_leaks, refresh_s=NEVER, preferences=preferences)
    return source, app


def rows(app: Dashboard) -> list[str]:
    """The first cell of each row."""
    table = app.query_one("#sessions", LiveTable)
    return [table.get_row_at(number)[0].plain.rstrip() for number in range(table.row_count)]


def names(app: Dashboard) -> list[str]:
    """The first cell of each row without the file."""
    return [one.partition("  tests/")[0] for one in rows(app)]


async def test_g_groups_by_one_thing_after_the_other_and_says_which() -> None:
    _, app = dashboard()
    async with app.run_test(size=(160, 30)) as pilot:
        await settled(pilot)
        await pilot.press("2")
        await settled(pilot)
        assert names(app) == ["test_holds", "test_waits", "test_holds", "psql"]
        seen = []
        for _ in range(5):
            await pilot.press("g")
            await settled(pilot)
            words = text_of(app, "#connections").partition("grouped by ")[2]
            seen.append((words, [one for one in names(app) if one[0] in "▾▸"]))
        assert seen == [
            ("database (g)", ["▾ test_app (2)", "▾ shop (2)"]),
            ("user (g)", ["▾ app (3)", "▾ ci (1)"]),
            ("state (g)", ["▾ idle in transaction (1)", "▾ active (2)", "▾ idle (1)"]),
            ("test (g)", ["▾ test_holds (2)", "▾ test_waits (1)", "▾ psql (1)"]),
            ("", []),
        ]
        assert not app._notifications


async def test_a_heading_tells_what_is_wrong_below_it() -> None:
    _, app = dashboard()
    async with app.run_test(size=(160, 30)) as pilot:
        await settled(pilot)
        await pilot.press("2", "g")
        await settled(pilot)
        (line,) = [one for one in screen_text(app).splitlines() if "▾ test_app (2)" in one]
        assert line.split()[3:] == ["1", "idle", "in", "tx", "2.0s", "1", "blocked", "1"]
        await pilot.press("home")
        await settled(pilot)
        drawn = screen_text(app)
        assert "test_app  database, 2 sessions" in drawn
        assert "Open  1 idle in transaction, for up to 2.0 s" in drawn
        assert "Wait  1 blocked, for up to 12 s" in drawn
        assert "← folds it · → opens it · g groups by something else" in drawn
        # Nobody ends a heading.
        await pilot.press("C")
        assert app._notifications
        assert len(app.screen_stack) == 1


async def test_groups_fold_as_trees_do() -> None:
    source, app = dashboard()
    async with app.run_test(size=(160, 30)) as pilot:
        await settled(pilot)
        await pilot.press("2", "g")
        await settled(pilot)
        table = app.query_one("#sessions", LiveTable)
        # From a session to its heading, which then closes.
        await pilot.press("end", "left")
        assert table.cursor_row == 3
        await pilot.press("left")
        await settled(pilot)
        assert names(app) == ["▾ test_app (2)", "  test_holds", "  test_waits", "▸ shop (2)"]
        # It stays closed, and the cursor on it, when others come.
        more = replace(session(5, "psql"), database="shop")
        source.locks = replace(several(), sessions=(*several().sessions, more))
        await pilot.press("r")
        await settled(pilot)
        assert names(app)[table.cursor_row] == "▸ shop (3)"
        await pilot.press("right")
        await settled(pilot)
        assert names(app)[3] == "▾ shop (3)"
        await pilot.press("right")
        assert table.cursor_row == 4
        await pilot.press("up", "enter")
        await settled(pilot)
        assert names(app)[3] == "▸ shop (3)"
        # What a filter finds is in sight.
        await pilot.press("slash", *"psql", "enter")
        await settled(pilot)
        assert names(app) == ["▾ shop (2)", "  psql", "  psql"]


async def test_the_cursor_goes_to_the_heading_when_its_session_ends() -> None:
    source, app = dashboard()
    async with app.run_test(size=(160, 30)) as pilot:
        await settled(pilot)
        await pilot.press("2", "g", "end")
        await settled(pilot)
        source.locks = replace(several(), sessions=several().sessions[:3])
        await pilot.press("r")
        await settled(pilot)
        table = app.query_one("#sessions", LiveTable)
        assert names(app)[table.cursor_row] == "▾ shop (1)"


async def test_nothing_folds_without_groups_and_that_is_said() -> None:
    _, app = dashboard()
    async with app.run_test(size=(120, 24)) as pilot:
        await settled(pilot)
        await pilot.press("2", "left")
        await settled(pilot)
        (told,) = [one.message for one in app._notifications]
        assert told == "Nothing can be folded: sessions aren't grouped. g groups them."


async def test_the_grouping_is_kept_and_used_at_the_start() -> None:
    kept = Kept()
    preferences = Preferences(group={"sessions": "user"}, keep=kept.keep)
    _, app = dashboard(preferences)
    async with app.run_test(size=(120, 24)) as pilot:
        await settled(pilot)
        await pilot.press("2")
        await settled(pilot)
        assert names(app)[0] == "▾ app (3)"
        for _ in range(3):
            await pilot.press("g")
    assert kept.kept == [("group.sessions", one) for one in ("state", "test", "")]


async def test_an_unknown_grouping_is_told() -> None:
    _, app = dashboard(Preferences(group={"sessions": "size", "leaks": ""}))
    async with app.run_test(size=(120, 24)) as pilot:
        await settled(pilot)
        assert [one.message for one in app._notifications] == ["Sessions has no grouping 'size'."]


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_a_click_on_a_head_sorts_by_that_column_and_the_head_shows_it(size: tuple[int, int]) -> None:
    kept = Kept()
    _, app = dashboard(Preferences(keep=kept.keep))
    async with app.run_test(size=size, notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("2")
        await settled(pilot)
        table = app.query_one("#sessions", LiveTable)
        head = screen_text(app).splitlines()[table.region.y]
        assert not {"▲", "▼"} & set(head)
        await pilot.click(table, offset=(head.index("pid"), 0))
        await settled(pilot)
        assert app.query_one(SessionsTab).order == "pid"
        head = screen_text(app).splitlines()[table.region.y]
        assert "pid▲" in head
        assert kept.kept == [("order.sessions", "pid")]
        assert names(app)[0].split()[0] == "test_holds"


@pytest.mark.parametrize(("width", "words"), [(80, "10/100"), (120, "10 of 100")])
async def test_what_it_is_grouped_by_is_never_cut(width: int, words: str) -> None:
    source, app = dashboard()
    source.locks = replace(several(), capacity=Capacity(10, 100, 3, 10, 6400))
    async with app.run_test(size=(width, 24)) as pilot:
        await settled(pilot)
        await pilot.press("2", "g")
        await settled(pilot)
        line = text_of(app, "#connections")
        assert line in screen_text(app)
        assert f"{words} connections" in line
        assert line.endswith("grouped by database (g)")


async def test_a_filter_at_rest_is_in_sight() -> None:
    _, app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("2", "slash", *"holds", "enter")
        await settled(pilot)
        assert " Filter holds\n" in screen_text(app)
        assert "2 of 4 sessions" in text_of(app, "#connections")
        await pilot.press("escape")
        await settled(pilot)
        assert " Filter " not in screen_text(app).rpartition("\n")[0].rpartition("\n")[0]
