"""`C`, `K` and `A` on a waiter, and on several rows: whom the question is about first."""

from __future__ import annotations

import pytest

from pgwatch_tests.locks.actions.action import SessionAction
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import Party
from screenshots.pictures import settled
from tests.locks.snapshots import edge, session, snapshot
from tests.tui.acting import Doing, chain, dashboard, until_drawn
from tests.tui.driving import confirm, dialog_text, screen_text


@pytest.mark.parametrize(
    ("rows", "who", "pid", "frees", "told"),
    [
        (
            1,
            "test_2 (gw2, pid 2)",
            2,
            "1 of 2 sessions at once",
            "Frees 1 of 2 sessions at once. Then test_root (gw0) still blocks 1: A again.",
        ),
        (
            2,
            "test_3 (gw3, pid 3)",
            3,
            "nobody at once",
            "Frees nobody: it waits for test_root (gw0) itself.",
        ),
    ],
)
async def test_on_a_waiter_the_root_is_asked_about_first(
    rows: int, who: str, pid: int, frees: str, told: str
) -> None:
    doing = Doing()
    _, app = dashboard(chain(), doing)
    async with app.run_test(notifications=True, size=(140, 40)) as pilot:
        await settled(pilot)
        await pilot.press(*["down"] * rows, "K")
        await until_drawn(
            pilot, f"{who} waits for test_root (gw0, pid 1). End the session of test_root (gw0)?"
        )
        asked = dialog_text(app)
        assert f"b {who} instead" in screen_text(app)
        assert "Frees nobody at once. Then test_root" not in asked
        assert f"Ending test_{pid} (gw{pid}) instead frees {frees}: press b." in asked
        await pilot.press("b")
        await until_drawn(pilot, f"End the session of {who}?")
        assert told in dialog_text(app)
        assert "b test_root (gw0, pid 1) instead" in screen_text(app)
        await pilot.press("b")
        await until_drawn(
            pilot, f"{who} waits for test_root (gw0, pid 1). End the session of test_root (gw0)?"
        )
        await confirm(pilot)
        await settled(pilot)
    [action] = doing.asked
    assert isinstance(action, SessionAction)
    assert (action.how, action.pid, action.waiters) == ("terminate", 1, (Party(2), Party(3), Party(4)))


async def test_a_cancel_of_a_waiter_ends_an_idle_root() -> None:
    doing = Doing()
    _, app = dashboard(chain(), doing)
    async with app.run_test(size=(140, 40)) as pilot:
        await settled(pilot)
        await pilot.press("down", "C")
        drawn = await until_drawn(
            pilot, "waits for test_root (gw0, pid 1). End the session of test_root (gw0)?"
        )
        assert "test_2 (gw2, pid 2) waits" in drawn
        await pilot.press("b")
        await until_drawn(pilot, "Cancel the UPDATE of test_2 (gw2, pid 2)?")
        await confirm(pilot)
        await settled(pilot)
    [action] = doing.asked
    assert isinstance(action, SessionAction)
    assert (action.how, action.pid) == ("cancel", 2)


async def test_one_that_is_marked_is_asked_about_itself() -> None:
    doing = Doing()
    _, app = dashboard(chain(), doing)
    async with app.run_test(notifications=True, size=(140, 40)) as pilot:
        await settled(pilot)
        await pilot.press("down", "space", "K")
        await until_drawn(pilot, "End the session of test_2 (gw2, pid 2)?")
        await confirm(pilot)
        await settled(pilot)
    [action] = doing.asked
    assert isinstance(action, SessionAction)
    assert (action.how, action.pid) == ("terminate", 2)


async def test_one_key_does_what_the_advice_says() -> None:
    doing = Doing()
    source, app = dashboard(chain(), doing)
    async with app.run_test(notifications=True, size=(140, 40)) as pilot:
        await settled(pilot)
        await pilot.press("down", "A")
        await until_drawn(pilot, "End the session of test_root (gw0)?")
        await confirm(pilot)
        await settled(pilot)
        source.locks = snapshot((), (session(1),), after_s=1)
        await pilot.press("r", "2")
        await settled(pilot)
        await pilot.press("A")
        await settled(pilot)
        assert any(
            "Nobody waits for test_1 (gw1, pid 1): K ends" in one.message for one in app._notifications
        )
        await pilot.press("a")
        done = await until_drawn(pilot, "Done here")
        assert "End the session of test_root (gw0, pid 1)" in done
        assert "pid 1 has ended." in done
    [action] = doing.asked
    assert isinstance(action, SessionAction)
    assert (action.how, action.pid) == ("terminate", 1)


async def test_the_advice_isnt_about_marked_rows_and_their_end_says_what_is_lost() -> None:
    doing = Doing()
    _, app = dashboard(chain(), doing)
    async with app.run_test(notifications=True, size=(140, 40)) as pilot:
        await settled(pilot)
        assert ": A frees" in screen_text(app)
        await pilot.press("space", "space")
        await settled(pilot)
        assert "A frees" not in screen_text(app)
        await pilot.press("A")
        await settled(pilot)
        assert len(app.screen_stack) == 1
        assert "2 marked: K ends both. escape clears the marks." in [
            one.message for one in app._notifications
        ]
        await pilot.press("K")
        asked = await until_drawn(pilot, "End 2 sessions: pid 1 and 2?")
        assert "Their transactions are lost." in asked
        await pilot.press("n")
        await pilot.press("escape", "A")
        await until_drawn(pilot, "End the session of test_root (gw0)?")
    assert doing.asked == []


async def test_marked_rows_are_acted_on_together() -> None:
    doing = Doing()
    sessions = tuple(session(pid, f"psql {pid}", "idle") for pid in (1, 2, 3))
    source, app = dashboard(snapshot((), sessions), doing)
    async with app.run_test(size=(140, 40)) as pilot:
        await settled(pilot)
        await pilot.press("2")
        await settled(pilot)
        await pilot.press("space", "down", "space")
        await settled(pilot)
        assert screen_text(app).count("✓ psql") == 2
        # A mark stays with its session, whatever the order; of one that is gone, nothing is left.
        source.locks = snapshot((), sessions[1:], after_s=1)
        await pilot.press("s", "r")
        await settled(pilot)
        assert screen_text(app).count("✓ psql") == 1
        source.locks = snapshot((), sessions, after_s=2)
        await pilot.press("r")
        await settled(pilot)
        await pilot.press("K")
        drawn = await until_drawn(pilot, "End 2 sessions: pid 1 and 3?")
        assert "psql 3, idle, blocks nobody" in drawn
        assert "Their connections are lost." in drawn
        await confirm(pilot)
        await settled(pilot)
        assert "✓ psql" not in screen_text(app)
    assert [one.pid for one in doing.asked if isinstance(one, SessionAction)] == [1, 3]


@pytest.mark.parametrize("size", [(60, 20), (140, 40)])
async def test_marks_are_counted_and_escape_clears_them_first(size: tuple[int, int]) -> None:
    _, app = dashboard(chain(), Doing())
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        assert "marked" not in screen_text(app)
        await pilot.press("space", "space")
        await settled(pilot)
        assert "2 marked: C and K act on these, escape clears" in screen_text(app)
        await pilot.press("slash", *"test", "enter", "escape")
        await settled(pilot)
        assert "marked" not in screen_text(app)
        assert app._filter_line.of("locks-tab") == "test"
        await pilot.press("K")
        await until_drawn(pilot, "End the session of test_")


async def test_a_waiter_behind_a_deadlock_has_no_root_to_offer() -> None:
    _, app = dashboard(settle(None, snapshot((edge(1, 2), edge(2, 1), edge(3, 2)))), Doing())
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("K")
        await until_drawn(pilot, "End the session of test_")
        await pilot.press("b")
        await settled(pilot)
        assert "root blocker" not in screen_text(app)
