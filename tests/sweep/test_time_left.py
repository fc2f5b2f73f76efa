"""Rates and the time left, by a clock that the test sets."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import accumulate

import pytest

from pgwatch_tests.sweep.model import SweepPhase, SweepProgress
from pgwatch_tests.sweep.time_left import SweepMeter


@dataclass
class Clock:
    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


def at(clusters: int, share: float, rows: int, phase: SweepPhase = "delete") -> SweepProgress:
    return SweepProgress(clusters, 10, rows, share, phase)


def test_rate_and_time_left() -> None:
    clock = Clock()
    meter = SweepMeter(clock)

    assert (meter.last.rows, meter.last.phase, meter.rows_per_s, meter.left_s) == (0, "survey", None, None)
    meter.add(at(0, 0.0, 0))
    assert (meter.rows_per_s, meter.left_s) == (None, None)
    clock.now_s = 100.1
    meter.add(at(1, 0.1, 500))
    # A tenth of a second tells nothing yet.
    assert (meter.rows_per_s, meter.left_s) == (None, None)
    clock.now_s = 102.0
    meter.add(at(5, 0.25, 1000))
    assert (meter.last.rows, meter.rows_per_s, meter.left_s) == (1000, 500.0, 6.0)
    clock.now_s = 103.0
    # It counts down until it is told more.
    assert meter.left_s == pytest.approx(5.0)
    meter.add(at(10, 1.0, 1200))
    assert (meter.rows_per_s, meter.left_s) == (400.0, None)


def test_a_new_phase_has_a_pace_of_its_own() -> None:
    clock = Clock()
    meter = SweepMeter(clock)
    meter.add(at(0, 0.0, 0, "plan"))
    clock.now_s += 30
    meter.add(at(10, 1.0, 3000, "plan"))
    meter.add(at(0, 0.0, 0, "delete"))
    assert (meter.rows_per_s, meter.left_s) == (None, None)
    clock.now_s += 1
    meter.add(at(1, 0.1, 10, "delete"))
    assert meter.rows_per_s == 10.0
    assert meter.left_s == pytest.approx(9.0)


def test_portions_that_are_planned_and_deleted_in_turns_have_one_pace() -> None:
    clock = Clock()
    meter = SweepMeter(clock)
    meter.add(at(0, 0.0, 0, "plan"))
    clock.now_s += 20
    meter.add(at(0, 0.0, 0, "delete"))
    for step in range(1, 5):
        clock.now_s += 1
        meter.add(at(step, step / 10, step * 100, "delete"))
    meter.add(at(4, 0.4, 400, "plan"))
    clock.now_s += 1
    meter.add(at(5, 0.5, 500, "delete"))
    assert meter.rows_per_s == 100.0
    assert meter.left_s == pytest.approx(5.0)


def test_a_step_that_takes_longer_than_any_before_is_part_of_the_pace() -> None:
    clock = Clock()
    meter = SweepMeter(clock)
    for step in range(11):
        clock.now_s = 100.0 + step
        meter.add(at(step, step / 20, step * 100))
    assert meter.left_s == pytest.approx(10.0)
    clock.now_s += 10
    assert meter.left_s == pytest.approx(20.0)
    assert meter.rows_per_s == pytest.approx(50.0)


_RANDOM = random.Random(1)


@pytest.mark.parametrize(
    "took_s",
    [
        [0.05] * 800,
        [2.5] * 40,
        [_RANDOM.uniform(0, 0.2) for _ in range(800)],
        [0.02] * 200 + [0.2] * 600,
        [0.2] * 200 + [0.02] * 1200,
    ],
    ids=["even", "seldom told", "uneven", "slower", "faster"],
)
def test_the_time_left_is_right_within_a_factor_of_two(took_s: list[float]) -> None:
    clock = Clock(0.0)
    meter = SweepMeter(clock)
    # Nobody knows beforehand that the pace changes: ten seconds later it has to show.
    changes = [at for at in range(1, len(took_s)) if len({*took_s}) == 2 and took_s[at] != took_s[at - 1]]
    settled_s = sum(took_s[: max(changes, default=0)]) + 10
    checked = 0
    for step, now_s in enumerate(accumulate(took_s), start=1):
        clock.now_s = now_s
        meter.add(SweepProgress(step, len(took_s), step, step / len(took_s)))
        left_s = sum(took_s) - now_s
        if now_s > settled_s and left_s > 2:
            assert meter.left_s is not None
            assert left_s / 2 <= meter.left_s <= left_s * 2, (now_s, left_s, meter.left_s)
            checked += 1
    assert checked > 10
