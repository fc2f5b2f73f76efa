"""Waits for a key: unique and exclusion constraints, ON CONFLICT, foreign keys."""

from __future__ import annotations

from tests.locks.scenarios.cast import Cast
from tests.locks.scenarios.truth import Truth, hard, scenario

KEY = "unique key of parents"
PARENT = "row of parents (id=2)"


def family(cast: Cast) -> None:
    """The parents 1 to 9, and no children."""
    cast.run(
        "CREATE TABLE parents (id int PRIMARY KEY, n int);"
        "INSERT INTO parents SELECT g, 0 FROM generate_series(1, 9) AS g;"
        "CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents, during int4range,"
        " EXCLUDE USING gist (during WITH &&))"
    )


def _collision(cast: Cast, statement: str) -> Truth:
    family(cast)
    first, second = cast.sessions("first", "second")
    first.execute("INSERT INTO parents VALUES (100, 0)")
    cast.waits(second, statement)
    return Truth((hard("second", "first", KEY),), roots={"first": 1}, causes={"first": "same_key"})


@scenario()
def unique_key_inserted_twice(cast: Cast) -> Truth:
    return _collision(cast, "INSERT INTO parents VALUES (100, 1)")


@scenario()
def unique_key_inserted_and_updated_to(cast: Cast) -> Truth:
    return _collision(cast, "UPDATE parents SET id = 100 WHERE id = 3")


@scenario()
def unique_key_on_conflict_do_nothing(cast: Cast) -> Truth:
    return _collision(cast, "INSERT INTO parents VALUES (100, 1) ON CONFLICT DO NOTHING")


@scenario()
def unique_key_on_conflict_do_update(cast: Cast) -> Truth:
    return _collision(cast, "INSERT INTO parents VALUES (100, 1) ON CONFLICT (id) DO UPDATE SET n = 1")


@scenario()
def unique_key_whose_row_is_being_deleted(cast: Cast) -> Truth:
    family(cast)
    deleting, inserting = cast.sessions("deleting", "inserting")
    deleting.execute("DELETE FROM parents WHERE id = 5")
    cast.waits(inserting, "INSERT INTO parents VALUES (5, 1)")
    return Truth((hard("inserting", "deleting", KEY),), roots={"deleting": 1})


@scenario()
def unique_key_checked_at_commit(cast: Cast) -> Truth:
    cast.run("CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    first, second = cast.sessions("first", "second")
    first.execute("INSERT INTO late VALUES (1)")
    second.execute("INSERT INTO late VALUES (1)")
    cast.waits(second, "COMMIT")
    return Truth((hard("second", "first", "unique key of late"),), roots={"first": 1})


UPSERT = "INSERT INTO parents VALUES (2, 5) ON CONFLICT (id) DO UPDATE SET n = excluded.n"


@scenario()
def unique_key_whose_row_is_being_changed(cast: Cast) -> Truth:
    family(cast)
    holder, upsert = cast.sessions("holder", "upsert")
    holder.execute("UPDATE parents SET n = 1 WHERE id = 2")
    # Waits while it looks for the key in the index, before it locks the row.
    cast.waits(upsert, UPSERT)
    return Truth((hard("upsert", "holder", KEY),), roots={"holder": 1})


@scenario()
def row_that_on_conflict_would_update(cast: Cast) -> Truth:
    family(cast)
    holder, upsert = cast.sessions("holder", "upsert")
    holder.execute("SELECT * FROM parents WHERE id = 2 FOR UPDATE")
    cast.waits(upsert, UPSERT)
    return Truth((hard("upsert", "holder", PARENT),), roots={"holder": 1})


@scenario()
def speculative_insertion(cast: Cast) -> Truth:
    # Made second, so that the first index has its entry when the second one's expression waits.
    cast.run(
        "CREATE FUNCTION waiting(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS"
        " $$ BEGIN PERFORM pg_advisory_xact_lock_shared(5); RETURN $1; END $$;"
        "CREATE TABLE upserts (id int PRIMARY KEY); CREATE INDEX ON upserts (waiting(id))"
    )
    keeper, first, second = cast.sessions("keeper", "first", "second")
    keeper.execute("SELECT pg_advisory_xact_lock(5)")
    cast.waits(first, "INSERT INTO upserts VALUES (1) ON CONFLICT DO NOTHING")
    cast.waits(second, "INSERT INTO upserts VALUES (1) ON CONFLICT DO NOTHING")
    return Truth(
        (hard("first", "keeper", "advisory lock 5"), hard("second", "first", "insertion by ON CONFLICT")),
        roots={"keeper": 2},
        causes={"keeper": "advisory_lock"},
    )


@scenario()
def exclusion_constraint(cast: Cast) -> Truth:
    family(cast)
    first, second, apart = cast.sessions("first", "second", "apart")
    first.execute("INSERT INTO children (id, during) VALUES (1, '[1,5)')")
    apart.execute("INSERT INTO children (id, during) VALUES (3, '[20,30)')")
    cast.waits(second, "INSERT INTO children (id, during) VALUES (2, '[4,9)')")
    return Truth(
        (hard("second", "first", "unique key of children"),), roots={"first": 1}, innocents=("apart",)
    )


@scenario()
def foreign_key_to_a_row_being_deleted(cast: Cast) -> Truth:
    family(cast)
    deleting, inserting = cast.sessions("deleting", "inserting")
    deleting.execute("DELETE FROM parents WHERE id = 2")
    cast.waits(inserting, "INSERT INTO children (id, parent) VALUES (1, 2)")
    return Truth((hard("inserting", "deleting", PARENT),), roots={"deleting": 1})


@scenario()
def foreign_key_to_a_key_being_changed(cast: Cast) -> Truth:
    family(cast)
    changing, inserting = cast.sessions("changing", "inserting")
    changing.execute("UPDATE parents SET id = 200 WHERE id = 2")
    cast.waits(inserting, "INSERT INTO children (id, parent) VALUES (1, 2)")
    return Truth((hard("inserting", "changing", PARENT),), roots={"changing": 1})


@scenario()
def parent_deleted_behind_a_foreign_key(cast: Cast) -> Truth:
    family(cast)
    inserting, deleting = cast.sessions("inserting", "deleting")
    inserting.execute("INSERT INTO children (id, parent) VALUES (1, 2)")
    cast.waits(deleting, "DELETE FROM parents WHERE id = 2")
    return Truth((hard("deleting", "inserting", PARENT),), roots={"inserting": 1})


@scenario()
def parent_changed_beside_a_foreign_key(cast: Cast) -> Truth:
    family(cast)
    inserting, changing, second = cast.sessions("inserting", "changing", "second")
    inserting.execute("INSERT INTO children (id, parent) VALUES (1, 2)")
    # The key stays as it is, so the child's key-share lock isn't in the way of either.
    changing.execute("UPDATE parents SET n = 1 WHERE id = 2")
    cast.waits(second, "UPDATE parents SET n = 2 WHERE id = 2")
    return Truth((hard("second", "changing", PARENT),), roots={"changing": 1}, innocents=("inserting",))


@scenario()
def parent_deleted_behind_a_foreign_key_and_a_change(cast: Cast) -> Truth:
    family(cast)
    inserting, changing, deleting = cast.sessions("inserting", "changing", "deleting")
    inserting.execute("INSERT INTO children (id, parent) VALUES (1, 2)")
    changing.execute("UPDATE parents SET n = 1 WHERE id = 2")
    cast.waits(deleting, "DELETE FROM parents WHERE id = 2")
    return Truth(
        (hard("deleting", "inserting", PARENT, also_held_by=("changing",)),),
        roots={"inserting": 1},
        innocents=("changing",),
    )


@scenario()
def parent_deleted_by_one_of_two_that_refer_to_it(cast: Cast) -> Truth:
    family(cast)
    other, deleting = cast.sessions("other", "deleting")
    for n, session in enumerate((other, deleting)):
        session.execute("INSERT INTO children (id, parent) VALUES (%s, 2)", [n])
    cast.waits(deleting, "DELETE FROM parents WHERE id = 2")
    # Both write to `children`, and yet it isn't about a unique key.
    return Truth(
        (hard("deleting", "other", PARENT),),
        roots={"other": 1},
        causes={"other": "foreign_key_share"},
        said={"other": ("a foreign key of children refers to it",)},
        unsaid={"other": ("isn't known",)},
    )


@scenario()
def parent_changed_by_two_that_refer_to_it(cast: Cast) -> Truth:
    family(cast)
    holder, waiter = cast.sessions("holder", "waiter")
    for n, session in enumerate((holder, waiter)):
        session.execute("INSERT INTO children (id, parent) VALUES (%s, 2)", [n])
        if session is holder:
            holder.execute("UPDATE parents SET n = n + 1 WHERE id = 2")
    cast.waits(waiter, "UPDATE parents SET n = n + 1 WHERE id = 2")
    return Truth((hard("waiter", "holder", PARENT),), roots={"holder": 1})


@scenario()
def parent_changed_and_deleted_while_two_refer_to_it(cast: Cast) -> Truth:
    family(cast)
    one, other, deleting = cast.sessions("one", "other", "deleting")
    for n, session in enumerate((one, other)):
        session.execute("INSERT INTO children (id, parent) VALUES (%s, 2)", [n])
    deleting.execute("UPDATE parents SET n = 7 WHERE id = 2")
    # Nobody else sees the version that is locked: its key is that of the version before.
    cast.waits(deleting, "DELETE FROM parents WHERE id = 2")
    return Truth(
        (hard("deleting", "one", PARENT, also_held_by=("other",)),),
        roots={"one": 1},
        innocents=("other",),
        said={"one": ("a foreign key of children refers to it", "has locked it too")},
        unsaid={"one": ("isn't known",)},
    )


@scenario()
def child_of_a_parent_that_was_changed_and_deleted(cast: Cast) -> Truth:
    family(cast)
    deleting, inserting = cast.session("deleting"), cast.session("inserting", autocommit=True)
    deleting.execute("INSERT INTO children (id, parent) VALUES (1, 2)")
    deleting.execute("UPDATE parents SET n = n + 1 WHERE id = 2")
    deleting.execute("DELETE FROM children WHERE id = 1")
    deleting.execute("DELETE FROM parents WHERE id = 2")
    cast.waits(inserting, "INSERT INTO children (id, parent) VALUES (7, 2)")
    return Truth(
        (hard("inserting", "deleting", PARENT),),
        roots={"deleting": 1},
        said={"deleting": (f"{PARENT}, which a foreign key of children refers to",)},
        unsaid={"deleting": ("unique",)},
    )


@scenario()
def child_of_a_parent_that_was_changed_and_deleted_later_in_a_transaction(cast: Cast) -> Truth:
    family(cast)
    deleting, inserting = cast.sessions("deleting", "inserting")
    deleting.execute("INSERT INTO children (id, parent) VALUES (1, 2)")
    deleting.execute("UPDATE parents SET n = n + 1 WHERE id = 2")
    deleting.execute("DELETE FROM children WHERE id = 1")
    deleting.execute("DELETE FROM parents WHERE id = 2")
    inserting.execute("INSERT INTO children (id, parent) VALUES (6, 3)")
    cast.waits(inserting, "INSERT INTO children (id, parent) VALUES (7, 2)")
    # The parents may be locked since the statement before: this one may be at its own key still.
    return Truth(
        (hard("inserting", "deleting", f"{PARENT} or unique key of children"),), roots={"deleting": 1}
    )


@scenario()
def unique_key_of_a_partition(cast: Cast) -> Truth:
    cast.run(
        "CREATE TABLE ev (id int, day int, PRIMARY KEY (id, day)) PARTITION BY LIST (day);"
        "CREATE TABLE ev1 PARTITION OF ev FOR VALUES IN (1)"
    )
    first, second = cast.sessions("first", "second")
    first.execute("INSERT INTO ev VALUES (1, 1)")
    cast.waits(second, "INSERT INTO ev VALUES (1, 1)")
    return Truth(
        (hard("second", "first", "unique key of ev1 (id, day)"),),
        roots={"first": 1},
        causes={"first": "same_key"},
    )


@scenario()
def unique_key_beside_rows_that_both_refer_to(cast: Cast) -> Truth:
    family(cast)
    first, second = cast.sessions("first", "second")
    for n, session in enumerate((first, second)):
        session.execute("INSERT INTO children (id, parent) VALUES (%s, 2)", [n])
    first.execute("INSERT INTO parents VALUES (100, 0)")
    cast.waits(second, "INSERT INTO parents VALUES (100, 1)")
    return Truth((hard("second", "first", "unique key of parents (id)"),), roots={"first": 1})
