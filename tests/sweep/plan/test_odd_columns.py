"""Markers inside values of all types, and tables with columns of many kinds."""

from __future__ import annotations

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from tests.servers.sessions import Database
from tests.sweep.rows.row_sweeps import deleted, ids, kept, mail, make, swept, swept_thoroughly

INSIDE = (
    ("json", '{{"to": [1, "{}"]}}'),
    ("jsonb", '[["{}"]]'),
    ("text[]", '{{"x","{}"}}'),
    ("varchar(60)[]", '{{{{"x","{}"}}}}'),
    ("person", '("a b","{}")'),
    ("person[]", '{{"(x,{})"}}'),
    ("address", "{}"),
    ("char(80)", "{}"),
)


@pytest.mark.parametrize(("type_", "written"), INSIDE, ids=[one for one, _ in INSIDE])
def test_markers_inside_values(
    database: Database, owner: Connection[TupleRow], type_: str, written: str
) -> None:
    owner.execute("CREATE TYPE person AS (name text, email text); CREATE DOMAIN address AS text")
    owner.execute(f"CREATE TABLE letters (id int PRIMARY KEY, value {type_})".encode())
    owner.execute("CREATE TABLE stamps (id int REFERENCES letters)")
    values = [written.format(one) for one in (mail(), "real@example.org", mail(stamp_ms=9_999_999_999_999))]
    young = written.format(mail(stamp_ms=1_999_999_999_999))
    owner.execute("INSERT INTO letters VALUES (1, %s), (2, %s), (3, %s), (4, %s)", [*values, young])
    owner.execute("INSERT INTO stamps SELECT id FROM letters")

    report = swept_thoroughly(database.dsn)

    # A stamp that begins with 9 isn't one, and nothing else tells.
    assert deleted(report) == {"letters": (1, 0), "stamps": (0, 1)}
    assert kept(report) == {
        ("letters", "age_unknown"): 1,
        ("letters", "in_future"): 1,
        ("stamps", "age_unknown"): 1,
        ("stamps", "in_future"): 1,
    }
    assert ids(owner, "letters") == [2, 3, 4]


def test_a_table_of_300_columns(database: Database, owner: Connection[TupleRow]) -> None:
    columns = [sql.Identifier(f"column {place}") for place in range(300)]
    owner.execute(
        sql.SQL("CREATE TABLE wide (id int PRIMARY KEY, up int REFERENCES wide, {})").format(
            sql.SQL(", ").join(sql.SQL("{} text").format(column) for column in columns)
        )
    )
    owner.execute(
        sql.SQL("INSERT INTO wide (id, up, {}, {}) VALUES (1, NULL, %s, NULL), (2, 1, NULL, %s)").format(
            columns[0], columns[-1]
        ),
        [mail(), mail()],
    )
    owner.execute("INSERT INTO wide VALUES (3)")

    report = swept_thoroughly(database.dsn)

    assert deleted(report) == {"wide": (2, 0)}
    assert ids(owner, "wide") == [3]


def test_generated_columns(database: Database, owner: Connection[TupleRow]) -> None:
    make(
        owner,
        "CREATE TABLE users (id int PRIMARY KEY, name text,"
        " email text GENERATED ALWAYS AS (name || '@test.example.com') STORED,"
        " twice int GENERATED ALWAYS AS (id * 2) STORED UNIQUE);"
        "CREATE TABLE bookings (id int, half int, whole int GENERATED ALWAYS AS (half * 2) STORED"
        " REFERENCES users (twice));"
        "INSERT INTO users (id, name) VALUES (1, 'x-1717171717171-1a'), (2, NULL);"
        "INSERT INTO bookings (id, half) VALUES (1, 1), (2, 2)",
    )

    report = swept_thoroughly(database.dsn)

    assert deleted(report) == {"users": (1, 0), "bookings": (0, 1)}
    assert (ids(owner, "users"), ids(owner, "bookings")) == ([2], [2])


def test_a_generated_column_that_is_not_stored(database: Database, owner: Connection[TupleRow]) -> None:
    if owner.info.server_version < 180000:
        pytest.skip("virtual columns came with PostgreSQL 18")
    make(
        owner,
        "CREATE TABLE users (id int, name text,"
        " email text GENERATED ALWAYS AS (name || '@test.example.com'));"
        "INSERT INTO users VALUES (1, 'x-1717171717171-1a'), (2, NULL)",
    )

    assert deleted(swept_thoroughly(database.dsn)) == {"users": (1, 0)}


def test_a_created_at_that_is_a_dropped_column_or_a_domain(
    database: Database, owner: Connection[TupleRow]
) -> None:
    make(
        owner,
        "CREATE DOMAIN moment AS timestamptz;"
        "CREATE TABLE a (email text, created_at timestamptz DEFAULT now());"
        "CREATE TABLE b (email text, created_at moment DEFAULT now());"
        "ALTER TABLE a DROP COLUMN created_at;"
        "INSERT INTO a VALUES (MARKED), ('real'); INSERT INTO b VALUES (MARKED), ('real')",
    )

    assert deleted(swept_thoroughly(database.dsn)) == {"a": (1, 0), "b": (1, 0)}


def test_rows_too_large_for_their_page(database: Database, owner: Connection[TupleRow]) -> None:
    make(
        owner,
        "CREATE TABLE users (id int PRIMARY KEY, email text, photo text);"
        "ALTER TABLE users ALTER photo SET STORAGE EXTERNAL;"
        "INSERT INTO users VALUES (1, MARKED, repeat('x', 100000)), (2, 'real', repeat(MARKED, 1000) || '.')",
    )

    assert deleted(swept_thoroughly(database.dsn)) == {"users": (1, 0)}
    assert ids(owner, "users") == [2]


def test_temporary_and_unlogged_tables(database: Database, owner: Connection[TupleRow]) -> None:
    make(
        owner,
        "CREATE TEMPORARY TABLE passing (email text); INSERT INTO passing VALUES (MARKED);"
        "CREATE UNLOGGED TABLE quick (id int PRIMARY KEY, email text); INSERT INTO quick VALUES (1, MARKED)",
    )

    assert deleted(swept(database.dsn)) == {"quick": (1, 0)}


def test_a_materialized_view_is_told_until_it_is_refreshed(
    database: Database, owner: Connection[TupleRow]
) -> None:
    make(
        owner,
        "CREATE TABLE users (id int PRIMARY KEY, email text); INSERT INTO users VALUES (1, MARKED);"
        'CREATE MATERIALIZED VIEW "Seen" AS SELECT * FROM users;'
        "CREATE MATERIALIZED VIEW real AS SELECT id, 'real' AS email FROM users",
    )

    report = swept_thoroughly(database.dsn)

    assert deleted(report) == {"users": (1, 0)}
    assert kept(report) == {("Seen", "refused"): 1}
    assert not report.complete
    told, refresh = report.kept[0].detail.split(": ")
    assert told == "a materialized view shows them until it is refreshed"
    owner.execute(refresh.encode())
    assert swept(database.dsn).complete


def test_keys_over_periods_that_refer_to_several_rows(
    database: Database, owner: Connection[TupleRow]
) -> None:
    if owner.info.server_version < 180000:
        pytest.skip("foreign keys over periods came with PostgreSQL 18")
    make(
        owner,
        "CREATE TABLE rooms (id int4range, during int4range, mark text,"
        " PRIMARY KEY (id, during WITHOUT OVERLAPS));"
        "CREATE TABLE stays (n int, room int4range, during int4range,"
        " FOREIGN KEY (room, PERIOD during) REFERENCES rooms (id, PERIOD during));"
        # More than a sweep begins with, so that a stay's rooms are in several batches.
        "INSERT INTO rooms SELECT '[1,1]', int4range(n, n + 1), MARKED FROM generate_series(1, 59) AS n;"
        "INSERT INTO rooms VALUES ('[1,1]', '[60,60]', NOW_MARKED), ('[2,2]', '[1,1]', 'real');"
        "INSERT INTO stays VALUES (1, '[1,1]', '[1,60]'), (2, '[1,1]', '[3,3]'), (3, '[2,2]', '[1,1]')",
    )

    report = swept_thoroughly(database.dsn)

    assert report.deleted == ()
    assert kept(report) == {("rooms", "too_young"): 60, ("stays", "too_young"): 2}
