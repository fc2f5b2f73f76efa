"""The last marked row of a table is held back until it is known whether it is needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.sweep.clusters import MARKED, SWEPT, YOUNG, ChildRow, Rules
from pgwatch_tests.sweep.database_rows import DatabaseRows
from pgwatch_tests.sweep.foreign_keys import ForeignKey, ForeignKeys
from pgwatch_tests.sweep.seeds import Seed, Seeds
from pgwatch_tests.sweep.witnesses import candidates, needed
from tests.sessions import Database
from tests.sweep.row_sweeps import deleted, mail, swept_thoroughly
from tests.sweep.worlds import foreign_key, relation

USERS, BOOKINGS = 1, 2
GRAPH = ForeignKeys([relation(USERS), relation(BOOKINGS)], [foreign_key(101, BOOKINGS, USERS)])
RULES = Rules.of(GRAPH, frozenset({USERS, BOOKINGS}), {})
OLD, NEW = Seed(MARKED | SWEPT, "1"), Seed(MARKED | SWEPT | YOUNG, "1")
SEEDS = Seeds({USERS: {"(0,1)": OLD}, BOOKINGS: {"(0,1)": OLD, "(0,2)": OLD}})


def test_only_where_unmarked_rows_may_keep_marked_ones() -> None:
    assert candidates(RULES, SEEDS, SEEDS.counts) == {BOOKINGS: (BOOKINGS, "(0,2)")}

    cascades = ForeignKeys(GRAPH.relations.values(), [foreign_key(101, BOOKINGS, USERS, "c")])
    assert candidates(Rules.of(cascades, RULES.bearing, {}), SEEDS, SEEDS.counts) == {}


def test_not_where_one_stays_anyway() -> None:
    young = Seeds({BOOKINGS: {"(0,1)": NEW, "(0,2)": OLD}})

    assert candidates(RULES, young, young.counts) == {}
    assert candidates(RULES, SEEDS, {BOOKINGS: 3}) == {}  # one isn't asked for


def test_it_is_needed_for_real_rows_if_no_other_stays() -> None:
    held_back = {BOOKINGS: (BOOKINGS, "(0,2)")}

    [refusal] = needed(RULES, held_back, {BOOKINGS}, {}, SEEDS)[BOOKINGS].values()
    assert refusal.reason == "shared_with_real_data"
    assert needed(RULES, held_back, {USERS}, {}, SEEDS) == {}
    assert needed(RULES, held_back, {BOOKINGS}, {BOOKINGS: {"(0,1)"}}, SEEDS) == {}
    assert needed(RULES, held_back, {BOOKINGS}, {BOOKINGS: {"(0,7)"}}, SEEDS) != {}


def test_a_large_cluster_is_come_upon_twice_at_most(
    database: Database, owner: Connection[TupleRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.execute("CREATE TABLE users (id int PRIMARY KEY, email text, friend int REFERENCES users)")
    owner.execute(
        "INSERT INTO users SELECT n, %s, nullif(n / 2, 0) FROM generate_series(1, 1000) AS n", [mail()]
    )
    asked: list[int] = []
    children = DatabaseRows.children

    def counting(rows: DatabaseRows, key: ForeignKey, leaf: int, tids: Sequence[str]) -> Iterable[ChildRow]:
        asked.append(len(tids))
        return children(rows, key, leaf, tids)

    monkeypatch.setattr(DatabaseRows, "children", counting)

    assert deleted(swept_thoroughly(database.dsn)) == {"users": (1000, 0)}
    # Held back and released, in the dry run and in the sweep; once more to see whether it is needed.
    assert sum(asked) <= 2 * 3 * 1000
