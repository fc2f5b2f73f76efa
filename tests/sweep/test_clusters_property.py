"""Whatever the tables, foreign keys and rows: what the rules say goes, and nothing else, in any batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from pgwatch_tests.sweep.clusters import MARKED, SWEPT, Clusters, Lock, Rules
from tests.sweep.oracle import truth
from tests.sweep.worlds import Spot, World, worlds

batch_sizes = st.lists(st.integers(1, 4), min_size=1, max_size=6)


@dataclass(slots=True)
class Outcome:
    """What came of all batches."""

    gone: set[Spot] = field(default_factory=set)
    marked: Counter[int] = field(default_factory=Counter)
    dependent: Counter[int] = field(default_factory=Counter)
    kept: set[Spot] = field(default_factory=set)


def swept(world: World, rules: Rules, lock: Lock, sizes: list[int], delete: bool = True) -> Outcome:
    """Sweeps in batches, the marked rows in the order of a sweep: parents first, none that was seen."""
    rank = {leaf: rank for rank, leaves in enumerate(world.graph.order) for leaf in leaves}
    seeds = world.seeds()
    seen: dict[int, set[str]] = {leaf: set() for leaf in rules.bearing}
    outcome = Outcome()
    size = iter_sizes(sizes)
    for leaf in sorted(seeds, key=lambda leaf: (-rank[leaf], leaf)):
        while waiting := [tid for tid in seeds[leaf] if tid not in seen[leaf]]:
            clusters = Clusters(rules, world, lock)
            clusters.grow(leaf, {tid: seeds[leaf][tid] for tid in waiting[: next(size)]})
            judged = clusters.judged()
            for bearing in rules.bearing:
                seen[bearing].update(clusters.rows_of(bearing))
            going = {(one, tid) for one, tids in judged.going.items() for tid in tids}
            assert not going & outcome.gone, "counted twice"
            outcome.gone |= going
            outcome.marked += judged.marked
            outcome.dependent += judged.dependent
            outcome.kept |= {(one, tid) for (one, _), tids in judged.kept.items() for tid in tids}
            if delete:
                assert lock == "nothing" or going <= world.taken | unreferred(world)
                for one, tids in judged.going.items():
                    world.delete(one, tids)
                assert not world.dangling()
    return outcome


def iter_sizes(sizes: list[int]) -> Iterator[int]:
    """The sizes, over and over."""
    while True:
        yield from sizes


def unreferred(world: World) -> set[Spot]:
    """Rows of tables that nothing can refer to."""
    return {spot for spot in world.rows if not world.graph.referring_to(spot[0])}


@settings(max_examples=60, deadline=None)
@given(worlds(), batch_sizes)
def test_what_goes_is_what_the_rules_say(world: World, sizes: list[int]) -> None:
    known = truth(world)
    before = deepcopy(world.rows)

    outcome = swept(world, world.rules(), "all", sizes)

    assert outcome.gone == known.going
    assert outcome.marked.total() == sum(before[spot].flags & MARKED for spot in known.going)
    assert outcome.marked.total() + outcome.dependent.total() == len(known.going)
    assert outcome.kept <= known.staying
    assert outcome.kept >= {spot for spot in known.staying if before[spot].flags & SWEPT}
    if not world.skipped:  # what can't be followed isn't counted
        assert outcome.kept == known.staying


@settings(max_examples=60, deadline=None)
@given(worlds(), batch_sizes)
def test_without_locks_the_same_is_counted_but_for_those_of_others(world: World, sizes: list[int]) -> None:
    known = truth(world, locks=False)

    outcome = swept(world, world.rules(), "nothing", sizes, delete=False)

    assert outcome.gone == known.going
    assert not world.taken


@settings(max_examples=60, deadline=None)
@given(worlds(), batch_sizes)
def test_by_the_same_rules_a_second_sweep_finds_nothing(world: World, sizes: list[int]) -> None:
    rules = world.rules()
    swept(world, rules, "all", sizes)

    again = swept(world, rules, "all", sizes)

    assert not again.gone


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_a_cluster_is_the_same_from_each_of_its_marked_rows(world: World) -> None:
    known = truth(world)
    rules = world.rules()

    for leaf, seeds in world.seeds().items():
        for tid, flags in seeds.items():
            clusters = Clusters(rules, world, "all")
            clusters.grow(leaf, {tid: flags})
            going = {(one, spot) for one, tids in clusters.judged().going.items() for spot in tids}
            assert going == next((one for one in known.clusters if (leaf, tid) in one), set())


@settings(max_examples=60, deadline=None)
@given(worlds(), batch_sizes)
def test_where_tables_cannot_be_read_no_more_goes_than_if_they_could(world: World, sizes: list[int]) -> None:
    known = truth(world)

    outcome = swept(world, world.rules(unseen=world.refused), "all", sizes)

    assert outcome.gone <= known.going
