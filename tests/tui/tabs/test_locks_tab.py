"""The Locks tab: folding, the cursor's group, the next root, the pane below, marks, and a long queue."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from textual.pilot import Pilot

from pgwatch_tests.locks.graph.lock_graph import graph_of
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import EdgeGroup, EdgeKind, LockSnapshot, LockTag, Party, Wait, WaitedLock
from pgwatch_tests.tui.app import Dashboard
from pgwatch_tests.tui.tabs.locks_tab import LocksTab
from pgwatch_tests.tui.widgets.detail_pane import DetailPane
from screenshots.pictures import settled
from tests.locks.snapshots import edge, session, snapshot
from tests.tui.acting import Doing
from tests.tui.driving import Feed, leak_report, screen_text

CUT = "pytest:gw0 #1a2b3c4d ..test_calendar_of_a_very_long_directory.py::test_x"


def two_groups() -> LockSnapshot:
    """Sessions 2 to 41 queue behind 1; 51 waits for 50, and 52 for 51."""
    found = [edge(pid, 1, wait_s=60.0 - pid) for pid in range(2, 42)]
    found += [edge(51, 50, target="table t", wait_s=2.0), edge(52, 51, target="table u", wait_s=1.5)]
    root = session(1, "pytest:gw0 tests/test_booking.py::test_root", "idle in transaction")
    return settle(None, snapshot(tuple(found), (root,)))


def deadlock() -> LockSnapshot:
    """Sessions 61 and 62 wait for each other, 2 for 1."""
    found = (edge(61, 62), edge(62, 61), edge(2, 1))
    return settle(settle(None, snapshot(found)), snapshot(found, after_s=0.3))


def dashboard(locks: LockSnapshot) -> tuple[Feed, Dashboard]:
    source = Feed(locks, leak_report())
    return source, source.dashboard(act=Doing())


def shown_tests(app: Dashboard) -> list[str]:
    """The first column, without guides."""
    table = app.query_one(LocksTab).table
    cells = [table.get_row_at(number)[0].plain for number in range(table.row_count)]
    return [cell.lstrip("├└│▾▸ ").split("  ")[0] for cell in cells]


def selected(app: Dashboard) -> int | None:
    party = app.query_one(LocksTab).selected
    return None if party is None else party.pid


async def refresh(source: Feed, pilot: Pilot[int], locks: LockSnapshot) -> None:
    source.locks = locks
    await pilot.press("r")
    await settled(pilot)


async def test_a_queue_opens_and_closes_and_stays_so_from_poll_to_poll() -> None:
    source, app = dashboard(two_groups())
    async with app.run_test(size=(120, 70)) as pilot:
        await settled(pilot)
        shown = shown_tests(app)
        assert shown[:5] == ["test_root", "test_2", "test_3", "test_4", "37 more wait"]
        await pilot.press(*["down"] * 4)
        assert selected(app) is None
        await pilot.press("right")
        assert len(shown_tests(app)) == len(shown) + 37
        await refresh(source, pilot, settle(None, replace(two_groups(), sampled_at=two_groups().sampled_at)))
        assert len(shown_tests(app)) == len(shown) + 37
        await pilot.press("enter")
        assert shown_tests(app) == shown
        await pilot.press("enter")
        assert len(shown_tests(app)) == len(shown) + 37
        assert len(app.screen_stack) == 1
        await pilot.press("right")
        assert selected(app) == 5
        await pilot.press("left", "left")
        assert shown_tests(app) == shown
        await pilot.press("left", "left")
        assert shown_tests(app) == ["test_root", "test_50", "test_51", "test_52"]
        await pilot.press("right")
        assert shown_tests(app) == shown


@pytest.mark.parametrize("gone", [50, 51])
async def test_the_cursor_goes_to_its_group_not_to_a_neighbour(gone: int) -> None:
    source, app = dashboard(two_groups())
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        await pilot.press(*["down"] * (5 if gone == 50 else 6))
        assert selected(app) == gone
        left = [group for group in two_groups().groups if Party(gone) not in (group.waiter, *group.blockers)]
        if gone == 50:
            await refresh(source, pilot, replace(two_groups(), groups=tuple(left)))
            assert selected(app) == 51
        else:
            still = edge(53, 50, target="table t", wait_s=2.0)
            grown = settle(None, snapshot((*(one for group in left for one in group.edges), still)))
            await refresh(source, pilot, grown)
            assert selected(app) == 50


async def test_a_cursor_whose_group_is_free_selects_nobody_until_it_is_moved() -> None:
    source, app = dashboard(two_groups())
    async with app.run_test(size=(120, 30), notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("N")
        assert selected(app) == 50
        rest = tuple(group for group in two_groups().groups if group.waiter.pid < 50)
        await refresh(source, pilot, replace(two_groups(), groups=rest))
        assert selected(app) is None
        assert "left a transaction open" in screen_text(app), "the largest trouble is told none the less"
        assert "A does it" not in screen_text(app)
        await pilot.press("K")
        await settled(pilot)
        assert len(app.screen_stack) == 1
        await pilot.press("n")
        assert selected(app) == 1


async def test_a_cursor_that_nobody_moved_goes_to_the_largest_trouble() -> None:
    rest = replace(two_groups(), groups=tuple(one for one in two_groups().groups if one.waiter.pid > 50))
    source, app = dashboard(two_groups())
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        assert selected(app) == 1
        await refresh(source, pilot, rest)
        assert selected(app) == 50


async def test_after_a_question_the_cursor_counts_as_moved() -> None:
    rest = replace(two_groups(), groups=tuple(one for one in two_groups().groups if one.waiter.pid > 50))
    source, app = dashboard(two_groups())
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        await pilot.press("K", "escape")
        await refresh(source, pilot, rest)
        assert selected(app) is None


async def test_from_root_to_root_and_to_the_deadlock() -> None:
    source, app = dashboard(two_groups())
    async with app.run_test(size=(120, 30), notifications=True) as pilot:
        await settled(pilot)
        assert selected(app) == 1
        await pilot.press("n")
        assert selected(app) == 50
        await pilot.press("n")
        assert selected(app) == 1
        await pilot.press("N", "down", "N")
        assert selected(app) == 50
        await pilot.press("D")
        assert any("No deadlock was seen" in one.message for one in app._notifications)
        await refresh(source, pilot, deadlock())
        await pilot.press("D")
        assert selected(app) == 61
        await pilot.press("2", "n")
        assert any("1 opens it" in one.message for one in app._notifications)


async def test_a_deadlock_in_a_closed_row_is_opened() -> None:
    _, app = dashboard(deadlock())
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        await pilot.press("D", "left")
        shown = shown_tests(app)
        await pilot.press("home", "D")
        assert selected(app) == 61
        assert "D test_61" in shown


async def test_home_end_and_pages() -> None:
    _, app = dashboard(two_groups())
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        await pilot.press("end")
        assert selected(app) == 52
        await pilot.press("home")
        assert selected(app) == 1
        await pilot.press("pagedown")
        assert selected(app) == 52
        await pilot.press("pageup")
        assert selected(app) == 1


async def test_groups_below_and_above_are_told() -> None:
    many = tuple(edge(2 * number, 2 * number - 1) for number in range(1, 16))
    _, app = dashboard(settle(None, snapshot(many)))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        pane = app.query_one(DetailPane)
        assert str(pane.border_title).endswith("more groups below")
        assert "more groups below" in screen_text(app)
        await pilot.press("end")
        await settled(pilot)
        assert "groups above" in screen_text(app)
        assert "below" not in str(pane.border_title)


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
async def test_the_pane_says_why_the_fix_and_what_frees_them_now(size: tuple[int, int]) -> None:
    _, app = dashboard(two_groups())
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        drawn = " ".join(screen_text(app).split())
        assert "Why It left a transaction open, idle for" in drawn
        assert "Fix Commit, roll back" in drawn
        assert "Now End its session: a cancel has no effect on an idle session. A does it" in drawn
        assert "A does it (pid 1)" not in drawn
        await pilot.press("down")
        await settled(pilot)
        assert "A does it (pid 1)" in " ".join(screen_text(app).split())


async def test_on_a_low_screen_the_advice_s_beginning_and_all_of_it_by_key() -> None:
    _, app = dashboard(two_groups())
    async with app.run_test(size=(80, 12)) as pilot:
        await settled(pilot)
        drawn = screen_text(app)
        # What keys do now, before what to change in the tests.
        assert "Now   " in drawn
        assert "⏎ all" in drawn
        assert drawn.count("test_") >= 3
        await pilot.press("enter")
        await settled(pilot)
        assert "pg_terminate_backend(1)" in screen_text(app)


async def test_a_long_statement_is_scrolled_by_key_below_the_advice() -> None:
    query = "SELECT 1\n" + "\n".join(f"  + {number}" for number in range(60))
    root = session(1, "pytest:gw0 tests/test_a.py::test_long", "active", query=query)
    _, app = dashboard(settle(None, snapshot((edge(2, 1),), (root,))))
    async with app.run_test(size=(100, 34)) as pilot:
        await settled(pilot)
        pane = app.query_one(DetailPane)
        assert "Fix" in screen_text(app)
        assert "+ 59" not in screen_text(app)
        await pilot.press(*["ctrl+down"] * 70)
        await settled(pilot)
        assert "+ 59" in screen_text(app)
        await pilot.press(*["ctrl+up"] * 70)
        await settled(pilot)
        assert pane.scroll_y == 0


async def test_a_name_that_was_cut_says_so_until_it_is_known() -> None:
    cut = session(1, CUT, "idle in transaction")
    source, app = dashboard(settle(None, snapshot((edge(2, 1),), (cut,))))
    async with app.run_test(size=(140, 40)) as pilot:
        await settled(pilot)
        assert "▾ test_x" in screen_text(app)
        assert "cut by the server at 63 bytes" in screen_text(app)
        whole = replace(cut, known_test="tests/a/test_calendar_of_a_very_long_directory.py::test_x")
        await refresh(source, pilot, settle(None, snapshot((edge(2, 1),), (whole,))))
        assert "tests/a/test_calendar_of_a_very_long_directory.py::test_x" in screen_text(app)
        assert "cut by the server" not in screen_text(app)


async def test_without_colours_marks_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    _, app = dashboard(two_groups())
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        drawn = screen_text(app)
        assert "▾ ! test_root" in drawn
        assert " !58s " in drawn
        assert "!2.0s" not in drawn


async def test_the_chain_to_the_root_is_lit_and_only_that() -> None:
    _, app = dashboard(two_groups())
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        await pilot.press("end")
        await settled(pilot)
        rows = app.query_one(LocksTab).table.rows
        lit = {
            row.key.partition(" of ")[0]: "".join(part.text for part in row.cells[0] if part.tone == "lit")
            for row in rows
            if not isinstance(row.cells[0], str)
        }
        assert lit["pid 50"] == "▾ "
        assert lit["pid 51"] == "└ "
        assert lit["pid 52"] == "└ "
        assert lit["pid 1"] == ""


async def test_while_nothing_is_blocked_the_last_troubles_are_told() -> None:
    source, app = dashboard(two_groups())
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        await refresh(source, pilot, replace(two_groups(), groups=()))
        drawn = screen_text(app)
        assert "Nothing is blocked. 44 sessions, 1 idle in transaction for up to 2.0 s." in drawn
        assert "test_root (gw0, pid 1) blocked 40 sessions for 58 s  row of t (id=1)" in drawn
        assert "test_50 (gw50, pid 50) blocked 2 sessions for 2.0 s" in drawn


async def test_a_deadlock_that_is_over_names_both_tests_and_where_its_advice_is() -> None:
    cycle = edge(2, 1, wait_s=0.3), edge(1, 2, wait_s=0.3)
    first = settle(None, snapshot(cycle))
    shown = settle(first, snapshot(cycle, after_s=0.25))
    source, app = dashboard(shown)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await refresh(source, pilot, settle(shown, snapshot(after_s=2)))
        drawn = screen_text(app)
        assert "deadlock of test_1 and test_2, for 0.3 s" in drawn
        assert "D shows the statements of a deadlock, and how to avoid it." in drawn
        assert "1 deadlock in the last minute" in drawn


def long_queue(waiters: int) -> LockSnapshot:
    """Session 1 holds a row, 2 is next, all others queue for its turn, each also behind the one before it."""
    tag = LockTag("tuple", 5, 16400, 0, 1)

    def group(pid: int, blocker: int, kind: EdgeKind) -> EdgeGroup:
        lock = WaitedLock("tuple", "ExclusiveLock", "ExclusiveLock", "row of counters (id=1)")
        wait = Wait(pid, f"3/{pid}", tag, "ExclusiveLock", None)
        return EdgeGroup(Party(pid), (Party(blocker),), kind, lock, wait, 90.0 - pid / 100)

    groups = [group(2, 1, "hard")]
    for pid in range(3, 2 + waiters):
        groups += [group(pid, 2, "hard"), group(pid, pid - 1, "soft")]
    sessions = tuple(session(pid) for pid in range(1, 2 + waiters))
    return replace(snapshot((), sessions), groups=tuple(groups))


async def test_a_queue_of_2_000_is_drawn_within_50_ms_of_cpu_time() -> None:
    shown = long_queue(2_000)
    graph = graph_of(shown)
    assert len(graph.trees) == 1
    _, app = dashboard(snapshot())
    async with app.run_test(size=(140, 40)) as pilot:
        await settled(pilot)
        tab = app.query_one(LocksTab)
        took_s = []
        for _ in range(3):
            tab._graph = graph
            began_s = time.thread_time()
            tab.redraw()
            took_s.append(time.thread_time() - began_s)
        assert "1,996 more wait" in shown_tests(app)
        assert min(took_s) < 0.05


@pytest.mark.parametrize("width", range(80, 150, 7))
async def test_a_hash_is_shown_whole_or_not_at_all(width: int) -> None:
    cut = session(
        1, "pytest:gw8 #3e3344b2 ..ders/test_report.py::test_report_reads_orders", "idle in transaction"
    )
    _, app = dashboard(settle(None, snapshot((edge(2, 1, target="table orders"),), (cut,))))
    async with app.run_test(size=(width, 24)) as pilot:
        await settled(pilot)
        cell = app.query_one(LocksTab).table.get_row_at(0)[0].plain
        assert "test_report_reads_orders"[:10] in cell
        assert "#" not in cell or "#3e3344b2" in cell


@pytest.mark.parametrize(
    ("query", "does"),
    [
        ("autovacuum: VACUUM public.t (to prevent wraparound)", "vacuums against wraparound"),
        ("autovacuum: VACUUM ANALYZE public.t", "vacuums"),
    ],
)
async def test_an_autovacuum_says_what_it_does(query: str, does: str) -> None:
    worker = replace(session(1, "autovacuum", query=query), backend_type="autovacuum worker")
    app = Feed(settle(None, snapshot((edge(2, 1),), (worker,))), leak_report()).dashboard()
    async with app.run_test(size=(100, 24)) as pilot:
        await settled(pilot)
        row = next(line for line in screen_text(app).splitlines() if "▾ autovacuum" in line)
        assert f"  1  {does}  " in row
