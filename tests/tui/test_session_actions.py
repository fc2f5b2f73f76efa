"""`C` and `K`: the question, what is asked for, and what is told; the server is the test's own word."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from textual.pilot import Pilot

from pgwatch_tests.errors import CannotConnectError, PgwatchError
from pgwatch_tests.identity.application_name import OWN_NAME
from pgwatch_tests.locks.actions.action import Action, Outcome, PreparedRollback, SessionAction
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import LockSnapshot, LockTag, Party, PreparedTransaction
from pgwatch_tests.text.times import clock
from pgwatch_tests.tui.app import Dashboard
from pgwatch_tests.tui.screens.confirm import ConfirmScreen
from screenshots.pictures import settled
from tests.locks.snapshots import MOMENT, edge, session, snapshot
from tests.tui.driving import Feed, confirm, dialog_text, leak_report, screen_text
from tests.waiting import PATIENCE_S

SIZES = [(80, 24), (140, 40)]
HOSTILE = "[red]boo[/red] \x1b[31m \u202e {x} %s"


@dataclass
class Doing:
    """Stands for the server: remembers what is asked for, answers with `outcome`, or never if `stuck`."""

    outcome: Outcome | PgwatchError = field(default_factory=lambda: Outcome("done", "pid 1 has ended."))
    stuck: bool = False
    asked: list[Action] = field(default_factory=list)

    async def __call__(self, action: Action) -> Outcome:
        self.asked.append(action)
        if self.stuck:
            await asyncio.Event().wait()
        if isinstance(self.outcome, PgwatchError):
            raise self.outcome
        return self.outcome


def locked(state: str = "idle in transaction", name: str = "") -> LockSnapshot:
    """Session 1 blocks 2, which blocks 3."""
    root = session(1, name or "pytest:gw0 tests/test_booking.py::test_root", state)
    return settle(None, snapshot((edge(2, 1), edge(3, 2)), (root,)))


def with_prepared(gid: str = "it's 100%") -> LockSnapshot:
    found = settle(None, snapshot((edge(2, 0, gid=gid),)))
    return replace(found, prepared=(PreparedTransaction(gid, 5, 10, "test_app", "app", 12.0),))


def dashboard(locks: LockSnapshot, doing: Doing | None) -> tuple[Feed, Dashboard]:
    source = Feed(locks, leak_report())
    return source, source.dashboard(act=doing)


async def until_drawn(pilot: Pilot[int], words: str) -> str:
    """The screen, once it shows `words`."""
    deadline_s = time.monotonic() + PATIENCE_S
    while words not in (drawn := screen_text(pilot.app)):
        assert time.monotonic() < deadline_s, f"{words!r} isn't in:\n{drawn}"
        await pilot.pause(0.01)
    return drawn


@pytest.mark.parametrize("size", SIZES)
async def test_the_question_names_whom_it_is_about(size: tuple[int, int]) -> None:
    doing = Doing()
    _, app = dashboard(locked(), doing)
    async with app.run_test(notifications=True, size=size) as pilot:
        await settled(pilot)
        await pilot.press("K")
        drawn = await until_drawn(pilot, "y yes")
        for words in (
            "End the session of pid 1?",
            f"since {clock(MOMENT - timedelta(seconds=60))}",
            "gw0 tests/test_booking.py::test_root",
            "user         app",
            "database     test_app",
            "idle in transaction, 2.0 s",
            f"query start  {clock(MOMENT - timedelta(seconds=2.5))}, 2.5 s ago",
            "blocks       2 sessions, 1 directly",
            "y yes",
        ):
            assert words in drawn
        assert "Cancel does nothing" not in drawn
        await confirm(pilot)
        await settled(pilot)
        [action] = doing.asked
        assert isinstance(action, SessionAction)
        assert (action.how, action.pid, action.backend_start) == ("terminate", 1, session(1).backend_start)
        await until_drawn(pilot, "pid 1 has ended.")


async def test_q_leaves_the_dashboard_from_the_question_too() -> None:
    doing = Doing()
    _, app = dashboard(locked(), doing)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("K", "q")
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


async def test_cancelling_an_idle_session_advises_to_end_it_and_a_key_does() -> None:
    doing = Doing()
    _, app = dashboard(locked(), doing)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("C")
        drawn = await until_drawn(pilot, "y yes")
        assert "Cancel the statement of pid 1?" in drawn
        assert "Cancel does nothing to an idle session: press K." in drawn
        await pilot.press("K")
        await until_drawn(pilot, "End the session of pid 1?")
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
        drawn = await until_drawn(pilot, "The open question was closed.")
        assert "Another server answers now: other:5432 instead of" in " ".join(drawn.split())
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
        await until_drawn(pilot, "blocks       1 session")
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


TABLE = LockTag("relation", 5, 16400)


def chain() -> LockSnapshot:
    """Session 1 blocks 2, which blocks 3 by another lock and 4 in the queue for the same."""
    root = session(1, "pytest:gw0 tests/test_a.py::test_root", "idle in transaction")
    return settle(
        None, snapshot((edge(2, 1), edge(3, 2, tag=TABLE), edge(4, 1), edge(4, 2, kind="soft")), (root,))
    )


@pytest.mark.parametrize(
    ("rows", "who", "pid", "frees"),
    [
        (1, "test_2 (gw2, pid 2)", 2, "1 of 2 sessions at once"),
        (2, "test_3 (gw3, pid 3)", 3, "nobody at once"),
    ],
)
async def test_on_a_waiter_the_root_is_asked_about_first(rows: int, who: str, pid: int, frees: str) -> None:
    doing = Doing()
    _, app = dashboard(chain(), doing)
    async with app.run_test(notifications=True, size=(140, 40)) as pilot:
        await settled(pilot)
        await pilot.press(*["down"] * rows, "K")
        await until_drawn(pilot, "End the session of pid 1?")
        asked = dialog_text(app)
        assert "frees nobody at once" in asked
        assert f"{who}, which was asked about, waits for it. Ending that one frees {frees}: press b." in asked
        await pilot.press("b")
        await until_drawn(pilot, f"End the session of pid {pid}?")
        assert "The root blocker is test_root (gw0, pid 1): press b to select it instead." in dialog_text(app)
        await pilot.press("b")
        await until_drawn(pilot, "End the session of pid 1?")
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
        await until_drawn(pilot, "End the session of pid 1?")
        await pilot.press("b")
        await until_drawn(pilot, "Cancel the statement of pid 2?")
        await confirm(pilot)
        await settled(pilot)
    [action] = doing.asked
    assert isinstance(action, SessionAction)
    assert (action.how, action.pid) == ("cancel", 2)


async def test_one_key_does_what_the_advice_says() -> None:
    doing = Doing()
    source, app = dashboard(chain(), doing)
    async with app.run_test(notifications=True, size=(140, 40)) as pilot:
        await settled(pilot)
        await pilot.press("down", "A")
        await until_drawn(pilot, "End the session of pid 1?")
        await confirm(pilot)
        await settled(pilot)
        source.locks = snapshot((), (session(1),), after_s=1)
        await pilot.press("r", "2")
        await settled(pilot)
        await pilot.press("A")
        await settled(pilot)
        assert any("nobody waits for it" in one.message for one in app._notifications)
        await pilot.press("a")
        done = await until_drawn(pilot, "Done here")
        assert "End the session of pid 1 (test_root (gw0, pid 1))" in done
        assert "pid 1 has ended." in done
    [action] = doing.asked
    assert isinstance(action, SessionAction)
    assert (action.how, action.pid) == ("terminate", 1)


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
        await confirm(pilot)
        await settled(pilot)
        assert "✓ psql" not in screen_text(app)
    assert [one.pid for one in doing.asked if isinstance(one, SessionAction)] == [1, 3]


async def test_a_waiter_behind_a_deadlock_has_no_root_to_offer() -> None:
    _, app = dashboard(settle(None, snapshot((edge(1, 2), edge(2, 1), edge(3, 2)))), Doing())
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("K")
        await until_drawn(pilot, "End the session of pid")
        await pilot.press("b")
        await settled(pilot)
        assert "root blocker" not in screen_text(app)
