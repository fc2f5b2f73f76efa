"""Which rows stay together, in small databases where it is easily told wrong; planned at once or in parts."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pgwatch_tests.sweep.plan.clusters import Clusters
from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKey, ForeignKeyGraph, OnDelete
from pgwatch_tests.sweep.plan.rules import ALIVE, BORN_AT, ENDED, IN_TIME, MARKED, OTHERS, SEEN, SWEPT
from tests.sweep.plan.test_clusters_property import swept
from tests.sweep.plan.worlds import MINUTE_S, Spot, World, WorldRow, foreign_key, relation
from tests.sweep.zoo.oracle import truth

ASKED = MARKED | SWEPT
FIRST, SECOND, BELOW, LAST = (1, 1), (2, 1), (3, 1), (4, 1)
THEN_S = 1_717_171_717
EARLIER, THEN, LATER = (BORN_AT * (THEN_S + minutes * MINUTE_S) for minutes in (-60, 0, 60))
both_ways = pytest.mark.parametrize("sizes", [None, [1], [9]], ids=["at once", "one by one", "climbing"])
"""How many marked rows are planned for at once."""


def world(keys: list[ForeignKey], rows: dict[Spot, WorldRow], *, keep_unmarked: bool = False) -> World:
    """A database of up to four tables."""
    return World(
        ForeignKeyGraph([relation(oid) for oid in range(1, 5)], keys), rows, keep_unmarked=keep_unmarked
    )


def going(database: World, sizes: list[int] | None) -> set[frozenset[Spot]]:
    """The clusters that go, which are the right ones."""
    known = {*truth(database).clusters}
    assert {*swept(database, database.rules(), sizes).clusters} == known
    return known


def row(flags: int, **refers: Spot) -> WorldRow:
    """One that refers to others by keys: `k101=FIRST`."""
    return WorldRow(flags, {int(key[1:]): above for key, above in refers.items()})


@both_ways
def test_what_a_real_row_refers_to_stays_with_what_would_take_it_along(sizes: list[int] | None) -> None:
    marked_beside = (BELOW[0], 2)
    database = world(
        [foreign_key(101, 3, 1), foreign_key(102, 3, 2, "c")],
        {
            FIRST: row(ASKED),
            SECOND: row(ASKED),
            BELOW: row(0, k101=FIRST, k102=SECOND),
            marked_beside: row(MARKED),
        },
    )

    assert going(database, sizes) == set()


@both_ways
@pytest.mark.parametrize(("first", "second"), [(LATER, EARLIER), (EARLIER, LATER)])
def test_what_was_there_before_one_of_those_that_it_refers_to(
    first: int, second: int, sizes: list[int] | None
) -> None:
    database = world(
        [foreign_key(101, 3, 1), foreign_key(102, 3, 2)],
        {
            FIRST: row(ASKED | first),
            SECOND: row(ASKED | second),
            BELOW: row(THEN, k101=FIRST, k102=SECOND),
        },
    )

    assert going(database, sizes) == set()


@both_ways
@pytest.mark.parametrize(("first", "second"), [(LATER, EARLIER), (EARLIER, LATER)])
@pytest.mark.parametrize("friend", [False, True], ids=["", "in a ring"])
def test_what_was_there_before_one_of_those_that_it_hangs_on(
    first: int, second: int, friend: bool, sizes: list[int] | None
) -> None:
    keys = [foreign_key(101, 3, 1), foreign_key(102, 3, 2), foreign_key(103, 4, 3)]
    ring: Mapping[str, Spot] = {"k104": (3, 2)} if friend else {"k102": SECOND}
    database = world(
        [*keys, foreign_key(104, 3, 3)] if friend else keys,
        {
            FIRST: row(ASKED | first),
            SECOND: row(ASKED | second),
            BELOW: row(0, k101=FIRST, **ring),
            (3, 2): row(0, k102=SECOND),
            LAST: row(THEN, k103=BELOW),
        },
    )

    assert going(database, sizes) == set()


@both_ways
@pytest.mark.parametrize(("minutes", "goes"), [(0, True), (-1, True), (-2, False)])
def test_clocks_may_be_a_minute_apart(minutes: int, goes: bool, sizes: list[int] | None) -> None:
    born = BORN_AT * (THEN_S + minutes * MINUTE_S)
    database = world([foreign_key(101, 3, 1)], {FIRST: row(ASKED | THEN), BELOW: row(born, k101=FIRST)})

    assert going(database, sizes) == ({frozenset({FIRST, BELOW})} if goes else set())


@both_ways
def test_marked_rows_may_be_older_and_what_hangs_on_them(sizes: list[int] | None) -> None:
    database = world(
        [foreign_key(101, 3, 1), foreign_key(102, 4, 3)],
        {
            FIRST: row(ASKED | LATER),
            BELOW: row(ASKED | EARLIER, k101=FIRST),
            LAST: row(THEN, k102=BELOW),
        },
    )

    assert going(database, sizes) == {frozenset({FIRST, BELOW, LAST})}


@both_ways
def test_what_hangs_on_real_rows_isnt_of_the_cluster_that_stays_for_them(sizes: list[int] | None) -> None:
    keys = [foreign_key(101, 3, 1, "c"), foreign_key(102, 4, 3)]
    older = world(
        keys,
        {
            FIRST: row(ASKED | LATER),
            BELOW: row(EARLIER, k101=FIRST),
            LAST: row(ASKED | EARLIER, k102=BELOW),
        },
    )
    beside_marked = world(
        keys,
        {
            FIRST: row(ASKED),
            BELOW: row(0, k101=FIRST),
            (3, 2): row(MARKED),
            LAST: row(ASKED, k102=BELOW),
        },
        keep_unmarked=True,
    )

    for database in (older, beside_marked):
        assert going(database, sizes) == {frozenset({LAST})}


@both_ways
@pytest.mark.parametrize("flags", [SEEN, MARKED | OTHERS, MARKED | ALIVE])
def test_rows_that_say_that_they_stay(flags: int, sizes: list[int] | None) -> None:
    database = world(
        [foreign_key(101, 3, 1)],
        {
            FIRST: row(ASKED),
            (1, 2): row(ASKED),
            BELOW: row(flags, k101=FIRST),
            (3, 2): row(flags & MARKED, k101=(1, 2)),
        },
    )

    assert going(database, sizes) == {frozenset({(1, 2), (3, 2)})}


def test_what_refers_to_a_row_is_noted_once() -> None:
    """Though it is looked at again, once it turns out that it hangs on a younger row too."""
    database = world(
        [foreign_key(101, 3, 1), foreign_key(103, 3, 3), foreign_key(104, 4, 3, "n")],
        {
            FIRST: row(ASKED | EARLIER),
            (1, 2): row(ASKED | THEN),
            BELOW: row(0, k101=FIRST, k103=(3, 2)),
            (3, 2): row(0, k101=(1, 2)),
            LAST: row(0, k104=BELOW),
        },
    )
    clusters = Clusters(database.rules(), database)
    clusters.grow(database.seeds())

    [cluster] = clusters.settled().going
    assert [(one.leaf, one.tid) for node in cluster for one in clusters.loose(node)] == [LAST]


@both_ways
@pytest.mark.parametrize("on_delete", ["a", "c", "n"])
@pytest.mark.parametrize("other", [ASKED, ASKED | ENDED, ASKED | ENDED | IN_TIME])
def test_what_is_young_goes_only_with_rows_of_ended_runs(
    other: int, on_delete: OnDelete, sizes: list[int] | None
) -> None:
    database = world(
        [foreign_key(101, 3, 1, on_delete), foreign_key(102, 1, 2)],
        {
            FIRST: row(ASKED | ENDED | IN_TIME, k102=SECOND),
            SECOND: row(other),
            BELOW: row(IN_TIME, k101=FIRST),
        },
    )
    together = {FIRST, SECOND} if on_delete == "n" else {FIRST, SECOND, BELOW}

    assert going(database, sizes) == ({frozenset(together)} if other & ENDED else set())


@both_ways
def test_a_row_of_an_ended_run_goes_with_an_old_one_of_another(sizes: list[int] | None) -> None:
    database = world(
        [foreign_key(102, 1, 2)], {FIRST: row(ASKED | ENDED | IN_TIME, k102=SECOND), SECOND: row(ASKED)}
    )

    assert going(database, sizes) == {frozenset({FIRST, SECOND})}
