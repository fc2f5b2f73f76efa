from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.locks.contention.timeline import FINEST_S, MOST_MOMENTS, Timeline
from tests.locks.snapshots import MOMENT


def after(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


@given(st.lists(st.tuples(st.floats(0.01, 5000.0), st.integers(0, 9)), max_size=40))
def test_of_any_length_it_stays_small_and_keeps_the_peak(polls: list[tuple[float, int]]) -> None:
    timeline = Timeline(MOMENT)
    now_s = 0.0
    for pause_s, blocked in polls:
        timeline.add(MOMENT + after(now_s), MOMENT + after(now_s + pause_s), [0.0] * blocked, True)
        now_s += pause_s
    moments = timeline.moments()
    assert len(moments) <= MOST_MOMENTS
    assert all(moment.blocked is not None for moment in moments)
    assert max((moment.blocked or 0 for moment in moments), default=0) == max(
        (blocked for _, blocked in polls), default=0
    )
    if moments:
        assert moments[-1].at <= MOMENT + after(now_s)
        assert moments[-1].at + after(moments[-1].span_s) >= MOMENT + after(now_s)


def test_a_wait_is_there_from_its_beginning() -> None:
    timeline = Timeline(MOMENT)
    timeline.add(MOMENT, MOMENT, [], True)
    timeline.add(MOMENT, MOMENT + after(1.0), [0.4, 0.9], True)
    assert [(moment.span_s, moment.blocked) for moment in timeline.moments()] == [
        (FINEST_S, 1),
        (FINEST_S, 1),
        (FINEST_S, 2),
        (FINEST_S, 2),
        (FINEST_S, 2),
    ]


def test_a_clock_that_is_set_back_does_no_harm() -> None:
    timeline = Timeline(MOMENT)
    timeline.add(MOMENT + after(5), MOMENT - after(5), [1.0], True)
    assert [moment.blocked for moment in timeline.moments()] == [1]
