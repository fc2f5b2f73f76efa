"""The marked rows of one table, one by one, on a real server."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.cli.runs.dashboard.seen_names import SeenNames
from pgwatch_tests.errors import WorkCancelledError
from pgwatch_tests.identity.application_name import compose
from pgwatch_tests.identity.value_tokens import token
from pgwatch_tests.leaks.found_rows import MOST_FOUND, FoundRowsReader
from pgwatch_tests.leaks.model import Attribution, FoundRow, FoundRows
from pgwatch_tests.leaks.scan import LeakScan
from pgwatch_tests.settings.load import Dsn, Settings
from tests.locks.snapshots import session, snapshot
from tests.servers.sessions import Connect, Database, unique_name

TEST = "tests/test_booking.py::test_books"
STAMP_MS = 1_717_171_717_171
AT = datetime.fromtimestamp(STAMP_MS / 1000, UTC)


def found(dsn: str, table: str, **settings: object) -> FoundRows:
    """What is found in a table with short patience."""
    made = Settings(Dsn(dsn, "the test"), lock_timeout_s=0.1)
    return FoundRowsReader(replace(made, **settings), table).run()  # type: ignore[arg-type]


def test_rows_are_named_by_their_key_and_tell_test_and_time(
    database: Database, owner: Connection[TupleRow], tmp_path: Path
) -> None:
    (tmp_path / "tests.txt").write_text(f"{TEST}\n")
    owner.execute(
        "CREATE TABLE bookings (code text, day int, note text, mails text[], created_at timestamptz,"
        " PRIMARY KEY (day, code))"
    )
    marked = f"booking-{STAMP_MS}-{token(TEST)}-x7f3@test.example.com"
    unknown = f"booking-{STAMP_MS}-t00000000-x7f3@test.example.com"
    owner.execute(
        "INSERT INTO bookings VALUES (%s, 1, 'real', NULL, NULL), ('b', 2, NULL, %s, '2026-01-02 03:04Z'),"
        " ('c', 3, %s, NULL, NULL), ('d', 4, 'real', NULL, NULL)",
        [marked, ["x", "y@test.example.com"], unknown],
    )

    read = found(database.dsn, "public.bookings", tests=tmp_path / "tests.txt")

    assert (read.more, read.skipped) == (False, ())
    assert sorted(read.rows, key=lambda row: row.key) == [
        FoundRow(
            (("day", "1"), ("code", "bookin…@test.example.com")),
            (("code", "bookin…@test.example.com"),),
            AT,
            (TEST,),
        ),
        FoundRow(
            (("day", "2"), ("code", "b")),
            (("mails", "…@test.example.com"),),
            datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
            (),
        ),
        FoundRow((("day", "3"), ("code", "c")), (("note", "bookin…@test.example.com"),), AT, ("#00000000",)),
    ]


def test_names_that_sessions_had_tell_the_test(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE t (c text)")
    owner.execute("INSERT INTO t VALUES (%s)", [f"u-{STAMP_MS}-{token(TEST)}-x@test.example.com"])
    names = (compose("pytest", "gw0", TEST), "psql")
    settings = Settings(Dsn(database.dsn, "the test"))

    (row,) = FoundRowsReader(settings, "public.t", names).run().rows
    (leak,) = LeakScan(settings, names=names).run().tables

    assert row.tests == (TEST,)
    assert leak.attribution == (Attribution(TEST, "marker", 1),)
    assert LeakScan(settings).run().tables[0].attribution == ()


def test_only_names_of_tests_are_kept() -> None:
    seen = SeenNames()
    named = session(1, compose("pytest", "gw0", TEST))
    seen.add(snapshot((), (named, session(2, "psql"))))
    seen.add(snapshot((), (named,)))

    assert seen.all == (named.application_name,)


def test_at_most_so_many(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE t (c text)")
    owner.execute(
        "INSERT INTO t SELECT 'u' || i || '@test.example.com' FROM generate_series(1, %s) AS i", [MOST_FOUND]
    )
    assert len(found(database.dsn, "public.t").rows) == MOST_FOUND
    assert not found(database.dsn, "public.t").more

    owner.execute("INSERT INTO t VALUES ('one.more@test.example.com')")

    read = found(database.dsn, "public.t")
    assert (len(read.rows), read.more) == (MOST_FOUND, True)
    # Without a primary key a row has no name.
    assert {row.key for row in read.rows} == {()}


def test_odd_names_and_partitions(database: Database, owner: Connection[TupleRow]) -> None:
    name = 'a "b" %s %(x)s \'; -- ü'
    owner.execute(
        sql.SQL(
            "CREATE TABLE {0} ({0} text PRIMARY KEY) PARTITION BY LIST ({0});"
            "CREATE TABLE of_it PARTITION OF {0} DEFAULT"
        ).format(sql.Identifier(name))
    )
    owner.execute(sql.SQL("INSERT INTO {} VALUES ('a@test.example.com')").format(sql.Identifier(name)))

    (row,) = found(database.dsn, f"public.{name}").rows

    assert row.key == row.marked == ((name, "…@test.example.com"),)


def test_what_may_not_be_read_is_told_with_the_grant(database: Database, owner: Connection[TupleRow]) -> None:
    role = unique_name("plain")
    owner.execute("CREATE TABLE secret (id int PRIMARY KEY, c text); INSERT INTO secret VALUES (1, 'x')")
    owner.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
    try:
        dsn = database.dsn.replace("postgres@", f"{role}@", 1)
        read = found(dsn, "public.secret")

        assert read.rows == ()
        assert read.skipped[0].hint == f'GRANT SELECT ON "public"."secret" TO "{role}"'

        # With a grant on one column only, its rows are found, though not named.
        owner.execute(sql.SQL("GRANT SELECT (c) ON secret TO {}").format(sql.Identifier(role)))
        owner.execute("INSERT INTO secret VALUES (2, 'a@test.example.com')")
        (row,) = found(dsn, "public.secret").rows
        assert (row.key, row.marked) == ((), (("c", "…@test.example.com"),))
    finally:
        owner.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(role)))


def test_a_locked_table_is_not_waited_for(
    database: Database, owner: Connection[TupleRow], connect: Connect
) -> None:
    owner.execute("CREATE TABLE t (c text); INSERT INTO t VALUES ('a@test.example.com')")
    connect().execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")

    read = found(database.dsn, "public.t")

    assert (read.rows, read.skipped[0].reason) == ((), "locked")


def test_a_table_that_is_gone(database: Database) -> None:
    assert "isn't there any more" in found(database.dsn, "public.t").skipped[0].reason


def test_a_cancelled_one_reads_nothing(database: Database) -> None:
    reader = FoundRowsReader(Settings(Dsn(database.dsn, "the test")), "public.t")
    reader.cancel()
    with pytest.raises(WorkCancelledError):
        reader.run()
