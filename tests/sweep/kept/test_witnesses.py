"""The last marked row of a table stays where real rows could no longer be told from test data without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep.model import SweepReport
from pgwatch_tests.sweep.plan.clusters import Clusters
from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKey, ForeignKeyGraph, OnDelete
from pgwatch_tests.sweep.plan.refusals import Refusal
from pgwatch_tests.sweep.plan.related_rows import Related
from pgwatch_tests.sweep.plan.rules import MARKED, SWEPT, Rules
from pgwatch_tests.sweep.request import SweepRequest
from pgwatch_tests.sweep.rows.database_rows import DatabaseRows
from pgwatch_tests.sweep.rows.portions import Portion
from pgwatch_tests.sweep.rows.witnesses import Witnesses
from pgwatch_tests.sweep.run import Sweep
from tests.servers.sessions import Database
from tests.sweep.plan.worlds import Spot, World, WorldRow, foreign_key, relation
from tests.sweep.rows.row_sweeps import deleted, ids, kept, mail, make, swept_thoroughly

USERS, BOOKINGS = 1, 2
ASKED = MARKED | SWEPT


def users_and_bookings(on_delete: OnDelete = "a", bookings: Sequence[int] = (1, 2, 1)) -> World:
    """A user for each of these numbers, with so many bookings; all rows are marked."""
    rows: dict[Spot, WorldRow] = {}
    for user, number in enumerate(bookings, 1):
        rows[USERS, user] = WorldRow(ASKED, {})
        for place in range(number):
            rows[BOOKINGS, 10 * user + place] = WorldRow(ASKED, {101: (USERS, user)})
    graph = ForeignKeyGraph(
        [relation(USERS), relation(BOOKINGS)], [foreign_key(101, BOOKINGS, USERS, on_delete)]
    )
    return World(graph, rows)


def grown(world: World, users: Sequence[int] | None = None) -> Clusters:
    """The clusters of some users, or of all."""
    seeds = world.seeds()
    if users is not None:
        seeds = {USERS: {user: seeds[USERS][user] for user in users}}
    clusters = Clusters(world.rules(), world)
    clusters.grow(seeds)
    return clusters


def counts(world: World) -> Mapping[int, int]:
    """The marked rows, by leaf."""
    return {leaf: len(rows) for leaf, rows in world.seeds().items()}


def spots(portions: Sequence[Portion]) -> list[set[Spot]]:
    """The rows of each."""
    return [{(leaf, tid) for leaf in one.rows for tid in one.tids(leaf)} for one in portions]


def users_of(clusters: Clusters, going: Sequence[Sequence[int]]) -> list[int]:
    """The users of some clusters."""
    return [clusters.node(node).tid for nodes in going for node in nodes if clusters.node(node).leaf == USERS]


def witnesses(world: World) -> Witnesses:
    """Those of a sweep."""
    return Witnesses(world.rules(), counts(world))


def test_the_smallest_cluster_is_held_back_until_the_others_are_done() -> None:
    world = users_and_bookings(bookings=(3, 1, 2))
    clusters, held = grown(world), witnesses(world)

    now, released = held.hold_back(clusters, clusters.settled().going)

    assert sorted(users_of(clusters, now)) == [1, 3]
    assert released == []
    going, staying = held.settle({BOOKINGS}, counts(world))
    assert going == []
    [(refusal, stays)] = staying
    assert spots([stays]) == [{(USERS, 2), (BOOKINGS, 20)}]
    assert refusal == Refusal("shared_with_real_data", refusal.detail)
    assert "the last marked row of public.t2" in refusal.detail
    assert 'marked_tables = ["public.t2"]' in refusal.detail


def test_a_smaller_one_that_is_come_upon_later_lets_the_first_go() -> None:
    world = users_and_bookings(bookings=(3, 2, 1, 1))
    held = witnesses(world)
    released = []
    for users in ([1], [2], [3], [4]):
        clusters = grown(world, users)
        now, before = held.hold_back(clusters, clusters.settled().going)
        assert users_of(clusters, now) == ([4] if users == [4] else [])
        released += before

    assert [min(one) for one in spots(released)] == [(USERS, 1), (USERS, 2)]
    assert spots(held.settle({USERS}, counts(world))[0]) == [{(USERS, 3), (BOOKINGS, 30)}]
    assert held.settle({USERS}, counts(world)) == ([], [])


@pytest.mark.parametrize("real", [set[int](), {USERS}])
def test_it_goes_where_no_row_of_the_table_is_real(real: set[int]) -> None:
    world = users_and_bookings()
    clusters, held = grown(world), witnesses(world)
    held.hold_back(clusters, clusters.settled().going)

    going, staying = held.settle(real, counts(world))

    assert (len(going), staying) == (1, [])


def test_only_where_unmarked_rows_may_keep_marked_ones() -> None:
    world = users_and_bookings("c")
    clusters = grown(world)

    assert witnesses(world).hold_back(clusters, clusters.settled().going) == (clusters.settled().going, [])
    world.keep_unmarked = True
    now, _ = witnesses(world).hold_back(clusters, clusters.settled().going)
    assert len(now) == 2


def test_not_where_one_stays_anyway() -> None:
    world = users_and_bookings()
    clusters = grown(world)
    going = clusters.settled().going

    refused = Witnesses(
        Rules.of(world.graph, world.bearing, {BOOKINGS: Refusal("refused", "")}), counts(world)
    )
    assert refused.hold_back(clusters, going) == (going, [])
    not_all_gone = witnesses(world)
    not_all_gone.hold_back(clusters, going)
    others = {leaf: count - 2 for leaf, count in counts(world).items()}
    assert len(not_all_gone.settle({BOOKINGS}, others)[0]) == 1
    noted = witnesses(world)
    noted.hold_back(clusters, going)
    noted.note_staying(BOOKINGS)
    assert len(noted.settle({BOOKINGS}, counts(world))[0]) == 1


def test_not_where_the_settings_remember_it() -> None:
    world = users_and_bookings()
    world.remembered = frozenset({BOOKINGS})
    clusters = grown(world)
    going = clusters.settled().going

    assert witnesses(world).hold_back(clusters, going) == (going, [])


def test_one_cluster_may_be_the_last_of_several_tables() -> None:
    graph = ForeignKeyGraph(
        [relation(1), relation(2), relation(3)], [foreign_key(101, 2, 1), foreign_key(102, 3, 1)]
    )
    rows = {
        (1, 1): WorldRow(ASKED, {}),
        (2, 1): WorldRow(ASKED, {101: (1, 1)}),
        (3, 1): WorldRow(ASKED, {102: (1, 1)}),
    }
    world = World(graph, rows)
    clusters, held = grown(world), witnesses(world)

    assert held.hold_back(clusters, clusters.settled().going) == ([], [])
    assert [spots([stays]) for _, stays in held.settle({2, 3}, counts(world))[1]] == [[{*rows}]]


def _make_members(owner: Connection[TupleRow]) -> None:
    """Two marked teams with a marked member each; of the third one, a member is real."""
    make(
        owner,
        "CREATE TABLE teams (id int PRIMARY KEY, email text);"
        "CREATE TABLE members (id int PRIMARY KEY, team int REFERENCES teams, email text);"
        "INSERT INTO teams VALUES (1, MARKED), (2, MARKED), (3, MARKED);"
        "INSERT INTO members VALUES (1, 1, MARKED), (2, 1, MARKED), (3, 2, MARKED), (7, 3, 'real')",
    )


def test_the_last_member_stays_for_the_real_one(database: Database, owner: Connection[TupleRow]) -> None:
    _make_members(owner)

    report = swept_thoroughly(database.dsn)

    assert deleted(report) == {"teams": (1, 0), "members": (2, 0)}
    assert (ids(owner, "teams"), ids(owner, "members")) == ([2, 3], [3, 7])
    assert kept(report) == {("teams", "shared_with_real_data"): 2, ("members", "shared_with_real_data"): 1}
    assert any("public.members (id=7) bears no marker" in one.detail for one in report.kept)


def test_it_goes_where_the_settings_say_that_the_table_bears_markers(
    database: Database, owner: Connection[TupleRow]
) -> None:
    _make_members(owner)

    def swept() -> SweepReport:
        settings = Settings(Dsn(database.dsn, "the test"), marked_tables=("public.members",))
        return Sweep(settings, SweepRequest(("rows",), dry_run=False)).run()

    assert deleted(swept()) == {"teams": (2, 0), "members": (3, 0)}
    again = swept()
    assert (deleted(again), kept(again)) == ({}, {("teams", "shared_with_real_data"): 1})
    assert (ids(owner, "teams"), ids(owner, "members")) == ([3], [7])


def test_a_large_cluster_is_come_upon_once(
    database: Database, owner: Connection[TupleRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.execute("CREATE TABLE users (id int PRIMARY KEY, email text, friend int REFERENCES users)")
    owner.execute(
        "INSERT INTO users SELECT n, %s, nullif(n / 2, 0) FROM generate_series(1, 1000) AS n", [mail()]
    )
    asked: list[int] = []
    children = DatabaseRows.children

    def counting(rows: DatabaseRows, key: ForeignKey, leaf: int, tids: Sequence[int]) -> Related:
        asked.append(len(tids))
        return children(rows, key, leaf, tids)

    monkeypatch.setattr(DatabaseRows, "children", counting)

    assert deleted(swept_thoroughly(database.dsn)) == {"users": (1000, 0)}
    # In the dry run, and in the sweep.
    assert sum(asked) == 2 * 1000
