"""Of several reasons for which a cluster stays, that is told which doesn't pass by itself."""

from __future__ import annotations

from itertools import combinations

import pytest

from pgwatch_tests.sweep.model import WAITING, KeptReason
from pgwatch_tests.sweep.plan.clusters import Clusters
from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKeyGraph
from pgwatch_tests.sweep.plan.refusals import Refusal
from pgwatch_tests.sweep.plan.related_rows import Seed
from pgwatch_tests.sweep.plan.rules import AGELESS, ALIVE, FUTURE, MARKED, OTHERS, SEEN, SWEPT, YOUNG, Rules
from tests.sweep.plan.worlds import World, WorldRow, foreign_key, relation

PARENT, CHILD = (1, 1), (2, 1)
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
FLAGS: dict[KeptReason, int] = {
    "shared_with_real_data": SEEN,
    "in_future": FUTURE,
    "age_unknown": AGELESS,
    "run_alive": ALIVE,
    "too_young": YOUNG,
}
"""Those that a row says itself."""


def told(refused: dict[int, KeptReason], parent: int = 0, child: int = 0) -> set[KeptReason]:
    """The reasons that are told for a parent and its child, of these tables' and these flags' ones."""
    graph = ForeignKeyGraph([relation(1), relation(2)], [foreign_key(101, 2, 1, "c")])
    seed = MARKED | SWEPT | parent
    world = World(graph, {PARENT: WorldRow(seed, {}), CHILD: WorldRow(child, {101: PARENT})})
    reasons = {leaf: Refusal(reason, "") for leaf, reason in refused.items()}
    clusters = Clusters(Rules.of(graph, world.bearing, reasons), world)
    clusters.grow({PARENT[0]: {PARENT[1]: Seed(seed, 1)}})
    settled = clusters.settled()
    assert not settled.going
    assert {leaf for leaf, _ in settled.kept} == {1, 2}
    return {refusal.reason for _, refusal in settled.kept}


@pytest.mark.parametrize(("first", "second"), list(combinations(ORDER, 2)))
def test_which_of_two_reasons_is_told(first: KeptReason, second: KeptReason) -> None:
    assert told({1: first, 2: second}) == {first}
    assert told({1: second, 2: first}) == {first}
    for told_by_row, other in ((first, second), (second, first)):
        flags = FLAGS.get(told_by_row)
        if flags is not None:
            for leaf in (1, 2):
                assert told({leaf: other}, parent=flags) == {first}
                assert told({leaf: other}, child=flags) == {first}


@pytest.mark.parametrize(("first", "second"), list(combinations([one for one in ORDER if one in FLAGS], 2)))
def test_which_is_told_where_rows_say_two(first: KeptReason, second: KeptReason) -> None:
    assert told({}, parent=FLAGS[first] | FLAGS[second]) == {first}
    assert told({}, child=FLAGS[first] | FLAGS[second]) == {first}
    assert told({}, parent=FLAGS[first], child=FLAGS[second]) == {first}
    assert told({}, parent=FLAGS[second], child=FLAGS[first]) == {first}


def test_rows_of_others_are_told_before_that_a_run_is_alive() -> None:
    assert told({}, child=MARKED | OTHERS | ALIVE) == {"shared_with_real_data"}


def test_what_passes_by_itself_comes_last() -> None:
    passes = [reason in WAITING for reason in ORDER]
    assert passes == sorted(passes)
