"""`A` through all that keeps a group blocked: each question is of a poll later than the step before it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from textual.pilot import Pilot

from pgwatch_tests.locks.actions.action import ActionResult, Outcome, SessionAction
from pgwatch_tests.locks.model import LockSnapshot, Party
from pgwatch_tests.tui import advice_steps
from pgwatch_tests.tui.app import Dashboard
from pgwatch_tests.tui.screens.question import READING_S, QuestionScreen
from screenshots.pictures import settled
from tests.locks.snapshots import MOMENT
from tests.tui.acting import Doing, until_drawn
from tests.tui.driving import Feed, confirm, dialog_text, leak_report, takes_yes, text_of, until
from tests.tui.test_lost_row import three_troubles

FIRST = "Cancel the ALTER TABLE of migrations?"
SECOND = "3 still wait. End the session of test_10 (gw10)? Frees 1 of 3. Its transaction is lost."
THIRD = "End the session of test_11 (gw11)? Frees both. Its transaction is lost. Idle since it was freed."
UNDER_WAY = "Cancelling the ALTER TABLE of migrations …"


def cancelled_at(after_s: float) -> Doing:
    return Doing(Outcome("done", "The statement was cancelled.", MOMENT + timedelta(seconds=after_s)))


def opened(doing: Doing) -> tuple[Feed, Dashboard]:
    source = Feed(three_troubles(), leak_report())
    return source, source.dashboard(act=doing)


async def asks(pilot: Pilot[int], words: str) -> None:
    await until(pilot, lambda: words in dialog_text(pilot.app))


async def test_the_next_question_comes_by_itself_and_only_of_a_poll_after_the_step() -> None:
    doing = cancelled_at(2.0)
    source, app = opened(doing)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await settled(pilot)
        assert "test_10 blocks 17 sessions" in await until_drawn(pilot, ": A frees 13")
        await pilot.press("A")
        await asks(pilot, FIRST)
        await confirm(pilot)
        await asks(pilot, UNDER_WAY)
        # Polls from before the effect was seen say nothing of it, however often they come.
        source.locks = three_troubles(1.9, cancelled=True)
        polls = source.polls
        await until(pilot, lambda: source.polls > polls + 1)
        await asks(pilot, UNDER_WAY)
        source.locks = three_troubles(2.1, cancelled=True)
        await asks(pilot, SECOND)
        # The second key of a hasty hand isn't about this question yet.
        assert not takes_yes(app)
        await pilot.press("y")
        await settled(pilot)
        assert len(doing.asked) == 1
        doing.outcome = Outcome("done", "pid 10 has ended.", MOMENT + timedelta(seconds=3))
        await confirm(pilot)
        source.locks = three_troubles(4, cancelled=True, ended=True)
        await asks(pilot, THIRD)
        doing.outcome = Outcome("done", "pid 11 has ended; both can continue.", MOMENT + timedelta(seconds=5))
        await confirm(pilot)
        # What waits elsewhere was never asked about.
        others = three_troubles(6, cancelled=True, ended=True)
        source.locks = replace(others, groups=tuple(one for one in others.groups if one.waiter.pid > 20))
        await until_drawn(pilot, "pid 11 has ended; both can continue.")
        assert len(app.screen_stack) == 1
        await pilot.press("a")
        done = await until_drawn(pilot, "Done here")
        assert all(one in done for one in ("The statement was cancelled.", "pid 10 has ended.", "pid 11 has"))
    acted = [(one.how, one.party.pid) for one in doing.asked if isinstance(one, SessionAction)]
    assert acted == [("cancel", 5), ("terminate", 10), ("terminate", 11)]


async def test_a_question_that_follows_another_one_takes_as_long_to_read_whichever_key_changed_it() -> None:
    doing = cancelled_at(2.0)
    source, app = opened(doing)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("A")
        await confirm(pilot)
        source.locks = three_troubles(3, cancelled=True)
        await asks(pilot, SECOND)
        await pilot.press("K")
        screen = app.screen
        assert isinstance(screen, QuestionScreen)
        assert screen._quiet_for_s == READING_S
        await confirm(pilot)
        await until(pilot, lambda: len(doing.asked) == 2)


async def test_the_next_step_is_about_the_session_that_has_the_pid_then() -> None:
    doing = cancelled_at(2.0)
    source, app = opened(doing)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("A")
        await confirm(pilot)
        then = three_troubles(3, cancelled=True)
        renewed = tuple(replace(one, backend_start=MOMENT) if one.pid == 10 else one for one in then.sessions)
        source.locks = replace(then, sessions=renewed)
        await asks(pilot, SECOND)
        await confirm(pilot)
        await until(pilot, lambda: len(doing.asked) == 2)
    last = doing.asked[-1]
    assert isinstance(last, SessionAction)
    assert (last.party, last.backend_start) == (Party(10), MOMENT)


async def test_sessions_that_came_by_the_pids_of_those_that_waited_are_no_reason_to_ask() -> None:
    doing = cancelled_at(2.0)
    source, app = opened(doing)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("A")
        await confirm(pilot)
        then = three_troubles(3, cancelled=True)
        source.locks = replace(
            then, sessions=tuple(replace(one, backend_start=MOMENT) for one in then.sessions)
        )
        await until_drawn(pilot, "The statement was cancelled.")
        assert len(app.screen_stack) == 1


def just_freed(after_s: float, for_s: float) -> LockSnapshot:
    """Session 11 was freed and still blocks two; it has been idle for `for_s` seconds."""
    then = three_troubles(after_s, cancelled=True, ended=True)
    young = tuple(replace(one, state_age_s=for_s) if one.pid == 11 else one for one in then.sessions)
    return replace(then, sessions=young)


@pytest.mark.parametrize("goes_on", [True, False])
async def test_who_was_just_freed_is_given_a_moment_to_go_on(goes_on: bool) -> None:
    source, doing = Feed(three_troubles(cancelled=True), leak_report()), cancelled_at(1.0)
    app = source.dashboard(act=doing)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await settled(pilot)
        # The largest group is another one: this is about the one of the selected row.
        await pilot.press("n")
        await until(pilot, lambda: "End its session" in text_of(app, "#lock-detail-text"))
        await pilot.press("A")
        await confirm(pilot)
        source.locks = just_freed(2, 1.5)
        await asks(pilot, "test_11 (gw11) may still go on …")
        await pilot.press("y")
        assert len(doing.asked) == 1
        if goes_on:
            free = three_troubles(3, cancelled=True, ended=True)
            source.locks = replace(free, groups=tuple(one for one in free.groups if one.waiter.pid > 20))
            await until_drawn(pilot, "The statement was cancelled.")
            assert len(app.screen_stack) == 1
        else:
            source.locks = just_freed(3, 2.5)
            await asks(pilot, "Its transaction is lost. Idle since it was freed.")
            assert not takes_yes(app)


async def test_after_a_step_that_freed_nobody_yet_the_next_one_is_asked_about() -> None:
    doing = Doing(Outcome("in_vain", "All still wait.", MOMENT + timedelta(seconds=2)))
    source, app = opened(doing)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("A")
        await confirm(pilot)
        source.locks = three_troubles(3, cancelled=True)
        await asks(pilot, SECOND)


@pytest.mark.parametrize("result", ["refused", "unconfirmed"])
async def test_after_a_step_that_failed_nothing_more_is_asked(result: ActionResult) -> None:
    outcome = cancelled_at(2.0).outcome
    assert isinstance(outcome, Outcome)
    doing = Doing(replace(outcome, result=result, message="It still waits."))
    source, app = opened(doing)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("A")
        await confirm(pilot)
        source.locks = three_troubles(3, cancelled=True)
        await until_drawn(pilot, "It still waits.")
        assert len(app.screen_stack) == 1


async def test_no_poll_in_time_ends_it_with_what_came_of_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advice_steps, "_POLLED_WITHIN_S", 0.2)
    source, app = opened(cancelled_at(2.0))
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await settled(pilot)
        source.stuck = True
        await pilot.press("A")
        await confirm(pilot)
        await until_drawn(pilot, "The statement was cancelled.")
        assert len(app.screen_stack) == 1


async def test_a_wait_that_was_seen_once_is_looked_at_again_before_anything_is_asked() -> None:
    source, app = opened(cancelled_at(2.0))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("A")
        await confirm(pilot)
        then = three_troubles(3, cancelled=True)
        unsure = tuple(replace(one, confirmed=one.waiter.pid != 11) for one in then.groups)
        source.locks = replace(then, groups=unsure)
        polls = source.polls
        await until(pilot, lambda: source.polls > polls + 1)
        await asks(pilot, UNDER_WAY)
        source.locks = three_troubles(4, cancelled=True)
        await asks(pilot, SECOND)


async def test_closed_while_a_step_is_under_way_it_tells_what_came_of_it() -> None:
    source, app = opened(cancelled_at(2.0))
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("A")
        await confirm(pilot)
        await asks(pilot, UNDER_WAY)
        # Nothing is asked: no key answers, or asks something else.
        await pilot.press("enter", "y", "K")
        await asks(pilot, UNDER_WAY)
        assert "n close" in await until_drawn(pilot, "n close")
        await pilot.press("n")
        await until_drawn(pilot, "The statement was cancelled.")
        source.locks = three_troubles(3, cancelled=True)
        await settled(pilot)
        assert len(app.screen_stack) == 1


async def test_the_verdict_says_which_key_helps_while_the_selected_row_is_of_its_trouble() -> None:
    source, app = opened(Doing())
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await until(pilot, lambda: ": A frees 13" in text_of(app, "#verdict"))
        await pilot.press("n")
        await until(pilot, lambda: "A frees" not in text_of(app, "#verdict"))
        await pilot.press("N", "down")
        await until(pilot, lambda: ": A frees 13" in text_of(app, "#verdict"))
        # Whoever was freed a moment ago may go on by itself.
        source.locks = just_freed(2, 0.5)
        await pilot.press("n", "r")
        await until(pilot, lambda: "test_20 blocks 9" in text_of(app, "#verdict"))
        await pilot.press("n")
        await settled(pilot)
        assert "A frees 2" not in text_of(app, "#verdict")
    read_only = source.dashboard()
    async with read_only.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "A frees" not in text_of(read_only, "#verdict")


async def test_answers_can_be_clicked_as_well() -> None:
    doing = Doing()
    _, app = opened(doing)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)

        async def place_of(action: str) -> tuple[int, int]:
            """Where a click does that, once it does."""
            width, height = app.size

            def places() -> list[tuple[int, int]]:
                everywhere = ((x, y) for y in range(height) for x in range(width))
                does = f"screen.{action}"
                return [one for one in everywhere if app.screen.get_style_at(*one).meta.get("@click") == does]

            await until(pilot, lambda: bool(places()))
            return places()[0]

        await pilot.press("A")
        await pilot.click(offset=await place_of("leave"))
        await until(pilot, lambda: len(app.screen_stack) == 1)
        assert doing.asked == []

        await pilot.press("A")
        yes = await place_of("click_yes")
        await pilot.hover(offset=yes)
        await until(pilot, lambda: bool(app.screen.get_style_at(*yes).underline))
        # The second click of a double click was meant for what was there before.
        assert isinstance(app.screen, QuestionScreen)
        app.screen._wait_until_read()
        app.screen.action_click_yes()
        assert doing.asked == []
        await pilot.click(offset=await place_of("click_yes"))
        await until(pilot, lambda: len(doing.asked) == 1)
