"""Real rows stay, however many hang on a marked one."""

from __future__ import annotations

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.sweep.model import AlsoReferring
from pgwatch_tests.sweep.rows import real_parents
from tests.leaks.scanning import make_string_type
from tests.servers.sessions import Connect, Database
from tests.sweep.rows.row_sweeps import deleted, ids, kept, mail, make, swept, swept_thoroughly


def test_one_marked_user_whose_naive_closure_holds_a_thousand_real_rows(
    database: Database, owner: Connection[TupleRow]
) -> None:
    owner.execute(
        "CREATE TABLE users (id int PRIMARY KEY, email text, invited_by int REFERENCES users);"
        "CREATE TABLE bookings (id int, user_id int REFERENCES users)"
    )
    owner.execute("INSERT INTO users SELECT n, %s FROM generate_series(1, 5) AS n", [mail()])
    owner.execute(
        "INSERT INTO users SELECT n, n || '@example.org', CASE WHEN n < 1005 THEN 1 ELSE n - 1 END"
        " FROM generate_series(1001, 2000) AS n;"
        "INSERT INTO bookings SELECT id, id FROM users"
    )

    report = swept_thoroughly(database.dsn)

    assert deleted(report) == {"users": (4, 0), "bookings": (0, 4)}
    assert kept(report) == {("users", "shared_with_real_data"): 1, ("bookings", "shared_with_real_data"): 1}
    assert {one.detail for one in report.kept} == {
        "public.users (id=1001) bears no marker and refers to public.users"
    }
    assert ids(owner, "users") == [1, *range(1001, 2001)]
    assert not report.complete


def test_real_rows_of_another_table_stay_real_once_the_marked_ones_beside_them_are_gone(
    database: Database, owner: Connection[TupleRow]
) -> None:
    owner.execute(
        "CREATE TABLE users (id int PRIMARY KEY, email text);"
        "CREATE TABLE bookings (id int PRIMARY KEY, user_id int REFERENCES users, reference text)"
    )
    owner.execute("INSERT INTO users SELECT n, %s FROM generate_series(1, 5) AS n", [mail()])
    owner.execute("INSERT INTO bookings SELECT n, n, %s FROM generate_series(1, 5) AS n", [mail("b")])
    owner.execute("INSERT INTO bookings SELECT n, 1, 'real' FROM generate_series(101, 1100) AS n")
    owner.execute("DELETE FROM bookings WHERE id = 1")

    report = swept_thoroughly(database.dsn)

    # One marked booking stays, to tell the next sweep that the others are real.
    assert deleted(report) == {"users": (3, 0), "bookings": (3, 0)}
    assert kept(report) == {("users", "shared_with_real_data"): 2, ("bookings", "shared_with_real_data"): 1}
    [detail] = {one.detail for one in report.kept if "last marked row of public.bookings" in one.detail}
    assert "real rows there would pass for test data" in detail
    assert len(ids(owner, "bookings")) == 1001

    owner.execute("UPDATE bookings SET user_id = NULL WHERE id > 100")

    assert deleted(swept_thoroughly(database.dsn)) == {"users": (2, 0), "bookings": (1, 0)}
    assert len(ids(owner, "bookings")) == 1000


def test_a_marked_row_that_stays_anyway_is_witness_enough(
    database: Database, owner: Connection[TupleRow]
) -> None:
    owner.execute(
        "CREATE TABLE users (id int PRIMARY KEY, email text);"
        "CREATE TABLE bookings (id int PRIMARY KEY, user_id int REFERENCES users, reference text)"
    )
    owner.execute("INSERT INTO users SELECT n, %s FROM generate_series(1, 5) AS n", [mail()])
    owner.execute("INSERT INTO bookings SELECT n, n, %s FROM generate_series(1, 5) AS n", [mail("b")])
    owner.execute("INSERT INTO bookings VALUES (101, 1, 'real')")

    report = swept_thoroughly(database.dsn)

    assert deleted(report) == {"users": (4, 0), "bookings": (4, 0)}
    assert ids(owner, "bookings") == [1, 101]


def test_a_table_whose_markers_could_not_be_counted_is_left_alone(
    database: Database, owner: Connection[TupleRow]
) -> None:
    make_string_type(owner, "BEGIN PERFORM pg_catalog.pg_sleep(0.3); RETURN ''; END")
    owner.execute(
        "CREATE TABLE users (id int PRIMARY KEY, email text);"
        "CREATE TABLE notes (id int, user_id int REFERENCES users, slow label, mark text)"
    )
    owner.execute("INSERT INTO users VALUES (1, %s), (2, %s), (3, 'real')", [mail(), mail()])
    owner.execute("INSERT INTO notes VALUES (1, 1, 'x', NULL), (2, 3, 'x', %s)", [mail()])

    dry = swept(database.dsn, dry_run=True, count_timeout_s=0.2)
    report = swept(database.dsn, count_timeout_s=0.2)

    assert len(report.not_checked) == 1
    assert dry.planned == report.deleted
    assert deleted(report) == {"users": (1, 0)}
    # One of them may be real, for all that is known.
    assert ids(owner, "notes") == [1, 2]
    assert ids(owner, "users") == [1, 3]
    assert kept(report) == {("users", "not_checked"): 1, ("notes", "not_checked"): 1}


def test_a_table_that_is_locked_as_a_whole_is_left_alone(
    database: Database, owner: Connection[TupleRow], connect: Connect
) -> None:
    owner.execute(
        "CREATE TABLE users (id int PRIMARY KEY, email text);"
        "CREATE TABLE notes (id int, user_id int REFERENCES users);"
        "CREATE TABLE teams (id int, email text)"
    )
    owner.execute("INSERT INTO users VALUES (1, %s), (2, %s)", [mail(), mail()])
    owner.execute("INSERT INTO teams VALUES (1, %s), (2, 'real')", [mail()])
    migration = connect()
    migration.execute("LOCK TABLE notes")

    dry = swept(database.dsn, dry_run=True)
    report = swept(database.dsn)
    migration.rollback()

    assert deleted(report) == {"teams": (1, 0)}
    assert dry.planned == report.planned
    assert kept(dry) == kept(report) == {("users", "locked"): 2}


def test_rows_that_stay_are_counted_once(database: Database, owner: Connection[TupleRow]) -> None:
    # Without an index, users aren't followed down to their bookings, but bookings up to their users.
    make(
        owner,
        "CREATE TABLE users (id int PRIMARY KEY, email text);"
        "CREATE TABLE bookings (id int, user_id int REFERENCES users, note text);"
        "INSERT INTO users SELECT n, MARKED FROM generate_series(1, 3) AS n;"
        "INSERT INTO bookings SELECT n, n % 3 + 1, MARKED FROM generate_series(1, 90) AS n;"
        "ANALYZE",
    )

    dry = swept(database.dsn, dry_run=True, patience_s=0)
    report = swept(database.dsn, patience_s=0)

    assert report.deleted == ()
    assert kept(dry) == kept(report) == {("users", "no_index"): 3, ("bookings", "no_index"): 90}


def test_dependent_rows_that_also_refer_to_real_rows_are_told_before_they_go(
    database: Database, owner: Connection[TupleRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.execute(
        "CREATE TABLE users (id int PRIMARY KEY, email text);"
        "CREATE TABLE teams (id int PRIMARY KEY);"
        "CREATE TABLE posts (id int PRIMARY KEY, user_id int REFERENCES users, team_id int REFERENCES teams);"
        "CREATE TABLE comments (id int, post_id int REFERENCES posts ON DELETE CASCADE,"
        " user_id int REFERENCES users, moderator_id int REFERENCES users ON DELETE SET NULL)"
    )
    owner.execute("INSERT INTO users VALUES (1, %s), (2, %s), (3, 'real@example.org')", [mail()] * 2)
    owner.execute("INSERT INTO teams VALUES (1)")
    owner.execute("INSERT INTO posts VALUES (1, 1, 1), (2, 2, 1)")
    # Of a real user, moderated by one, both, of a test's user, of nobody; on no post that goes.
    owner.execute(
        "INSERT INTO comments VALUES (1, 1, 3, NULL), (2, 1, 2, 3), (3, 2, 3, 3), (4, 2, 1, 2),"
        " (5, 1, NULL, NULL), (6, NULL, 3, 3)"
    )

    dry = swept(database.dsn, dry_run=True)

    assert dry.also_refer == (AlsoReferring("public", "comments", 3, "public", "users"),)
    # By their keys, where they have one.
    owner.execute("ALTER TABLE comments ADD PRIMARY KEY (id)")
    [refer] = swept(database.dsn, dry_run=True).also_refer
    assert sorted(refer.examples) == ["id=1", "id=2", "id=3"]
    monkeypatch.setattr(real_parents, "MOST_NAMED", 2)
    assert len(swept(database.dsn, dry_run=True).also_refer[0].examples) == 2
    assert sum(one.total for one in dry.planned if one.table == "comments") == 5
    monkeypatch.setattr(real_parents, "MOST_ASKED", 4)
    [partly] = swept(database.dsn, dry_run=True).also_refer
    assert partly.at_least
    assert 2 <= partly.rows <= 3
    owner.execute("UPDATE comments SET user_id = 1, moderator_id = 2 WHERE id < 6")
    assert swept(database.dsn, dry_run=True).also_refer == ()
