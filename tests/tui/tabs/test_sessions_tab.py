"""The Sessions tab: what a session waits for can be read where there is little room."""

from __future__ import annotations

import pytest

from pgwatch_tests.locks.graph.settled_waits import settle
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
