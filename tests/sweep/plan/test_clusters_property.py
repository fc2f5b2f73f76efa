"""Whatever the tables, foreign keys and rows: what the rules say goes, and nothing else, in any parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pgwatch_tests.sweep.plan.clusters import Clusters
from pgwatch_tests.sweep.plan.related_rows import Seed, Settled
from pgwatch_tests.sweep.plan.rules import Rules
from tests.examples import examples
from tests.sweep.plan.worlds import Spot, World, worlds, xmin_of
from tests.sweep.zoo.oracle import truth

part_sizes = st.none() | st.lists(st.integers(1, 4), min_size=1, max_size=6)
"""How many marked rows are planned for at once; None for all of them, so that nothing is climbed."""
Part = dict[int, dict[int, Seed]]


@dataclass(slots=True)
class Outcome:
    """What came of all parts."""

    clusters: list[frozenset[Spot]] = field(default_factory=list)
    marked: int = 0
    kept: Counter[Spot] = field(default_factory=Counter)

    @property
    def gone(self) -> frozenset[Spot]:
        """All rows of the clusters."""
        return frozenset().union(*self.clusters)


def swept(world: World, rules: Rules, sizes: list[int] | None, delete: bool = True) -> Outcome:
    """Sweeps in parts, as a sweep does: parents first, none of the marked rows that were seen."""
    outcome = Outcome()
    seen: set[Spot] = set()
    for part in parts(world, sizes, seen):
        clusters = Clusters(rules, world, climbing=sizes is not None)
        clusters.grow(part)
        settled = clusters.settled()
        seen.update((leaf, tid) for leaf in world.graph.relations for tid in clusters.rows_of(leaf))
        checked(world, clusters, settled)
        going = [frozenset(clusters.node(node)[:2] for node in nodes) for nodes in settled.going]
        assert sum(map(len, settled.going)) == len(frozenset().union(*going))
        for spots in going:
            assert not spots & outcome.gone, "counted twice"
            outcome.clusters.append(spots)
            outcome.marked += sum(world.rows[spot].is_marked for spot in spots)
        outcome.kept.update(clusters.node(node)[:2] for nodes in settled.kept.values() for node in nodes)
        if delete:
            world.delete(spot for spots in going for spot in spots)
            assert not world.dangling()
    return outcome


def parts(world: World, sizes: list[int] | None, seen: set[Spot]) -> Iterator[Part]:
    """The marked rows, part by part, but for those that are seen by then."""
    rank = {leaf: rank for rank, leaves in enumerate(world.graph.order) for leaf in leaves}
    seeds = world.seeds()
    if sizes is None:
        yield seeds
        return
    left = [
        ((leaf, tid), seed)
        for leaf in sorted(seeds, key=lambda leaf: (-rank[leaf], leaf))
        for tid, seed in seeds[leaf].items()
    ]
    size = iter_sizes(sizes)
    while left := [one for one in left if one[0] not in seen]:
        part: Part = {}
        now = next(size)
        for (leaf, tid), seed in left[:now]:
            part.setdefault(leaf, {})[tid] = seed
        yield part


def iter_sizes(sizes: list[int]) -> Iterator[int]:
    """The sizes, over and over."""
    while True:
        yield from sizes


def checked(world: World, clusters: Clusters, settled: Settled) -> None:
    """What is said of rows is what they said, and what refers to those that go is known."""
    by_oid = {key.oid: key for key in world.graph.keys}
    for nodes in settled.going:
        for leaf, tid, xmin, flags in map(clusters.node, nodes):
            assert (xmin, flags) == (xmin_of((leaf, tid)), world.rows[leaf, tid].flags)
        for node in nodes:
            spot = clusters.node(node)[:2]
            assert {(one.key, (one.leaf, one.tid), one.xmin) for one in clusters.loose(node)} == {
                (oid, child, xmin_of(child))
                for child, row in world.rows.items()
                for oid, above in row.refers.items()
                if above == spot and not by_oid[oid].takes_along
            }
    for (leaf, _), kept in settled.kept.items():
        assert {clusters.node(node).leaf for node in kept} == {leaf}


@settings(max_examples=examples(150), deadline=None)
@given(worlds(), part_sizes)
def test_what_goes_is_what_the_rules_say(world: World, sizes: list[int] | None) -> None:
    known = truth(world)
    before = deepcopy(world.rows)
    asked = {(leaf, tid) for leaf, seeds in world.seeds().items() for tid in seeds}

    outcome = swept(world, world.rules(), sizes)

    assert {*outcome.clusters} == {*known.clusters}
    assert outcome.marked == sum(before[spot].is_marked for spot in known.going)
    assert outcome.kept.keys() <= known.staying
    assert outcome.kept.keys() >= known.staying & asked
    if not world.skipped:  # what can't be followed isn't counted
        assert outcome.kept.keys() >= known.staying - known.hidden


@settings(max_examples=examples(60), deadline=None)
@given(worlds(), part_sizes)
def test_a_dry_run_counts_the_same(world: World, sizes: list[int] | None) -> None:
    known = truth(world)

    outcome = swept(world, world.rules(), sizes, delete=False)

    assert outcome.gone == known.going


@settings(max_examples=examples(60), deadline=None)
@given(worlds(), part_sizes, part_sizes)
def test_by_the_same_rules_a_second_sweep_finds_nothing(
    world: World, sizes: list[int] | None, other_sizes: list[int] | None
) -> None:
    # What such a key would leave dangling stays until what refers to it is gone: that is the next sweep's.
    assume(all(key.fires for key in world.graph.keys))
    rules = world.rules()
    swept(world, rules, sizes)

    again = swept(world, rules, other_sizes)

    assert not again.gone


@settings(max_examples=examples(60), deadline=None)
@given(worlds())
def test_a_cluster_is_the_same_from_each_of_its_marked_rows(world: World) -> None:
    known = truth(world)
    rules = world.rules()

    for leaf, seeds in world.seeds().items():
        for tid, seed in seeds.items():
            clusters = Clusters(rules, world)
            clusters.grow({leaf: {tid: seed}})
            going = [{clusters.node(node)[:2] for node in nodes} for nodes in clusters.settled().going]
            assert going == [one for one in known.clusters if (leaf, tid) in one]


@settings(max_examples=examples(60), deadline=None)
@given(worlds(), part_sizes)
def test_where_tables_cannot_be_read_no_more_goes_than_if_they_could(
    world: World, sizes: list[int] | None
) -> None:
    readable = swept(deepcopy(world), world.rules(), sizes)

    outcome = swept(world, world.rules(unseen=world.refused), sizes)

    assert outcome.gone <= readable.gone
