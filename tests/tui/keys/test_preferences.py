"""Preferences in the dashboard: used from the start, kept when they change, told where they can't be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgwatch_tests.tui.app import Dashboard
from pgwatch_tests.tui.keys.preferences import Preferences
from pgwatch_tests.tui.personal_app import TABS
from pgwatch_tests.tui.tabs.sessions_tab import SessionsTab
from pgwatch_tests.tui.tabs.sweep_tables import SweepTables
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable
from screenshots.pictures import settled
from tests.locks.snapshots import edge, session, snapshot
from tests.tui.acting import locked
from tests.tui.driving import NEVER, Feed, leak_report, screen_text, text_of, until


class Kept:
    """Remembers what a dashboard keeps."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, object]] = []

    def keep(self, key: str, value: object) -> str:
        self.kept.append((key, value))
        return "" if len(self.kept) > 1 else "Kept in /home/dashboard.toml"


def dashboard(preferences: Preferences, *, shows_tips: bool = False) -> Dashboard:
    source = Feed(locked(), leak_report())
    return Dashboard(
        source.read_locks,
        source.read_leaks,
        refresh_s=NEVER,
        preferences=preferences,
        shows_tips=shows_tips,
    )


def told(app: Dashboard) -> list[str]:
    return [one.message for one in app._notifications]


def heads(app: Dashboard) -> list[str]:
    """The heads of the columns that Sessions shows."""
    return app.query_one("#sessions", LiveTable).drawn_heads


async def test_a_dashboard_begins_as_it_is_preferred() -> None:
    preferences = Preferences(
        "nord",
        {"pause": "ctrl+s", "sort": "o"},
        {"sessions": "pid", "contention": "object", "leaks": "test"},
        {"sessions": ("Test", "pid")},
    )
    app = dashboard(preferences)
    async with app.run_test(size=(160, 24)) as pilot:
        await settled(pilot)
        assert app.theme == "nord"
        assert told(app) == []
        await pilot.press("2")
        await settled(pilot)
        assert app.query_one(SessionsTab).order == "pid"
        assert heads(app) == ["Test", "pid"]
        await pilot.press("p")
        assert "Paused" not in text_of(app, "#banner")
        await pilot.press("ctrl+s")
        assert "s old. ^s resumes" in text_of(app, "#banner")
        await pilot.press("o")
        assert app.query_one(SessionsTab).order != "pid"
        assert {"^s", "o"} <= {one.key for one in app.commands()}
        assert "^s Pause" in screen_text(app)


async def test_what_is_changed_is_kept() -> None:
    kept = Kept()
    app = dashboard(Preferences(keep=kept.keep))
    async with app.run_test(size=(160, 24)) as pilot:
        await settled(pilot)
        await pilot.press("2", "s", "plus")
        (order,) = [value for key, value in kept.kept if key == "order.sessions"]
        assert order == app.query_one(SessionsTab).order
        assert ("refresh", 30.0) in kept.kept
        next(one for one in app.extra_commands() if one.name == "Hide column Query").run()
        await settled(pilot)
        ((_, columns),) = [one for one in kept.kept if one[0] == "columns.sessions"]
        assert isinstance(columns, list)
        assert "Query" not in columns
        assert "Query" not in heads(app)
        next(one for one in app.extra_commands() if one.name == "Show column Query").run()
        await settled(pilot)
        assert "Query" in heads(app)
        app.theme = "gruvbox"
        await until(pilot, lambda: ("theme", "gruvbox") in kept.kept)


async def test_where_it_is_kept_is_told_once() -> None:
    app = dashboard(Preferences(keep=Kept().keep))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("2", "s", "s", "plus", "S")
        assert [one for one in told(app) if "Kept" in one] == ["Kept in /home/dashboard.toml"]


async def test_an_order_that_was_turned_is_kept_and_used_at_the_start() -> None:
    kept = Kept()
    app = dashboard(Preferences(order={"sessions": "pid"}, turned={"sessions": True}, keep=kept.keep))
    async with app.run_test(size=(120, 24)) as pilot:
        await settled(pilot)
        await pilot.press("2")
        table = app.query_one("#sessions", LiveTable)
        assert [one.partition("/")[0] for one in table.keys] == ["3", "2", "1"]
        assert "pid▼" in screen_text(app)
        await pilot.press("S", "S", "s")
        # The next order begins as it always does.
        assert [one for one in kept.kept if one[0] == "turned.sessions"] == [
            ("turned.sessions", False),
            ("turned.sessions", True),
            ("turned.sessions", False),
        ]
        assert ("order.sessions", app.query_one(SessionsTab).order) in kept.kept


async def test_nothing_is_kept_that_nobody_changed() -> None:
    kept = Kept()
    app = dashboard(Preferences("nord", order={"sessions": "pid"}, keep=kept.keep))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("2", "3", "1")
        await settled(pilot)
    assert kept.kept == []


@pytest.mark.parametrize(
    ("preferences", "words"),
    [
        (Preferences("nrod"), "There is no theme 'nrod': "),
        (Preferences(keymap={"paus": "x"}), "keymap: no command has the id 'paus'; did you mean 'pause'?"),
        (Preferences(keymap={"pause": "q"}), "keymap: pause is refused: q is the key of 'quit'"),
        (Preferences(order={"sessions": "size"}), "Sessions has no order 'size'."),
        (Preferences(turned={"locks": True}), "Locks has one order only: it can't be turned."),
        (Preferences(trouble="Your preferences in /h are ignored: \x1b"), "are ignored: ␛"),
    ],
)
async def test_what_cannot_be_used_is_told(preferences: Preferences, words: str) -> None:
    app = dashboard(preferences)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert any(words in one for one in told(app)), told(app)


async def test_a_demo_says_what_to_look_at_until_it_is_hidden() -> None:
    idle = session(1, "pytest:gw0 tests/test_a.py::test_a", "idle in transaction")
    source = Feed(replace(snapshot((edge(2, 1), edge(3, 1)), (idle,))), leak_report())
    app = Dashboard(source.read_locks, source.read_leaks, refresh_s=NEVER, shows_tips=True)
    async with app.run_test(size=(140, 24)) as pilot:
        await until(
            pilot, lambda: "test_a holds row of t (id=1), which 2 sessions wait for" in screen_text(app)
        )
        assert "wait for: enter shows why, K ends it. h hides this." in screen_text(app)
        # Another tab's keys do something else.
        await pilot.press("3")
        await until(pilot, lambda: "wait for: 1 and then enter shows why" in screen_text(app))
        await pilot.press("1")
        await until(pilot, lambda: "wait for: enter shows why" in screen_text(app))
        await pilot.press("h")
        await until(pilot, lambda: "hides this." not in screen_text(app))
        await pilot.press("h")
        assert told(app) == ["Tips are shown in the demo."]


async def test_preferences_for_a_tab_that_there_is_not_are_told() -> None:
    app = dashboard(Preferences(order={"session": "pid"}, turned={"sessions": True, "lock": True}))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        names = "locks, sessions, leaks, contention, sweeps"
        assert told(app) == [f"There is no tab {one!r}: {names}" for one in ("lock", "session")]
        assert set(TABS) == {one.lower() for one in (*app._titles.values(), SweepTables.TITLE)}
