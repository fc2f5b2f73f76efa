"""Sessions of other databases say so on the tabs Locks, Sessions and Contention."""

from __future__ import annotations

import re
from dataclasses import replace

from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.tui.app import Dashboard
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable
from screenshots.pictures import settled
from tests.locks.snapshots import edge, session, snapshot
from tests.tui.driving import Feed, blocked_snapshot, leak_report, screen_text, text_of


def elsewhere(after_s: float = 0.0) -> LockSnapshot:
    sessions = tuple(
        replace(session(pid, "psql"), database=f"test_gw{pid}", client="local", database_oid=pid)
        for pid in (1, 2)
    )
    return settle(None, snapshot((edge(2, 1),), sessions, after_s))


async def test_the_database_is_shown_on_every_tab() -> None:
    source = Feed(elsewhere(), leak_report())
    app = source.dashboard()
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        drawn = screen_text(app)
        assert re.search(r"▾ psql .* test_gw1 ", drawn)
        assert re.search(r"└ psql .* test_gw2 ", drawn)
        detail = " ".join(text_of(app, "#lock-detail-text").split())
        assert "psql · pid 1 · app@local · test_gw1" in detail
        assert "psql (pid 1, database test_gw1)" in detail
        source.locks = elsewhere(after_s=1.0)
        await pilot.press("2", "r")
        await settled(pilot)
        drawn = screen_text(app)
        assert re.search(r"psql .* test_gw1 ", drawn)
        assert re.search(r"psql .* test_gw2 ", drawn)
        await pilot.press("4")
        await settled(pilot)
        contention = app.query_one("#contention", LiveTable)
        cells = [cell.plain for cell in contention.get_row_at(0)][-2:]
        assert cells == ["psql in test_gw1", "psql in test_gw2"]


async def test_sessions_of_the_tested_database_name_it_as_well_where_others_are_shown() -> None:
    there, here = elsewhere().sessions
    mixed = replace(elsewhere(), sessions=(there, replace(here, database="test_app")))
    app = Feed(mixed, leak_report()).dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert re.search(r"▾ psql .* test_gw1\b", screen_text(app))
        assert re.search(r"└ psql .* test_app\b", screen_text(app))


async def test_the_tested_database_is_named_where_its_column_was_asked_for() -> None:
    app = Feed(blocked_snapshot(), leak_report()).dashboard()
    async with app.run_test(size=(180, 24)) as pilot:
        await settled(pilot)
        assert not re.search(r"test_root .* test_app ", table_text(app))
        [show] = [one for one in app.extra_commands() if one.name == "Hide column User"]
        show.run()
        await settled(pilot)
        lines = table_text(app).splitlines()
        assert [bool(re.search(r" test_app\b", line)) for line in lines[:4]] == [False, True, True, True]


def table_text(app: Dashboard) -> str:
    """What the table of locks says, without what is around it."""
    region = app.query_one("#lock-tree").region
    return "\n".join(screen_text(app).split("\n")[region.y : region.bottom])
