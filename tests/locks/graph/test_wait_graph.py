"""The wait-for graph against a naive reference: reachability by repeated squaring of the edge set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from pgwatch_tests.locks.graph.wait_graph import Branch, WaitForGraph
from pgwatch_tests.locks.lock_queue import LockQueue

Edges = set[tuple[int, int]]
nodes = st.integers(1, 9)
edge_sets = st.sets(st.tuples(nodes, nodes), max_size=30)
queues = st.lists(st.lists(nodes, min_size=1, unique=True), max_size=3)
standing = st.lists(st.tuples(nodes, st.integers(0, 2), st.integers(0, 9)), max_size=12)
"""Waiters, in which queue, behind how many of its members."""


def graph_of(edges: Iterable[tuple[int, int]]) -> WaitForGraph[int]:
    blockers: dict[int, set[int]] = {}
    for waiter, blocker in edges:
        blockers.setdefault(waiter, set()).add(blocker)
    return WaitForGraph(blockers)


def closure(edges: Edges) -> Edges:
    """All pairs (waiter, whoever it waits for directly or through others)."""
    found = {(waiter, blocker) for waiter, blocker in edges if waiter != blocker}
    while True:
        more = {(a, d) for a, b in found for c, d in found if b == c} | found
        if more == found:
            return found
        found = more


def walk(branch: Branch[int]) -> Iterator[Branch[int]]:
    yield branch
    for child in branch.children:
        yield from walk(child)


@given(edge_sets)
def test_roots_block_and_are_not_blocked(edges: Edges) -> None:
    real = {(waiter, blocker) for waiter, blocker in edges if waiter != blocker}
    waiters = {waiter for waiter, _ in real}
    blockers = {blocker for _, blocker in real}
    assert graph_of(edges).roots() == sorted(blockers - waiters)


@given(edge_sets)
def test_blocked_by_is_the_closure(edges: Edges) -> None:
    graph = graph_of(edges)
    reach = closure(edges)
    for node in graph.nodes:
        assert graph.blocked_by(node) == {waiter for waiter, blocker in reach if blocker == node} - {node}
        assert graph.blocks(node) == len(graph.blocked_by(node))


@given(edge_sets)
@example({(1, 2), (2, 1)})
@example({(1, 2), (2, 3), (3, 1), (3, 2)})
def test_cycles_are_real_and_every_deadlocked_group_has_one(edges: Edges) -> None:
    cycles = graph_of(edges).cycles()
    reach = closure(edges)
    deadlocked = {node for node, other in reach if node == other}
    groups = {frozenset(b for b in deadlocked if {(a, b), (b, a)} <= reach) for a in deadlocked}
    assert len(cycles) == len(groups)
    for cycle in cycles:
        assert len(set(cycle)) == len(cycle) >= 2
        assert cycle[0] == min(cycle)
        assert set(zip(cycle, cycle[1:] + cycle[:1], strict=True)) <= edges
        assert any(set(cycle) <= group for group in groups)
    assert cycles == sorted(cycles)


@given(edge_sets, edge_sets)
def test_the_forest_shows_each_node_in_full_exactly_once(edges: Edges, hard_edges: Edges) -> None:
    graph = graph_of(edges)
    hard: dict[int, list[int]] = {}
    for waiter, blocker in hard_edges & edges:
        hard.setdefault(waiter, []).append(blocker)
    forest = graph.forest(hard)
    shown = [branch for tree in forest for branch in walk(tree)]
    assert sorted(branch.node for branch in shown if not branch.again) == sorted(graph.nodes)
    for branch in shown:
        for child in branch.children:
            assert branch.node in graph.blockers(child.node), "a child waits for its parent"
    assert {tree.node for tree in forest} >= set(graph.roots())


@given(edge_sets)
def test_every_hard_blocker_is_shown_above_its_waiter(edges: Edges) -> None:
    graph = graph_of(edges)
    hard = {node: graph.blockers(node) for node in graph.nodes}
    shown = {
        (child.node, branch.node)
        for tree in graph.forest(hard)
        for branch in walk(tree)
        for child in branch.children
    }
    assert shown == {(waiter, blocker) for waiter, blocker in edges if waiter != blocker}


def test_a_long_chain_needs_no_recursion() -> None:
    graph = graph_of((n + 1, n) for n in range(20_000))
    assert graph.roots() == [0]
    assert len(graph.blocked_by(0)) == 20_000
    assert len(graph.forest()) == 1
    assert graph.cycles() == []


def test_five_hundred_on_one_row_stay_one_flat_tree() -> None:
    waiters = range(2, 502)
    soft = {(later, earlier) for later in waiters for earlier in waiters if earlier < later}
    graph = graph_of({(waiter, 1) for waiter in waiters} | soft)
    [tree] = graph.forest({waiter: [1] for waiter in waiters})
    assert [child.node for child in tree.children] == list(waiters)
    assert not any(child.children for child in tree.children)


@given(edge_sets, edge_sets, queues, standing)
def test_a_queue_is_the_same_as_its_edges_one_by_one(
    edges: Edges,
    hard_edges: Edges,
    members: Sequence[Sequence[int]],
    standing: Sequence[tuple[int, int, int]],
) -> None:
    queues = list(map(LockQueue, members))
    queued = [
        (waiter, queues[number].first(min(length, len(members[number]))))
        for waiter, number, length in standing
        if number < len(queues)
    ]
    blockers: dict[int, set[int]] = {}
    for waiter, blocker in edges:
        blockers.setdefault(waiter, set()).add(blocker)
    graph = WaitForGraph(blockers, queued)
    one_by_one = graph_of(edges | {(waiter, blocker) for waiter, ahead in queued for blocker in ahead})
    assert graph.nodes == one_by_one.nodes
    assert graph.roots() == one_by_one.roots()
    assert graph.cycles() == one_by_one.cycles()
    hard: dict[int, set[int]] = {}
    for waiter, blocker in hard_edges:
        hard.setdefault(waiter, set()).add(blocker)
    for holders in ({}, hard):
        assert graph.forest(holders) == one_by_one.forest(holders)
    for node in range(1, 10):
        assert graph.blockers(node) == one_by_one.blockers(node)
        assert graph.waiters(node) == one_by_one.waiters(node)
        assert graph.blocks_directly(node) == len(one_by_one.waiters(node))
        assert graph.blocked_by(node) == one_by_one.blocked_by(node)
        assert graph.blocks(node) == one_by_one.blocks(node)


def test_two_thousand_in_a_queue_are_two_thousand_steps() -> None:
    queue = LockQueue(range(2, 2002))
    graph = WaitForGraph(
        {waiter: {1} for waiter in queue.members}, [(one, queue.first(one - 2)) for one in queue.members]
    )
    [tree] = graph.forest({waiter: [1] for waiter in queue.members})
    assert [child.node for child in tree.children] == list(queue.members)
    assert [graph.blocks(node) for node in (1, 2, 2000, 2001)] == [2000, 1999, 1, 0]
    assert graph.blocks_directly(2) == 1999
    assert graph.cycles() == []
