"""The header line and its banner: figures, pauses, and data that is old."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgwatch_tests.errors import ConnectionLostError
from pgwatch_tests.leaks.model import TableLeak
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import Capacity, LockSnapshot
from pgwatch_tests.tui.widgets.live_table import LiveTable
from screenshots.pictures import settled
from tests.locks.snapshots import edge, session, snapshot
from tests.tui.driving import Feed, blocked_snapshot, leak_report, screen_text, text_of
from tests.tui.tabs.sweeping import JOBS, Sweeping


def feed(locks: LockSnapshot | None = None) -> Feed:
    return Feed(locks or blocked_snapshot(), leak_report())


async def test_stale_data_stays_with_a_banner_until_it_is_live_again() -> None:
    source = feed()
    good = source.locks
    app = source.dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("2", "down")
        source.locks = ConnectionLostError("the connection was lost: server closed the connection")
        source.now_s = 12.0
        await pilot.press("r")
        await settled(pilot)
        assert text_of(app, "#banner").startswith("Stale, data 12 s old: the connection was lost")
        assert "idle in tx" in screen_text(app)
        source.locks = good
        await pilot.press("r")
        await settled(pilot)
        assert not app.query_one("#banner").display
        assert app.query_one("#sessions", LiveTable).cursor_row == 1


async def test_without_any_answer_the_reason_is_shown() -> None:
    source = feed()
    source.locks = ConnectionLostError("connection refused")
    app = source.dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "No data yet: connection refused" in screen_text(app)


async def test_pause_and_go_on() -> None:
    source = feed()
    app = source.dashboard(refresh_s=0.01)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("space")
        await settled(pilot)
        polls = source.polls
        await pilot.press("1", "1")
        await settled(pilot)
        assert source.polls == polls
        assert "Paused, data " in text_of(app, "#banner")
        await pilot.press("space")
        await settled(pilot)
        assert source.polls > polls
        assert not app.query_one("#banner").display


async def test_a_poll_can_be_asked_for_while_paused() -> None:
    source = feed()
    app = source.dashboard(refresh_s=0.01)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("space")
        await settled(pilot)
        polls = source.polls
        await pilot.press("r")
        await settled(pilot)
        assert source.polls == polls + 1
        assert "Paused, data " in text_of(app, "#banner")


async def test_pace() -> None:
    app = feed().dashboard(refresh_s=1.0)
    async with app.run_test(size=(140, 40)) as pilot:
        await settled(pilot)
        await pilot.press("plus")
        assert text_of(app, "#figures").endswith("every 0.5 s")
        await pilot.press("minus", "minus")
        assert text_of(app, "#figures").endswith("every 2 s")


@pytest.mark.parametrize(
    ("capacity", "words", "unsaid"),
    [
        (Capacity(14, 100, 3, 20, 6400), " · 14/100 connections · ", "nearly"),
        (Capacity(90, 100, 3, 20, 6400), " · 90/100 connections, nearly all · ", "lock table"),
        (Capacity(14, 100, 3, 6000, 6400), " connections · lock table nearly full · ", "nearly all"),
    ],
)
async def test_the_header_says_how_many_connections_are_taken(
    capacity: Capacity, words: str, unsaid: str
) -> None:
    app = feed(replace(snapshot((edge(2, 1),)), capacity=capacity)).dashboard(refresh_s=1.0)
    async with app.run_test(size=(140, 40)) as pilot:
        await settled(pilot)
        assert words in text_of(app, "#figures")
        assert unsaid not in text_of(app, "#figures")


async def test_where_the_header_is_short_of_room_version_and_pace_go_first() -> None:
    shown = replace(snapshot((edge(2, 1),)), database="a" * 24, server_version="18.1 (hosted)")
    app = feed(shown).dashboard(refresh_s=1.0)
    async with app.run_test(size=(80, 24)) as pilot:
        for width, end in (
            (80, " · 0 idle in tx"),
            (103, " · PG 18.1 (hosted) · 1 s"),
            (140, " · PG 18.1 (hosted) · every 1 s"),
        ):
            await pilot.resize_terminal(width, 24)
            await settled(pilot)
            assert text_of(app, "#figures").endswith(end)


async def test_a_pooler_is_told_in_the_header() -> None:
    app = feed(replace(snapshot(), pooled=True)).dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert " via pooler · " in text_of(app, "#figures")


async def test_before_a_count_the_leaks_are_unknown() -> None:
    source = feed()
    source.leaks = ConnectionLostError("gone")
    app = source.dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "? leaked" in text_of(app, "#figures")


@pytest.mark.parametrize("nearly", [False, True])
async def test_what_matters_is_never_cut(nearly: bool) -> None:
    capacity = Capacity(98 if nearly else 14, 100, 3, 6000 if nearly else 20, 6400)
    shown = settle(None, snapshot((edge(2, 1), edge(1, 2)), (session(7, hidden=True),)))
    name = "bookings_of_the_whole_company_gw11"
    source = feed(replace(shown, database=name, pooled=True, capacity=capacity))
    source.leaks = leak_report(TableLeak("public", "users", "table", ("email",), 1234))
    app = source.dashboard(sweeps=Sweeping(jobs=JOBS).desk(), refresh_s=30.0)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        line = screen_text(app).splitlines()[0]
        taken = "98/100 conns" if nearly else "14/100 conns"
        for words in ("bookings_of… via pooler", "2 blocked", "deadlock?", "1,234 leaked", taken):
            assert words in line
        # A line that is full says in the end that it goes on.
        assert line.rstrip().endswith("…")
        await pilot.resize_terminal(240, 40)
        await settled(pilot)
        line = screen_text(app).splitlines()[0]
        assert "bookings_of_the_whole_c… via pooler" in line
        assert line.rstrip().endswith(" · PG 18.1 · every 30 s")
