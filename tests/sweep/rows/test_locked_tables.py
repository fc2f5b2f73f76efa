"""Tables that somebody has, or wants, as a whole: the rest goes, and nobody waits for a sweep for long."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import LiteralString

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.sweep.model import SweepProgress
from pgwatch_tests.sweep.plan.survey import Surveyor
from tests.servers.sessions import Connect, Database, RunningStatement, blocked
from tests.sweep.rows.bookings import (
    REQUEST,
    add_users,
    count,
    details,
    kept,
    make_tables,
    marked_users,
    swept,
)


@pytest.fixture
def users(owner: Connection[TupleRow]) -> Connection[TupleRow]:
    """A hundred of them that tests left, those above 50 without items; and marked rows in `others`."""
    make_tables(owner)
    add_users(owner, 1, 100)
    owner.execute("DELETE FROM items WHERE booking_id IN (SELECT id FROM bookings WHERE user_id > 50)")
    owner.execute("CREATE TABLE others (email text)")
    owner.execute(
        "INSERT INTO others SELECT 'other-1717171717171-x@test.example.com' FROM generate_series(1, 10)"
    )
    return owner


@pytest.mark.parametrize("mode", ["ACCESS EXCLUSIVE", "EXCLUSIVE", "SHARE ROW EXCLUSIVE", "SHARE"])
@pytest.mark.parametrize("table", ["users", "bookings", "items"])
def test_locked_all_the_time(
    users: Connection[TupleRow],
    database: Database,
    connect: Connect,
    mode: LiteralString,
    table: LiteralString,
) -> None:
    locker = connect()
    locker.execute(sql.SQL("LOCK TABLE {} IN {} MODE").format(sql.SQL(table), sql.SQL(mode)))
    begun = time.monotonic()

    report = swept(database.dsn)

    assert time.monotonic() - begun < 5  # a lock timeout a cluster would be more
    assert report.deleted_rows == 10
    locker.rollback()
    assert len(marked_users(users)) == 100
    assert count(users, "items") == 200
    assert count(users, "others") == 0
    if mode != "ACCESS EXCLUSIVE" or table != "users":
        assert {reason for _, reason in kept(report)} <= {"locked", "not_checked"}
        assert kept(report)
    assert swept(database.dsn).deleted_rows == 100 + 200 + 200


def test_locked_in_the_middle(users: Connection[TupleRow], database: Database, connect: Connect) -> None:
    locker = connect()

    def lock(progress: SweepProgress) -> None:
        if progress.rows >= 20 and not locker.info.transaction_status:
            locker.execute("LOCK TABLE items IN ACCESS EXCLUSIVE MODE")

    report = swept(database.dsn, replace(REQUEST, clusters_at_once=10), lock)

    locker.rollback()
    left = len(marked_users(users))
    assert 0 < left < 100
    assert kept(report)["users", "locked"] == left
    assert "table public.items, which refers to it, is locked" in details(report)
    assert count(users, "bookings") == 2 * left
    assert report.complete  # it passes by itself


def test_a_queued_alter_table(users: Connection[TupleRow], database: Database, connect: Connect) -> None:
    reader, altering, test = connect(), connect(), connect(autocommit=True)
    queued: list[RunningStatement] = []

    def queue(progress: SweepProgress) -> None:
        if progress.rows >= 20 and not queued:
            reader.execute("SELECT FROM items")
            queued.append(blocked(altering, "ALTER TABLE items ADD note text", observer=test))

    begun = time.monotonic()
    report = swept(database.dsn, replace(REQUEST, clusters_at_once=10), queue)

    assert time.monotonic() - begun < 5
    reader.rollback()
    queued[0].result()
    altering.rollback()
    assert kept(report)["users", "locked"] == len(marked_users(users)) > 0
    assert swept(database.dsn).complete
    assert marked_users(users) == []


def test_a_table_that_a_trigger_writes_to(
    users: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    users.execute("CREATE TABLE gone (id bigint)")
    users.execute("CREATE SEQUENCE calls")
    users.execute(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " PERFORM nextval('public.calls'); INSERT INTO public.gone VALUES (OLD.id); RETURN OLD; END $$"
    )
    users.execute("CREATE TRIGGER note BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION note()")
    add_users(users, 1001, 3000)
    connect().execute("LOCK TABLE gone")

    report = swept(database.dsn)

    assert len(marked_users(users)) == 2100
    assert kept(report)["users", "locked"] == 2100
    waits = users.execute("SELECT last_value FROM calls").fetchone()
    assert waits is not None
    assert 20 <= waits[0] < 150  # each is one lock timeout
    assert count(users, "others") == 0


def test_what_couldnt_be_searched_counts_as_real(
    owner: Connection[TupleRow], database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.execute("CREATE TABLE companies (id int PRIMARY KEY, name text)")
    owner.execute("CREATE TABLE people (company_id int REFERENCES companies, email text)")
    owner.execute("INSERT INTO companies VALUES (1, 'c-1717171717171-x@test.example.com')")
    owner.execute(
        "INSERT INTO people VALUES (1, 'real@example.org'), (NULL, 'p-1717171717171-x@test.example.com')"
    )
    # Until it was tried to look at it; when its rows are come across, it is free.
    locker = connect()
    locker.execute("LOCK TABLE people")
    graph = Surveyor._graph

    def after_the_search(surveyor: Surveyor) -> object:
        locker.rollback()
        return graph(surveyor)

    monkeypatch.setattr(Surveyor, "_graph", after_the_search)

    report = swept(database.dsn)

    assert count(owner, "people") == 2
    assert kept(report) == {("companies", "not_checked"): 1, ("people", "not_checked"): 1}
    assert report.not_checked


def test_a_table_dropped_in_the_middle(
    users: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    dropping = connect(autocommit=True)

    def drop(progress: SweepProgress) -> None:
        if progress.rows >= 20:
            dropping.execute("DROP TABLE IF EXISTS items")

    report = swept(database.dsn, replace(REQUEST, clusters_at_once=10), drop)

    # It is looked at anew: nothing refers to bookings any more.
    assert report.deleted_rows > 20
    assert (kept(report), report.not_checked) == ({}, ())
    assert marked_users(users) == []
    assert count(users, "bookings") == 0


def test_a_dry_run_while_a_table_is_locked(
    users: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    connect().execute("LOCK TABLE items")

    report = swept(database.dsn, replace(REQUEST, dry_run=True))

    assert [table.table for table in report.planned] == ["others"]
    assert kept(report)["users", "locked"] == 100
