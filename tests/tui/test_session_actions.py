"""`C` and `K`: the question, what is asked for, and what is told; the server is the test's own word."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pgwatch_tests.errors import CannotConnectError, PgwatchError
from pgwatch_tests.identity.application_name import OWN_NAME
from pgwatch_tests.locks.actions.action import Outcome, PreparedRollback, SessionAction
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.text.times import clock
from pgwatch_tests.tui.screens.confirm import ConfirmScreen
from screenshots.pictures import settled
from tests.locks.snapshots import MOMENT, edge, session, snapshot
from tests.tui.acting import Doing, dashboard, locked, until_drawn, with_prepared
from tests.tui.driving import confirm, dialog_text, screen_text

SIZES = [(80, 24), (140, 40)]
HOSTILE = "[red]boo[/red] \x1b[31m \u202e {x} %s"


@pytest.mark.parametrize("size", SIZES)
async def test_the_question_names_whom_it_is_about(size: tuple[int, int]) -> None:
    doing = Doing()
    _, app = dashboard(locked(), doing)
    async with app.run_test(notifications=True, size=size) as pilot:
        await settled(pilot)
        await pilot.press("K")
        drawn = await until_drawn(pilot, "y yes")
        for words in (
            "End the session of test_root (gw0, pid 1)?",
            f"pid          1 of app in test_app, since {clock(MOMENT - timedelta(seconds=60))}",
            "gw0 tests/test_booking.py::test_root",
            f"idle in transaction since {clock(MOMENT - timedelta(seconds=2))}",
            "y yes",
        ):
            assert words in drawn
        frees = "Frees 1 of 2 sessions at once. Then 1 waits for test_2 (gw2): A again if it stays."
        assert f"{frees} Its transaction is lost." in dialog_text(app)
        assert "Cancel does nothing" not in drawn
        await confirm(pilot)
        await settled(pilot)
        [action] = doing.asked
        assert isinstance(action, SessionAction)
        assert (action.how, action.pid, action.backend_start) == ("terminate", 1, session(1).backend_start)
        await until_drawn(pilot, "pid 1 has ended.")


async def test_what_is_being_done_isnt_asked_about_again_before_the_next_poll() -> None:
    doing = Doing(stuck=True)
    source, app = dashboard(locked(), doing)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("A")
        await confirm(pilot)
        await until_drawn(pilot, "Ending the session of test_root (gw0) …")
        await pilot.press("n", "A")
        drawn = await until_drawn(pilot, "Ending pid 1 already: the next poll shows what came of it.")
        assert "y yes" not in drawn
        assert len(app.screen_stack) == 1

    doing = Doing(PgwatchError("refused"))
    source, app = dashboard(locked(), doing)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("A")
        await confirm(pilot)
        await until_drawn(pilot, "refused")
        source.locks = settle(locked(), replace(locked(), sampled_at=MOMENT + timedelta(seconds=60)))
        app.action_refresh()
        await settled(pilot)
        await pilot.press("A")
        await until_drawn(pilot, "End the session of test_root")
    assert len(doing.asked) == 1


async def test_q_answers_a_question_with_no_and_leaves_the_dashboard_then() -> None:
    doing = Doing()
    _, app = dashboard(locked(), doing)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("K", "q")
        await pilot.pause()
        assert app.is_running
        assert len(app.screen_stack) == 1
        await pilot.press("q")
        await pilot.pause()
        assert not app.is_running
    assert doing.asked == []


@pytest.mark.parametrize("key", ["n", "escape"])
async def test_no_means_that_nothing_is_done(key: str) -> None:
    doing = Doing()
    _, app = dashboard(locked(), doing)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("K", key)
        await settled(pilot)
        assert len(app.screen_stack) == 1
        assert app.is_running
    assert doing.asked == []


async def test_cancelling_an_idle_session_asks_to_end_it_since_only_that_frees_anybody() -> None:
    doing = Doing()
    _, app = dashboard(locked(), doing)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("C")
        drawn = await until_drawn(pilot, "y yes")
        assert "End the session of test_root (gw0, pid 1)?" in drawn
        assert "A cancel does nothing to an idle session: only an end does." in drawn
        await confirm(pilot)
        await settled(pilot)
    [action] = doing.asked
    assert isinstance(action, SessionAction)
    assert action.how == "terminate"


async def test_the_target_is_frozen_though_polls_go_on() -> None:
    doing = Doing()
    source, app = dashboard(locked(state="active"), doing)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("C")
        await settled(pilot)
        later = session(1, "another", "active")
        source.locks = settle(
            None, snapshot((edge(2, 1),), (replace(later, backend_start=MOMENT),), after_s=60)
        )
        app.action_refresh()
        await settled(pilot)
        assert isinstance(app.screen, ConfirmScreen)
        await until_drawn(pilot, "test_root")
        await confirm(pilot)
        await settled(pilot)
    [action] = doing.asked
    assert isinstance(action, SessionAction)
    assert action.backend_start == session(1).backend_start
    assert action.query_start is not None
    assert (MOMENT - action.query_start).total_seconds() == 2.5
    assert [party.pid for party in action.waiters] == [2, 3]


async def test_another_server_closes_the_question_and_is_told() -> None:
    doing = Doing()
    started = replace(locked(), server_started=MOMENT)
    source, app = dashboard(started, doing)
    async with app.run_test(notifications=True, size=(140, 40)) as pilot:
        await settled(pilot)
        await pilot.press("K")
        await until_drawn(pilot, "y yes")
        source.locks = replace(started, server="other:5432", server_started=MOMENT + timedelta(days=1))
        app.action_refresh()
        drawn = " ".join((await until_drawn(pilot, "was closed.")).replace("▌", " ").split())
        assert "Another server answers now: other:5432 instead of" in drawn
        assert "The open question was closed." in drawn
        assert len(app.screen_stack) == 1
        await pilot.press("y")
        await settled(pilot)
    assert doing.asked == []


async def test_a_restart_is_told_once() -> None:
    started = replace(locked(), server_started=MOMENT)
    source, app = dashboard(started, None)
    async with app.run_test(notifications=True, size=(140, 40)) as pilot:
        await settled(pilot)
        source.locks = replace(started, server_started=MOMENT + timedelta(days=1))
        for _ in range(2):
            app.action_refresh()
            await until_drawn(pilot, "was restarted.")
        [told] = [one.message for one in app._notifications]
        assert told.endswith("Earlier actions and previews no longer apply.")


async def test_a_prepared_transaction_is_rolled_back_by_k_only() -> None:
    doing = Doing(Outcome("done", "rolled back"))
    _, app = dashboard(with_prepared(), doing)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("C")
        await settled(pilot)
        assert len(app.screen_stack) == 1
        assert any("K rolls it back" in one.message for one in app._notifications)
        await pilot.press("K")
        await until_drawn(pilot, "Roll back the prepared transaction it's 100%?")
        await until_drawn(pilot, "Frees 1 session at once. Then nothing is blocked.")
        await confirm(pilot)
        await settled(pilot)
    [action] = doing.asked
    assert isinstance(action, PreparedRollback)
    assert (action.gid, action.database, (MOMENT - action.prepared_at).total_seconds()) == (
        "it's 100%",
        "test_app",
        12.0,
    )


async def test_from_the_sessions_tab_but_not_from_the_leaks_tab() -> None:
    doing = Doing()
    _, app = dashboard(locked(), doing)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("2")
        await settled(pilot)
        await pilot.press("C")
        await confirm(pilot)
        await settled(pilot)
        assert [action.party.pid for action in doing.asked] == [1]
        await pilot.press("3")
        await settled(pilot)
        await pilot.press("K")
        await settled(pilot)
        assert len(app.screen_stack) == 1
        assert "K End" not in screen_text(app)


async def test_read_only_hides_the_keys() -> None:
    _, app = dashboard(locked(), None)
    async with app.run_test(notifications=True, size=(140, 40)) as pilot:
        await settled(pilot)
        assert "K End" not in screen_text(app)
        await pilot.press("K", "C")
        await settled(pilot)
        assert len(app.screen_stack) == 1
        await pilot.press("question_mark")
        await settled(pilot)
        assert "End the session" not in screen_text(app)


async def test_footer_and_help_name_the_keys() -> None:
    _, app = dashboard(locked(), Doing())
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await settled(pilot)
        assert "C Cancel K End" in screen_text(app).splitlines()[-1]
        await pilot.press("question_mark")
        await until_drawn(pilot, "Cancel the session's statement")
        await until_drawn(pilot, "End the session")


async def test_a_server_that_never_answers_blocks_no_key() -> None:
    doing = Doing(stuck=True)
    _, app = dashboard(locked(), doing)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("K")
        await confirm(pilot)
        # Shown for five seconds: a slow machine takes longer to settle.
        await until_drawn(pilot, "ending pid 1")
        assert len(doing.asked) == 1
        await pilot.press("question_mark")
        await until_drawn(pilot, "Keys in Locks")
        await pilot.press("escape", "q")
    assert not app.is_running


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (Outcome("refused", f"Refused {HOSTILE}"), "Refused [red]boo[/red] ␛[31m"),
        (Outcome("unconfirmed", f"Unsure {HOSTILE}"), "Unsure [red]boo[/red] ␛[31m"),
        (CannotConnectError(f"cannot: {HOSTILE}"), "ending pid 1: cannot: [red]boo[/red] ␛[31m"),
    ],
)
async def test_what_came_of_it_is_told_as_plain_text(outcome: Outcome | PgwatchError, told: str) -> None:
    doing = Doing(outcome)
    _, app = dashboard(locked(name=HOSTILE), doing)
    async with app.run_test(notifications=True, size=(140, 40)) as pilot:
        await settled(pilot)
        await pilot.press("K")
        await until_drawn(pilot, "[red]boo[/red] ␛[31m \\u202e {x} %s")
        await confirm(pilot)
        await settled(pilot)
        assert len(app.screen_stack) == 1
        assert "\x1b" not in await until_drawn(pilot, told)


async def test_nothing_is_asked_for_what_is_ours_or_cannot_be_recognised() -> None:
    ours = session(1, OWN_NAME, "idle in transaction")
    starting = replace(session(4, state="starting"), backend_start=None)
    for root in (ours, starting):
        doing = Doing()
        _, app = dashboard(settle(None, snapshot((edge(2, root.pid),), (root,))), doing)
        async with app.run_test(notifications=True, size=(80, 24)) as pilot:
            await settled(pilot)
            await pilot.press("K")
            await settled(pilot)
            assert len(app.screen_stack) == 1


async def test_a_hidden_session_is_said_to_be_recognised_by_what_is_visible() -> None:
    root = replace(session(1, hidden=True), backend_start=None, user_oid=10, query_age_s=None, state=None)
    _, app = dashboard(settle(None, snapshot((edge(2, 1),), (root,))), Doing())
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("K")
        await until_drawn(pilot, "hidden: needs pg_monitor")
        await until_drawn(pilot, "recognised by its role")
