"""What users of a database hang on DELETE: never is anything half deleted."""

from __future__ import annotations

from typing import LiteralString

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from tests.servers.sessions import Connect, Database
from tests.sweep.rows.bookings import (
    BOOKINGS,
    ITEMS,
    WHOLE,
    add_users,
    count,
    deleted,
    details,
    half_users,
    kept,
    make_tables,
    marked_users,
    swept,
)


def hang(owner: Connection[TupleRow], table: LiteralString, when: LiteralString, body: LiteralString) -> None:
    """A row trigger `hung` on DELETE."""
    owner.execute(
        sql.SQL("CREATE FUNCTION hung() RETURNS trigger LANGUAGE plpgsql AS {}").format(
            sql.Literal(f"BEGIN {body} END")
        )
    )
    owner.execute(
        sql.SQL("CREATE TRIGGER hung {} DELETE ON {} FOR EACH ROW EXECUTE FUNCTION hung()").format(
            sql.SQL(when), sql.SQL(table)
        )
    )


@pytest.fixture
def users(owner: Connection[TupleRow]) -> Connection[TupleRow]:
    """A hundred of them that tests left, and a real one."""
    make_tables(owner)
    add_users(owner, 1, 100)
    add_users(owner, 5001, 5001, marked=False)
    return owner


def nothing_happened(owner: Connection[TupleRow]) -> bool:
    return len(marked_users(owner)) == 100 and half_users(owner) == []


@pytest.mark.parametrize("table", ["users", "bookings", "items"])
def test_a_trigger_that_suppresses_all(
    users: Connection[TupleRow], database: Database, table: LiteralString
) -> None:
    hang(users, table, "BEFORE", "RETURN NULL;")

    report = swept(database.dsn)

    assert nothing_happened(users)
    assert report.deleted_rows == 0
    assert kept(report)["users", "refused"] == 100
    assert details(report) == {f"DELETE on public.{table} doesn't delete it (triggers: hung)"}
    assert not report.complete


@pytest.mark.parametrize("table", ["users", "bookings", "items"])
def test_a_trigger_that_suppresses_some(
    users: Connection[TupleRow], database: Database, table: LiteralString
) -> None:
    key: LiteralString = {
        "users": "OLD.id",
        "bookings": "OLD.user_id",
        "items": "((OLD.booking_id - 1) / 2)",
    }[table]
    hang(users, table, "BEFORE", f"IF {key} % 10 = 3 THEN RETURN NULL; END IF; RETURN OLD;")

    report = swept(database.dsn)

    assert marked_users(users) == list(range(3, 100, 10))
    assert half_users(users) == []
    assert report.deleted_rows == 90 * WHOLE
    assert sum(kept(report).values()) == 10 * WHOLE


def test_a_trigger_that_suppresses_another_row_each_time(
    users: Connection[TupleRow], database: Database
) -> None:
    users.execute("CREATE SEQUENCE calls")
    hang(
        users,
        "items",
        "BEFORE",
        "IF nextval('public.calls') % 7 = 0 THEN RETURN NULL; END IF; RETURN OLD;",
    )

    report = swept(database.dsn)

    assert half_users(users) == []
    assert report.deleted_rows == (100 - len(marked_users(users))) * WHOLE
    assert {reason for _, reason in kept(report)} == {"refused"}


def test_a_trigger_that_raises_for_some(users: Connection[TupleRow], database: Database) -> None:
    hang(
        users,
        "bookings",
        "BEFORE",
        "IF OLD.user_id % 10 = 3 THEN RAISE 'not % ', OLD.id; END IF; RETURN OLD;",
    )

    report = swept(database.dsn)

    assert marked_users(users) == list(range(3, 100, 10))
    assert half_users(users) == []
    assert kept(report)["bookings", "refused"] == 10 * BOOKINGS
    assert "trigger hung of public.bookings (function public.hung) refuses: not 7" in details(report)


@pytest.mark.parametrize("when", ["BEFORE", "AFTER"])
def test_a_trigger_that_raises_for_all(
    users: Connection[TupleRow], database: Database, connect: Connect, when: LiteralString
) -> None:
    add_users(users, 101, 2000)
    users.execute("CREATE SEQUENCE calls")
    hang(users, "items", when, "PERFORM nextval('public.calls'); RAISE 'never';")

    report = swept(database.dsn)

    assert len(marked_users(users)) == 2000
    assert half_users(users) == []
    assert kept(report)["users", "refused"] == 2000
    assert details(report) == {"trigger hung of public.items (function public.hung) refuses: never"}
    # Each is one transaction: the first row ends it.
    assert 20 <= calls(users) < 100


def calls(owner: Connection[TupleRow]) -> int:
    row = owner.execute("SELECT last_value FROM calls").fetchone()
    assert row is not None
    return int(row[0])


def test_a_trigger_that_fails_at_commit(users: Connection[TupleRow], database: Database) -> None:
    add_users(users, 101, 2000)
    users.execute("CREATE SEQUENCE calls")
    users.execute(
        "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM nextval('public.calls'); RAISE 'too late'; END $$"
    )
    users.execute(
        "CREATE CONSTRAINT TRIGGER late AFTER DELETE ON bookings DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION late()"
    )

    report = swept(database.dsn)

    assert len(marked_users(users)) == 2000
    assert half_users(users) == []
    assert details(report) == {"trigger late of public.bookings (function public.late) refuses: too late"}
    assert 20 <= calls(users) < 100


def test_a_trigger_that_deletes_other_rows_of_the_batch(
    users: Connection[TupleRow], database: Database
) -> None:
    # Before we come to it, the parent is gone, which was to go.
    users.execute("ALTER TABLE items DROP CONSTRAINT items_booking_id_fkey")
    users.execute("ALTER TABLE items ADD FOREIGN KEY (booking_id) REFERENCES bookings ON DELETE CASCADE")
    hang(users, "items", "AFTER", "DELETE FROM public.bookings WHERE id = OLD.booking_id; RETURN NULL;")

    report = swept(database.dsn)

    assert kept(report) == {}
    assert report.deleted_rows == 100 * WHOLE
    # That of the real user.
    assert [count(users, table) for table in ("users", "bookings", "items")] == [1, BOOKINGS, ITEMS]
    assert report.side_effects == ()


def test_a_trigger_that_deletes_the_same_row(users: Connection[TupleRow], database: Database) -> None:
    hang(
        users,
        "items",
        "BEFORE",
        "IF pg_trigger_depth() = 1 THEN DELETE FROM public.items WHERE booking_id = OLD.booking_id; END IF;"
        " RETURN OLD;",
    )

    report = swept(database.dsn)

    assert nothing_happened(users)
    assert kept(report)["users", "refused"] == 100


def test_a_row_that_comes_back_always(users: Connection[TupleRow], database: Database) -> None:
    hang(users, "users", "AFTER", "INSERT INTO public.users VALUES (OLD.id, OLD.email); RETURN NULL;")

    report = swept(database.dsn)

    assert len(marked_users(users)) == 100
    assert report.passes == 2
    assert kept(report) == {("users", "recreated"): 100}
    assert details(report) == {"triggers: hung"}
    assert not report.complete
    assert count(users, "items") == count(users, "bookings") * 2 == 4


def test_a_row_that_comes_back_once(users: Connection[TupleRow], database: Database) -> None:
    users.execute("CREATE TABLE before (id bigint)")
    hang(
        users,
        "users",
        "AFTER",
        "IF NOT EXISTS (SELECT FROM public.before WHERE id = OLD.id) THEN"
        " INSERT INTO public.before VALUES (OLD.id); INSERT INTO public.users VALUES (OLD.id, OLD.email);"
        " END IF; RETURN NULL;",
    )

    report = swept(database.dsn)

    assert marked_users(users) == []
    assert report.passes == 2
    assert deleted(report)["users"] == 200
    assert report.complete


def test_a_trigger_that_copies_what_is_deleted(users: Connection[TupleRow], database: Database) -> None:
    users.execute("CREATE TABLE gone (email text)")
    hang(users, "users", "BEFORE", "INSERT INTO public.gone VALUES (OLD.email); RETURN OLD;")

    report = swept(database.dsn)

    assert marked_users(users) == []
    assert deleted(report)["gone"] == 100
    assert report.complete
    assert deleted(swept(database.dsn)) == {}


def test_a_copy_of_what_comes_back_each_time(users: Connection[TupleRow], database: Database) -> None:
    users.execute("CREATE TABLE gone (email text)")
    hang(
        users,
        "users",
        "AFTER",
        "INSERT INTO public.gone VALUES (OLD.email); INSERT INTO public.users VALUES (OLD.id, OLD.email);"
        " RETURN NULL;",
    )

    report = swept(database.dsn)

    # The copies of the first pass went in the second one, which wrote others.
    assert deleted(report)["gone"] == 100 == count(users, "gone")
    assert kept(report) == {("users", "recreated"): 100, ("gone", "recreated"): 100}
    assert not report.complete


def test_a_trigger_of_a_root_is_seen_on_its_partitions(
    owner: Connection[TupleRow], database: Database
) -> None:
    owner.execute("CREATE TABLE logs (id bigint, line text) PARTITION BY RANGE (id)")
    owner.execute("CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM (0) TO (100)")
    owner.execute(
        "INSERT INTO logs SELECT n, 'x-1717171717171-y@test.example.com' FROM generate_series(1, 9) AS n"
    )
    hang(owner, "logs", "AFTER", "INSERT INTO public.logs VALUES (OLD.id, OLD.line); RETURN NULL;")

    report = swept(database.dsn)

    assert kept(report) == {("logs", "recreated"): 9}


@pytest.mark.parametrize(
    "action",
    [
        "INSTEAD UPDATE users SET email = email || '!' WHERE id = OLD.id",
        "INSTEAD NOTHING",
    ],
)
def test_a_soft_delete(users: Connection[TupleRow], database: Database, action: LiteralString) -> None:
    users.execute(sql.SQL("CREATE RULE soft AS ON DELETE TO users DO {}").format(sql.SQL(action)))

    report = swept(database.dsn)

    assert nothing_happened(users)
    assert details(report) == {"a rule of public.users replaces DELETE: soft"}


def test_a_conditional_rule(users: Connection[TupleRow], database: Database) -> None:
    users.execute("CREATE RULE cheap AS ON DELETE TO items WHERE OLD.price = 1 DO INSTEAD NOTHING")

    report = swept(database.dsn)

    assert nothing_happened(users)
    assert kept(report)["items", "refused"] == 400


def test_a_rule_that_does_something_besides(users: Connection[TupleRow], database: Database) -> None:
    users.execute("CREATE TABLE gone (id bigint)")
    users.execute("CREATE RULE besides AS ON DELETE TO users DO ALSO INSERT INTO gone VALUES (OLD.id)")

    report = swept(database.dsn)

    assert marked_users(users) == []
    assert report.complete
    assert count(users, "gone") == 100
