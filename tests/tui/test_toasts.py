"""Messages stand in nobody's way: not over the selected row or the advice, nor twice, nor in another tab."""

from __future__ import annotations

import pytest
from textual.pilot import Pilot
from textual.widgets._toast import Toast

from pgwatch_tests.tui import toasts
from pgwatch_tests.tui.app import Dashboard
from pgwatch_tests.tui.widgets.tables.row_table import HEAD
from screenshots.pictures import settled
from tests.tui.acting import Doing
from tests.tui.driving import Feed, blocked_snapshot, leak_report, until
from tests.tui.tabs.leaking import messy

LONG = "pid 13854 has ended, but 3 sessions still wait: " + "the server says why, and which GRANT helps; " * 4


def dashboard(waiters: int = 20) -> Dashboard:
    return Feed(blocked_snapshot(waiters=waiters), messy()).dashboard(act=Doing())


def told(app: Dashboard) -> list[str]:
    return [one.message for one in app._notifications]


async def drawn(pilot: Pilot[int], app: Dashboard) -> list[Toast]:
    await until(pilot, lambda: len(app.screen.query(Toast)) == len(told(app)))
    await settled(pilot)
    return list(app.screen.query(Toast))


def selected_line(app: Dashboard) -> int:
    table = app._tab.table
    return table.region.y + HEAD + table.cursor_row - round(table.scroll_y)


@pytest.mark.parametrize("size", [(80, 24), (60, 15), (140, 40)])
@pytest.mark.parametrize("waiters", [1, 4, 20])
async def test_no_toast_covers_the_selected_row_wherever_it_is(size: tuple[int, int], waiters: int) -> None:
    app = dashboard(waiters)
    async with app.run_test(size=size, notifications=True) as pilot:
        await settled(pilot)
        app.notify("A message.", timeout=60)
        app.notify(LONG, timeout=60)
        for _ in range(waiters + 1):
            for toast in await drawn(pilot, app):
                assert not toast.region.y <= selected_line(app) < toast.region.bottom, toast.region
                assert toast.region.bottom <= size[1]
            await pilot.press("down")


async def test_no_toast_covers_the_advice() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settled(pilot)
        app.notify(LONG, timeout=60)
        pane = app.screen.query_one("#lock-detail").region
        for _ in range(21):
            [toast] = await drawn(pilot, app)
            assert toast.region.bottom <= pane.y
            await pilot.press("down")


async def test_what_the_order_was_isn_t_told_beside_what_it_is_nor_in_another_tab() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("3", "s")
        [before] = told(app)
        await pilot.press("s")
        [now] = told(app)
        assert before != now
        app.notify("An action has ended.", timeout=60)
        await pilot.press("1")
        # What just came may be unread; the order of another tab is nobody's concern.
        assert told(app) == ["An action has ended."]


async def test_who_opens_another_tab_has_read_what_stood_there_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settled(pilot)
        monkeypatch.setattr(toasts, "_SEEN_S", 0.0)
        app.notify(LONG, timeout=60)
        await pilot.press("1")
        assert told(app) == [LONG]
        await pilot.press("2")
        assert told(app) == []


async def test_without_rows_a_toast_is_below_what_the_tab_says() -> None:
    app = Feed(blocked_snapshot(waiters=0), leak_report()).dashboard(act=Doing())
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settled(pilot)
        app.notify(LONG, timeout=60)
        [toast] = await drawn(pilot, app)
        assert toast.region.y > app.screen.query_one("#no-locks").region.y + 2
