"""What is made of a schema while it is dropped, in the moment that a lock holds open, never goes along."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import LiteralString

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from tests.servers.sessions import Connect, Database, MakeRole
from tests.sweep.orphans.sweeping import exists, make_schema, make_tables, named, swept
from tests.waiting import wait_until

PATIENCE_S = 20.0

# In the order of their making: of a kind, the last one is dropped first, and its lock is waited for.
INSIDE: tuple[LiteralString, ...] = (
    "CREATE TYPE {0}.mood AS ENUM ('a')",
    "CREATE TYPE {0}.held_type AS ENUM ('a')",
    "CREATE TABLE {0}.t (i int PRIMARY KEY)",
    "CREATE VIEW {0}.v AS SELECT * FROM {0}.t",
    "CREATE VIEW {0}.held_view AS SELECT 1 AS i",
    "CREATE MATERIALIZED VIEW {0}.m AS SELECT 1 AS i",
    "CREATE MATERIALIZED VIEW {0}.held_matview AS SELECT 1 AS i",
    "CREATE SEQUENCE {0}.s",
    "CREATE SEQUENCE {0}.held_sequence",
    "CREATE COLLATION {0}.c (locale = 'C')",
    "CREATE FUNCTION {0}.react() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "CREATE FUNCTION {0}.react_to_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
    "CREATE FUNCTION {0}.is_good(int) RETURNS bool LANGUAGE sql AS 'SELECT true'",
    "CREATE FUNCTION {0}.number(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION {0}.held_function() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE TABLE public.users (i int PRIMARY KEY)",
    "CREATE TABLE public.orders (i int)",
)

HOLD: dict[str, LiteralString] = {
    "view": "SELECT * FROM {0}.held_view",
    "matview": "SELECT * FROM {0}.held_matview",
    "sequence": "SELECT nextval({1})",
    "function": "COMMENT ON FUNCTION {0}.held_function() IS 'x'",
    "type": "COMMENT ON TYPE {0}.held_type IS 'x'",
    "schema": "COMMENT ON SCHEMA {0} IS 'x'",
}


@dataclass(frozen=True)
class Made:
    """Something that is made from outside."""

    by: LiteralString
    description: str
    while_held: str
    there: LiteralString
    """A query that has a row as long as it is there."""
    refused: bool = False
    """Whether the server itself doesn't let it go."""


MADE = (
    Made(
        "CREATE VIEW public.x AS SELECT * FROM {0}.v",
        "view public.x",
        "view",
        "SELECT FROM pg_views WHERE viewname = 'x'",
    ),
    Made(
        "CREATE MATERIALIZED VIEW public.x AS SELECT * FROM {0}.m",
        "materialized view public.x",
        "matview",
        "SELECT FROM pg_matviews WHERE matviewname = 'x'",
    ),
    Made(
        "ALTER TABLE public.orders ADD c {0}.mood",
        "column c of table public.orders",
        "type",
        "SELECT FROM pg_attribute WHERE attrelid = 'public.orders'::regclass AND attname = 'c'",
    ),
    Made(
        "ALTER TABLE public.orders ADD c int DEFAULT {0}.number(1)",
        "default value for column c of table public.orders",
        "function",
        "SELECT FROM pg_attrdef WHERE adrelid = 'public.orders'::regclass",
    ),
    Made(
        "ALTER TABLE public.orders ADD c int DEFAULT nextval({2})",
        "default value for column c of table public.orders",
        "sequence",
        "SELECT FROM pg_attrdef WHERE adrelid = 'public.orders'::regclass",
    ),
    Made(
        "ALTER TABLE public.orders ADD c int GENERATED ALWAYS AS ({0}.number(i)) STORED",
        "column c of table public.orders",
        "function",
        "SELECT FROM pg_attribute WHERE attrelid = 'public.orders'::regclass AND attname = 'c'",
    ),
    Made(
        "ALTER TABLE public.orders ADD c text COLLATE {0}.c",
        "column c of table public.orders",
        "schema",
        "SELECT FROM pg_attribute WHERE attrelid = 'public.orders'::regclass AND attname = 'c'",
    ),
    Made(
        "ALTER TABLE public.orders ADD CONSTRAINT x CHECK ({0}.is_good(i))",
        "constraint x on table public.orders",
        "function",
        "SELECT FROM pg_constraint WHERE conname = 'x'",
    ),
    Made(
        "CREATE TRIGGER x BEFORE INSERT ON public.orders FOR EACH STATEMENT EXECUTE FUNCTION {0}.react()",
        "trigger x on table public.orders",
        "function",
        "SELECT FROM pg_trigger WHERE tgname = 'x'",
    ),
    Made(
        "CREATE EVENT TRIGGER x ON ddl_command_end EXECUTE FUNCTION {0}.react_to_ddl()",
        "event trigger x",
        "function",
        "SELECT FROM pg_event_trigger WHERE evtname = 'x'",
    ),
    Made(
        "CREATE POLICY x ON public.orders USING ({0}.is_good(i))",
        "policy x on table public.orders",
        "function",
        "SELECT FROM pg_policy WHERE polname = 'x'",
    ),
    Made(
        "CREATE DOMAIN public.x AS int CHECK ({0}.is_good(VALUE))",
        "constraint x_check",
        "function",
        "SELECT FROM pg_constraint WHERE conname = 'x_check'",
    ),
    Made(
        "CREATE DOMAIN public.x AS {0}.mood",
        "type public.x",
        "type",
        "SELECT FROM pg_type WHERE typname = 'x'",
    ),
    Made(
        "CREATE INDEX x ON public.orders ({0}.number(i))",
        "index public.x",
        "function",
        "SELECT FROM pg_class WHERE relname = 'x'",
    ),
    Made(
        "ALTER EXTENSION plpgsql ADD FUNCTION {0}.is_good(int)",
        "extension plpgsql",
        "function",
        "SELECT FROM pg_depend WHERE deptype = 'e' AND objid = '{0}.is_good'::regproc",
        refused=True,
    ),
    Made(
        "ALTER TABLE public.orders ADD CONSTRAINT x FOREIGN KEY (i) REFERENCES {0}.t",
        "constraint x on table public.orders",
        "view",
        "SELECT FROM pg_constraint WHERE conname = 'x'",
    ),
)


class Schema:
    """A schema with something of everything, and how statements name its parts."""

    def __init__(self, owner: Connection[TupleRow]) -> None:
        self.name = make_schema(owner)
        for statement in INSIDE:
            owner.execute(self.with_names(statement))

    def with_names(self, statement: LiteralString) -> sql.Composed:
        parts = [sql.Literal(f"{self.name}.{part}") for part in ("held_sequence", "s")]
        return sql.SQL(statement).format(sql.Identifier(self.name), *parts)


def is_waiting(owner: Connection[TupleRow]) -> bool:
    query = (
        "SELECT FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'pgwatch-tests' AND wait_event_type = 'Lock'"
    )
    return owner.execute(query).fetchone() is not None


@pytest.mark.parametrize("made", MADE, ids=lambda made: made.by)
def test_what_is_made_while_a_drop_waits(
    made: Made, owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    schema = Schema(owner)
    holder = connect()
    questions = 0

    def stopped() -> bool:
        # Before the schema, before its first portion.
        nonlocal questions
        questions += 1
        if questions == 2:
            holder.execute(schema.with_names(HOLD[made.while_held]))
        return False

    with ThreadPoolExecutor(1) as pool:
        sweep = pool.submit(swept, database.dsn, "schemas", stopped=stopped, lock_timeout_s=PATIENCE_S)
        wait_until(lambda: is_waiting(owner), PATIENCE_S)
        owner.execute(schema.with_names(made.by))
        holder.rollback()
        kept = named(sweep.result(), schema.name)

    assert (kept.removed, kept.reason) == (False, "refused" if made.refused else "shared_with_real_data")
    assert made.description in kept.detail
    why = (
        "requires it"
        if made.refused
        else "would be dropped with it: created during the drop, which was rolled back"
    )
    assert why in kept.detail
    assert owner.execute(schema.with_names(made.there)).fetchone() is not None
    assert exists(owner, schema.name)


@pytest.mark.parametrize("published", ["TABLE {0}.t", "TABLES IN SCHEMA {0}"])
def test_a_publication_made_meanwhile_loses_what_it_published_of_the_schema(
    published: LiteralString, owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    """As it would by any DROP: it isn't the schema's, but what it lists is."""
    if "SCHEMA" in published and owner.info.server_version < 150000:
        pytest.skip("publications of schemas came with 15")
    schema = Schema(owner)
    holder = connect()
    holder.execute(schema.with_names(HOLD["function"]))

    with ThreadPoolExecutor(1) as pool:
        sweep = pool.submit(swept, database.dsn, "schemas", lock_timeout_s=PATIENCE_S)
        wait_until(lambda: is_waiting(owner), PATIENCE_S)
        # Its tables are gone by now.
        owner.execute(schema.with_names("CREATE TABLE {0}.t2 (i int)"))
        what = published.replace("{0}.t", "{0}.t2")
        owner.execute(schema.with_names("CREATE PUBLICATION x FOR ") + schema.with_names(what))
        holder.rollback()
        assert named(sweep.result(), schema.name).detail == ""

    assert not exists(owner, schema.name)
    assert owner.execute("SELECT count(*) FROM pg_publication").fetchone() == (1,)


def test_each_portion_of_tables_has_that_moment(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    """A function of a row's type locks no table; the portion waits for a table that it refers to."""
    name = make_schema(owner)
    owner.execute("CREATE TABLE public.users (i int PRIMARY KEY)")
    make_tables(owner, name, 120, "(i int)")
    holder = connect()
    questions = 0
    own = sql.Identifier(name)

    def stopped() -> bool:
        nonlocal questions
        questions += 1
        if questions == 3:  # before its second portion
            make = "ALTER TABLE {}.t69 ADD FOREIGN KEY (i) REFERENCES public.users NOT VALID"
            owner.execute(sql.SQL(make).format(own))
            holder.execute("SELECT * FROM public.users")
        return False

    with ThreadPoolExecutor(1) as pool:
        sweep = pool.submit(swept, database.dsn, "schemas", stopped=stopped, lock_timeout_s=PATIENCE_S)
        wait_until(lambda: is_waiting(owner), PATIENCE_S)
        make = "CREATE FUNCTION public.f({}.t68) RETURNS int LANGUAGE sql AS 'SELECT 1'"
        owner.execute(sql.SQL(make).format(own))
        holder.rollback()
        kept = named(sweep.result(), name)

    assert kept.reason == "shared_with_real_data"
    assert "function public.f(" in kept.detail
    assert "(50 parts are dropped; the next sweep continues)" in kept.detail
    call = "SELECT public.f(NULL::{}.t68)"
    assert owner.execute(sql.SQL(call).format(own)).fetchone() == (1,)


def test_without_a_second_session_it_stays(
    owner: Connection[TupleRow], database: Database, server: EmbeddedServer, make_role: MakeRole
) -> None:
    role = make_role("CONNECTION LIMIT 1")
    name = make_schema(owner)
    hand_over = "ALTER SCHEMA {} OWNER TO {}"
    owner.execute(sql.SQL(hand_over).format(sql.Identifier(name), sql.Identifier(role)))

    found = swept(server.dsn(database.name, role), "schemas")

    kept = named(found, name)
    assert kept.reason == "not_checked"
    assert kept.detail.startswith("it takes a second connection to see what else DROP would drop (")
    assert "too many connections for role" in kept.detail
    assert exists(owner, name)
