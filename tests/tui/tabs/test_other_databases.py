"""Sessions of other databases say so on the tabs Locks, Sessions and Contention."""

from __future__ import annotations

import re
from dataclasses import replace

from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable
from screenshots.pictures import settled
from tests.locks.snapshots import edge, session, snapshot
from tests.tui.driving import Feed, leak_report, screen_text, text_of


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
