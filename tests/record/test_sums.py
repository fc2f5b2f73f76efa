"""Sums of waits: what each pair, object and cause comes to, and how many waited when."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgwatch_tests.record import sums
from pgwatch_tests.record.model import Root
from tests.examples import examples
from tests.record.made_events import at, side, wait


def test_a_pair_is_two_tests_whichever_workers_run_them() -> None:
    blocker, other = side(12, "t.py::test_b"), side(16, "t.py::test_c")
    first = wait(0, 2.0, side(11, "t.py::test_a"), blocker, cause="same_row")
    again = wait(5, 3.0, side(14, "t.py::test_a"), side(13, "t.py::test_b"), cause="same_key")
    shared = replace(wait(9, 4.0, side(21), blocker), roots=(Root(blocker, 1.0), Root(other, 3.0)))
    waits = [first, again, shared]

    ranked = [
        (one.blocker, one.waiter, one.sum.blocked_s, one.sum.waits, one.sum.longest_s)
        for one in sums.pairs(waits)
    ]
    assert ranked == [
        ("t.py::test_b", "t.py::test_a", 5.0, 2, 3.0),
        ("t.py::test_c", "pid 21", 3.0, 1, 4.0),
        ("t.py::test_b", "pid 21", 1.0, 1, 4.0),
    ]
    assert sums.pairs(waits)[0].cause == "same_key"
    assert sums.longest_by_pair(waits)["t.py::test_b", "t.py::test_a"] == (again, again.roots[0].side)
    assert [(one.cause, one.sum.blocked_s) for one in sums.causes(waits)] == [
        ("idle_in_transaction", 4.0),
        ("same_key", 3.0),
        ("same_row", 2.0),
    ]
    assert [(one.object, one.sum.blocked_s) for one in sums.objects(waits)] == [("row of bookings", 9.0)]


def test_only_the_largest_are_kept() -> None:
    waits = [wait(0, 1.0 + number, object=f"table t{number}") for number in range(sums.MOST_ROWS + 5)]
    kept = sums.objects(waits)
    assert len(kept) == sums.MOST_ROWS
    assert kept[0].object == f"table t{sums.MOST_ROWS + 4}"


_TIMES = st.integers(0, 400).map(lambda quarter: quarter / 4)


@settings(max_examples=examples(60))
@given(st.lists(st.tuples(_TIMES, _TIMES), max_size=12), st.sampled_from([1, 2, 5, 16, 32, 40]))
def test_blocked_over_time_is_what_a_look_at_each_moment_shows(
    spans: list[tuple[float, float]], steps: int
) -> None:
    waits = [wait(began, lasted) for began, lasted in spans]
    seen = sums.blocked_over_time(waits, at(10.0), at(90.0), steps)

    step_s = 80.0 / steps
    for place, blocked in enumerate(seen):
        start = 10.0 + place * step_s
        # Whatever waits anywhere in a step, its most is reached where the step or a wait begins.
        looks = [start, *(began for began, _ in spans if start <= began < start + step_s)]
        truth = max(
            sum(began <= look < began + max(lasted, 1e-6) for began, lasted in spans) for look in looks
        )
        assert blocked == truth
    assert sum(one.waited_s for one in waits) == pytest.approx(
        sum(one.sum.blocked_s for one in sums.causes(waits))
    )
