"""The header line and its banner: figures, pauses, and data that is old."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from pgwatch_tests.errors import ConnectionLostError
from pgwatch_tests.leaks.model import TableLeak
from pgwatch_tests.locks.capacity import Capacity
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.text.toned_text import text_of as text
from pgwatch_tests.tui.answers.blocked_trend import SLOT_S
from pgwatch_tests.tui.widgets.header_figures import Manner, header_line
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable
from screenshots.pictures import settled
from tests.locks.snapshots import edge, session, snapshot
from tests.tui.acting import Doing
from tests.tui.driving import Feed, blocked_snapshot, leak_report, screen_text, text_of, until
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
        assert text_of(app, "#verdict") == "● No data yet: connection refused"
        assert not app.query_one("#banner").display
        assert "Not connected. Trying again in " in text_of(app, "#no-locks")
        assert "Check: is the server started" in text_of(app, "#no-locks")
        await pilot.press("2")
        assert "Not connected. Trying again in " in text_of(app, "#no-sessions")
        await pilot.press("p")
        assert text_of(app, "#banner").startswith("Paused. p resumes")
        await until(pilot, lambda: "Not connected. Paused:" in text_of(app, "#no-sessions"))
        await pilot.press("p")
        source.locks = blocked_snapshot()
        await pilot.press("1", "r")
        await until(pilot, lambda: app.query_one("#lock-tree", LiveTable).row_count == 3)
        assert not app.query_one("#no-locks").display


async def test_pause_and_go_on() -> None:
    source = feed()
    app = source.dashboard(refresh_s=0.01)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("p")
        await settled(pilot)
        polls = source.polls
        await pilot.press("1", "1")
        await settled(pilot)
        assert source.polls == polls
        assert "Paused, data " in text_of(app, "#banner")
        await pilot.press("p")
        await settled(pilot)
        assert source.polls > polls
        assert not app.query_one("#banner").display


async def test_a_poll_can_be_asked_for_while_paused() -> None:
    source = feed()
    app = source.dashboard(refresh_s=0.01)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("p")
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
        assert " · every 0.5 s · " in text_of(app, "#figures")
        await pilot.press("minus", "minus")
        assert " · every 2 s · " in text_of(app, "#figures")


@pytest.mark.parametrize(
    ("capacity", "words", "judged"),
    [
        (Capacity(14, 100, 3, 20, 6400), "14 of 100 connections", ""),
        (Capacity(90, 100, 3, 20, 6400), "90 of 100 connections", "Connections nearly used up"),
        (Capacity(14, 100, 3, 6000, 6400), "14 of 100 connections", "Lock table nearly full"),
    ],
)
async def test_the_header_says_how_many_connections_are_taken(
    capacity: Capacity, words: str, judged: str
) -> None:
    app = feed(replace(snapshot(), capacity=capacity)).dashboard(refresh_s=1.0)
    async with app.run_test(size=(140, 40)) as pilot:
        await settled(pilot)
        assert f" · {words} · " in text_of(app, "#figures")
        assert judged in text_of(app, "#verdict")


@pytest.mark.usefixtures("utc")
async def test_the_figures_end_at_the_right_and_the_least_goes_first() -> None:
    shown = replace(
        snapshot((edge(2, 1),), (session(7, hidden=True),)), capacity=Capacity(14, 100, 3, 20, 6400)
    )
    app = feed(settle(None, shown)).dashboard(refresh_s=1.0)
    async with app.run_test(size=(80, 24)) as pilot:
        for width, begin, end in (
            (
                140,
                " test_app · localhost:5432 · PostgreSQL 18.1   ",
                "blocked █ 1, peak 1 · 14 of 100 connections · 1 hidden · every 1 s · read-only · UTC",
            ),
            (
                100,
                " test_app · localhost:5432   ",
                "blocked █ 1, peak 1 · 14/100 connections · 1 hidden · read-only · UTC",
            ),
            (80, " test_app · localhost:5432", "1 blocked · 14/100 conns · 1 hidden · read-only"),
            (50, " test_app", "1 blocked · 1 hidden · read-only"),
        ):
            await pilot.resize_terminal(width, 24)
            await settled(pilot)
            line = screen_text(app).splitlines()[0]
            assert line.startswith(begin)
            assert line.endswith(end)


async def test_a_pooler_and_a_dashboard_that_only_reads_are_told_in_the_header() -> None:
    app = feed(replace(snapshot(), pooled=True)).dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert " · read-only · via pooler" in text_of(app, "#figures")
    acting = feed().dashboard(act=Doing())
    async with acting.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "read-only" not in text_of(acting, "#figures")


async def test_blocked_sessions_are_those_of_the_server_where_there_are_several_databases() -> None:
    elsewhere = replace(session(7), database="billing")
    app = feed(settle(None, snapshot((edge(2, 1),), (elsewhere,)))).dashboard()
    async with app.run_test(size=(140, 24)) as pilot:
        await settled(pilot)
        assert "blocked on the server █ 1, peak 1" in text_of(app, "#figures")
        assert "no rows leaked in test_app" in text_of(app, "#verdict")


async def test_the_chart_of_blocked_sessions() -> None:
    source = feed(blocked_snapshot(waiters=7))
    app = source.dashboard()
    async with app.run_test(size=(140, 24)) as pilot:
        await settled(pilot)
        for after_s, waiters in ((SLOT_S, 4), (3 * SLOT_S, 4)):
            source.locks = blocked_snapshot(waiters=waiters, after_s=after_s)
            await pilot.press("r")
            await settled(pilot)
        # Nobody looked in between.
        assert "blocked █▅ ▅ 4, peak 7" in text_of(app, "#figures")


async def test_before_a_count_the_leaks_are_unknown() -> None:
    source = feed()
    source.leaks = ConnectionLostError("gone")
    app = source.dashboard()
    async with app.run_test(size=(140, 24)) as pilot:
        await settled(pilot)
        assert "leaked rows not counted" in text_of(app, "#verdict")


async def test_a_stale_verdict_isnt_green() -> None:
    source = feed(snapshot())
    app = source.dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert text_of(app, "#verdict") == "✓ Nothing is blocked · no rows leaked"
        source.locks = ConnectionLostError("gone")
        await pilot.press("r")
        await settled(pilot)
        assert text_of(app, "#verdict") == "Nothing is blocked · no rows leaked"


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
        line, verdict = screen_text(app).splitlines()[:2]
        taken = "98/100" if nearly else "14/100"
        for words in ("bookings_of", "2 blocked", "via pooler", taken):
            assert words in line
        assert verdict.startswith(" ● test_1 and test_2 seem to deadlock each other · ● ")
        await pilot.resize_terminal(240, 40)
        await settled(pilot)
        line, verdict = screen_text(app).splitlines()[:2]
        assert line.startswith(f" {name} · localhost:5432 · PostgreSQL 18.1  ")
        assert "● 1,234 rows leaked" in verdict


@given(
    blocked=st.lists(st.one_of(st.none(), st.integers(0, 3000)), max_size=20),
    name=st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=63),
    full=st.booleans(),
    width=st.integers(30, 260),
)
def test_the_header_fits(blocked: list[int | None], name: str, full: bool, width: int) -> None:
    capacity = Capacity(4998, 5000, 3, 20, 6400) if full else None
    shown = replace(snapshot(), database=name, server=name, capacity=capacity)
    line = text(header_line(shown, tuple(blocked), Manner(("every 1 s", "1 s"), is_read_only=full), width))
    assert cell_len(line) <= max(width, 60)
