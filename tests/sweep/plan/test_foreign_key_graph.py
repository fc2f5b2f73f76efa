"""What must go before what, what it takes along, and which tables refer to themselves in the end."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKey, ForeignKeyGraph, TableNode
from tests.examples import examples
from tests.sweep.plan.worlds import foreign_key, graphs, relation


def leaf_edges(graph: ForeignKeyGraph, *, loose: bool = False) -> set[tuple[int, int]]:
    """Pairs of leaves: a row of the second may have to go, or be changed if `loose`, before one of the first.

    A key that isn't enforced does neither.
    """
    return {
        (parent, child)
        for key in graph.keys
        if key.enforced and (loose or key.on_delete in ("a", "r", "c"))
        for parent in graph.leaves(key.parent)
        for child in graph.leaves(key.child)
    }


def closure(starts: set[int], edges: set[tuple[int, int]]) -> set[int]:
    """All that can be reached, one step after the other."""
    while more := {child for parent, child in edges if parent in starts} - starts:
        starts |= more
    return starts


@settings(max_examples=examples(100), deadline=None)
@given(graphs())
def test_children_come_first(graph: ForeignKeyGraph) -> None:
    leaves = sorted(one.oid for one in graph.relations.values() if one.kind != "p")
    place = {leaf: at for at, together in enumerate(graph.order) for leaf in together}

    assert sorted(leaf for together in graph.order for leaf in together) == leaves
    assert all(place[child] <= place[parent] for parent, child in leaf_edges(graph))


@settings(max_examples=examples(200), deadline=None)
@given(graphs(), st.data())
def test_rows_of_some_tables_go_children_first_and_rings_of_these_together(
    graph: ForeignKeyGraph, data: st.DataObject
) -> None:
    leaves = sorted(one.oid for one in graph.relations.values() if one.kind != "p")
    some = data.draw(st.sets(st.sampled_from(leaves)))
    edges = {(one, other) for one, other in leaf_edges(graph, loose=True) if {one, other} <= some}

    groups = graph.deletion_groups(some)

    assert sorted(leaf for together in groups for leaf in together) == sorted(some)
    place = {leaf: at for at, together in enumerate(groups) for leaf in together}
    assert all(place[child] <= place[parent] for parent, child in edges)
    for one in some:
        for other in some - {one}:
            if one in closure({other}, edges) and other in closure({one}, edges):
                assert place[one] == place[other]
    # Whatever goes in one statement is planned anew for each set of tables, so no more than has to.
    tops = {leaf: graph.relations[leaf].top for leaf in leaves}
    by_top = {(tops[one], tops[other]) for one, other in leaf_edges(graph, loose=True)}
    for together in groups:
        rings = {tops[leaf] for leaf in together}
        assert len(together) == 1 or all(closure({top}, by_top) >= rings for top in rings)
        if len(together) > 1 and not any((one, other) in by_top for one in rings for other in rings):
            assert not any(graph.referring_to(leaf) for leaf in together)


@settings(max_examples=examples(100), deadline=None)
@given(graphs())
def test_what_is_reached(graph: ForeignKeyGraph) -> None:
    edges = leaf_edges(graph)
    for leaf in [one.oid for one in graph.relations.values() if one.kind != "p"]:
        assert graph.reached_from([leaf]) == closure({leaf}, edges)
        assert graph.reached_from([]) == frozenset()


@settings(max_examples=examples(100), deadline=None)
@given(graphs())
def test_rows_that_may_hang_on_rows_of_their_own_table_are_in_rings(graph: ForeignKeyGraph) -> None:
    tops = {leaf: one.top for leaf, one in graph.relations.items()}
    edges = leaf_edges(graph)
    for leaf in [one.oid for one in graph.relations.values() if one.kind != "p"]:
        children = {child for parent, child in edges if parent == leaf}
        if any(tops[below] == tops[leaf] for below in closure(children, edges)):
            assert leaf in graph.in_rings


def test_a_partition_has_the_keys_of_its_root() -> None:
    tree = [
        relation(1, "p"),
        relation(2, "p", [1]),
        relation(3, ancestors=[2, 1]),
        relation(4, ancestors=[1]),
    ]
    graph = ForeignKeyGraph(
        [*tree, relation(9)], [foreign_key(101, 9, 1), foreign_key(102, 2, 9), foreign_key(103, 4, 3)]
    )

    assert [key.oid for key in graph.referring_to(3)] == [103, 101]
    assert [key.oid for key in graph.referring_to(4)] == [101]
    assert [key.oid for key in graph.of(3)] == [102]
    assert [key.oid for key in graph.of(4)] == [103]
    assert sorted(graph.leaves(1)) == [3, 4]
    assert graph.order == (frozenset({3, 4, 9}),)
    assert graph.in_rings == {3, 4, 9}


def test_partitions_whose_rows_concern_nobody_go_in_one_statement() -> None:
    leaves = [relation(number, ancestors=[1]) for number in range(2, 6)]
    leaves[1] = replace(leaves[1], triggers=["audit"])
    # The server refuses to run such a rule for one of several DELETEs.
    leaves.append(replace(relation(6, ancestors=[1]), also=["audit"]))
    graph = ForeignKeyGraph(
        [relation(1, "p"), *leaves, relation(8), relation(9)],
        [foreign_key(101, 8, 4), foreign_key(102, 1, 9)],
    )

    assert graph.deletion_groups([2, 3, 4, 5, 6, 8, 9]) == [[8], [3], [4], [6], [2, 5], [9]]


def test_keys_of_tables_that_are_not_there_are_left_out() -> None:
    """Those of temporary tables, and of the server's own."""
    assert ForeignKeyGraph([relation(1)], [foreign_key(101, 1, 7), foreign_key(102, 7, 1)]).keys == ()


def test_a_key_that_changes_rows_takes_none_along() -> None:
    relations: list[TableNode] = [relation(1), relation(2)]
    keys: list[ForeignKey] = [foreign_key(101, 2, 1, "n"), foreign_key(102, 1, 2, "d")]
    graph = ForeignKeyGraph(relations, keys)

    assert graph.reached_from([1]) == {1}
    assert graph.order == (frozenset({1}), frozenset({2}))
    assert graph.in_rings == frozenset()
    assert graph.deletion_groups([1, 2]) == [[1, 2]]
    assert graph.deletion_groups([2]) == [[2]]


def test_a_key_that_is_not_enforced_does_nothing() -> None:
    keys = [foreign_key(101, 2, 1, "c", enforced=False), foreign_key(102, 1, 2, "n", enforced=False)]
    graph = ForeignKeyGraph([relation(1), relation(2)], keys)

    assert not any(key.takes_along or key.changes for key in graph.keys)
    assert graph.reached_from([1]) == {1}
    assert graph.deletion_groups([1, 2]) == [[1], [2]]
    assert graph.in_rings == frozenset()
