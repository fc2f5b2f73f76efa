"""Clusters in trees of thousands of partitions: the work grows with the rows, not with rows times leaves."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pgwatch_tests.sweep.plan.clusters import Clusters
from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKey, ForeignKeyGraph
from pgwatch_tests.sweep.plan.related_rows import Related, Seed
from pgwatch_tests.sweep.plan.rules import MARKED, SWEPT, Rules
from tests.sweep.plan.worlds import foreign_key, relation

_ROOT, _BELOW, _PARTS = 10, 20, 1000
_ASKED = MARKED | SWEPT


class _ChainOfParts:
    """Each partition has one marked row; the row of the next partition refers to it, and one of `_BELOW`."""

    def __init__(self, parts: int) -> None:
        self._last = _PARTS + parts - 1

    def children(self, key: ForeignKey, leaf: int, tids: Sequence[int]) -> Related:
        """See `Rows`."""
        if key.child == _BELOW:
            return Related.of([(0, _BELOW, leaf, 1, MARKED)])
        return Related.of([(0, leaf + 1, 1, 1, _ASKED)] if leaf < self._last else [])

    def parents(self, key: ForeignKey, leaf: int, tids: Sequence[int]) -> Related:
        """See `Rows`."""
        if leaf == _BELOW:
            return Related.of([(place, tid, 1, 1, _ASKED) for place, tid in enumerate(tids)])
        return Related.of([(0, leaf - 1, 1, 1, _ASKED)] if leaf > _PARTS else [])


def grown_s(parts: int) -> float:
    """How long it takes to grow the clusters of a tree with so many partitions: seconds of the processor."""
    root, below = relation(_ROOT, "p"), relation(_BELOW)
    leaves = [relation(_PARTS + number, ancestors=[_ROOT]) for number in range(parts)]
    keys = [foreign_key(1, _ROOT, _ROOT), foreign_key(2, _BELOW, _ROOT)]
    graph = ForeignKeyGraph([root, below, *leaves], keys)
    rules = Rules.of(graph, frozenset(leaf.oid for leaf in leaves), {})
    begun_s = time.process_time()
    clusters = Clusters(rules, _ChainOfParts(parts))
    clusters.grow({leaf.oid: {1: Seed(_ASKED, 1)} for leaf in leaves})
    took_s = time.process_time() - begun_s
    [cluster] = clusters.settled().going
    assert len(cluster) == 2 * parts
    return took_s


def test_the_work_grows_with_the_partitions() -> None:
    """Eight times as many take about eight times as long; were each asked about all others, 64 times."""
    few_s = max(0.01, min(grown_s(400) for _ in range(3)))

    assert any(grown_s(3200) < 20 * few_s for _ in range(3))
