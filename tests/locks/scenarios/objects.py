"""Waits for what isn't a table: schemas, types, functions, roles, and rows of the catalogs."""

from __future__ import annotations

from dataclasses import replace

from tests.locks.scenarios.cast import Cast
from tests.locks.scenarios.truth import Truth, hard, scenario
from tests.servers.sessions import unique_name


def _behind(cast: Cast, holds: str, wants: str, words: str) -> Truth:
    holder, waiter = cast.sessions("holder", "waiter")
    holder.execute(holds.encode())
    cast.waits(waiter, wants)
    return Truth((hard("waiter", "holder", words),), roots={"holder": 1})


@scenario()
def schema_dropped_behind_a_new_table_in_it(cast: Cast) -> Truth:
    cast.run("CREATE SCHEMA billing")
    return _behind(cast, "CREATE TABLE billing.bills ()", "DROP SCHEMA billing CASCADE", "schema billing")


@scenario()
def table_made_in_a_schema_that_is_being_dropped(cast: Cast) -> Truth:
    cast.run("CREATE SCHEMA billing")
    return _behind(cast, "DROP SCHEMA billing", "CREATE TABLE billing.bills ()", "schema billing")


@scenario()
def role_dropped_behind_a_comment(cast: Cast) -> Truth:
    role = cast.role()
    return _behind(cast, f"COMMENT ON ROLE {role} IS 'held'", f"DROP ROLE {role}", f"role {role}")


@scenario()
def type_dropped_behind_a_comment(cast: Cast) -> Truth:
    cast.run("CREATE SCHEMA audit; CREATE TYPE audit.mood AS ENUM ('fine')")
    return _behind(cast, "COMMENT ON TYPE audit.mood IS 'held'", "DROP TYPE audit.mood", "type audit.mood")


FUNCTION = "FUNCTION audit.double(int) RETURNS int LANGUAGE sql AS 'SELECT 2 * $1'"


@scenario()
def function_renamed_twice(cast: Cast) -> Truth:
    cast.run(f"CREATE SCHEMA audit; CREATE {FUNCTION}")
    return _behind(
        cast,
        "ALTER FUNCTION audit.double(int) RENAME TO twice",
        "ALTER FUNCTION audit.double(int) RENAME TO two_times",
        "function audit.double(integer)",
    )


@scenario()
def function_replaced_twice(cast: Cast) -> Truth:
    cast.run(f"CREATE SCHEMA audit; CREATE {FUNCTION}")
    holder, waiter = cast.sessions("holder", "waiter")
    holder.execute(f"CREATE OR REPLACE {FUNCTION}".encode())
    cast.waits(waiter, f"CREATE OR REPLACE {FUNCTION}")
    words = "definition of function audit.double(integer)"
    return Truth((hard("waiter", "holder", words),), roots={"holder": 1})


@scenario()
def privileges_of_a_table_granted_twice(cast: Cast) -> Truth:
    cast.run("CREATE SCHEMA audit; CREATE TABLE audit.log (id int)")
    grant = "GRANT SELECT ON audit.log TO PUBLIC"
    return _behind(cast, grant, grant, "privileges of table audit.log")


@scenario()
def privileges_of_a_schema_granted_and_revoked(cast: Cast) -> Truth:
    cast.run("CREATE SCHEMA audit")
    return _behind(
        cast,
        "GRANT USAGE ON SCHEMA audit TO PUBLIC",
        "REVOKE USAGE ON SCHEMA audit FROM PUBLIC",
        "privileges of schema audit",
    )


@scenario()
def privileges_of_a_column_granted_twice(cast: Cast) -> Truth:
    cast.run("CREATE TABLE log (id int)")
    cast.run("GRANT SELECT (id) ON log TO PUBLIC")
    grant = "GRANT UPDATE (id) ON log TO PUBLIC"
    return _behind(cast, grant, grant, "privileges of column id of table log")


def _created_twice(cast: Cast, creation: str, words: str) -> Truth:
    found = _behind(cast, creation, creation, words)
    return replace(found, causes={"holder": "same_name"})


@scenario()
def table_of_one_name_created_twice(cast: Cast) -> Truth:
    # Meets a key of pg_type, since a table has a row type.
    return _created_twice(cast, "CREATE TABLE IF NOT EXISTS twins (id int PRIMARY KEY)", "table twins")


@scenario()
def schema_of_one_name_created_twice(cast: Cast) -> Truth:
    return _created_twice(cast, "CREATE SCHEMA twins", "schema twins")


@scenario()
def role_of_one_name_created_twice(cast: Cast) -> Truth:
    name = unique_name("test_role")
    return _created_twice(cast, f"CREATE USER {name}", f"role {name}")


@scenario()
def type_created_twice_in_blocks(cast: Cast) -> Truth:
    block = "DO $$ BEGIN CREATE TYPE mood AS ENUM ('fine'); EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    return _created_twice(cast, block, "type mood")


@scenario()
def extension_created_twice(cast: Cast) -> Truth:
    # The one that is there on every server: another one may not be installed.
    cast.run("DROP EXTENSION plpgsql")
    return _created_twice(cast, "CREATE EXTENSION IF NOT EXISTS plpgsql", "extension plpgsql")


@scenario()
def function_created_twice(cast: Cast) -> Truth:
    cast.run("CREATE SCHEMA audit")
    return _created_twice(cast, f"/* once */ CREATE OR REPLACE {FUNCTION}", "function audit.double")


@scenario()
def table_created_where_something_was_renamed(cast: Cast) -> Truth:
    renames = "CREATE VIEW one AS SELECT 1; ALTER VIEW one RENAME TO twins"
    found = _behind(cast, renames, "CREATE TABLE twins ()", "table twins")
    return replace(found, causes={"holder": "same_name"})


@scenario()
def enum_label_added_twice(cast: Cast) -> Truth:
    cast.run("CREATE SCHEMA audit; CREATE TYPE audit.mood AS ENUM ('fine')")
    return _behind(
        cast,
        "ALTER TYPE audit.mood ADD VALUE 'glad'",
        "ALTER TYPE audit.mood ADD VALUE 'sad'",
        "type audit.mood",
    )
