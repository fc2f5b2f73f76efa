"""The trend of blocked sessions: up to the last poll, or up to a moment of the last hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pgwatch_tests.tui.answers.blocked_trend import KEPT_S, SLOT_S, SLOTS, BlockedTrend

MOMENT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def trend(*polls: tuple[float, int]) -> BlockedTrend:
    found = BlockedTrend()
    for after_s, blocked in polls:
        found.add(MOMENT + timedelta(seconds=after_s), blocked)
    return found


def test_the_largest_of_a_slot_and_none_where_nobody_polled() -> None:
    found = trend((0, 1), (0.5, 3), (1, 2), (SLOT_S, 5), (3 * SLOT_S, 0))
    assert list(found.over_time()) == [3, 5, None, 0]
    assert list(BlockedTrend().over_time()) == []


def test_up_to_a_moment_nothing_shows_that_came_after_it() -> None:
    found = trend((0, 1), (SLOT_S, 2), (SLOT_S + 2, 9), (2 * SLOT_S, 4))
    assert list(found.over_time(MOMENT + timedelta(seconds=SLOT_S))) == [1, 2]
    assert list(found.over_time(MOMENT + timedelta(seconds=SLOT_S + 3))) == [1, 9]
    assert list(found.over_time(MOMENT - timedelta(seconds=1))) == []


def test_five_minutes_are_shown_and_an_hour_is_kept() -> None:
    found = trend(*((slot * SLOT_S, slot) for slot in range(300)))
    assert list(found.over_time()) == list(range(300 - SLOTS, 300))
    early = MOMENT + timedelta(seconds=100 * SLOT_S)
    assert list(found.over_time(early)) == list(range(101 - SLOTS, 101))
    found.add(MOMENT + timedelta(seconds=299 * SLOT_S + KEPT_S), 7)
    assert list(found.over_time(early)) == []
    assert list(found.over_time()) == [7]


def test_a_clock_that_was_set_back() -> None:
    found = trend((0, 1), (10 * SLOT_S, 8), (SLOT_S, 2))
    assert list(found.over_time()) == [1, 2]
