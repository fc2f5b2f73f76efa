"""Of several reasons for which a cluster stays, that is told which doesn't pass by itself."""

from __future__ import annotations

from itertools import pairwise, product

import pytest

from pgwatch_tests.sweep.clusters import MARKED, SWEPT, Clusters
from pgwatch_tests.sweep.foreign_keys import ForeignKeys
from pgwatch_tests.sweep.model import WAITING, KeptReason
from pgwatch_tests.sweep.refusals import Refusal
from tests.sweep.worlds import World, WorldRow, foreign_key, relation

PARENT, CHILD = (1, "(0,1)"), (2, "(0,1)")
# Real data first; then what takes a change of the database or its settings; then what takes some time.
ORDER: tuple[KeptReason, ...] = (
    "shared_with_real_data",
    "not_checked",
    "refused",
    "no_index",
    "in_future",
    "age_unknown",
    "run_alive",
    "too_young",
    "changed",
    "locked",
    "interrupted",
)
PLACES = list(product((PARENT, CHILD), repeat=2))


def told(*blocked: tuple[tuple[int, str], KeptReason]) -> set[KeptReason]:
    """The reasons that are told for a parent and its child, with these to choose from."""
    graph = ForeignKeys([relation(1), relation(2)], [foreign_key(101, 2, 1, "c")])
    rows = {PARENT: WorldRow(MARKED | SWEPT, {}), CHILD: WorldRow(0, {101: PARENT})}
    world = World(graph, rows)
    clusters = Clusters(world.rules(), world, "all")
    clusters.grow(PARENT[0], {PARENT[1]: MARKED | SWEPT})
    for (leaf, tid), reason in blocked:
        clusters.block(leaf, tid, Refusal(reason, ""))
    kept = clusters.judged().kept
    assert {leaf for leaf, _ in kept} == {1, 2}
    return {refusal.reason for _, refusal in kept}


@pytest.mark.parametrize(("first", "second"), list(pairwise(ORDER)))
def test_which_of_two_reasons_is_told(first: KeptReason, second: KeptReason) -> None:
    for one, other in PLACES:
        assert told((one, first), (other, second)) == {first}
        assert told((one, second), (other, first)) == {first}


def test_what_passes_by_itself_comes_last() -> None:
    passes = [reason in WAITING for reason in ORDER]
    assert passes == sorted(passes)
