from __future__ import annotations

from dataclasses import replace

from pgwatch_tests.locks.model import Party
from pgwatch_tests.locks.settle import settle
from tests.locks.snapshots import edge, snapshot


def test_a_young_edge_seen_once_is_not_shown() -> None:
    settled = settle(None, snapshot((edge(2, 1, wait_s=0.05),)))
    assert settled.shown_edges == ()
    assert settled.blocked == 0


def test_an_edge_that_is_old_enough_is_shown_at_once() -> None:
    assert settle(None, snapshot((edge(2, 1, wait_s=0.1),))).blocked == 1


def test_an_edge_seen_twice_is_shown_however_young() -> None:
    first = settle(None, snapshot((edge(2, 1, wait_s=0.0),)))
    assert settle(first, snapshot((edge(2, 1, wait_s=0.05),), after_s=0.05)).blocked == 1


def test_another_wait_between_the_same_two_is_another_edge() -> None:
    young = edge(2, 1, wait_s=0.01)
    assert young.wait is not None
    first = settle(None, snapshot((young,)))
    later = replace(young, wait=replace(young.wait, virtualtransaction="3/999"))
    assert settle(first, snapshot((later,), after_s=0.2)).blocked == 0


def test_a_cycle_seen_once_is_probable_and_certain_when_seen_again() -> None:
    cycle = (edge(1, 2), edge(2, 1))
    first = settle(None, snapshot(cycle))
    assert first.deadlocks == ()
    assert first.probable_deadlocks == ((Party(1), Party(2)),)
    second = settle(first, snapshot(cycle, after_s=0.25))
    assert second.deadlocks == ((Party(1), Party(2)),)
    assert second.probable_deadlocks == ()


def test_a_cycle_of_which_one_wait_is_new_is_only_probable() -> None:
    first = settle(None, snapshot((edge(1, 2),)))
    second = settle(first, snapshot((edge(1, 2), edge(2, 1)), after_s=0.25))
    assert second.deadlocks == ()
    assert second.probable_deadlocks == ((Party(1), Party(2)),)


def test_before_14_a_wait_counts_from_the_poll_that_saw_it_first() -> None:
    first = settle(None, snapshot((edge(2, 1, wait_s=None),)))
    second = settle(first, snapshot((edge(2, 1, wait_s=None),), after_s=0.5))
    third = settle(second, snapshot((edge(2, 1, wait_s=None),), after_s=1.5))
    assert first.shown_edges == ()
    assert [one.wait_s for one in third.shown_edges] == [1.5]


def test_before_14_a_wait_keeps_its_age_when_somebody_else_is_in_the_way() -> None:
    first = settle(None, snapshot((edge(3, 1, wait_s=None),)))
    second = settle(first, snapshot((edge(3, 2, wait_s=None),), after_s=0.5))
    third = settle(second, snapshot((edge(3, 2, wait_s=None),), after_s=1.5))
    assert [one.wait_s for one in third.shown_edges] == [1.5]
