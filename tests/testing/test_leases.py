"""What a test owns is its own while it runs, and gone afterwards."""

from __future__ import annotations

import re
import secrets
from dataclasses import replace

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.errors import CannotConnectError, ConfigurationError, RefusedError
from pgwatch_tests.identity.application_name import OWN_NAME
from pgwatch_tests.leaks.scan import scan
from pgwatch_tests.sweep.orphans.orphan_names import is_orphan_name
from pgwatch_tests.testing import leases as leases_module
from pgwatch_tests.testing.leases import APPLICATION_NAME, OwnDatabase, lease, run, schema
from pgwatch_tests.testing.leases import database as own_database
from tests.leaks.scanning import settings
from tests.servers.sessions import Connect, Database, MakeRole, unique_name
from tests.sweep.orphans.sweeping import exists


def test_a_schema_is_there_and_gone_again(owner: Connection[TupleRow], database: Database) -> None:
    with schema(database.dsn) as name, schema(database.dsn) as other:
        assert is_orphan_name(name)
        assert name != other
        owner.execute(sql.SQL("CREATE TABLE {}.t (id serial PRIMARY KEY)").format(sql.Identifier(name)))
        assert exists(owner, name)

    assert not exists(owner, name)
    assert not exists(owner, other)


def test_a_schema_is_gone_after_a_failure(owner: Connection[TupleRow], database: Database) -> None:
    with pytest.raises(ZeroDivisionError), schema(database.dsn) as name:
        raise ZeroDivisionError

    assert not exists(owner, name)


def share_and_leave(owner: Connection[TupleRow], dsn: str, error: Exception | None = None) -> None:
    """A schema that real data comes to depend on."""
    with schema(dsn) as name:
        owner.execute(sql.SQL("CREATE TABLE {}.t ()").format(sql.Identifier(name)))
        owner.execute(sql.SQL("CREATE VIEW public.v AS SELECT FROM {}.t").format(sql.Identifier(name)))
        if error:
            raise error


def test_a_schema_that_real_data_depends_on_stays(owner: Connection[TupleRow], database: Database) -> None:
    with pytest.raises(RefusedError, match=r"view public\.v would be dropped with it"):
        share_and_leave(owner, database.dsn)

    assert owner.execute("SELECT 1 FROM pg_views WHERE viewname = 'v'").fetchone()


def test_what_failed_is_told_before_what_stays(owner: Connection[TupleRow], database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        share_and_leave(owner, database.dsn, ZeroDivisionError())

    assert owner.execute("SELECT 1 FROM pg_views WHERE viewname = 'v'").fetchone()


def lock_and_leave(owner: Connection[TupleRow], dsn: str, other: Connection[TupleRow]) -> None:
    """A schema in which somebody else still has a transaction open."""
    with schema(dsn) as name:
        owner.execute(sql.SQL("CREATE TABLE {}.t ()").format(sql.Identifier(name)))
        other.execute(sql.SQL("SELECT FROM {}.t").format(sql.Identifier(name)))


def test_a_schema_that_is_locked_stays(
    owner: Connection[TupleRow], database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        leases_module, "LEASE_LIMITS", replace(leases_module.LEASE_LIMITS, lock_timeout_s=0.05)
    )

    with pytest.raises(RefusedError, match="`pgwatch-tests locks` shows by whom"):
        lock_and_leave(owner, database.dsn, connect())

    assert owner.execute("SELECT 1 FROM pg_tables WHERE tablename = 't'").fetchone()


def test_a_database_is_there_and_gone_again(owner: Connection[TupleRow], server: EmbeddedServer) -> None:
    query = "SELECT 1 FROM pg_database WHERE datname = %s"
    with own_database(server.dsn()) as own:
        assert is_orphan_name(own.name)
        inside = psycopg.connect(own.dsn, autocommit=True)
        assert inside.info.dbname == own.name
        inside.execute("BEGIN")
        inside.execute("CREATE TABLE t ()")
        inside.execute("PREPARE TRANSACTION 'left behind'")
        # Whoever forgets a connection is thrown out.
        inside.execute("SELECT 1")
    inside.close()

    assert owner.execute(query, [own.name]).fetchone() is None


def test_a_password_isnt_shown() -> None:
    own = OwnDatabase("test", "host=localhost password=secret")

    assert "secret" not in repr(own)
    assert conninfo_to_dict(own.dsn)["password"] == "secret"


def test_a_lease_has_one_holder(database: Database) -> None:
    name = unique_name()
    taken = f"another session holds the lease of '{name}'"
    with (
        lease(database.dsn, name),
        lease(database.dsn, unique_name()),
        pytest.raises(RefusedError, match=taken),
        lease(database.dsn, name),
    ):
        pass
    with lease(database.dsn, name):
        pass


def test_a_run_has_an_id(database: Database) -> None:
    given = secrets.token_hex(4)
    with run(database.dsn, given) as id_, run(database.dsn) as other:
        assert id_ == given
        assert re.fullmatch("[0-9a-f]{8}", other)
        with pytest.raises(RefusedError), run(database.dsn, given.upper()):
            pass


def test_connection_strings_are_those_of_the_command_line(database: Database, server: EmbeddedServer) -> None:
    for dsn in (
        database.dsn.replace("postgresql://", "postgresql+psycopg://"),
        f"{database.dsn}&schema=public",
        psycopg.conninfo.make_conninfo(database.dsn),
    ):
        with lease(dsn, "x"):
            pass
    with pytest.raises(ConfigurationError), lease("mysql://x", "x"):
        pass
    with pytest.raises(CannotConnectError), lease(server.dsn("test_nowhere"), "x"):
        pass


def test_a_plain_role_may_have_a_schema(
    owner: Connection[TupleRow], database: Database, server: EmbeddedServer, make_role: MakeRole
) -> None:
    plain = make_role()
    owner.execute(
        sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(
            sql.Identifier(database.name), sql.Identifier(plain)
        )
    )
    with schema(server.dsn(database.name, plain)) as name:
        assert exists(owner, name)
    assert not exists(owner, name)


def test_its_session_is_known_and_no_leak_by_itself(owner: Connection[TupleRow], database: Database) -> None:
    query = "SELECT state FROM pg_stat_activity WHERE application_name = %s AND datname = current_database()"
    with lease(database.dsn, "x"):
        assert owner.execute(query, [APPLICATION_NAME]).fetchall() == [("idle",)]
        report = scan(settings(database.dsn), kinds=("idle_in_transaction", "advisory_lock"))

    assert APPLICATION_NAME != OWN_NAME
    assert report.leftovers == ()


def test_what_is_owned_isnt_left_over(database: Database, server: EmbeddedServer) -> None:
    with schema(database.dsn) as name, own_database(server.dsn()) as own:
        alive = scan(settings(database.dsn), kinds=("schema", "database")).leftovers
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
    dead = scan(settings(database.dsn), kinds=("schema", "database")).leftovers

    assert not {name, own.name} & {one.name for one in alive}
    assert name in {one.name for one in dead}
