"""The dashboard by its keys, fed with snapshots."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from pgwatch_tests.leaks.model import Skipped, TableLeak
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import HeldLock, LockSnapshot, Party
from pgwatch_tests.tui.app import Dashboard
from pgwatch_tests.tui.tabs.locks_tab import LocksTab
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable
from screenshots.pictures import settled
from tests.locks.snapshots import edge, session, snapshot
from tests.tui.acting import Doing, locked
from tests.tui.driving import NEVER, Feed, blocked_snapshot, leak_report, screen_text, text_of, until
from tests.tui.tabs.leaking import messy
from tests.tui.tabs.sweeping import JOBS, Sweeping

SIZES = [(80, 24), (140, 40)]


def feed(locks: LockSnapshot | None = None) -> Feed:
    return Feed(locks or blocked_snapshot(), leak_report())


@pytest.mark.parametrize("size", SIZES)
async def test_the_tree_its_root_and_the_advice(size: tuple[int, int]) -> None:
    app = feed().dashboard()
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        drawn = screen_text(app)
        assert "row of accounts (id=42)" in drawn
        assert "test_root" in drawn
        assert "├ test_2 " in drawn
        assert "└ test_3 " in drawn
        assert "left a transaction open" in drawn
        assert "pg_terminate_backend(1)" in drawn
        assert "blocked ▅ 2, peak 2" in drawn.splitlines()[0].replace("█", "▅")
        assert drawn.splitlines()[1].startswith(" ● test_root blocks 2 tests for 1.0 s (row of accounts")
        assert max(len(line) for line in drawn.splitlines()) <= size[0]


EVERY_PLACE = (
    ("1",),
    ("1", "slash", "b"),
    ("question_mark",),
    ("1", "enter"),
    ("1", "a"),
    ("1", "C"),
    ("1", "K"),
    ("ctrl+p",),
    ("ctrl+p", "q"),
    ("3", "enter"),
    ("5", "m"),
)


@pytest.mark.parametrize("keys", EVERY_PLACE)
async def test_ctrl_c_leaves_from_every_place_and_ctrl_z_says_why_it_stays(keys: tuple[str, ...]) -> None:
    app = Feed(locked(), messy()).dashboard(act=Doing(), sweeps=Sweeping(jobs=JOBS).desk())
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settled(pilot)
        await pilot.press(*keys, "ctrl+z")
        assert app.is_running
        assert "Ctrl+C leaves it." in [one.message for one in app._notifications][-1]
        await pilot.press("ctrl+c")
        await pilot.pause()
        assert not app.is_running


@pytest.mark.parametrize(
    "keys", [keys for keys in EVERY_PLACE if keys[-1] in ("question_mark", "enter", "a")]
)
async def test_q_closes_what_is_open_over_the_tabs_then_leaves(keys: tuple[str, ...]) -> None:
    app = Feed(locked(), messy()).dashboard(act=Doing())
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press(*keys)
        await settled(pilot)
        assert len(app.screen_stack) == 2
        await pilot.press("q")
        await pilot.pause()
        assert app.is_running
        assert len(app.screen_stack) == 1
        await pilot.press("q")
        await pilot.pause()
        assert not app.is_running


async def test_nothing_blocked_and_nothing_leaked() -> None:
    app = feed(snapshot()).dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "Nothing is blocked." in screen_text(app)
        await pilot.press("2")
        assert "No other sessions." in screen_text(app)
        await pilot.press("3")
        await settled(pilot)
        assert "No leaked rows in 12 tables of test_app." in screen_text(app)


async def test_leaks_and_what_was_not_checked() -> None:
    leak = TableLeak("public", "users", "table", ("email",), 7, samples=("par…@test.example.com",))
    skipped = Skipped("public", "secrets", "no SELECT privilege", "GRANT SELECT ON secrets TO app")
    source = feed()
    source.leaks = leak_report(leak, skipped=(skipped,))
    app = source.dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("3")
        await settled(pilot)
        drawn = screen_text(app)
        assert "public.users" in drawn
        assert "7+ leaked rows, 1 not checked, 12 tables checked" in drawn
        assert "not checked: no SELECT" in drawn
        assert "7+ rows leaked" in drawn.splitlines()[1]


async def test_the_cursor_stays_with_its_session() -> None:
    source = feed(blocked_snapshot(waiters=8))
    app = source.dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("down", "down", "j")
        selected = app.query_one(LocksTab).selected
        assert selected is not None
        assert selected.pid == 4
        before = source.locks
        assert isinstance(before, LockSnapshot)
        source.locks = replace(before, groups=before.groups[1:])
        await pilot.press("r")
        await settled(pilot)
        assert app.query_one(LocksTab).selected == selected
        assert app.query_one("#lock-tree", LiveTable).cursor_row == 2


async def test_the_scroll_stays_where_it_was() -> None:
    source = feed(blocked_snapshot(waiters=60))
    app = source.dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        table = app.query_one("#lock-tree", LiveTable)
        await pilot.press("end", "right", "home")
        await settled(pilot)
        table.scroll_to(y=20, animate=False)
        await settled(pilot)
        source.locks = blocked_snapshot(waiters=61, after_s=1)
        await pilot.press("r")
        await settled(pilot)
        assert table.row_count == 1 + 3 + 1 + 58
        assert table.scroll_y == 20


async def test_leaving_while_a_poll_hangs() -> None:
    source = feed()
    source.stuck = True
    app = source.dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await source.asked.wait()
        await pilot.press("q")
    assert not app.is_running


async def test_filter() -> None:
    two = settle(None, snapshot((edge(2, 1), edge(4, 3, target="advisory lock 7"))))
    app = feed(two).dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("slash", *"ADVIS")
        await settled(pilot)
        table = app.query_one("#lock-tree", LiveTable)
        assert table.row_count == 2
        await pilot.press("enter")
        assert table.has_focus
        await pilot.press("slash", *"zzz", "enter")
        await settled(pilot)
        assert "matches 'zzz'" in screen_text(app)
        await pilot.press("escape")
        await settled(pilot)
        assert table.row_count == 4


async def test_detail_and_help_open_and_close() -> None:
    app = feed().dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("down", "enter")
        await settled(pilot)
        drawn = screen_text(app)
        assert "pid 2" in drawn
        assert "waits 1.0 s for row of accounts (id=42) as EXCLUSIVE" in drawn.replace("│\n", "")
        await pilot.press("escape", "question_mark")
        await settled(pilot)
        assert "Poll more often" in screen_text(app)
        await pilot.press("escape")
        assert len(app.screen_stack) == 1


async def test_polls_go_on_under_a_dialog() -> None:
    source = feed()
    app = source.dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("question_mark")
        await settled(pilot)
        source.locks = blocked_snapshot(waiters=5, after_s=1)
        app.action_refresh()
        await settled(pilot)
        await pilot.press("escape")
        await settled(pilot)
        assert "5, peak 5" in screen_text(app)


async def test_sort() -> None:
    sessions = (
        replace(session(7, "b"), state="idle"),
        replace(session(8, "a"), state="idle in transaction", state_age_s=1.0),
        replace(session(9, "c"), state="idle in transaction", state_age_s=9.0),
    )
    app = feed(snapshot((), sessions)).dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        await settled(pilot)
        table = app.query_one("#sessions", LiveTable)

        def pids() -> list[str]:
            return [table.get_row_at(row)[1].plain for row in range(table.row_count)]

        assert pids() == ["9", "8", "7"]
        await pilot.press("s")
        assert pids() == ["8", "7", "9"]
        await pilot.press("s")
        assert pids() == ["7", "8", "9"]


def schemas_in(folder: Path) -> list[str]:
    return sorted(json.loads(path.read_text())["schema"] for path in folder.iterdir())


async def test_export(tmp_path: Path) -> None:
    app = feed().dashboard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("e")
        await pilot.press("3", "e")
        await settled(pilot)
    assert schemas_in(tmp_path) == ["pgwatch-tests.leaks/1", "pgwatch-tests.locks/1"]


async def test_copy() -> None:
    app = feed().dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("down", "y")
        assert app.clipboard == "SELECT pg_terminate_backend(1)"
        await pilot.press("y")
        assert app.clipboard == "UPDATE t SET n = 1"
        await pilot.press("y")
        assert app.clipboard == "SELECT pg_terminate_backend(1)"


HOSTILE = "[red]boo[/red] [@click=app.quit]x[/]\n\x1b[31mred\x1b]0;owned\x07 \\xff \u202e {x} %s"


async def test_hostile_text_is_shown_as_harmless_text() -> None:
    root = session(1, HOSTILE, "idle in transaction", query=HOSTILE)
    edges = (edge(2, 1, target=f"table {HOSTILE}"),)
    leak = TableLeak(HOSTILE, HOSTILE, "table", (HOSTILE,), 1, samples=(HOSTILE,))
    source = feed(settle(None, snapshot(edges, (root,))))
    source.leaks = leak_report(leak, skipped=(Skipped(HOSTILE, HOSTILE, HOSTILE),))
    app = source.dashboard()
    async with app.run_test(size=(140, 40)) as pilot:
        await settled(pilot)
        for keys in (["1"], ["enter"], ["escape", "2"], ["3"]):
            await pilot.press(*keys)
            await settled(pilot)
            drawn = screen_text(app)
            assert "\x1b" not in drawn
            assert "\x07" not in drawn
            assert "\u202e" not in drawn
            assert "[red]boo[/red]" in drawn


async def test_cursor_and_focus_come_back_after_a_moment_without_rows() -> None:
    source = feed(blocked_snapshot(waiters=4))
    app = source.dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("down", "down")
        before = source.locks
        source.locks = snapshot()
        await pilot.press("r")
        await settled(pilot)
        assert "Nothing is blocked." in screen_text(app)
        source.locks = before
        await pilot.press("r")
        await settled(pilot)
        table = app.query_one("#lock-tree", LiveTable)
        assert table.has_focus
        assert table.cursor_row == 2
        await pilot.press("down")
        assert table.cursor_row == 3


def pictures_in(folder: Path) -> list[Path]:
    return list(folder.glob("*.svg"))


async def test_the_palette_s_screenshot_is_written_beside_the_exports(tmp_path: Path) -> None:
    app = feed().dashboard(export_to=tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        next(one for one in app.extra_commands() if one.name == "Save a picture").run()
        await until(pilot, lambda: bool(pictures_in(tmp_path)))
        await settled(pilot)
    assert pictures_in(tmp_path)


async def test_the_detail_shows_what_a_session_holds() -> None:
    source = feed()

    async def read_held(party: Party) -> tuple[HeldLock, ...] | None:
        return (HeldLock("table [b]accounts\x1b", "ROW EXCLUSIVE", True),) if party.pid == 1 else None

    app = Dashboard(source.read_locks, source.read_leaks, read_held=read_held, refresh_s=NEVER)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert "holds ROW EXCLUSIVE            table [b]accounts␛" in screen_text(app)
        await pilot.press("escape", "down", "enter")
        await settled(pilot)
        assert "Locks not read in time." in screen_text(app)


@pytest.mark.parametrize("size", SIZES)
async def test_in_a_chain_every_pid_can_be_read(size: tuple[int, int]) -> None:
    pids = [4_194_304 - number for number in range(14)]
    edges = tuple(edge(waiter, blocker) for blocker, waiter in pairwise(pids))
    app = feed(settle(None, snapshot(edges))).dashboard()
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        table = app.query_one("#lock-tree", LiveTable)
        rows = [[cell.plain for cell in table.get_row_at(number)] for number in range(table.row_count)]
        assert all(str(pid) in row for pid, row in zip(pids, rows, strict=True))
        assert all(f"test_{pid}" in row[0] for pid, row in zip(pids, rows, strict=True))
        assert rows[13][0].startswith("⋯13 └ test_")
        drawn = screen_text(app)
        assert all(f" {pid} " in drawn for pid in pids[:8])


async def test_what_is_hidden_is_unknown() -> None:
    hidden = tuple(replace(session(pid, hidden=True), state=None, state_age_s=None) for pid in (1, 2))
    app = feed(settle(None, snapshot((edge(2, 1),), hidden))).dashboard()
    async with app.run_test(size=(140, 40)) as pilot:
        await settled(pilot)
        assert "2 hidden" in text_of(app, "#figures")
        assert "2 sessions hidden" in text_of(app, "#verdict")
        root = [cell.plain for cell in app.query_one("#lock-tree", LiveTable).get_row_at(0)]
        assert root[3:5] == ["hidden", "?"]
        await pilot.press("2")
        await settled(pilot)
        row = [cell.plain for cell in app.query_one("#sessions", LiveTable).get_row_at(0)]
        assert row[3:5] == ["hidden", "?"]
