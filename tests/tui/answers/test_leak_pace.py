"""Leaks are counted every few seconds while anything happens, and seldom while nothing does."""

from __future__ import annotations

import pytest

from pgwatch_tests.tui.answers.leak_pace import LeakPace


def count(pace: LeakPace, changes: int, now_s: float = 0.0, took_s: float = 0.0) -> float:
    """The seconds after a count that began when there were so many changes."""
    pace.begin(changes)
    return pace.end(now_s, took_s, 2.0)


def test_counts_are_rare_while_nothing_changes() -> None:
    pace = LeakPace()
    assert [count(pace, changes) for changes in (7, 7, 8)] == [30, 30, 30]
    assert not pace.is_due(29.0, 8)


def test_a_change_is_counted_at_once_but_not_more_often_than_every_5_s() -> None:
    pace = LeakPace()
    assert not pace.is_due(0.0, 7)
    count(pace, 7, now_s=100.0)
    assert not pace.is_due(120.0, 7)
    assert not pace.is_due(104.0, 8)
    assert pace.is_due(105.0, 8)
    # What changes during a count may have come too late for it.
    pace.begin(8)
    assert not pace.is_due(200.0, 9)
    pace.end(201.0, 0.1, 2.0)
    assert pace.is_due(206.0, 9)


@pytest.mark.parametrize(("took_s", "pause_s"), [(0.1, 30.0), (2.0, 38.0), (10.0, 190.0)])
def test_at_most_a_twentieth_of_the_time_is_spent_counting(took_s: float, pause_s: float) -> None:
    pace = LeakPace()
    assert count(pace, 7, took_s=took_s) == pytest.approx(pause_s)
    shortest_s = max(5.0, took_s * 19)
    assert not pace.is_due(shortest_s - 0.1, 8)
    assert pace.is_due(shortest_s + 0.1, 8)
