"""The Sessions tab: what a session waits for can be read where there is little room."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.tui.tabs.sessions_tab import SessionsTab
from screenshots.pictures import settled
from tests.locks.snapshots import edge, session, snapshot
from tests.tui.driving import Feed, leak_report, screen_text


@pytest.mark.parametrize("width", [80, 120])
async def test_how_long_it_waits_gives_way_before_what_it_waits_for(width: int) -> None:
    name = "pytest:gw7 tests/test_users.py::test_cancels_and_rebooks_for_an"
    query = "UPDATE bookings SET seat = 4 WHERE id = 17"
    sessions = tuple(session(pid, name, query=query) for pid in (20101, 20102))
    edges = (edge(20102, 20101, target="row of bookings (id=17)", wait_s=71.0),)
    app = Feed(settle(None, snapshot(edges, sessions)), leak_report()).dashboard()
    async with app.run_test(size=(width, 24)) as pilot:
        await settled(pilot)
        await pilot.press("2")
        await settled(pilot)
        table = "".join(screen_text(app).splitlines(keepends=True)[2:9])
        assert "row of bookings (id=17)" in table
        # Either end of a name tells it from others.
        assert "test_can" in table


async def test_who_blocks_is_told_beside_who_waits() -> None:
    sessions = (
        session(1, "pytest:gw0 tests/test_a.py::test_holds", "idle in transaction"),
        replace(session(2, "pytest:gw1 tests/test_a.py::test_waits"), state_age_s=71.0),
        replace(session(3, "pytest:gw2 tests/test_a.py::test_waits_again"), state_age_s=71.0),
    )
    found = (edge(2, 1, target="table orders", wait_s=70.9), edge(3, 1, target="table orders", wait_s=3.0))
    app = Feed(settle(None, snapshot(found, sessions)), leak_report()).dashboard()
    async with app.run_test(size=(160, 24)) as pilot:
        await settled(pilot)
        await pilot.press("2")
        await settled(pilot)
        table = app.query_one(SessionsTab).table
        lines = {row[2].plain: row for row in map(table.get_row_at, range(3))}
        assert [lines[pid][6].plain.strip() for pid in "123"] == ["2", "", ""]
        # A wait is as old as its statement, unless it says otherwise.
        assert [lines[pid][5].plain.strip() for pid in "23"] == ["table orders", "table orders, 3.0s"]
        # All are on the server's machine: the column would tell nothing.
        assert "Client" not in screen_text(app)


@pytest.mark.parametrize("width", range(70, 130, 6))
async def test_the_length_of_a_wait_is_shown_whole_or_not_at_all(width: int) -> None:
    waits = replace(session(2, "pytest:gw1 tests/test_a.py::test_waits"), state_age_s=135.0)
    found = (edge(2, 1, target="row of bookings (id=17)", wait_s=61.0),)
    app = Feed(settle(None, snapshot(found, (session(1), waits))), leak_report()).dashboard()
    async with app.run_test(size=(width, 24)) as pilot:
        await settled(pilot)
        await pilot.press("2")
        await settled(pilot)
        table = app.query_one(SessionsTab).table
        (cell,) = [one.plain for one in table.get_row_at(1) if one.plain.startswith("row of")]
        assert cell.rstrip().endswith((")", ", 1m01s"))


async def test_y_copies_the_advice_s_sql_and_then_the_query_in_the_detail_too() -> None:
    root = session(1, "pytest:gw0 tests/test_a.py::test_root", "idle in transaction")
    app = Feed(settle(None, snapshot((edge(2, 1),), (root,))), leak_report()).dashboard()
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        await pilot.press("2", "y")
        assert app.clipboard == "SELECT pg_terminate_backend(1)"
        await pilot.press("y")
        assert app.clipboard.startswith("UPDATE")
        await pilot.press("enter")
        await settled(pilot)
        assert "y copies the advice's SQL · escape closes" in screen_text(app)
        app.copy_to_clipboard("")
        await pilot.press("y")
        assert app.clipboard == "SELECT pg_terminate_backend(1)"
        # There is nothing to copy in the help, so that its key does nothing.
        await pilot.press("escape", "question_mark")
        await settled(pilot)
        assert "copies" not in screen_text(app).splitlines()[-3]
