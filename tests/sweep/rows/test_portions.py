"""How many rows go in one transaction, by what transactions have taken so far, on machines idle and busy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgwatch_tests.sweep.plan.clusters import Clusters
from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKeyGraph
from pgwatch_tests.sweep.plan.related_rows import Seed
from pgwatch_tests.sweep.plan.rules import MARKED, SWEPT
from pgwatch_tests.sweep.rows.portions import Estimate, Portion, Upcoming, ordered
from tests.sweep.plan.worlds import World, WorldRow, relation

_ROWS = 20_000
_STATEMENTS, _OF_ROWS = 9, 3
"""Those of a transaction, and those of them that lock and delete rows."""


def _transactions(statement_s: float, row_s: float) -> list[tuple[int, float]]:
    """How many rows go in each, and how long it takes, where a statement and a row take so long."""
    rows = {(1, tid): WorldRow(MARKED | SWEPT, {}) for tid in range(1, _ROWS + 1)}
    world = World(ForeignKeyGraph([relation(1)], []), rows)
    clusters = Clusters(world.rules(), world)
    clusters.grow({1: {tid: Seed(MARKED | SWEPT, 1) for _, tid in rows}})
    estimate = Estimate(world.graph)
    took = []
    for portion in estimate.cuts(clusters, ordered(clusters, clusters.settled().going), _ROWS):
        count = portion.count
        delete_s = statement_s + count * row_s
        estimate.learn_rows(1, count, delete_s)
        rows_s = (_OF_ROWS - 1) * statement_s + delete_s
        besides_s = (_STATEMENTS - _OF_ROWS) * statement_s
        estimate.learn(portion, rows_s, _OF_ROWS, besides_s)
        took.append((count, rows_s + besides_s))
    assert sum(count for count, _ in took) == _ROWS
    return took


@pytest.mark.parametrize("row_s", [15e-6, 100e-6])
def test_transactions_are_short_where_they_can_be(row_s: float) -> None:
    took = _transactions(0.0005, row_s)

    # The first only goes by a guess.
    assert all(took_s < 0.1 for _, took_s in took[2:-1])
    assert sum(took_s for _, took_s in took) < 1.5 * (_ROWS * row_s + len(took) * _STATEMENTS * 0.0005)


@pytest.mark.parametrize("statement_s", [0.006, 0.02])
def test_they_dont_become_ever_more_on_a_busy_machine(statement_s: float) -> None:
    took = _transactions(statement_s, 15e-6)

    besides_s = _STATEMENTS * statement_s
    assert len(took) < 30
    assert all(took_s < besides_s + 0.06 for _, took_s in took)


def test_the_next_portion_is_cut_early_once_the_estimate_is_more_than_a_guess() -> None:
    clusters = Clusters((world := World(ForeignKeyGraph([relation(1)], []), {})).rules(), world)
    cut: list[Portion] = []

    def cutting() -> Iterator[Portion]:
        for _ in range(6):
            cut.append(Portion(clusters, []))
            yield cut[-1]

    portions = Upcoming(cutting())
    given, ahead = [], []
    for one in portions:
        given.append(one)
        portions.look()
        portions.look()
        ahead.append(len(cut) - len(given))

    assert list(map(id, given)) == list(map(id, cut))
    assert ahead == [0, 0, 1, 1, 1, 0]
