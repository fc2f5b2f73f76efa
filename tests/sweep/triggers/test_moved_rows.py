"""Rows that a trigger moves to another partition while they are to go: counted once, when they went."""

from __future__ import annotations

from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.sweep.model import SideEffects
from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKeyGraph
from pgwatch_tests.sweep.plan.planned_catalog import TupleCounts
from pgwatch_tests.sweep.rows.effects import side_effects
from tests.servers.sessions import Database
from tests.sweep.plan.worlds import foreign_key, relation
from tests.sweep.rows.row_sweeps import deleted, ids, make, swept, swept_thoroughly

_USERS = (
    "CREATE TABLE users (id int, state text, email text, PRIMARY KEY (id, state)) PARTITION BY LIST (state);"
    "CREATE TABLE active PARTITION OF users FOR VALUES IN ('active');"
    "CREATE TABLE idle PARTITION OF users DEFAULT;"
    "CREATE TABLE bookings (id int, user_id int, state text, FOREIGN KEY (user_id, state) REFERENCES users);"
    "CREATE INDEX ON bookings (user_id, state);"
    "INSERT INTO users VALUES (1, 'active', MARKED), (2, 'active', MARKED), (3, 'active', 'real');"
    "INSERT INTO bookings VALUES (1, 1, 'active'), (3, 3, 'active');"
)
_IDLE = "UPDATE public.users SET state = 'idle' WHERE id = OLD.user_id;"


def hang(owner: Connection[TupleRow], body: str) -> None:
    owner.execute(
        f"CREATE FUNCTION moves() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN OLD; END $$;"
        "CREATE TRIGGER moves AFTER DELETE ON bookings FOR EACH ROW EXECUTE FUNCTION moves()".encode()
    )


def test_a_row_that_a_trigger_moves_to_another_partition(
    database: Database, owner: Connection[TupleRow]
) -> None:
    make(owner, _USERS)
    hang(owner, _IDLE)

    report = swept_thoroughly(database.dsn)

    assert ids(owner, "users") == [3]
    assert deleted(report) == {"users": (2, 0), "bookings": (0, 1)}
    assert report.side_effects == ()


def test_a_real_row_that_is_moved_beside_one_that_is_to_go(
    database: Database, owner: Connection[TupleRow]
) -> None:
    """It counts as a row that was inserted and one that was deleted, as the server has it."""
    make(owner, _USERS)
    hang(owner, "UPDATE public.users SET state = 'idle' WHERE id IN (OLD.user_id, 4);")
    make(owner, "INSERT INTO users VALUES (4, 'active', 'real')")

    report = swept_thoroughly(database.dsn)

    assert ids(owner, "users") == [3, 4]
    assert deleted(report) == {"users": (2, 0), "bookings": (0, 1)}
    assert report.side_effects == (SideEffects("public", "users", 1, 0, 1),)


def test_a_row_that_a_trigger_deletes_and_one_of_another_partition_that_it_makes(
    database: Database, owner: Connection[TupleRow]
) -> None:
    make(owner, _USERS)
    hang(
        owner,
        "DELETE FROM public.users WHERE id = OLD.user_id;"
        "INSERT INTO public.users VALUES (-OLD.user_id, 'new', 'someone');",
    )

    report = swept(database.dsn)

    assert ids(owner, "users") == [-1, 3]
    [row] = [one for one in report.deleted if one.table == "users"]
    # All in all, one row of the table is gone.
    assert row.total - sum(one.inserted - one.deleted for one in report.side_effects) == 1


def test_what_was_moved_and_then_deleted_by_cascade_is_gone() -> None:
    parts = [relation(1, "p"), relation(2, ancestors=[1]), relation(3, ancestors=[1])]
    written = {2: TupleCounts(2, 0, 0, 1), 3: TupleCounts(3, 1, 0, 1), 4: TupleCounts(4, 0, 0, 1)}
    unfound, told = {2: {7}}, TupleCounts(3, 0, 0, 1)

    for key, expected in ((foreign_key(5, 1, 4, "c"), ([], {})), (foreign_key(5, 1, 4), ([told], unfound))):
        graph = ForeignKeyGraph([*parts, relation(4)], [key])
        assert side_effects(graph, written, {2: 1, 4: 1}, {}, unfound) == expected


def test_of_several_that_went_as_many_as_were_inserted_are_still_there() -> None:
    graph = ForeignKeyGraph([relation(1, "p"), relation(2, ancestors=[1]), relation(3, ancestors=[1])], [])
    written = {2: TupleCounts(2, 0, 0, 3), 3: TupleCounts(3, 1, 2, 0)}

    effects, there = side_effects(graph, written, {2: 3}, {3: 1}, {2: {7, 8}})

    assert effects == [TupleCounts(3, 0, 1, 0)]
    assert sum(map(len, there.values())) == 1
