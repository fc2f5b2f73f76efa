"""Who can continue after an action, and who blocks the others then."""

from __future__ import annotations

from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.graph.release import release
from pgwatch_tests.locks.model import LockTag, Party
from tests.locks.snapshots import edge, snapshot

TABLE = LockTag("relation", 5, 16400)
ROW = LockTag("transactionid", transactionid=700)
TURN = LockTag("tuple", 5, 16400, 0, 1)


def three_troubles() -> LockGraph:
    """1 blocks 2, which blocks 3 and 4; a change of the table (5) waits for 1 to 3, and 6 to 9 for it."""
    behind_change = [edge(pid, 5, kind="soft", tag=TABLE) for pid in (6, 7, 8, 9)]
    return LockGraph(
        snapshot(
            (
                edge(2, 1, tag=ROW),
                *(edge(pid, 2, tag=ROW) for pid in (3, 4)),
                *(edge(5, pid, tag=TABLE) for pid in (1, 2, 3)),
                *behind_change,
            )
        )
    )


def test_a_cancelled_change_leaves_the_root_with_its_own_waiters() -> None:
    found = release(three_troubles(), Party(5))
    assert found.freed == {Party(6), Party(7), Party(8), Party(9)}
    assert (found.blocked, found.next, found.blocks, found.waiting) == (4, Party(1), 3, 3)
    assert not found.next_is_freed


def test_the_end_of_a_root_leaves_those_behind_whom_it_frees() -> None:
    graph = LockGraph(snapshot((edge(2, 1, tag=ROW), edge(3, 2, tag=ROW), edge(4, 2, tag=TABLE))))
    found = release(graph, Party(1))
    assert (found.freed, found.next, found.blocks, found.waiting) == (frozenset({Party(2)}), Party(2), 2, 2)
    assert found.next_is_freed


def test_who_queued_for_a_rows_turn_waits_for_its_holder_next() -> None:
    graph = LockGraph(snapshot((edge(2, 1, tag=ROW), edge(3, 2, tag=TURN), edge(4, 2, tag=TURN))))
    found = release(graph, Party(2))
    assert (found.freed, found.next, found.blocks) == (frozenset(), Party(1), 2)


def test_who_waits_for_another_root_as_well_isnt_behind_the_one_of_the_party() -> None:
    graph = LockGraph(snapshot((edge(2, 1, tag=ROW), edge(4, 2, tag=TABLE), edge(4, 9, tag=TABLE))))
    found = release(graph, Party(2))
    assert (found.freed, found.next, found.blocks, found.waiting) == (frozenset(), Party(9), 1, 1)


def test_who_queued_behind_one_of_a_deadlock_waits_for_the_other_next() -> None:
    ring = (edge(1, 2, tag=ROW), edge(2, 1, tag=ROW))
    graph = LockGraph(snapshot((*ring, edge(3, 2, tag=TURN), edge(5, 6, tag=ROW), edge(7, 6, tag=ROW))))
    found = release(graph, Party(2))
    assert (found.freed, found.next, found.blocks, found.waiting) == (frozenset({Party(1)}), Party(1), 1, 3)
    assert found.next_is_freed


def test_another_root_is_next_where_nobody_waits_here_any_more() -> None:
    graph = LockGraph(snapshot((edge(2, 1, tag=ROW), edge(4, 3, tag=ROW), edge(5, 3, tag=TABLE))))
    found = release(graph, Party(1))
    assert (found.next, found.blocks, found.waiting) == (Party(3), 2, 2)
    found = release(graph, Party(3))
    assert (found.next, found.blocks, found.waiting) == (Party(1), 1, 1)


def test_nobody_is_next_where_all_can_continue_or_are_deadlocked() -> None:
    found = release(LockGraph(snapshot((edge(2, 1, tag=ROW),))), Party(1))
    assert (found.next, found.waiting) == (None, 0)
    ring = (edge(3, 4, tag=ROW), edge(4, 3, tag=TABLE))
    found = release(LockGraph(snapshot((edge(2, 1, tag=ROW), *ring))), Party(1))
    assert (found.next, found.waiting) == (None, 2)


def test_a_waiter_of_two_waits_on_for_the_other() -> None:
    graph = LockGraph(snapshot((edge(2, 1, tag=TABLE), edge(2, 3, tag=TABLE), edge(4, 1, tag=ROW))))
    found = release(graph, Party(1))
    assert (found.freed, found.next, found.blocks) == (frozenset({Party(4)}), Party(3), 1)
