"""Sweeps beside tests that run: what these work on stays whole, and they never notice."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.sweep.model import SweepProgress
from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKey
from pgwatch_tests.sweep.plan.related_rows import Related
from pgwatch_tests.sweep.rows.database_rows import DatabaseRows
from tests.servers.sessions import Connect, Database
from tests.sweep.rows.bookings import (
    BOOKINGS,
    ITEMS,
    REQUEST,
    WHOLE,
    add_users,
    count,
    details,
    half_users,
    kept,
    make_tables,
    marked_users,
    now_ms,
    swept,
)
from tests.sweep.rows.writers import Writers

LOCKS = (
    "UPDATE items SET price = 0 WHERE booking_id = %(user)s * 2 + 1",
    "SELECT FROM users WHERE id = %(user)s FOR UPDATE",
    "SELECT FROM users WHERE id = %(user)s FOR KEY SHARE",
    "SELECT FROM bookings WHERE user_id = %(user)s FOR NO KEY UPDATE",
    "INSERT INTO bookings VALUES (-%(user)s, %(user)s, 'fresh')",
    "INSERT INTO items VALUES (-%(user)s, %(user)s * 2 + 2, 0)",
    "DELETE FROM items WHERE booking_id = %(user)s * 2 + 1",
)
"""What a test may have done to a user of its own, and not committed yet."""


def test_locked_clusters_stay_whole_and_writers_never_fail(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    make_tables(owner)
    add_users(owner, 1, 400)
    add_users(owner, 5001, 5100, marked=False)
    locked = range(10, 400, 20)
    for place, user in enumerate(locked):
        connect().execute(LOCKS[place % len(LOCKS)].encode(), {"user": user})

    with Writers(database.dsn, 4) as writers:
        writers.wait_for_rounds(2)
        report = swept(database.dsn, replace(REQUEST, clusters_at_once=50))
        writers.wait_for_rounds(2)

    assert writers.errors == []
    assert marked_users(owner) == list(locked)
    assert half_users(owner) == []
    assert kept(report)["users", "locked"] == len(locked) == 20
    assert kept(report)["bookings", "locked"] == 20 * BOOKINGS
    assert kept(report)["items", "locked"] == 20 * ITEMS
    assert count(owner, "users") == 20 + 100


@pytest.mark.parametrize("lock", LOCKS)
def test_one_cluster_that_a_test_works_on(
    owner: Connection[TupleRow], database: Database, connect: Connect, lock: str
) -> None:
    make_tables(owner)
    add_users(owner, 1, 30)
    test = connect()
    test.execute(lock.encode(), {"user": 7})

    report = swept(database.dsn)
    assert marked_users(owner) == [7]
    assert half_users(owner) == []
    assert details(report) == {"another session has locked it"}
    test.commit()

    assert report.complete
    swept(database.dsn)
    assert marked_users(owner) == []
    assert count(owner, "items") == count(owner, "bookings") == 0


def test_a_row_that_moved_to_real_data_meanwhile(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    make_tables(owner)
    add_users(owner, 1, 100)
    add_users(owner, 5001, 5001, marked=False)
    test = connect(autocommit=True)

    def move(progress: SweepProgress) -> None:
        test.execute("UPDATE bookings SET user_id = 5001 WHERE user_id = 77")
        test.execute("UPDATE users SET email = 'somebody@example.org' WHERE id = 88")

    swept(database.dsn, replace(REQUEST, clusters_at_once=10), move)

    assert marked_users(owner) == []
    assert [id_ for (id_,) in owner.execute("SELECT id FROM users ORDER BY id")] == [88, 5001]
    assert count(owner, "bookings") == 3 * BOOKINGS
    assert count(owner, "items") == 3 * ITEMS


def test_the_place_of_a_row_that_went_isnt_anothers(
    owner: Connection[TupleRow], database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tables(owner)
    add_users(owner, 1, 1)
    add_users(owner, 5001, 5001, marked=False)
    for table in (b"first", b"second"):
        owner.execute(b"CREATE TABLE %b (id int, user_id bigint REFERENCES users)" % table)
        owner.execute(b"INSERT INTO %b SELECT n, 1 FROM generate_series(1, 3) AS n" % table)
    test = connect()
    test.execute("SELECT txid_current()")  # older than the sweep
    children = DatabaseRows.children
    read: list[str] = []

    def reading(rows: DatabaseRows, key: ForeignKey, leaf: int, tids: Sequence[int]) -> Related:
        if read == ["bookings_user_id_fkey", "first_user_id_fkey"]:
            # What was read of `first` goes, and its place is free, as far as the server is concerned.
            test.execute("DELETE FROM first")
            test.commit()
            found = children(rows, key, leaf, tids)
            owner.execute("VACUUM first")
            owner.execute("INSERT INTO first SELECT n, 5001 FROM generate_series(4, 6) AS n")
        else:
            found = children(rows, key, leaf, tids)
        read.append(key.name)
        return found

    monkeypatch.setattr(DatabaseRows, "children", reading)

    swept(database.dsn)

    assert len(read) > 2
    assert [id_ for (id_,) in owner.execute("SELECT id FROM first ORDER BY id")] == [4, 5, 6]


def test_rows_of_tests_that_run_arent_taken_for_recreated(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    make_tables(owner)
    add_users(owner, 1, 60)
    owner.execute("CREATE TABLE gone (id bigint)")
    owner.execute(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO public.gone VALUES (OLD.id); RETURN OLD; END'"
    )
    owner.execute("CREATE TRIGGER note BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION note()")
    old = iter(range(1001, 1100))
    fresh = iter(range(2001, 2100))
    writing = threading.Lock()

    def write(_: SweepProgress) -> None:
        with writing, psycopg.connect(database.dsn, autocommit=True) as test:
            user = next(fresh)
            add_users(test, user, user, at_ms=now_ms())
            if user == 2001:
                add_users(test, next(old), 1001)

    report = swept(database.dsn, replace(REQUEST, clusters_at_once=30), write)

    assert report.passes == 2
    assert report.deleted_rows == 61 * WHOLE
    assert {reason for _, reason in kept(report)} <= {"too_young"}
    assert report.complete


@pytest.mark.parametrize("often", [False, True], ids=["once", "often"])
def test_rows_that_were_moved_in_the_middle(
    owner: Connection[TupleRow], database: Database, often: bool
) -> None:
    # One transaction for all, as where a dump is restored: real rows have the same xmin as marked ones.
    owner.execute("CREATE TABLE people (id int PRIMARY KEY, email text)")
    owner.execute(
        "INSERT INTO people SELECT n, CASE WHEN n % 2 = 0 THEN 'real' || n || '@example.org'"
        " ELSE 'p-1717171717171-x@test.example.com' END FROM generate_series(1, 101) AS n"
    )
    places: list[int] = []

    def rewrite(progress: SweepProgress) -> None:
        if often or not places:
            places.append(progress.clusters_done)
            owner.execute("DELETE FROM people WHERE id = 2")
            owner.execute("VACUUM FULL people")

    report = swept(database.dsn, replace(REQUEST, clusters_at_once=10), rewrite)

    left = 101 - 50 - report.deleted_rows
    people = [int(id_) for (id_,) in owner.execute("SELECT id FROM people ORDER BY id")]
    assert [id_ for id_ in people if id_ % 2 == 0] == list(range(4, 101, 2))
    assert len(people) == 49 + left
    assert kept(report) == ({("people", "changed"): left} if often else {})
    assert report.complete == (not often)
    assert [one.endswith("(run it again)") for one in report.not_checked] == [True] * often
    assert bool(left) == often
