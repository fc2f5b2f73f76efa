"""Schemas that tests left behind go; those of whoever lives, and those that others use, stay whole."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable

import pytest
from psycopg import Connection, errors, sql
from psycopg.rows import TupleRow

from pgwatch_tests.demo.embedded import EmbeddedServer
from pgwatch_tests.errors import ConnectionLostError
from pgwatch_tests.sweep import schema_parts
from pgwatch_tests.sweep.found import Found
from pgwatch_tests.sweep.leases import LEASE_KEY
from pgwatch_tests.sweep.model import KeptReason
from tests.sessions import Connect, Database, MakeRole, unique_name
from tests.sweep.processes import owner_of
from tests.sweep.sweeping import (
    HOSTILE,
    aged_name,
    exists,
    make_schema,
    make_tables,
    named,
    swept,
    tables,
)
from tests.waiting import wait_until


def verdict(found: Found, name: str) -> tuple[bool, KeptReason | None, str]:
    """What a sweep says of one schema, but for its age."""
    orphan = named(found, name)
    return orphan.removed, orphan.reason, orphan.detail


def at_third_question(meanwhile: Callable[[], None]) -> Callable[[], bool]:
    """Never stops a sweep, but lets something happen after the first portion of the first schema."""
    questions = itertools.count(1)

    def stopped() -> bool:
        # Before the schema, before its first portion, before its second.
        if next(questions) == 3:
            meanwhile()
        return False

    return stopped


def test_an_orphan_goes(owner: Connection[TupleRow], database: Database) -> None:
    name = make_schema(owner)
    make_tables(owner, name, 3, "(i int PRIMARY KEY, s text)")

    orphan = named(swept(database.dsn, "schemas"), name)

    assert (orphan.kind, orphan.removed, orphan.reason, orphan.detail) == ("schemas", True, None, "")
    assert orphan.age_s == pytest.approx(3600, abs=60)
    assert not exists(owner, name)
    assert swept(database.dsn, "schemas").orphans == ()


def test_three_thousand_tables_on_default_settings(owner: Connection[TupleRow], database: Database) -> None:
    assert owner.execute("SHOW max_locks_per_transaction").fetchone() == ("64",)
    assert owner.execute("SHOW max_connections").fetchone() == ("100",)
    name = make_schema(owner)
    # Each refers to one that is far away: foreign keys go from portion to portion.
    make_tables(owner, name, 3000, "(i int PRIMARY KEY, s text)")
    owner.execute(
        sql.SQL(
            "DO $do$ BEGIN FOR i IN 1..200 LOOP EXECUTE format("
            "'ALTER TABLE %1$I.t%2$s ADD FOREIGN KEY (i) REFERENCES %1$I.t%3$s',"
            " {}::text, i, (i * 1499) % 3000); END LOOP; END $do$"
        ).format(sql.Literal(name))
    )
    with pytest.raises(errors.OutOfMemory):
        owner.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))

    assert named(swept(database.dsn, "schemas"), name).removed
    assert not exists(owner, name)


def test_a_dry_run_says_the_same_and_touches_nothing(owner: Connection[TupleRow], database: Database) -> None:
    orphan, young, live = make_schema(owner), make_schema(owner, aged_name(5)), make_schema(owner)
    owner.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", [LEASE_KEY, live])
    make_tables(owner, orphan, 2, "(i int)")

    dry = swept(database.dsn, "schemas", dry_run=True)

    assert all(exists(owner, name) for name in (orphan, young, live))
    assert tables(owner, orphan) == 2
    wet = swept(database.dsn, "schemas")
    assert [(one.name, one.removed, one.reason) for one in dry.orphans] == [
        (one.name, one.removed, one.reason) for one in wet.orphans
    ]
    assert not exists(owner, orphan)


def test_age_and_name_decide(owner: Connection[TupleRow], database: Database) -> None:
    kept = {
        aged_name(5): "too_young",
        aged_name(-3600): "in_future",
        aged_name(-2): "too_young",
        "test_plain": "age_unknown",
        f"{aged_name()}_more": "age_unknown",
        f"{aged_name()}\n": "age_unknown",
        "test_1717171717171_x7f3": "age_unknown",
    }
    foreign = ["Test_1717171717171_1_x", "app", f"pre_{aged_name()}", HOSTILE]
    for name in [*kept, *foreign]:
        make_schema(owner, name)

    found = swept(database.dsn, "schemas")

    assert {one.name: one.reason for one in found.orphans} == kept
    assert all(exists(owner, name) for name in [*kept, *foreign])
    # Where no age is asked for, the young ones go; those of the future stay all the same.
    found = swept(database.dsn, "schemas", min_age_s=0)
    assert [one.removed for one in found.orphans] == [kept[one.name] == "too_young" for one in found.orphans]


@pytest.mark.parametrize("what", ["schema", "work"])
def test_a_schema_stays_as_long_as_its_owner_lives(
    what: str, owner: Connection[TupleRow], database: Database
) -> None:
    with owner_of(what, database.dsn) as process:
        schema = process.name
        owner.execute(sql.SQL("CREATE TABLE {}.t ()").format(sql.Identifier(schema)))
        for stop in (False, True):
            if stop:
                process.process.send_signal(signal.SIGSTOP)
            kept = named(swept(database.dsn, "schemas", min_age_s=0), schema)
            assert (kept.removed, kept.reason) == (False, "run_alive")
            assert "holds its lease" in kept.detail
            assert tables(owner, schema) == 1

        process.kill()

        wait_until(lambda: named(swept(database.dsn, "schemas", min_age_s=0), schema).removed, 2.0)
        assert not exists(owner, schema)


def test_a_schema_whose_lease_is_held_elsewhere_stays(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    name = make_schema(owner)
    elsewhere = connect(database="postgres", autocommit=True)
    elsewhere.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", [LEASE_KEY, name])

    assert named(swept(database.dsn, "schemas"), name).reason == "run_alive"


def test_names_that_need_quotes(owner: Connection[TupleRow], database: Database) -> None:
    name = make_schema(owner)
    home, odd, index = sql.Identifier(name), sql.Identifier(HOSTILE[:20]), sql.Identifier(f"i{HOSTILE}")
    out = owner.info.server_version >= 140000
    table, sequence = sql.Identifier(f"t{HOSTILE}"), sql.Literal(f'{name}."it\'s"')
    for statement in (
        "CREATE TYPE {0}.{1} AS ENUM ('a')",
        "CREATE DOMAIN {0}.d AS {0}.{1} DEFAULT 'a'",
        "CREATE TYPE {0}.c AS (a {0}.d, b int[])",
        "CREATE TYPE {0}.r AS RANGE (subtype = int)",
        "CREATE TABLE {0}.t (id serial PRIMARY KEY, i int GENERATED ALWAYS AS IDENTITY, c {0}.c, {1} text)",
        "CREATE FUNCTION {0}.{1}(a {0}.t, {1} {0}.d[], OUT c int) LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION {0}.{1}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE PROCEDURE {0}.{1}(a int, b int) LANGUAGE sql AS 'SELECT 1'",
        # As a standard would have it, this one has the same arguments.
        *(["CREATE PROCEDURE {0}.{1}(a int, OUT b int) LANGUAGE sql AS 'SELECT 1'"] if out else []),
        "CREATE AGGREGATE {0}.a (int) (sfunc = int4pl, stype = int)",
        "CREATE AGGREGATE {0}.b (*) (sfunc = int8inc, stype = int8, initcond = 0)",
        "CREATE TRIGGER {1} BEFORE INSERT ON {0}.t FOR EACH ROW EXECUTE FUNCTION {0}.{1}()",
        "CREATE VIEW {0}.v AS SELECT * FROM {0}.t",
        "CREATE VIEW {0}.vv AS SELECT * FROM {0}.v",
        "CREATE MATERIALIZED VIEW {0}.m AS SELECT * FROM {0}.vv",
        'CREATE SEQUENCE {0}."it\'s"',
        "CREATE TABLE {0}.{3} (t text DEFAULT nextval({4}), l int REFERENCES {0}.t)",
        "CREATE INDEX {2} ON {0}.{3} (lower(t))",
        "CREATE POLICY {1} ON {0}.{3} USING (t IN (SELECT {1} FROM {0}.v))",
        "CREATE RULE {1} AS ON DELETE TO {0}.{3} DO INSTEAD NOTHING",
        "CREATE STATISTICS {0}.{1} ON t, l FROM {0}.{3}",
        'CREATE COLLATION {0}.{1} FROM "C"',
        "CREATE OPERATOR {0}.### (leftarg = int, rightarg = int, function = int4pl)",
        "CREATE CAST ({0}.c AS text) WITH INOUT",
        "CREATE TEXT SEARCH CONFIGURATION {0}.{1} (parser = pg_catalog.default)",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA {0} GRANT SELECT ON TABLES TO public",
    ):
        owner.execute(sql.SQL(statement).format(home, odd, index, table, sequence))

    assert named(swept(database.dsn, "schemas"), name).detail == ""
    assert not exists(owner, name)


def test_partitions_and_inheritance(owner: Connection[TupleRow], database: Database) -> None:
    name = make_schema(owner)
    home = sql.Identifier(name)
    owner.execute(sql.SQL("CREATE TABLE {0}.p (i int PRIMARY KEY) PARTITION BY RANGE (i)").format(home))
    owner.execute(
        sql.SQL(
            "CREATE TABLE {0}.pp PARTITION OF {0}.p FOR VALUES FROM (-9) TO (0) PARTITION BY RANGE (i)"
        ).format(home)
    )
    owner.execute(
        sql.SQL("CREATE TABLE {0}.ppp PARTITION OF {0}.pp FOR VALUES FROM (-9) TO (0)").format(home)
    )
    make_tables(owner, name, 120, "PARTITION OF %1$I.p FOR VALUES FROM (%2$s) TO (%2$s + 1)")
    owner.execute(sql.SQL("CREATE TABLE {0}.fk (i int REFERENCES {0}.p)").format(home))
    owner.execute(sql.SQL("CREATE TABLE {0}.mother (i int)").format(home))
    owner.execute(sql.SQL("CREATE TABLE {0}.child (j int) INHERITS ({0}.mother)").format(home))

    assert named(swept(database.dsn, "schemas"), name).removed
    assert not exists(owner, name)


def test_many_of_everything(owner: Connection[TupleRow], database: Database) -> None:
    name = make_schema(owner)
    owner.execute(sql.SQL("CREATE TABLE {}.hub (i int PRIMARY KEY)").format(sql.Identifier(name)))
    make_tables(owner, name, 400, "(i int REFERENCES %1$I.hub, s serial)")
    owner.execute(
        sql.SQL(
            "DO $do$ BEGIN FOR i IN 0..399 LOOP"
            " EXECUTE format('CREATE VIEW %1$I.v%2$s AS SELECT i FROM %1$I.t%2$s', {0}::text, i);"
            " EXECUTE format('CREATE TYPE %1$I.e%2$s AS ENUM ()', {0}::text, i);"
            " EXECUTE format('CREATE FUNCTION %1$I.f%2$s(int) RETURNS int LANGUAGE sql AS $$SELECT 1$$',"
            " {0}::text, i);"
            " EXECUTE format('CREATE SEQUENCE %1$I.s%2$s', {0}::text, i);"
            " END LOOP; END $do$"
        ).format(sql.Literal(name))
    )

    assert named(swept(database.dsn, "schemas"), name).removed
    assert not exists(owner, name)


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
    assert kept.detail.endswith("would go with it")
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


def contents(owner: Connection[TupleRow]) -> list[TupleRow]:
    """What there is in the database, and what depends on what."""
    query = "SELECT classid, objid, refclassid, refobjid FROM pg_depend ORDER BY 1, 2, 3, 4"
    return owner.execute(query).fetchall()


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


def test_names_that_are_no_text(
    owner: Connection[TupleRow], connect: Connect, server: EmbeddedServer
) -> None:
    name, other = aged_name(), unique_name()
    owner.execute(
        sql.SQL("CREATE DATABASE {} ENCODING 'SQL_ASCII' TEMPLATE template0").format(sql.Identifier(other))
    )
    try:
        inside = connect(database=other, autocommit=True)
        make_schema(inside, name)
        home = name.encode()
        inside.execute(b'CREATE TABLE %b."t\xff" (i int)' % home)
        inside.execute(b'CREATE TYPE %b."y\xfe" AS ENUM ()' % home)
        inside.execute(
            b'CREATE FUNCTION %b."f\xfd"(%b."y\xfe") RETURNS int LANGUAGE sql AS $$SELECT 1$$' % (home, home)
        )
        assert named(swept(server.dsn(other), "schemas"), name).detail == ""
        assert not exists(inside, name)
    finally:
        owner.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(other)))


def test_a_schema_that_somebody_works_in_stays_whole(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    name = make_schema(owner)
    make_tables(owner, name, 60, "(i int)")
    worker = connect("pytest:gw0 tests/test_a.py::test_b")
    worker.execute(sql.SQL("SELECT * FROM {}.t3").format(sql.Identifier(name)))

    dry = verdict(swept(database.dsn, "schemas", dry_run=True), name)
    kept = named(swept(database.dsn, "schemas"), name)

    assert dry == (kept.removed, kept.reason, kept.detail)
    assert (kept.removed, kept.reason) == (False, "locked")
    pid = worker.info.backend_pid
    assert kept.detail == f"t3 is locked by pid {pid} (pytest:gw0 tests/test_a.py::test_b)"
    assert tables(owner, name) == 60
    worker.execute(sql.SQL("PREPARE TRANSACTION {}").format(sql.Literal(name)))
    assert named(swept(database.dsn, "schemas"), name).detail == "t3 is locked by a prepared transaction"
    worker.execute("COMMIT")


def test_a_lock_that_comes_later_ends_it_in_order(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    name = make_schema(owner)
    make_tables(owner, name, 120, "(i int)")
    worker = connect()

    def meanwhile() -> None:
        worker.execute(sql.SQL("SELECT * FROM {}.t7").format(sql.Identifier(name)))

    kept = named(swept(database.dsn, "schemas", stopped=at_third_question(meanwhile)), name)

    assert (kept.removed, kept.reason) == (False, "locked")
    assert "parts are dropped; the next sweep goes on from there" in kept.detail
    assert tables(owner, name) == 20
    worker.rollback()
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


def test_it_ends_between_two_portions_when_told_to(owner: Connection[TupleRow], database: Database) -> None:
    first, second = make_schema(owner, aged_name(7200)), make_schema(owner)
    make_tables(owner, first, 120, "(i int)")
    asked = 0

    def stopped() -> bool:
        nonlocal asked
        asked += 1
        return asked > 2

    found = swept(database.dsn, "schemas", stopped=stopped)

    assert [one.reason for one in found.orphans] == ["interrupted", "interrupted"]
    assert "50 parts are dropped" in named(found, first).detail
    assert tables(owner, first) == 70
    assert exists(owner, second)
    assert [one.removed for one in swept(database.dsn, "schemas").orphans] == [True, True]


def test_a_sweep_that_is_killed_is_finished_by_the_next(
    owner: Connection[TupleRow], database: Database
) -> None:
    name = make_schema(owner)
    make_tables(owner, name, 120, "(i int)")
    with owner_of("sweep", database.dsn) as process:
        assert named(swept(database.dsn, "schemas"), name).reason == "run_alive", "two don't drop the same"
        process.kill()

    assert tables(owner, name) == 70
    wait_until(lambda: named(swept(database.dsn, "schemas"), name).removed, 2.0)
    assert not exists(owner, name)


def test_a_sweep_whose_connection_is_lost_says_so(owner: Connection[TupleRow], database: Database) -> None:
    name = make_schema(owner)
    make_tables(owner, name, 120, "(i int)")

    def meanwhile() -> None:
        owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'pgwatch-tests' AND datname = current_database()"
        )

    with pytest.raises(ConnectionLostError):
        swept(database.dsn, "schemas", stopped=at_third_question(meanwhile))

    assert tables(owner, name) == 70


def test_a_plain_role_is_told_whose_it_is(
    owner: Connection[TupleRow], database: Database, server: EmbeddedServer, make_role: MakeRole
) -> None:
    name = make_schema(owner)
    plain, sweeper = make_role(), make_role()
    make_tables(owner, name, 2, "(i int)")
    owner.execute(sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(sql.Identifier(name), sql.Identifier(plain)))
    dsn = server.dsn(database.name, sweeper)

    kept = named(swept(dsn, "schemas"), name)

    assert verdict(swept(dsn, "schemas", dry_run=True), name) == (kept.removed, kept.reason, kept.detail)
    assert (kept.removed, kept.reason) == (False, "refused")
    grant = f"GRANT {plain} TO {sweeper}"
    assert kept.detail == f"needs its owner {plain} ({grant}) or a superuser"
    assert tables(owner, name) == 2
    # The hint helps, even with tables of others in it.
    owner.execute(grant.encode())
    assert named(swept(dsn, "schemas"), name).detail == ""
    assert not exists(owner, name)


def test_a_full_lock_table_makes_portions_smaller(
    owner: Connection[TupleRow], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_parts, "PARTS_AT_ONCE", 10_000)
    monkeypatch.setattr(schema_parts, "LOCKS_AT_ONCE", 1_000_000)
    name = make_schema(owner)
    make_tables(owner, name, 2500, "(i int PRIMARY KEY, s text)")

    assert named(swept(database.dsn, "schemas"), name).detail == ""
    assert not exists(owner, name)


def test_a_lock_on_the_schema_is_waited_for_only_shortly(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    name = make_schema(owner)
    other = connect()
    other.execute(sql.SQL("COMMENT ON SCHEMA {} IS 'x'").format(sql.Identifier(name)))

    kept = named(swept(database.dsn, "schemas"), name)

    assert kept.reason == "locked"
    assert exists(owner, name)
