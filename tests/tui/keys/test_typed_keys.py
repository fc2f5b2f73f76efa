"""Keys that were typed in one go, or before their reader could see what they would do."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from textual import events
from textual.pilot import Pilot

from pgwatch_tests.tui.app import Dashboard
from pgwatch_tests.tui.screens.confirm import ConfirmScreen, ConfirmSweepScreen
from pgwatch_tests.tui.screens.question import QUIET_S
from pgwatch_tests.tui.widgets.filter_line import FilterLine
from screenshots.pictures import settled
from tests.tui.acting import Doing, locked, with_prepared
from tests.tui.driving import Feed, burst, leak_report, screen_text, takes_yes, until
from tests.tui.tabs.sweeping import JOBS, Sweeping

BUSY_S = 0.5


def be_busy() -> None:
    time.sleep(BUSY_S)


def dashboard(doing: Doing, sweeping: Sweeping | None = None) -> Dashboard:
    source = Feed(locked(), leak_report())
    return source.dashboard(act=doing, sweeps=None if sweeping is None else sweeping.desk())


def filter_text(app: Dashboard) -> str:
    return app.screen_stack[0].query_one(FilterLine).value


@pytest.mark.parametrize(
    ("keys", "typed"),
    [
        ("/Key", "Key"),
        ("/queue", "queue"),
        ("/Kyyyyyy", "Kyyyyyy"),
        ("2/Cy", "Cy"),
        ("/1234 5", "1234 5"),
        ("/space+-e", "space+-e"),
    ],
)
async def test_a_filter_takes_all_that_follows_it(keys: str, typed: str) -> None:
    doing = Doing()
    app = dashboard(doing)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        burst(app, *("slash" if key == "/" else key for key in keys))
        await settled(pilot)
        assert filter_text(app) == typed
        assert len(app.screen_stack) == 1
        assert app.is_running
    assert doing.asked == []


async def test_what_is_mended_in_one_go_is_mended_in_that_order() -> None:
    app = dashboard(Doing())
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        burst(
            app, "slash", "a", "b", "backspace", "c", "left", "x", "enter", "2", "slash", "n", "o", "escape"
        )
        await settled(pilot)
        assert filter_text(app) == ""
        await pilot.press("1")
        await settled(pilot)
        assert filter_text(app) == "axc"


async def test_a_pasted_text_is_no_keys() -> None:
    doing = Doing()
    app = dashboard(doing)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        app.post_message(events.Paste("Ky\nq"))
        await settled(pilot)
        assert len(app.screen_stack) == 1
        burst(app, "slash")
        app.post_message(events.Paste("Ky\nq"))
        burst(app, "z")
        await settled(pilot)
        assert filter_text(app) == "Kyz"
    assert doing.asked == []


@pytest.mark.parametrize("digits", ["23", "34523", "12345", "54321", "5153525"])
async def test_tabs_changed_in_one_go_end_at_the_last(digits: str) -> None:
    app = dashboard(Doing(), Sweeping())
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        burst(app, *digits)
        await settled(pilot)
        await settled(pilot)
        tabs = ("locks-tab", "sessions-tab", "leaks-tab", "contention-tab", "sweeps-tab")
        assert app._active == tabs[int(digits[-1]) - 1]
        burst(app, "1", "slash", "a", "b", "escape", "2", "slash", "c", "d", "enter")
        await settled(pilot)
        assert app._active == "sessions-tab"
        assert filter_text(app) == "cd"


def asks_about_a_session(app: Dashboard) -> None:
    burst(app, "K")


def asks_about_a_job(app: Dashboard) -> None:
    burst(app, "5", "s", "n")


def asks_about_a_sweep(app: Dashboard) -> None:
    burst(app, "5", "w")


ASKING = (asks_about_a_session, asks_about_a_job, asks_about_a_sweep)


async def asked(pilot: Pilot[int], ask: Callable[[Dashboard], None]) -> None:
    app = pilot.app
    assert isinstance(app, Dashboard)
    ask(app)
    await until(pilot, lambda: isinstance(app.screen, ConfirmScreen | ConfirmSweepScreen))


def nothing_was_done(doing: Doing, sweeping: Sweeping) -> bool:
    return not doing.asked and not sweeping.asked and all(sweep.dry_run for sweep in sweeping.begun)


@pytest.mark.parametrize("ask", ASKING)
async def test_no_question_is_answered_before_it_could_be_read(ask: Callable[[Dashboard], None]) -> None:
    doing, sweeping = Doing(), Sweeping(jobs=JOBS)
    app = dashboard(doing, sweeping)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        ask(app)
        burst(app, "y", "y", "enter")
        # The machine has something else to do, while more is typed.
        app.call_later(be_busy)
        burst(app, "y", "enter", "y")
        await until(pilot, lambda: len(app.screen_stack) == 2)
        await settled(pilot)
        assert len(app.screen_stack) == 2
        assert nothing_was_done(doing, sweeping)
        await until(pilot, lambda: takes_yes(app))
        await pilot.press("enter")
        await settled(pilot)
        assert len(app.screen_stack) == 2
        assert nothing_was_done(doing, sweeping)
        await until(pilot, lambda: takes_yes(app))
        await pilot.press("y")
        await settled(pilot)
        assert len(app.screen_stack) == 1
        assert not nothing_was_done(doing, sweeping)


@pytest.mark.parametrize("ask", ASKING)
async def test_a_yes_within_a_text_is_none(ask: Callable[[Dashboard], None]) -> None:
    doing, sweeping = Doing(), Sweeping(jobs=JOBS)
    app = dashboard(doing, sweeping)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await asked(pilot, ask)
        await until(pilot, lambda: takes_yes(app))
        burst(app, *"my keyboard")
        await settled(pilot)
        assert len(app.screen_stack) == 2
        assert nothing_was_done(doing, sweeping)


async def test_another_question_is_to_be_read_as_well() -> None:
    doing = Doing()
    app = dashboard(doing)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        burst(app, "C")
        await until(pilot, lambda: takes_yes(app))
        burst(app, "K", "y")
        await settled(pilot)
        assert "End the session of test_root (gw0, pid 1)?" in screen_text(app)
    assert doing.asked == []


async def test_a_prepared_transaction_isn_t_rolled_back_by_a_burst() -> None:
    doing = Doing()
    app = Feed(with_prepared(), leak_report()).dashboard(act=doing)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        burst(app, "K", "y", "y")
        await settled(pilot)
        assert len(app.screen_stack) == 2
    assert doing.asked == []


async def test_the_time_counts_at_which_a_key_was_typed() -> None:
    """Keys that a busy dashboard comes to later were typed before the question was there for 0.3 s."""
    doing = Doing()
    app = dashboard(doing)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        early = events.Key("y", "y")
        burst(app, "K")
        await until(pilot, lambda: takes_yes(app))
        app.post_message(early)
        await settled(pilot)
        assert doing.asked == []
        late = events.Key("y", "y")
        late.time += 2 * QUIET_S
        await until(pilot, lambda: takes_yes(app))
        app.post_message(late)
        await settled(pilot)
    assert len(doing.asked) == 1


async def test_a_key_that_has_answered_does_nothing_else_for_a_moment() -> None:
    doing = Doing()
    app = dashboard(doing)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settled(pilot)
        burst(app, "K")
        await until(pilot, lambda: takes_yes(app))
        # Pressed twice, then held down: each of them puts off the moment.
        begun_s = events.Key("y", "y").time
        for after_s in (0.0, 0.1, QUIET_S, 1.9 * QUIET_S):
            key = events.Key("y", "y")
            key.time = begun_s + after_s
            app.post_message(key)
        await until(pilot, lambda: len(doing.asked) == 1)
        await settled(pilot)
        assert app.clipboard == ""
        # Any other key is a command at once, and so is this one later.
        later = events.Key("y", "y")
        later.time = begun_s + 3 * QUIET_S
        app.post_message(later)
        await until(pilot, lambda: bool(app.clipboard))
        assert any(app.clipboard in one.message for one in app._notifications)
    assert len(doing.asked) == 1


async def test_no_twice_asks_once() -> None:
    """In the list of jobs, and in Locks, `n` is a command as well."""
    app = dashboard(Doing(), Sweeping(jobs=JOBS))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await asked(pilot, asks_about_a_job)
        burst(app, "n", "n")
        await settled(pilot)
        assert len(app.screen_stack) == 1


@pytest.mark.parametrize("answer", ["q", "y", "n", "escape"])
async def test_an_answer_to_a_question_that_just_closed_by_itself_does_nothing(answer: str) -> None:
    app = dashboard(Doing())
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settled(pilot)
        app.notify("A message that escape dismisses.", timeout=60)
        burst(app, "K")
        await until(pilot, lambda: takes_yes(app))
        app.notify("A message that escape dismisses.", timeout=60)
        assert isinstance(app.screen, ConfirmScreen)
        app.screen.action_leave()
        burst(app, answer)
        await settled(pilot)
        assert app.is_running
        assert app.clipboard == ""
        assert [one.message for one in app._notifications] == ["A message that escape dismisses."]


async def test_after_a_question_that_closed_by_itself_a_command_is_one_at_once() -> None:
    app = dashboard(Doing())
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        burst(app, "K")
        await until(pilot, lambda: takes_yes(app))
        assert isinstance(app.screen, ConfirmScreen)
        app.screen.action_leave()
        burst(app, "slash", "q")
        await settled(pilot)
        assert filter_text(app) == "q"


async def test_q_leaves_a_moment_after_a_question_closed_by_itself() -> None:
    app = dashboard(Doing())
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        burst(app, "K")
        await until(pilot, lambda: takes_yes(app))
        assert isinstance(app.screen, ConfirmScreen)
        app.screen.action_leave()
        later = events.Key("q", "q")
        later.time += 2 * QUIET_S
        app.post_message(later)
        await until(pilot, lambda: not app.is_running)
