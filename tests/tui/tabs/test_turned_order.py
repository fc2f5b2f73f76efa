"""`S`, or a click on the head that rows are sorted by, turns their order around in every tab that has one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.pilot import Pilot

from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.tui.app import Dashboard
from screenshots.pictures import settled
from tests.locks.snapshots import edge, session, snapshot
from tests.tui.driving import Feed, leak_report, screen_text
from tests.tui.tabs.leaking import LEFTOVERS, USERS


def dashboard() -> Dashboard:
    sessions = tuple(session(pid, f"pytest:gw0 tests/t.py::test_{pid}") for pid in (1, 2, 3, 4))
    waits = (edge(2, 1, wait_s=30.0), edge(4, 3, wait_s=2.0))
    tables = (USERS, replace(USERS, table="bookings", rows=2, attribution=()))
    leaks = replace(leak_report(*tables), leftovers=LEFTOVERS)
    source = Feed(settle(None, snapshot(waits, sessions)), leaks)
    return source.dashboard()


def heads_and_rows(app: Dashboard) -> tuple[str, list[str]]:
    table = app._tab.table
    line = screen_text(app).splitlines()[table.region.y]
    return line, table.keys


async def show(pilot: Pilot[int], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await settled(pilot)


@pytest.mark.parametrize(
    ("keys", "head", "down", "up"),
    [(["2", "s"], "Test", "▲", "▼"), (["4"], "Blocked", "▼", "▲"), (["4", "s"], "Blocked", "▼", "▲")],
)
async def test_a_turned_tab_has_its_rows_the_other_way_round(
    keys: list[str], head: str, down: str, up: str
) -> None:
    app = dashboard()
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        await show(pilot, "r", *keys)
        line, rows = heads_and_rows(app)
        assert f"{head}{down}" in line
        await show(pilot, "S")
        line, turned = heads_and_rows(app)
        assert f"{head}{up}" in line
        assert turned == rows[::-1]
        # A click on that head does as much; another order begins as it always does.
        where = line.index(f"{head}{up}")
        await pilot.click("#" + str(app._tab.table.id), offset=(where, 0))
        await settled(pilot)
        assert heads_and_rows(app)[1] == rows
        await show(pilot, "S", "s")
        assert app._tab.turned is False


async def test_leaks_are_turned_and_what_has_no_rows_stays_below() -> None:
    app = dashboard()
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await show(pilot, "r", "3")
        line, rows = heads_and_rows(app)
        assert "Rows▼" in line
        assert len(rows) > 3
        await show(pilot, "S")
        line, turned = heads_and_rows(app)
        assert "Rows▲" in line
        assert turned == [*rows[1::-1], *rows[2:]]


async def test_sessions_say_that_their_order_is_turned_in_groups_too() -> None:
    app = dashboard()
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        await show(pilot, "r", "2", "S")
        assert "in trouble last" in screen_text(app)
        await show(pilot, "s", "g", "S")
        assert "by test, turned around, grouped by database (g)" in screen_text(app)
        tests = [line for line in screen_text(app).splitlines() if "  test_" in line]
        assert [line.split()[0] for line in tests][:4] == ["test_4", "test_3", "test_2", "test_1"]


@pytest.mark.parametrize("keys", [["1"], ["3", "slash", "z", "enter", "1"]])
async def test_a_tab_with_one_order_says_so(keys: list[str]) -> None:
    app = dashboard()
    async with app.run_test(size=(120, 30), notifications=True) as pilot:
        await settled(pilot)
        await show(pilot, "r", *keys, "S")
        assert "The rows of Locks have one order only." in screen_text(app)
