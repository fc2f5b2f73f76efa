"""The last troubles: told once they are over, with the most they ever were, never without bound."""

from __future__ import annotations

from datetime import timedelta

from pgwatch_tests.locks.contention.last_troubles import LastTroubles
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import Edge, LockSnapshot
from tests.locks.snapshots import MOMENT, edge, snapshot


def poll(
    troubles: LastTroubles, *edges: Edge, after_s: float, before: LockSnapshot | None = None
) -> LockSnapshot:
    shown = settle(before, snapshot(edges, after_s=after_s))
    troubles.add(LockGraph(shown))
    return shown


def test_a_trouble_is_told_when_it_is_over() -> None:
    troubles = LastTroubles()
    poll(troubles, edge(2, 1, wait_s=1.0), edge(3, 1, wait_s=0.5), after_s=10)
    poll(troubles, edge(2, 1, wait_s=12.0, target="table t"), after_s=21)
    assert not troubles.over
    poll(troubles, after_s=22)
    [told] = troubles.over
    assert told.who == "test_1 (gw1, pid 1)"
    assert (told.blocked, told.longest_s, told.target) == (2, 12.0, "table t")
    assert told.began == MOMENT + timedelta(seconds=9)


def test_a_trouble_that_one_poll_did_not_see_is_told_once() -> None:
    troubles = LastTroubles()
    poll(troubles, edge(2, 1, wait_s=3.0), edge(3, 1, wait_s=2.0), after_s=10)
    poll(troubles, after_s=11)
    poll(troubles, edge(2, 1, wait_s=5.0), after_s=12)
    poll(troubles, after_s=13)
    [told] = troubles.over
    assert (told.began, told.blocked, told.longest_s) == (MOMENT + timedelta(seconds=7), 2, 5.0)
    # What begins later is another one.
    poll(troubles, edge(2, 1, wait_s=2.0), after_s=60)
    poll(troubles, after_s=61)
    assert [one.longest_s for one in troubles.over] == [2.0, 5.0]


def test_a_wait_of_less_than_a_second_is_none() -> None:
    troubles = LastTroubles()
    poll(troubles, edge(2, 1, wait_s=0.4), after_s=0)
    poll(troubles, after_s=1)
    assert troubles.over == ()


def test_a_deadlock_is_told_however_short() -> None:
    troubles = LastTroubles()
    cycle = edge(2, 1, wait_s=0.3), edge(1, 2, wait_s=0.3)
    first = poll(troubles, *cycle, after_s=0)
    poll(troubles, *cycle, after_s=0.25, before=first)
    poll(troubles, after_s=1)
    [told] = troubles.over
    assert (told.is_deadlock, told.blocked) == (True, 1)
    assert told.who == "test_1 (gw1, pid 1) and test_2 (gw2, pid 2)"


def test_the_last_one_is_first_and_only_so_many_are_kept() -> None:
    troubles = LastTroubles()
    for number in range(70):
        poll(troubles, edge(1000, number + 1, wait_s=2.0), after_s=number)
    poll(troubles, after_s=100)
    assert len(troubles.over) == 50
    assert troubles.over[0].who.startswith("test_70 ")
