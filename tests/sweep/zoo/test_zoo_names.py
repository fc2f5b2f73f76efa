"""Names that need quotes, or are those of something inside a sweep's own statements."""

from __future__ import annotations

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from tests import contrib
from tests.servers.sessions import Database
from tests.sweep.rows.row_sweeps import deleted, ids, mail, swept_thoroughly

NAMES = (
    'q"u%o"te%%d',
    "Upper Case",
    ":colon::text",
    "%(tids)s",
    "$1 {0}",
    "back\\slash",
    "it's",
    "日本語",
    "select",
    "x" * 63,
)
# What a sweep calls things in its own statements.
INSIDE = [
    "v",
    "r",
    "c",
    "p",
    "n",
    "at",
    "marked",
    "asked",
    "alive",
    "created",
    "committed",
    "value",
    "found",
    "judged",
    "named",
    "tid",
    "tids",
    "xid",
    "one",
]


@pytest.mark.parametrize("name", NAMES)
def test_quoted_names(database: Database, owner: Connection[TupleRow], name: str) -> None:
    statements = """
        CREATE SCHEMA {0};
        CREATE SCHEMA types;
        CREATE DOMAIN types.{0} AS text;
        CREATE TABLE {0}.{0} ({0} int PRIMARY KEY, mark types.{0}, up int REFERENCES {0}.{0});
        CREATE TABLE {0}.child (id int, {0} int, created_at timestamptz,
            CONSTRAINT {0} FOREIGN KEY ({0}) REFERENCES {0}.{0});
        INSERT INTO {0}.{0} VALUES (1, {1}, NULL), (2, 'real', NULL), (3, {1}, 1);
        INSERT INTO {0}.child VALUES (1, 1, '2025-01-01'), (2, 2, now()), (3, 3, NULL);
    """
    for statement in statements.split(";\n"):
        owner.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Literal(mail())))

    report = swept_thoroughly(database.dsn)

    assert deleted(report) == {name: (2, 0), "child": (0, 2)}
    assert {one.schema for one in report.deleted} == {name}
    assert owner.execute(sql.SQL("SELECT id FROM {}.child").format(sql.Identifier(name))).fetchall() == [(2,)]


@pytest.mark.parametrize("marked", INSIDE)
def test_columns_named_like_what_is_inside_statements(
    database: Database, owner: Connection[TupleRow], marked: str
) -> None:
    columns = [name for name in INSIDE if name != marked]
    owner.execute(
        sql.SQL("CREATE TABLE named (id int PRIMARY KEY, {} text, created_at timestamp, {})").format(
            sql.Identifier(marked),
            sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(one)) for one in columns),
        )
    )
    owner.execute(
        sql.SQL("CREATE TABLE r ({0} int REFERENCES named (id), created_at date)").format(
            sql.Identifier(marked)
        )
    )
    owner.execute("INSERT INTO named VALUES (1, %s), (2, 'real')", [mail()])
    owner.execute("INSERT INTO r VALUES (1), (2)")

    report = swept_thoroughly(database.dsn)

    assert deleted(report) == {"named": (1, 0), "r": (0, 1)}
    assert (ids(owner, "named"), ids(owner, "r")) == ([2], [2])


def test_a_function_of_the_same_name_in_public(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute(
        "CREATE FUNCTION public.statement_timestamp() RETURNS timestamptz LANGUAGE sql"
        " AS $$SELECT 'epoch'::timestamptz$$;"
        "CREATE TABLE users (id int, email text)"
    )
    owner.execute("INSERT INTO users VALUES (1, %s)", [mail()])

    assert deleted(swept_thoroughly(database.dsn)) == {"users": (1, 0)}


@pytest.mark.contrib
def test_keys_that_ignore_case(database: Database, owner: Connection[TupleRow]) -> None:
    contrib.create(owner, "CREATE EXTENSION citext")
    owner.execute(
        "CREATE TABLE users (email citext PRIMARY KEY);"
        "CREATE TABLE bookings (id int, email citext REFERENCES users ON UPDATE CASCADE)"
    )
    owner.execute("INSERT INTO users VALUES (%s), ('Real@Example.org')", [mail("Ann")])
    owner.execute("INSERT INTO bookings VALUES (1, %s), (2, 'real@example.org')", [mail("aNN").upper()])

    report = swept_thoroughly(database.dsn)

    assert deleted(report) == {"users": (1, 0), "bookings": (1, 0)}
    assert ids(owner, "bookings") == [2]


@pytest.mark.contrib
def test_keys_under_a_collation_that_ignores_case(database: Database, owner: Connection[TupleRow]) -> None:
    contrib.create(
        owner, "CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
    )
    owner.execute(
        "CREATE TABLE users (name text COLLATE nocase PRIMARY KEY, mark text);"
        "CREATE TABLE bookings (id int, name text COLLATE nocase REFERENCES users)"
    )
    owner.execute("INSERT INTO users VALUES ('Ann', %s), ('Bob', 'real')", [mail()])
    owner.execute("INSERT INTO bookings VALUES (1, 'ANN'), (2, 'bOB')")

    report = swept_thoroughly(database.dsn)

    assert deleted(report) == {"users": (1, 0), "bookings": (0, 1)}
    assert ids(owner, "bookings") == [2]
