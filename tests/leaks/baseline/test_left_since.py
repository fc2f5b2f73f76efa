"""What a schema left behind is told beside a baseline: new objects, moved sequences, new large objects."""

from __future__ import annotations

from dataclasses import replace

from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.leaks.model import LeakReport
from tests.leaks.baseline.baselines import left, run, taken, use
from tests.servers.sessions import Connect, Database, MakeRole, unique_name


def details(report: LeakReport) -> dict[str, str]:
    """Of each leftover, by its name."""
    return {one.name: one.detail for one in report.leftovers}


def test_new_objects_are_named_and_what_goes_with_them_isnt(database: Database) -> None:
    run(
        database,
        "CREATE TABLE old (i serial PRIMARY KEY, s text)",
        "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    )
    baseline = taken(database)
    assert left(database, baseline, "object").leftovers == ()

    run(
        database,
        "CREATE TABLE fresh (i serial PRIMARY KEY, s text UNIQUE)",
        "CREATE TRIGGER inside AFTER INSERT ON fresh FOR EACH ROW EXECUTE FUNCTION nothing()",
        "CREATE TRIGGER audit AFTER INSERT ON old FOR EACH ROW EXECUTE FUNCTION nothing()",
        "CREATE INDEX old_s ON old (s)",
        "ALTER TABLE old ADD CONSTRAINT short CHECK (s < 'x')",
        "ALTER TABLE old ADD CONSTRAINT up FOREIGN KEY (i) REFERENCES old",
        "CREATE RULE never AS ON DELETE TO old DO INSTEAD NOTHING",
        "CREATE POLICY own ON old USING (true)",
        "ALTER TABLE old ADD CONSTRAINT one_s UNIQUE (s)",
        "CREATE VIEW v AS SELECT 1 AS i",
        "CREATE MATERIALIZED VIEW m AS SELECT 1 AS i",
        "CREATE SEQUENCE s",
        "CREATE TYPE mood AS ENUM ('fine')",
        "CREATE TYPE pair AS (a int, b int)",
        "CREATE DOMAIN small AS int",
        "CREATE FUNCTION f(a int, b text) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE PROCEDURE p() LANGUAGE sql AS ''",
        "CREATE SCHEMA work",
        "CREATE TABLE work.t (i int)",
        "CREATE SCHEMA test_plain CREATE TABLE t (i int)",
        "CREATE TABLE parts (i int) PARTITION BY LIST (i)",
        "CREATE TABLE leaf PARTITION OF parts DEFAULT",
    )

    found = left(database, baseline, "object")

    assert found.complete
    assert details(found) == dict.fromkeys(
        (
            *("table public.fresh", "table public.parts", "table public.leaf", "index public.old_s"),
            *("check public.short on old", "foreign key public.up on old", "rule public.never on old"),
            *("policy public.own on old", "index public.one_s"),
            *("trigger public.audit on old", "view public.v", "materialized view public.m"),
            *("sequence public.s", "type public.mood", "type public.pair", "domain public.small"),
            *("function public.f(a integer, b text)", "procedure public.p()"),
        ),
        "owner postgres",
    ) | {"schema work": "1 object in it, owner postgres"}


def test_roles_are_the_whole_servers(database: Database, make_role: MakeRole) -> None:
    baseline = taken(database)
    role = make_role()

    assert details(left(database, baseline, "object")) == {
        f"role {role}": "shared by the whole server: another suite may have created it"
    }


def test_an_extension_speaks_for_what_it_brings(database: Database) -> None:
    baseline = taken(database)
    run(database, "DROP EXTENSION plpgsql", "CREATE EXTENSION plpgsql")
    assert details(left(database, baseline, "object")) == {}
    run(database, "DROP EXTENSION plpgsql")
    without = taken(database)
    run(database, "CREATE EXTENSION plpgsql")

    assert details(left(database, without, "object")) == {"extension plpgsql": "owner postgres"}


def test_what_is_renamed_made_anew_or_gone(database: Database) -> None:
    run(
        database,
        "CREATE TABLE t (i int)",
        "CREATE TABLE was (i int PRIMARY KEY CONSTRAINT up REFERENCES was CHECK (i > 0))",
        "CREATE VIEW v AS SELECT 1 AS i",
        "CREATE VIEW w AS SELECT 1 AS i",
        "CREATE SCHEMA work CREATE VIEW w AS SELECT 1 AS i",
    )
    baseline = taken(database)
    run(
        database,
        "DROP TABLE t; CREATE TABLE t (i int)",
        "ALTER TABLE was RENAME TO moved",
        "ALTER TABLE moved DROP CONSTRAINT up",
        "DROP VIEW v",
        "DROP VIEW w; CREATE VIEW w AS SELECT 2 AS i",
        "DROP SCHEMA work CASCADE",
    )

    report = left(database, baseline, "object")

    assert details(report) == {"table public.moved": "was table public.was, owner postgres"}
    assert use(report).dropped == ("public.t",)
    assert set(use(report).gone) == {"foreign key public.up on was", "view public.v", "schema work"}


def test_schemas_and_prepared_transactions_of_before_arent_told(database: Database) -> None:
    prepare = "BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION '{}'"
    older, newer = unique_name(), unique_name()
    run(database, "CREATE SCHEMA test_older", prepare.format(older))
    baseline = taken(database)
    assert left(database, baseline, "schema", "prepared_transaction").leftovers == ()

    run(database, "CREATE SCHEMA test_newer", prepare.format(newer))

    report = left(database, baseline, "schema", "prepared_transaction")
    assert [one.name for one in report.leftovers] == ["test_newer", newer]
    # A baseline of an older version doesn't tell which schemas there were.
    report = left(database, replace(baseline, objects=None), "schema")
    assert [one.name for one in report.leftovers] == ["test_newer", "test_older"]


def test_sequences_that_moved(database: Database) -> None:
    run(
        database,
        "CREATE TABLE t (i serial, j int GENERATED ALWAYS AS IDENTITY)",
        "CREATE SEQUENCE unused; CREATE SEQUENCE back; SELECT nextval('back'), nextval('back')",
    )
    baseline = taken(database)
    assert left(database, baseline, "sequence").leftovers == ()

    run(
        database,
        "INSERT INTO t SELECT FROM generate_series(1, 3)",
        "DELETE FROM t",
        "ALTER SEQUENCE back RESTART",
        "CREATE SEQUENCE another",
    )

    report = left(database, baseline, "sequence")
    assert report.complete
    assert details(report) == {
        "public.back": "2 → unused",
        "public.t_i_seq": "unused → 3",
        "public.t_j_seq": "unused → 3",
    }


def test_sequences_that_may_not_be_read(
    database: Database, owner: Connection[TupleRow], server: EmbeddedServer, make_role: MakeRole
) -> None:
    owner.execute(b"CREATE SEQUENCE s; CREATE SEQUENCE open")
    role = make_role()
    owner.execute(sql.SQL("GRANT SELECT ON SEQUENCE open TO {}").format(sql.Identifier(role)))
    baseline = taken(database)
    owner.execute("SELECT nextval('s'), nextval('open')")

    plain = Database(database.name, server.dsn(database.name, role))
    report = left(plain, baseline, "sequence")

    (unchecked,) = report.unchecked
    assert (unchecked.kind, unchecked.reason) == ("sequence", "can't be read: public.s")
    to = f'TO "{role}"'
    assert (
        unchecked.hint == f'GRANT USAGE ON SCHEMA "public" {to}; GRANT SELECT ON SEQUENCE "public"."s" {to}'
    )
    assert details(report) == {"public.open": "unused → 1"}


def test_sequences_that_are_locked(database: Database, owner: Connection[TupleRow], connect: Connect) -> None:
    owner.execute("CREATE SEQUENCE s")
    baseline = taken(database)
    connect().execute("DROP SEQUENCE s")

    (unchecked,) = left(database, baseline, "sequence").unchecked

    assert unchecked.reason == "locked: public.s"
    assert "locks" in unchecked.hint


def test_large_objects_of_before_are_none_of_the_suites(
    database: Database, owner: Connection[TupleRow], connect: Connect
) -> None:
    owner.execute("SELECT lo_create(70001)")
    under_way = connect()
    under_way.execute("SELECT lo_create(70002)")
    baseline = taken(database)
    assert details(left(database, baseline, "large_object")) == {}

    owner.execute("SELECT lo_put(70001, 0, 'content')")
    owner.execute("SELECT lo_create(70003)")
    under_way.commit()

    assert details(left(database, baseline, "large_object")) == {
        "of postgres": "2 large objects: 70002, 70003"
    }


def test_a_baseline_of_before_that_was_kept(database: Database) -> None:
    older = replace(taken(database), objects=None, sequences=None)

    report = left(database, older, "object", "sequence")

    assert {one.kind for one in report.unchecked} == {"object", "sequence"}
    assert report.leftovers == ()


def test_locked_catalogs_are_told(database: Database, connect: Connect) -> None:
    baseline = taken(database)
    connect().execute("LOCK TABLE pg_event_trigger IN ACCESS EXCLUSIVE MODE")

    report = left(database, baseline, "object", "sequence")

    assert {(one.kind, one.reason) for one in report.unchecked} == {
        ("object", "a catalog is locked"),
        ("sequence", "a catalog is locked"),
    }
