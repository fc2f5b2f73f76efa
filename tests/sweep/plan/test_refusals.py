"""Why no row of a table can be swept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgwatch_tests.sweep.model import KeptReason
from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKeyGraph, TableNode
from pgwatch_tests.sweep.plan.refusals import index_statement, refusals
from tests.sweep.plan.worlds import foreign_key, relation

TABLE = relation(1)


@pytest.mark.parametrize(
    ("changed", "reason", "told"),
    [
        (replace(TABLE, kind="f"), "not_checked", "public.t1 is a foreign table"),
        (replace(TABLE, schema_usage=False), "not_checked", 'GRANT USAGE ON SCHEMA "public" TO "me"'),
        (
            replace(TABLE, missing=["SELECT", "DELETE"]),
            "not_checked",
            'GRANT SELECT ON "public"."t1" TO "me"',
        ),
        (replace(TABLE, row_security=True), "not_checked", 'ALTER ROLE "me" BYPASSRLS'),
        (
            replace(TABLE, missing=["UPDATE", "DELETE"]),
            "refused",
            'no UPDATE and no DELETE privilege on public.t1: GRANT UPDATE, DELETE ON "public"."t1" TO "me"',
        ),
        (replace(TABLE, rules=["soft", "b"]), "refused", "a rule of public.t1 replaces DELETE"),
        (replace(TABLE, publication="pub"), "refused", 'ALTER TABLE "public"."t1" REPLICA IDENTITY FULL'),
    ],
)
def test_of_tables(changed: TableNode, reason: KeptReason, told: str) -> None:
    found = refusals(ForeignKeyGraph([changed], []), {1: 5}, (), {}, 60, "me")

    assert found.tables[1].reason == reason
    assert told in found.tables[1].detail
    assert found.unseen == (frozenset({1}) if reason == "not_checked" else frozenset())


def test_nothing_is_refused_where_nothing_is_wrong() -> None:
    graph = ForeignKeyGraph([replace(TABLE, triggers=["t"]), relation(2)], [foreign_key(101, 2, 1)])

    found = refusals(graph, {1: 5}, (), {}, 60, "me")

    assert (dict(found.tables), dict(found.keys), dict(found.slow)) == ({}, {}, {})


def test_only_tables_that_rows_may_go_from_are_judged() -> None:
    graph = ForeignKeyGraph(
        [TABLE, replace(relation(2), rules=["soft"])],
        [foreign_key(101, 1, 2), foreign_key(102, 2, 1, "n")],
    )

    assert not refusals(graph, {1: 5}, (), {}, 60, "me").tables


def test_what_an_unreadable_table_may_refer_to_stays() -> None:
    graph = ForeignKeyGraph(
        [TABLE, replace(relation(2), missing=["SELECT"]), relation(3)],
        [foreign_key(101, 2, 1), foreign_key(102, 3, 2)],
    )

    found = refusals(graph, {1: 5}, (), {}, 60, "me")

    assert {leaf: one.reason for leaf, one in found.tables.items()} == {1: "not_checked", 2: "not_checked"}
    assert found.keys.keys() == {101}
    assert "no SELECT privilege on public.t2" in found.tables[1].detail


def test_ignored_tables_and_those_that_were_not_searched() -> None:
    graph = ForeignKeyGraph([TABLE, relation(2)], [foreign_key(101, 2, 1)])

    found = refusals(graph, {1: 5}, [1], {2: "timed out after 1 s"}, 60, "me")

    assert found.tables[1].detail == "the settings ignore public.t1"
    assert found.tables[2].detail == "public.t2 couldn't be searched for markers: timed out after 1 s"


def test_a_missing_index_is_only_minded_where_it_takes_too_long() -> None:
    """0.29 s a row of which the server looks for those that refer to it, for a million."""
    small, large = relation(2, rows=1_000), relation(3, rows=1_000_000)
    graph = ForeignKeyGraph(
        [relation(1, rows=2_000), small, large],
        [foreign_key(101, 2, 1, indexed=False), foreign_key(102, 3, 1, indexed=False)],
    )

    few, many = (refusals(graph, {1: marked}, (), {}, 60, "me") for marked in (200, 210))

    assert not few.tables
    assert many.keys.keys() == many.slow.keys() == {102}
    assert many.slow[102] == pytest.approx(60.9)
    assert many.tables[1].reason == "no_index"
    assert 'CREATE INDEX CONCURRENTLY ON "public"."t3" ("parent")' in many.tables[1].detail


def test_a_temporary_index_that_could_not_be_made_is_not_advised() -> None:
    graph = ForeignKeyGraph(
        [relation(1, rows=2_000), relation(2, rows=1_000_000)], [foreign_key(101, 2, 1, indexed=False)]
    )

    advised = refusals(graph, {1: 210}, (), {}, 60, "me")
    tried = refusals(graph, {1: 210}, (), {}, 60, "me", {101: "the disk is full"})

    assert advised.tables[1].detail.endswith(", or --temp-index")
    assert (tried.tables[1].reason, set(tried.slow)) == ("not_checked", {101})
    assert tried.unseen == frozenset(), "its rows can be read"
    assert (
        "on parent, and the disk is full; sweep again, or create it: CREATE INDEX" in tried.tables[1].detail
    )
    assert "--temp-index" not in tried.tables[1].detail


def test_rows_that_depend_on_marked_ones_are_expected_too() -> None:
    """Half of the users are marked, so half of the bookings have to go."""
    graph = ForeignKeyGraph(
        [relation(1, rows=200), relation(2, rows=1_000), relation(3, rows=1_000_000)],
        [foreign_key(101, 2, 1), foreign_key(102, 3, 2, indexed=False)],
    )

    assert refusals(graph, {1: 100}, (), {}, 60, "me").slow == {102: pytest.approx(145.0)}


def test_an_index_on_a_root_cannot_be_made_concurrently() -> None:
    graph = ForeignKeyGraph(
        [relation(1), replace(relation(2, "p"), name='a"b'), relation(3, ancestors=[2])],
        [foreign_key(101, 2, 1)],
    )

    assert index_statement(graph, graph.keys[0]) == 'CREATE INDEX ON "public"."a""b" ("parent")'
