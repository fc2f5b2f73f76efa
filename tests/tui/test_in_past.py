"""A moment of the past on the screen: marked as such, and what keys do there is said."""

from __future__ import annotations

import pytest
from textual.pilot import Pilot

from pgwatch_tests.errors import ConnectionLostError
from pgwatch_tests.locks.model import HeldLock, Party
from pgwatch_tests.text.times import clock
from pgwatch_tests.tui.app import Dashboard
from screenshots.pictures import settled
from tests.locks.snapshots import MOMENT, session, snapshot
from tests.tui.acting import Doing
from tests.tui.driving import Feed, blocked_snapshot, dialog_text, leak_report, screen_text, text_of, until


async def in_the_past(pilot: Pilot[int], app: Dashboard, source: Feed) -> None:
    """30 s ago session 1 blocked two others; now nothing is blocked."""
    await until(pilot, lambda: app.data.past is not None)
    source.locks = snapshot((), (session(1, state="idle"), session(2), session(7)), after_s=30)
    await pilot.press("r")
    await until(pilot, lambda: "Nothing is blocked" in screen_text(app))
    await pilot.press("left_square_bracket")
    await settled(pilot)


def told(app: Dashboard) -> str:
    return [one.message for one in app._notifications][-1]


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
async def test_what_keys_do_in_the_past_is_said(size: tuple[int, int]) -> None:
    read: list[Party] = []

    async def read_held(party: Party) -> tuple[HeldLock, ...]:
        read.append(party)
        return ()

    source = Feed(blocked_snapshot(), leak_report())
    app = source.dashboard(act=Doing(), read_held=read_held)
    async with app.run_test(size=size, notifications=True) as pilot:
        await in_the_past(pilot, app, source)
        banner = app.query_one("#banner")
        assert banner.has_class("past")
        assert text_of(app, "#banner").startswith(f"Past: locks and sessions of {clock(MOMENT)}, 30 s ago.")
        await pilot.press("2", "down")
        for key, words in (
            ("space", "Rows are marked to be acted on. That is the past: escape goes back to now."),
            ("C", "That is the past: escape goes back to now."),
        ):
            await pilot.press(key)
            assert told(app) == words
        assert app._tab.marked == []
        assert app._tab.selected is not None
        read.clear()
        await pilot.press("y")
        assert app.clipboard == "UPDATE t SET n = 1"
        assert f"Copied the query of pid {app._tab.selected.pid} as of {clock(MOMENT)}: UPDATE" in told(app)
        await pilot.press("enter")
        await settled(pilot)
        assert f"pid {app._tab.selected.pid} as of {clock(MOMENT)}" in screen_text(app)
        assert "locks" not in dialog_text(app)
        await pilot.press("escape")
        assert read == []
        await pilot.press("p")
        await settled(pilot)
        assert "Paused: p resumes, r refreshes once." in text_of(app, "#banner")
        await pilot.press("p", "3")
        await settled(pilot)
        assert "Paused" not in text_of(app, "#banner")


async def test_a_lost_server_is_told_in_the_past_too() -> None:
    source = Feed(blocked_snapshot(), leak_report())
    app = source.dashboard(act=Doing())
    async with app.run_test(size=(140, 24)) as pilot:
        await in_the_past(pilot, app, source)
        source.locks, source.now_s = ConnectionLostError("connection refused"), 12.0
        await pilot.press("r")
        await settled(pilot)
        assert app.query_one("#banner").has_class("stale")
        assert text_of(app, "#banner").endswith("Now: no answer for 12 s: connection refused")


async def test_escape_leads_back_to_now_before_it_clears_marks_and_filter() -> None:
    source = Feed(blocked_snapshot(), leak_report())
    app = source.dashboard(act=Doing())
    async with app.run_test(size=(140, 24)) as pilot:
        await until(pilot, lambda: app.data.past is not None)
        await pilot.press("2", "slash", *"test_2", "enter", "space")
        assert app._tab.marked == [Party(2)]
        await in_the_past(pilot, app, source)
        assert app.query_one("#session-detail").border_title == "1 marked: nothing is done in the past"
        await pilot.press("escape")
        await settled(pilot)
        assert app.data.viewed is None
        assert app._tab.marked == [Party(2)]
        assert app._tab.row_filter
        await pilot.press("escape")
        assert app._tab.marked == []
        await pilot.press("escape")
        assert not app._tab.row_filter
