"""The last hour in memory: what was polled comes back, in any order of asking, and no more than an hour."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.locks.snapshot.glance import later
from pgwatch_tests.record.recording.segments import as_recorded
from pgwatch_tests.tui.answers.past import Past
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable
from screenshots.pictures import settled
from tests.locks.snapshots import MOMENT, edge, session, snapshot
from tests.tui.acting import Doing
from tests.tui.driving import Feed, blocked_snapshot, leak_report, screen_text, text_of, until


def polled(after_s: float, waiters: int) -> LockSnapshot:
    edges = tuple(edge(pid, 1, wait_s=after_s) for pid in range(2, 2 + waiters))
    return snapshot(edges, (session(1, state="idle in transaction"),), after_s)


@given(
    st.lists(st.tuples(st.floats(0.05, 200), st.integers(0, 4), st.floats(0, 1)), min_size=1, max_size=60),
    st.lists(st.tuples(st.integers(0, 59), st.floats(-5000, 5000)), max_size=20),
)
@settings(deadline=None)
def test_each_moment_is_as_it_was(
    polls: list[tuple[float, int, float]], asked: list[tuple[int, float]]
) -> None:
    past, kept, at_s = Past(), [], 0.0
    for pause_s, waiters, share in polls:
        one = polled(at_s, waiters)
        on_until = one.sampled_at + timedelta(seconds=pause_s * share)
        past.add(one)
        past.go_on(on_until)
        kept.append((one, on_until))
        at_s += pause_s
    assert len(past) <= len(kept)
    kept = kept[-len(past) :]
    assert (kept[-1][0].sampled_at - kept[0][0].sampled_at).total_seconds() <= 3600 + 200
    for place, seconds in asked:
        shown = kept[place % len(kept)][0].sampled_at
        moment = shown + timedelta(seconds=seconds)
        found = past.moved(shown, seconds)
        known = [(one, until) for one, until in kept if one.sampled_at <= moment] or kept[:1]
        one, on_until = known[-1]
        if seconds > 0 and min(moment, on_until) <= shown:
            ahead = [one for one, _ in kept if one.sampled_at > shown]
            assert found == (as_past(ahead[0]) if ahead else None)
        elif seconds < 0 and shown == kept[0][0].sampled_at:
            assert found is None
        else:
            went_on = max(one.sampled_at, min(moment, on_until))
            assert found is not None
            assert found.sampled_at == went_on
            assert found == later(as_past(one), went_on)


def as_past(one: LockSnapshot) -> LockSnapshot:
    return replace(as_recorded(one), is_past=True)


def test_a_clock_that_steps_back_begins_anew() -> None:
    past = Past()
    for after_s in (10.0, 11.0, 5.0):
        past.add(polled(after_s, 1))
    assert len(past) == 1
    assert past.moved(MOMENT + timedelta(seconds=5), -5) is None


def test_nothing_yet() -> None:
    past = Past()
    past.go_on(MOMENT)
    assert (past.moved(MOMENT, -5), past.moved(MOMENT, 5)) == (None, None)


def test_steps_of_some_seconds_and_the_next_one_at_least() -> None:
    past = Past()
    for after_s in (0.0, 1.0, 2.0, 10.0, 11.0):
        past.add(polled(after_s, 1))

    def moved(from_s: float, seconds: float) -> float | None:
        found = past.moved(MOMENT + timedelta(seconds=from_s), seconds)
        return None if found is None else (found.sampled_at - MOMENT).total_seconds()

    assert [moved(11, -5), moved(10, -5), moved(2, -5), moved(0, -5)] == [2, 2, 0, None]
    assert [moved(0, 5), moved(2, 5), moved(10, 5), moved(11, 5)] == [2, 10, 11, None]


def test_a_step_is_as_long_as_it_says_where_nothing_changed() -> None:
    past = Past()
    past.add(polled(0.0, 1))
    past.go_on(MOMENT + timedelta(seconds=28))
    past.add(polled(30.0, 2))

    def moved(from_s: float, seconds: float) -> tuple[float, int, float | None]:
        found = past.moved(MOMENT + timedelta(seconds=from_s), seconds)
        assert found is not None
        return (found.sampled_at - MOMENT).total_seconds(), len(found.groups), found.groups[0].wait_s

    assert [moved(30, -5), moved(25, -5), moved(30, -1)] == [(25, 1, 25), (20, 1, 20), (28, 1, 28)]
    assert [moved(20, 5), moved(25, 5), moved(28, 1)] == [(25, 1, 25), (30, 2, 30), (30, 2, 30)]


async def test_back_and_forth_in_the_dashboard() -> None:
    source = Feed(blocked_snapshot(), leak_report())
    doing = Doing()
    app = source.dashboard(act=doing)
    async with app.run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: app.data.past is not None)
        source.locks = snapshot((), (session(1, state="idle"),), after_s=30)
        await pilot.press("r")
        await until(pilot, lambda: "Nothing is blocked" in screen_text(app))
        await pilot.press("left_square_bracket")
        await settled(pilot)
        assert "30 s ago" in text_of(app, "#banner")
        assert text_of(app, "#figures").split("blocked ")[1].startswith("█ 2, peak 2")
        assert app.query_one("#lock-tree", LiveTable).row_count == 3
        # Polls go on, and what is looked at stays; nobody is ended for what was.
        await pilot.press("K", "r")
        await settled(pilot)
        assert len(app.screen_stack) == 1
        assert app.query_one("#lock-tree", LiveTable).row_count == 3
        assert "pg_terminate_backend" not in screen_text(app)
        await pilot.press("left_square_bracket")
        assert any("first moment" in one.message for one in app._notifications)
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "Nothing is blocked" in screen_text(app))
        assert not app.query_one("#banner").display
        await pilot.press("left_curly_bracket")
        await settled(pilot)
        assert "ago" in text_of(app, "#banner")
        await pilot.press("K")
        assert any("escape goes back to now" in one.message for one in app._notifications)
        # One is enough, whatever was told.
        await pilot.press("escape")
        await until(pilot, lambda: "Nothing is blocked" in screen_text(app))
        assert [one.message for one in app._notifications] == []
