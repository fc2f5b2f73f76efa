"""Who can continue after an action, and who blocks the others then."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.graph.release import release
from pgwatch_tests.locks.model import LockTag, Party
from tests.locks.graph.lock_manager import Lock, LockManager, Mode
from tests.locks.snapshots import edge, session, snapshot

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


def shared_row() -> LockGraph:
    """1 and 3 have locked a row to share it; 2 waits to change it, for 1 first. 4 waits for 2."""
    first = edge(2, 1, tag=ROW)
    shared = replace(first, lock=replace(first.lock, also_held_by=(Party(3),)))
    return LockGraph(snapshot((shared, edge(4, 2, tag=TURN)), (session(3),)))


def test_who_waits_for_a_row_that_two_share_is_freed_by_neither_alone() -> None:
    found = release(shared_row(), Party(1))
    assert (found.freed, found.next, found.blocks, found.waiting) == (frozenset(), Party(3), 2, 2)
    assert shared_row().wait_for_alone(Party(1), {Party(3)}) == (Party(2),)


def test_who_queued_behind_the_waiter_of_a_shared_row_waits_for_its_holders_next() -> None:
    found = release(shared_row(), Party(2))
    assert (found.freed, found.next, found.blocks, found.waiting) == (frozenset(), Party(1), 1, 1)


pids = st.integers(1, 7)
modes: st.SearchStrategy[Mode] = st.sampled_from(("share", "exclusive"))
asked = st.lists(st.tuples(pids, st.integers(0, 2), modes), max_size=25)


@given(asked, st.lists(pids, max_size=2), asked)
def test_a_release_is_what_a_lock_manager_does(
    before: list[tuple[int, int, Mode]], ended: list[int], after: list[tuple[int, int, Mode]]
) -> None:
    manager = LockManager([Lock(number, is_row=number < 2) for number in range(3)])
    for one in before:
        manager.ask(*one)
    for gone in ended:
        manager.drop(gone)
    for one in after:
        manager.ask(*one)
    graph = manager.graph
    for pid in range(1, 8):
        left = manager.without(pid)
        found = release(graph, Party(pid))
        assert found.freed == {Party(one) for one in manager.waiting - {pid} - left.waiting}
        assert found.blocked == graph.blocks(Party(pid))
        assert found.waiting == len(left.waiting)
        if found.next is None:
            assert not left.graph.root_blockers
        else:
            assert found.next in left.graph.root_blockers
            assert found.blocks == left.graph.blocks(found.next)
