from __future__ import annotations

from itertools import islice

import pytest

from pgwatch_tests.locks.snapshot.poll_interval import LONGEST_PAUSE_S, PollPace, pause_s, retry_pauses_s


@pytest.mark.parametrize(
    ("blocked", "poll_s", "idle_s", "expected"),
    [
        (0, 0.002, 1.0, 0.998),
        (1, 0.002, 1.0, 0.248),
        (1, 0.002, 0.2, 0.198),
        (1, 0.002, 2.0, 0.498),
        (1, 0.002, 30.0, 0.498),
        (1, 0.002, 1.5, 0.498),
        (201, 0.01, 1.0, 0.99),
        (201, 0.01, 5.0, 0.99),
    ],
)
def test_the_pace(blocked: int, poll_s: float, idle_s: float, expected: float) -> None:
    assert pause_s(blocked, poll_s, idle_s) == pytest.approx(expected)


def test_a_slow_poll_takes_no_more_than_a_twentieth_of_the_time() -> None:
    assert 0.2 / (pause_s(500, 0.2, 1.0) + 0.2) == pytest.approx(0.05)


def test_one_poll_that_took_seconds_is_not_followed_by_minutes_of_blindness() -> None:
    assert pause_s(1, 2.0, 1.0) == LONGEST_PAUSE_S


def test_pauses_after_failed_polls_grow_up_to_five_seconds() -> None:
    assert list(islice(retry_pauses_s(), 7)) == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]


def test_polls_that_wait_for_a_processor_do_not_come_more_seldom() -> None:
    pace = PollPace()
    assert pace.pause_s(1, 0.004, 1.0) == pytest.approx(0.246)
    assert pace.pause_s(1, 0.2, 1.0) == pytest.approx(0.246)
    # Once all take that long, it is what a poll takes.
    assert [pace.pause_s(1, 0.2, 1.0) for _ in range(3)][-1] == pytest.approx(3.8)
