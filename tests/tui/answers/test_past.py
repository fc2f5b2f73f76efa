"""The last hour in memory: what was polled comes back, in any order of asking, and no more than an hour."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from pgwatch_tests.locks.model import LockSnapshot
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
    st.lists(st.tuples(st.floats(0.05, 200), st.integers(0, 4)), min_size=1, max_size=60),
    st.lists(st.floats(-10, 5000), max_size=20),
)
@settings(deadline=None)
def test_each_moment_is_as_it_was_polled(polls: list[tuple[float, int]], asked: list[float]) -> None:
    past, kept, at_s = Past(), [], 0.0
    for pause_s, waiters in polls:
        at_s += pause_s
        kept.append(polled(at_s, waiters))
        past.add(kept[-1])
    assert len(past) <= len(kept)
    kept = kept[-len(past) :]
    assert (kept[-1].sampled_at - kept[0].sampled_at).total_seconds() <= 3600 + 200
    for after_s in [*asked, at_s]:
        moment = MOMENT + timedelta(seconds=after_s)
        earlier = [one for one in kept if one.sampled_at < moment]
        later = [one for one in kept if one.sampled_at > moment]
        until = [one for one in kept if one.sampled_at <= moment]
        assert past.before(moment) == (as_past(earlier[-1]) if earlier else None)
        assert past.after(moment) == (as_past(later[0]) if later else None)
        assert past.at(moment) == as_past(until[-1] if until else kept[0])


def as_past(one: LockSnapshot) -> LockSnapshot:
    return replace(as_recorded(one), is_past=True)


def test_a_clock_that_steps_back_begins_anew() -> None:
    past = Past()
    for after_s in (10.0, 11.0, 5.0):
        past.add(polled(after_s, 1))
    assert len(past) == 1
    assert past.before(MOMENT + timedelta(seconds=5)) is None


def test_nothing_yet() -> None:
    past = Past()
    assert (past.before(MOMENT), past.at(MOMENT), past.after(MOMENT)) == (None, None, None)


def test_steps_of_some_seconds_and_the_next_one_at_least() -> None:
    past = Past()
    for after_s in (0.0, 1.0, 2.0, 10.0, 11.0):
        past.add(polled(after_s, 1))

    def moved(from_s: float, seconds: float) -> float | None:
        found = past.moved(MOMENT + timedelta(seconds=from_s), seconds)
        return None if found is None else (found.sampled_at - MOMENT).total_seconds()

    assert [moved(11, -5), moved(10, -5), moved(2, -5), moved(0, -5)] == [2, 2, 0, None]
    assert [moved(0, 5), moved(2, 5), moved(10, 5), moved(11, 5)] == [2, 10, 11, None]


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
