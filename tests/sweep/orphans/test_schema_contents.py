"""Whatever is in an orphan schema goes, however much of it there is."""

from __future__ import annotations

import pytest
from psycopg import Connection, errors, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.postgres import queries
from pgwatch_tests.sweep.orphans import schema_parts
from tests.servers.sessions import Connect, Database, unique_name
from tests.sweep.orphans.sweeping import HOSTILE, aged_name, exists, make_schema, make_tables, named, swept


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


def test_a_full_lock_table_makes_portions_smaller(
    owner: Connection[TupleRow], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_parts, "PARTS_AT_ONCE", 10_000)
    monkeypatch.setattr(schema_parts, "LOCKS_AT_ONCE", 1_000_000)
    name = make_schema(owner)
    make_tables(owner, name, 2500, "(i int PRIMARY KEY, s text)")

    assert named(swept(database.dsn, "schemas"), name).detail == ""
    assert not exists(owner, name)


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


def test_what_refers_goes_before_what_is_referred_to(owner: Connection[TupleRow]) -> None:
    name = make_schema(owner)
    owner.execute("CREATE TABLE public.users (i int PRIMARY KEY)")
    for statement in (
        "CREATE TABLE {0}.root (i int PRIMARY KEY) PARTITION BY RANGE (i)",
        "CREATE TABLE {0}.leaf PARTITION OF {0}.root FOR VALUES FROM (0) TO (1)",
        "CREATE TABLE {0}.hub (i int PRIMARY KEY REFERENCES {0}.hub)",
        "CREATE TABLE {0}.first (i int REFERENCES {0}.root, j int REFERENCES {0}.hub)",
        "ALTER TABLE {0}.first ADD FOREIGN KEY (i) REFERENCES {0}.hub",
        "CREATE TABLE {0}.second (i int REFERENCES {0}.hub)",
        "CREATE TABLE {0}.elsewhere (i int REFERENCES public.users)",
        "CREATE VIEW {0}.v AS SELECT * FROM {0}.leaf",
        "CREATE VIEW {0}.vv AS SELECT * FROM {0}.v",
    ):
        owner.execute(sql.SQL(statement).format(sql.Identifier(name)))

    parts = owner.execute(queries.load("sweep/schema_parts"), {"schema": name}).fetchall()

    order = [str(part[1]) for part in parts]
    # Of a partition's foreign key, there is one for the root and one for each partition.
    assert order == ["elsewhere", "vv", "v", "second", "first", "leaf", "root", "hub"]
