"""What isn't in an orphan schema never goes along with it."""

from __future__ import annotations

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from tests.servers.sessions import Connect, Database
from tests.sweep.orphans.sweeping import (
    at_third_question,
    contents,
    exists,
    make_schema,
    make_tables,
    named,
    swept,
    tables,
    verdict,
)

OUTSIDE = {
    "view public.users": "CREATE VIEW public.users AS SELECT * FROM {0}.t",
    "materialized view public.users": "CREATE MATERIALIZED VIEW public.users AS SELECT * FROM {0}.v",
    "on table public.orders": "CREATE TABLE public.orders (i int REFERENCES {0}.t)",
    "column n of table public.orders": "CREATE TABLE public.orders (i int, n int DEFAULT nextval({1}))",
    "column c of table public.orders": "CREATE TABLE public.orders (c {0}.mood)",
    "column a of table public.orders": "CREATE TABLE public.orders (a {0}.t[])",
    "table public.child": "CREATE TABLE public.child () INHERITS ({0}.t)",
    "table public.part": "CREATE TABLE public.part PARTITION OF {0}.p FOR VALUES IN (1)",
    "table public.whole": "ALTER TABLE public.whole ATTACH PARTITION {0}.leaf FOR VALUES IN (1)",
    "function public.f": "CREATE FUNCTION public.f({0}.mood) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "trigger x on table public.whole": (
        "CREATE TRIGGER x BEFORE INSERT ON public.whole FOR EACH STATEMENT EXECUTE FUNCTION {0}.react()"
    ),
    "policy x on table public.whole": "CREATE POLICY x ON public.whole USING (i IN (SELECT i FROM {0}.t))",
    "constraint x on table public.whole": "ALTER TABLE public.whole ADD CONSTRAINT x CHECK ({0}.is_good(i))",
    "index public.x": "CREATE INDEX x ON public.whole ({0}.number(i))",
    "cast from": "CREATE CAST (public.one AS public.two) WITH FUNCTION {0}.convert(public.one)",
    "extension plpgsql": "ALTER EXTENSION plpgsql ADD TABLE {0}.t",
}


@pytest.mark.parametrize("what", OUTSIDE)
def test_what_is_outside_never_goes_along(what: str, owner: Connection[TupleRow], database: Database) -> None:
    name = make_schema(owner)
    for statement in (
        "CREATE TABLE {0}.t (i int PRIMARY KEY)",
        "CREATE VIEW {0}.v AS SELECT * FROM {0}.t",
        "CREATE TYPE {0}.mood AS ENUM ('a')",
        "CREATE SEQUENCE {0}.s",
        "CREATE TABLE {0}.p (i int) PARTITION BY LIST (i)",
        "CREATE TABLE {0}.leaf (i int)",
        "CREATE TABLE public.whole (i int) PARTITION BY LIST (i)",
        "CREATE TYPE public.one AS (i int)",
        "CREATE TYPE public.two AS (i int)",
        "CREATE FUNCTION {0}.react() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE FUNCTION {0}.is_good(int) RETURNS bool LANGUAGE sql AS 'SELECT true'",
        "CREATE FUNCTION {0}.number(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION {0}.convert(public.one) RETURNS public.two LANGUAGE sql AS 'SELECT ROW(1)::two'",
        OUTSIDE[what],
    ):
        owner.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Literal(f"{name}.s")))
    whole = contents(owner)

    dry = verdict(swept(database.dsn, "schemas", dry_run=True), name)
    kept = named(swept(database.dsn, "schemas"), name)

    assert dry == (kept.removed, kept.reason, kept.detail)
    assert (kept.removed, kept.reason) == (False, "shared_with_real_data")
    assert what in kept.detail
    assert kept.detail.endswith("would be dropped with it")
    assert contents(owner) == whole


def test_an_extension_never_goes_along(owner: Connection[TupleRow], database: Database) -> None:
    name = make_schema(owner)
    query = "SELECT name FROM pg_available_extensions WHERE name IN ('vector', 'citext') LIMIT 1"
    row = owner.execute(query).fetchone()
    assert row is not None
    owner.execute(
        sql.SQL("CREATE EXTENSION {} SCHEMA {}").format(sql.Identifier(row[0]), sql.Identifier(name))
    )

    kept = named(swept(database.dsn, "schemas"), name)

    assert kept.reason == "shared_with_real_data"
    assert f"extension {row[0]}" in kept.detail
    assert owner.execute("SELECT 1 FROM pg_extension WHERE extname = %s", [row[0]]).fetchone()


def test_a_table_that_refers_to_a_real_one_goes(owner: Connection[TupleRow], database: Database) -> None:
    name = make_schema(owner)
    owner.execute("CREATE TABLE public.users (i int PRIMARY KEY)")
    owner.execute("CREATE TABLE public.orders (i int REFERENCES users)")
    owner.execute("CREATE PUBLICATION p FOR ALL TABLES")
    owner.execute(
        sql.SQL("CREATE TABLE {}.bookings (i int REFERENCES public.users)").format(sql.Identifier(name))
    )
    owner.execute(sql.SQL("CREATE PUBLICATION q FOR TABLE {}.bookings").format(sql.Identifier(name)))

    assert named(swept(database.dsn, "schemas"), name).detail == ""
    assert not exists(owner, name)
    assert tables(owner, "public") == 2
    row = owner.execute("SELECT count(*) FROM pg_constraint WHERE contype = 'f'").fetchone()
    assert row == (1,)


def test_a_real_table_that_is_in_use_keeps_what_refers_to_it(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    name = make_schema(owner)
    owner.execute("CREATE TABLE public.users (i int PRIMARY KEY)")
    make_tables(owner, name, 60, "(i int)")
    for statement in (
        "ALTER TABLE {}.t7 ADD FOREIGN KEY (i) REFERENCES public.users",
        "CREATE VIEW {0}.v AS SELECT * FROM {0}.t8",
    ):
        owner.execute(sql.SQL(statement).format(sql.Identifier(name)))
    reader = connect()
    reader.execute("SELECT * FROM public.users")
    whole = contents(owner)

    kept = named(swept(database.dsn, "schemas"), name)

    assert (kept.removed, kept.reason) == (False, "locked")
    assert contents(owner) == whole
    reader.rollback()
    assert named(swept(database.dsn, "schemas"), name).removed


def test_what_is_made_outside_meanwhile_never_goes_along(
    owner: Connection[TupleRow], database: Database
) -> None:
    name = make_schema(owner)
    make_tables(owner, name, 120, "(i int)")

    def meanwhile() -> None:
        owner.execute(sql.SQL("CREATE VIEW public.v AS SELECT * FROM {}.t7").format(sql.Identifier(name)))

    kept = named(swept(database.dsn, "schemas", stopped=at_third_question(meanwhile)), name)

    assert kept.reason == "shared_with_real_data"
    assert "view public.v" in kept.detail
    assert owner.execute("SELECT * FROM public.v").fetchall() == []
