"""What enforces nothing, or not on old rows, is named: triggers, foreign keys and checks that are off."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms
from pgwatch_tests.leaks.gate import Gate, findings_named, verdict
from tests.leaks.leftovers.leftovers_seen import found, looked
from tests.servers.server_places import server_directory
from tests.servers.sessions import Database, MakeRole


def test_disabled_triggers(owner: Connection[TupleRow], database: Database) -> None:
    owner.execute("CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
    owner.execute("CREATE TABLE parent (i int primary key)")
    owner.execute("CREATE TABLE child (i int CONSTRAINT to_parent REFERENCES parent)")
    owner.execute("CREATE TABLE root (i int) PARTITION BY LIST (i)")
    owner.execute("CREATE TABLE leaf PARTITION OF root DEFAULT")
    for table in ("parent", "child", "root"):
        owner.execute(
            f"CREATE TRIGGER audit AFTER INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION nothing()".encode()
        )
    assert found(database.dsn, "disabled_trigger") == []

    owner.execute("ALTER TABLE child DISABLE TRIGGER ALL")
    owner.execute("ALTER TABLE root DISABLE TRIGGER audit")

    names = {one.name: one.detail for one in found(database.dsn, "disabled_trigger")}
    assert names.pop("public.child: to_parent") == "foreign key: not enforced by this table"
    # Before 15, a root's trigger is disabled without its partitions'.
    assert names == {"public.child: audit": "trigger", "public.root: audit": "trigger"}


def test_foreign_keys_and_checks_that_old_rows_need_not_meet(
    owner: Connection[TupleRow], database: Database
) -> None:
    for statement in (
        "CREATE TABLE parent (i int PRIMARY KEY)",
        "CREATE TABLE child (i int, fine int REFERENCES parent)",
        "INSERT INTO child VALUES (99)",
        "ALTER TABLE child ADD CONSTRAINT to_parent FOREIGN KEY (i) REFERENCES parent NOT VALID",
        "ALTER TABLE child ADD CONSTRAINT small CHECK (i < 9) NOT VALID",
        "CREATE TABLE heir () INHERITS (child)",
    ):
        owner.execute(statement.encode())

    names = {one.name: one.detail for one in found(database.dsn, "disabled_trigger")}

    assert names == {
        "public.child: to_parent": (
            "foreign key: NOT VALID, rows from before it are unchecked (refers to public.parent)"
        ),
        "public.child: small": "check constraint: NOT VALID, rows from before it are unchecked",
    }
    owner.execute("DELETE FROM child")
    owner.execute("ALTER TABLE child VALIDATE CONSTRAINT to_parent")
    owner.execute("ALTER TABLE child VALIDATE CONSTRAINT small")
    assert found(database.dsn, "disabled_trigger") == []


def test_keys_that_are_not_enforced(owner: Connection[TupleRow], database: Database) -> None:
    if owner.info.server_version < 180000:
        with pytest.raises(psycopg.errors.SyntaxError):
            owner.execute("CREATE TABLE t (i int CHECK (i > 0) NOT ENFORCED)")
        return
    for statement in (
        "CREATE TABLE p (id int PRIMARY KEY)",
        "CREATE TABLE c (id int CHECK (id > 0) NOT ENFORCED, p int CONSTRAINT c_p REFERENCES p)",
        "ALTER TABLE c ALTER CONSTRAINT c_p NOT ENFORCED",
        "INSERT INTO c VALUES (1, 99)",
        "CREATE TABLE root (id int, p int CONSTRAINT r_p REFERENCES p NOT ENFORCED) PARTITION BY LIST (id)",
        "CREATE TABLE leaf PARTITION OF root DEFAULT",
    ):
        owner.execute(statement.encode())

    report = looked(database.dsn, "disabled_trigger")

    assert {one.name: one.detail for one in report.leftovers} == {
        "public.c: c_p": "foreign key: NOT ENFORCED (refers to public.p)",
        "public.c: c_id_check": "check constraint: NOT ENFORCED",
        "public.root: r_p": "foreign key: NOT ENFORCED (refers to public.p)",
    }
    # Up to 18, ENFORCED is for foreign keys only.
    assert {one.name: one.hint for one in report.leftovers} == {
        "public.c: c_p": 'ALTER TABLE "public"."c" ALTER CONSTRAINT "c_p" ENFORCED',
        "public.c: c_id_check": (
            'ALTER TABLE "public"."c" DROP CONSTRAINT "c_id_check", then add it without NOT ENFORCED'
        ),
        "public.root: r_p": 'ALTER TABLE "public"."root" ALTER CONSTRAINT "r_p" ENFORCED',
    }
    gate = Gate(frozenset(findings_named("rows,disabled_triggers")))
    assert verdict(gate, [report]) == "findings"


def test_sessions_that_fire_no_triggers(
    owner: Connection[TupleRow], database: Database, make_role: MakeRole
) -> None:
    role = make_role()
    database_name, role_name = sql.Identifier(database.name), sql.Identifier(role)
    for statement in ("ALTER DATABASE {1}", "ALTER ROLE {0}", "ALTER ROLE {0} IN DATABASE {1}"):
        for value in ("Replica", "origin"):
            setting = f"{statement} SET session_replication_role = {value}"
            owner.execute(sql.SQL(setting).format(role_name, database_name))
            names = {one.name for one in found(database.dsn, "disabled_trigger")}
            where = statement.removeprefix("ALTER ").format(role, database.name)
            assert (f"{where}: session_replication_role" in names) is (value == "Replica")


def test_a_server_that_fires_no_triggers(programs: ServerPrograms, template: Path) -> None:
    settings = {"session_replication_role": "replica"}
    with EmbeddedServer(programs, server_directory(), settings, template) as server:
        (leftover,) = found(server.dsn(), "disabled_trigger")

    assert leftover.name == "server: session_replication_role"
    assert leftover.detail.startswith("replica in configuration file: ")
    assert leftover.hint == "take session_replication_role out of the server's configuration, and reload it"
