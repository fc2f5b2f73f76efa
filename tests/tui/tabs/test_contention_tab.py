"""The Contention tab by its keys, fed with snapshots."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pgwatch_tests.errors import ConnectionLostError
from pgwatch_tests.locks.contention.contention import Contention
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.text.times import clock
from pgwatch_tests.tui.tabs.contention_tab import ContentionTab
from pgwatch_tests.tui.widgets.heat_map_view import HeatMapView
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable
from screenshots.pictures import settled
from tests.locks.snapshots import MOMENT, edge, session, snapshot
from tests.tui.driving import Feed, blocked_snapshot, dialog_text, leak_report, screen_text, text_of
from tests.tui.test_dashboard import HOSTILE, SIZES

SINCE = clock(MOMENT)


@pytest.mark.parametrize("size", SIZES)
async def test_sums_by_test_object_and_cause(size: tuple[int, int]) -> None:
    source = Feed(blocked_snapshot(), leak_report())
    app = source.dashboard()
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        source.locks = blocked_snapshot(after_s=1)
        await pilot.press("4", "r")
        await settled(pilot)
        totals = f"2.0 s blocked since {SINCE} · 2 waits · longest 1.0 s begun before"
        assert totals + (" · peak 2" if size[0] > 80 else "\n") in screen_text(app)
        assert text_of(app, "#contention-chart") == "█████"
        table = app.query_one("#contention", LiveTable)
        assert table.has_focus
        figures = ["1.0s", "50 %", "1", "1.0s"] if size[0] > 80 else ["1.0s", "1.0s"]  # before names
        assert [cell.plain for cell in table.get_row_at(0)][: len(figures)] == figures
        assert "test_root" in screen_text(app)
        await pilot.press("s")
        assert [cell.plain for cell in table.get_row_at(0)] == [
            *("2.0s", "100 %", "2", "1.0s"),
            "row of accounts (id=42)",
            "EXCLUSIVE",
        ]
        await pilot.press("s")
        assert [cell.plain for cell in table.get_row_at(0)][4:] == ["idle in transaction"]
        drawn = screen_text(app)
        assert f"by cause · since {SINCE}" in drawn
        assert max(len(line) for line in drawn.splitlines()) <= size[0]
        await pilot.press("s")
        assert table.row_count == 2


async def test_nothing_blocked_then_from_now_on() -> None:
    source = Feed(snapshot(), leak_report())
    app = source.dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        await settled(pilot)
        assert f"Nothing has been blocked since {SINCE}." in screen_text(app)
        source.locks = blocked_snapshot(after_s=1)
        await pilot.press("r")
        await settled(pilot)
        assert "2.0 s blocked" in screen_text(app)
        source.locks = snapshot(after_s=2)
        await pilot.press("r")
        await settled(pilot)
        assert "2.0 s blocked" in screen_text(app)
        await pilot.press("x")
        await settled(pilot)
        later = clock(snapshot(after_s=2).sampled_at)
        assert f"Nothing has been blocked since {later}." in screen_text(app)


async def test_x_resets_nothing_from_another_tab() -> None:
    source = Feed(blocked_snapshot(), leak_report())
    app = source.dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        source.locks = blocked_snapshot(after_s=1)
        await pilot.press("r")
        await settled(pilot)
        await pilot.press("x", "4")
        await settled(pilot)
        assert "2.0 s blocked" in screen_text(app)


async def test_before_the_first_answer() -> None:
    source = Feed(ConnectionLostError("connection refused"), leak_report())
    app = source.dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4", "x", "s", "e")
        await settled(pilot)
        assert "No data yet: connection refused" in screen_text(app)


@pytest.mark.parametrize("how", ["a lost server", "a pause", "a pause, then x"])
async def test_what_was_not_watched_is_said(how: str) -> None:
    source = Feed(snapshot(), leak_report())
    app = source.dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        await settled(pilot)
        if how == "a lost server":
            source.locks = ConnectionLostError("gone")
            await pilot.press("r")
            await settled(pilot)
        else:
            await pilot.press("p")
            if how == "a pause, then x":
                await pilot.press("x")
        source.locks = snapshot(after_s=30)
        await pilot.press("r" if how == "a lost server" else "p")
        await settled(pilot)
        assert "Not watched for 30 s of that." in screen_text(app)


async def test_only_the_visible_tab_is_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Contention | None] = []

    def show(_: ContentionTab, seen: Contention | None, filter_: str) -> None:
        shown.append(seen)

    monkeypatch.setattr(ContentionTab, "show", show)
    source = Feed(blocked_snapshot(), leak_report())
    app = source.dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("r")
        await settled(pilot)
        assert shown == []
        await pilot.press("4")
        await settled(pilot)
        assert shown


def exported(folder: Path) -> tuple[str, str]:
    [path] = folder.iterdir()
    return path.name.split("-")[2], json.loads(path.read_text())["schema"]


async def test_filter_and_export(tmp_path: Path) -> None:
    source = Feed(blocked_snapshot(), leak_report())
    app = source.dashboard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("4", "slash", *"TEST_3", "enter")
        await settled(pilot)
        table = app.query_one("#contention", LiveTable)
        assert table.row_count == 1
        await pilot.press("slash", *"zzz", "enter")
        await settled(pilot)
        assert "No line matches 'zzz'" in screen_text(app)
        await pilot.press("escape", "e")
        await settled(pilot)
        assert table.row_count == 2
    assert exported(tmp_path) == ("contention", "pgwatch-tests.contention/1")


async def test_help_names_the_keys() -> None:
    app = Feed(snapshot(), leak_report()).dashboard()
    async with app.run_test(size=(120, 50)) as pilot:
        await pilot.press("4", "question_mark")
        await settled(pilot)
        drawn = screen_text(app)
        assert "Keys in Contention" in drawn
        assert "since the dashboard started, or x." in drawn
        # There is nothing to restart yet.
        assert "x Restart count" in drawn


async def test_hostile_text_is_harmless() -> None:
    root, waiter = session(1, HOSTILE, "idle in transaction"), session(2, HOSTILE)
    hostile = edge(2, 1, target=HOSTILE)
    edges = (replace(hostile, lock=replace(hostile.lock, object=HOSTILE)),)
    app = Feed(settle(None, snapshot(edges, (root, waiter))), leak_report()).dashboard()
    async with app.run_test(size=(240, 40)) as pilot:
        await pilot.press("4")
        drawn = []
        for _ in range(3):
            await settled(pilot)
            drawn.append(screen_text(app))
            await pilot.press("s")
        assert not set("".join(drawn)) & set("\x1b\x07\u202e")
        # Below the verdict, which names the blocker whatever is shown.
        below = ["".join(one.splitlines(keepends=True)[2:]) for one in drawn]
        assert ["owned" in one for one in below] == [True, True, False]


async def test_the_map_beside_the_list_marks_the_selected_pair() -> None:
    source = Feed(blocked_snapshot(waiters=3), leak_report())
    app = source.dashboard()
    async with app.run_test(size=(140, 30)) as pilot:
        await settled(pilot)
        source.locks = blocked_snapshot(waiters=3, after_s=2)
        await pilot.press("4", "r")
        await settled(pilot)
        view = app.query_one(HeatMapView)
        lines = view.text.splitlines()
        assert lines[2].startswith(" 1 test_root")
        assert lines[2].count("▒") == 3
        assert lines[2].count("[") == 1
        first = lines[2]
        await pilot.press("down")
        await settled(pilot)
        assert view.text.splitlines()[2] != first
        # A click on a cell selects its pair.
        await pilot.click(HeatMapView, offset=(2 + first.index("["), 2))
        await settled(pilot)
        assert view.text.splitlines()[2] == first
        assert app.query_one("#contention", LiveTable).cursor_row == 0
        await pilot.press("s")
        await settled(pilot)
        assert not view.display
        await pilot.press("s", "s")
        await pilot.resize_terminal(80, 24)
        await settled(pilot)
        assert not view.display


async def test_the_selected_pair_is_spelled_out_below() -> None:
    source = Feed(blocked_snapshot(), leak_report())
    app = source.dashboard()
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        source.locks = blocked_snapshot(after_s=2)
        await pilot.press("4", "r")
        await settled(pilot)
        pane = text_of(app, "#pair-detail-text")
        assert "blocks" in pane
        assert "1.0 s in 1 wait, the longest 1.0 s" in pane
        assert "Fix" in pane
        # What is over needs nobody ended.
        assert "pg_terminate_backend" not in pane
        await pilot.press("s")
        await settled(pilot)
        assert not app.query_one("#pair-detail").display


async def test_of_a_test_in_another_database_the_name_is_cut_last() -> None:
    blocker = replace(session(1, "pytest:gw0 tests/test_a.py::test_seats_are_kept"), database="test_app_gw0")
    waiter = session(2, "pytest:gw1 tests/integration/test_b.py::test_seats_are_given_back")
    app = Feed(settle(None, snapshot((edge(2, 1),), (blocker, waiter))), leak_report()).dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("4")
        await settled(pilot)
        drawn = screen_text(app)
        assert "test_seats_are_kept in …_gw0  test_seats_are_given_back" in drawn
        # The pane begins with both names, too.
        assert "test_seats_are_kept in test_app_gw0  blocks for" in drawn
        assert "Whom  test_seats_are_given_back" in drawn
        # The wait is older than the watch.
        assert f"blocks for 0.0 s since {SINCE}" in " ".join(drawn.split())


async def test_a_hash_gives_way_before_the_test_that_it_stands_for() -> None:
    sessions = (
        session(1, "pytest:gw0 #3e3344b2 ..test_report.py::test_report_reads_orders"),
        session(2, "pytest:gw1 #2de9ef80 ..orders/test_list.py::test_lists_orders_by_amount"),
    )
    found = (edge(2, 1, wait_s=3.0),)
    source = Feed(settle(None, snapshot(found, sessions)), leak_report())
    app = source.dashboard()
    async with app.run_test(size=(130, 30)) as pilot:
        await settled(pilot)
        await pilot.press("4")
        await settled(pilot)
        lines = screen_text(app).splitlines()
        (row,) = [line for line in lines if line.lstrip().startswith("0.0s")]
        assert "test_report_reads_orders" in row
        assert "test_lists_orders_by_amount" in row
        # In the map, too.
        assert [line for line in lines if " 1 test_lists_orders_by_amount ·" in line]


async def test_enter_shows_all_that_is_known_of_a_pair_where_the_pane_has_no_room() -> None:
    source = Feed(blocked_snapshot(), leak_report())
    app = source.dashboard()
    async with app.run_test(size=(80, 12)) as pilot:
        await settled(pilot)
        source.locks = blocked_snapshot(after_s=1)
        await pilot.press("4", "r")
        await settled(pilot)
        table = app.query_one("#contention", LiveTable)
        # On a low screen the rows come first.
        assert table.size.height >= 3
        assert "by test · since" not in screen_text(app)
        await pilot.press("enter")
        await settled(pilot)
        said = dialog_text(app)
        assert "Fix Commit, roll back or close it" in said
        assert "row of accounts (id=42), seen at" in said
        # Of a sum by object there is no more than its row.
        await pilot.press("escape", "s", "enter")
        await settled(pilot)
        assert len(app.screen_stack) == 1
        assert [one.message for one in app._notifications][-1] == "This row has no detail."
