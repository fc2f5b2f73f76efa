"""What no lease and no age speaks for goes once somebody has seen it and said yes: that, and nothing else."""

from __future__ import annotations

import secrets
from dataclasses import replace

import pytest
from psycopg import Connection, sql
from psycopg import connect as connect_to
from psycopg.rows import TupleRow

from pgwatch_tests.errors import RefusedError
from pgwatch_tests.postgres.guard import OPT_IN
from pgwatch_tests.postgres.leases import LEASE_KEY
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep.model import Orphan, SweepReport
from pgwatch_tests.sweep.orphans.inspection import inspect, why_never_swept
from pgwatch_tests.sweep.orphans.orphan_facts import OrphanFacts, SeenSession
from pgwatch_tests.sweep.request import SweepPart, SweepRequest
from pgwatch_tests.sweep.run import Sweep
from tests.servers.sessions import Connect, Database, MakeRole, RunningStatement, unique_name
from tests.sweep.orphans.sweeping import HOSTILE, exists, make_schema, make_tables
from tests.sweep.orphans.test_prepared_transactions import gids, prepare
from tests.waiting import wait_until

SCHEMA = "test_gw0_abc123"


def settings_of(dsn: str) -> Settings:
    return Settings(Dsn(dsn, "the test"), lock_timeout_s=0.2)


def seen(dsn: str, name: str = SCHEMA, kind: str = "schemas") -> OrphanFacts:
    """What is known of it before it is asked about."""
    found = inspect(settings_of(dsn), SweepPart("prepared" if kind == "prepared" else "schemas", name))
    assert found is not None
    return found


def removed(dsn: str, part: SweepPart) -> SweepReport:
    """The sweep after a yes."""
    return Sweep(settings_of(dsn), SweepRequest(dry_run=False, part=part)).run()


def fate(report: SweepReport) -> Orphan:
    (orphan,) = report.orphans
    return orphan


def test_a_schema_that_no_lease_named_goes_alone(owner: Connection[TupleRow], database: Database) -> None:
    make_schema(owner, SCHEMA)
    make_schema(owner, "test_gw1_abc123")
    make_tables(owner, SCHEMA, 3, "(i int PRIMARY KEY)")
    owner.execute(f"INSERT INTO {SCHEMA}.t0 SELECT generate_series(1, 500)".encode())
    owner.execute(f"ANALYZE {SCHEMA}.t0".encode())

    found = seen(database.dsn)
    report = removed(database.dsn, found.part)

    assert (found.why_not, found.tables, found.rows, found.database) == ("", 3, 500, database.name)
    assert found.size_bytes is not None
    assert found.size_bytes > 500 * 24
    assert found.age_s is None  # this server keeps no times of commits
    assert (fate(report).removed, report.kinds, report.deleted) == (True, ("schemas",), ())
    assert not exists(owner, SCHEMA)
    assert exists(owner, "test_gw1_abc123")
    assert inspect(settings_of(database.dsn), SweepPart("schemas", SCHEMA)) is None


def test_a_later_schema_of_that_name_stays(owner: Connection[TupleRow], database: Database) -> None:
    make_schema(owner, SCHEMA)
    part = seen(database.dsn).part
    owner.execute(f"DROP SCHEMA {SCHEMA}".encode())
    make_schema(owner, SCHEMA)

    kept = fate(removed(database.dsn, part))

    assert (kept.removed, kept.reason) == (False, "changed")
    assert exists(owner, SCHEMA)


def test_a_schema_that_was_added_to_since_stays(owner: Connection[TupleRow], database: Database) -> None:
    make_schema(owner, SCHEMA)
    make_tables(owner, SCHEMA, 1, "(i int)")
    part = seen(database.dsn).part
    owner.execute(f"CREATE TABLE {SCHEMA}.later (i int)".encode())

    kept = fate(removed(database.dsn, part))

    assert (kept.removed, kept.reason) == (False, "changed")
    assert seen(database.dsn).tables == 2
    assert seen(database.dsn).part == seen(database.dsn).part != part


def test_a_copy_in_another_database_isnt_what_was_confirmed(
    owner: Connection[TupleRow], database: Database
) -> None:
    make_schema(owner, SCHEMA)
    make_tables(owner, SCHEMA, 1, "(i int)")
    part = seen(database.dsn).part
    copy = f"{database.name}_copy"
    here, there = sql.Identifier(database.name), sql.Identifier(copy)
    dsn = database.dsn.replace(f"/{database.name}?", f"/{copy}?")
    owner_dsn = database.dsn.replace(f"/{database.name}?", "/postgres?")
    assert len({dsn, owner_dsn, database.dsn}) == 3
    owner.close()
    with connect_to(owner_dsn, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(there, here))
        try:
            kept = fate(removed(dsn, part))
            assert (kept.removed, kept.reason) == (False, "changed")
            assert seen(dsn).tables == 1
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(there))


def test_a_schema_in_which_somebody_creates_a_table_stays_whole(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    make_schema(owner, SCHEMA)
    make_tables(owner, SCHEMA, 1, "(i int)")
    part = seen(database.dsn).part
    test = connect("pytest:gw0 tests/a.py::test_b")
    test.execute(f"CREATE TABLE {SCHEMA}.mine (i int)".encode())

    found, kept = seen(database.dsn), fate(removed(database.dsn, part))

    who = f"pid {test.info.backend_pid} (pytest:gw0 tests/a.py::test_b)"
    assert found.why_not == f"the schema is locked by {who}"
    assert (kept.reason, kept.detail) == ("locked", found.why_not)
    assert test.execute(f"SELECT FROM {SCHEMA}.t0".encode()).fetchall() == []


def test_without_a_yes_it_stays(owner: Connection[TupleRow], database: Database) -> None:
    make_schema(owner, SCHEMA)
    kept = fate(removed(database.dsn, SweepPart("schemas", SCHEMA)))
    assert (kept.removed, kept.reason) == (False, "unleased_name")
    assert exists(owner, SCHEMA)


def test_what_is_used_is_told_beforehand_and_stays(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    make_schema(owner, SCHEMA)
    make_tables(owner, SCHEMA, 1, "(i int)")
    part = seen(database.dsn).part
    session = connect("pytest:gw0 tests/a.py::test_b")
    session.execute(f"LOCK TABLE {SCHEMA}.t0 IN ACCESS SHARE MODE".encode())

    found = seen(database.dsn)

    pid = session.info.backend_pid
    assert found.why_not == f"t0 is locked by pid {pid} (pytest:gw0 tests/a.py::test_b)"
    assert SeenSession(pid, "pytest:gw0 tests/a.py::test_b") in found.users
    assert fate(removed(database.dsn, part)).reason == "locked"
    session.rollback()
    owner.execute(f"CREATE VIEW public.v AS TABLE {SCHEMA}.t0".encode())
    assert "view public.v would be dropped with it" in seen(database.dsn).why_not
    assert fate(removed(database.dsn, part)).reason == "shared_with_real_data"
    owner.execute("DROP VIEW public.v")
    owner.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", [LEASE_KEY, SCHEMA])
    assert "holds its lease" in seen(database.dsn).why_not
    assert fate(removed(database.dsn, part)).reason == "run_alive"
    assert exists(owner, SCHEMA)


def test_a_table_that_is_locked_hides_its_size_only(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    make_schema(owner, SCHEMA)
    make_tables(owner, SCHEMA, 1, "(i int)")
    connect().execute(f"LOCK TABLE {SCHEMA}.t0".encode())
    found = seen(database.dsn)
    assert (found.size_bytes, found.tables) == (None, 1)


def test_missing_rights_are_told_beforehand(
    owner: Connection[TupleRow], database: Database, make_role: MakeRole
) -> None:
    role = make_role()
    make_schema(owner, SCHEMA)
    prepare(owner, SCHEMA)
    dsn = database.dsn.replace("postgres@", f"{role}@")
    assert dsn != database.dsn
    try:
        assert seen(dsn).why_not == f"needs its owner postgres (GRANT postgres TO {role}) or a superuser"
        assert seen(dsn, kind="prepared").why_not == (
            "needs the role that prepared it (postgres) or a superuser"
        )
    finally:
        owner.execute(f"ROLLBACK PREPARED '{SCHEMA}'".encode())


def test_nothing_goes_where_there_are_no_tests(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    make_schema(owner, SCHEMA)
    part = seen(database.dsn).part
    name = f"shop{secrets.token_hex(8)}"
    elsewhere = connect(database="postgres", autocommit=True)
    elsewhere.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        dsn = database.dsn.replace(database.name, name)
        with connect(database=name, autocommit=True) as shop:
            make_schema(shop, SCHEMA)
            assert "isn't marked as a test database" in seen(dsn).why_not
            with pytest.raises(RefusedError, match="isn't marked as a test database"):
                removed(dsn, seen(dsn).part)
            assert exists(shop, SCHEMA)
            assert why_never_swept(settings_of(dsn), name).startswith(f"'{name}' isn't marked as a test")
            opt_in = sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(OPT_IN))
            shop.execute(opt_in)
            assert why_never_swept(settings_of(dsn), name) == ""
            # A test database isn't even asked.
            nowhere = settings_of("host=/nowhere")
            assert why_never_swept(nowhere, database.name) == why_never_swept(nowhere, name) == ""
    finally:
        elsewhere.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    with pytest.raises(RefusedError, match="read_only is set"):
        Sweep(
            replace(settings_of(database.dsn), read_only=True), SweepRequest(dry_run=False, part=part)
        ).run()
    assert exists(owner, SCHEMA)


def test_a_young_prepared_transaction_goes_and_no_later_one(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    gid = f"{unique_name()} {HOSTILE}"
    owner.execute("CREATE TABLE users (id int PRIMARY KEY)")
    writer = connect()
    writer.execute("INSERT INTO users VALUES (1)")
    writer.execute(sql.SQL("PREPARE TRANSACTION {}").format(sql.Literal(gid)))
    waiter = connect("pytest:gw1 tests/a.py::test_b")
    waiting = RunningStatement(waiter, "INSERT INTO users VALUES (1)", ())
    wait_until(lambda: seen(database.dsn, gid, "prepared").waiters)

    found = seen(database.dsn, gid, "prepared")
    assert found.locks == ("public.users",)
    assert found.waiters == (SeenSession(waiting.pid, "pytest:gw1 tests/a.py::test_b"),)
    assert found.age_s is not None
    assert found.why_not == ""
    assert fate(removed(database.dsn, SweepPart("prepared", gid))).reason == "too_young"
    assert fate(removed(database.dsn, found.part)).removed
    assert gids(owner) == set()
    waiting.thread.join(30)

    prepare(owner, gid)
    assert fate(removed(database.dsn, found.part)).reason == "changed"
    assert gids(owner) == {gid}
    assert fate(removed(database.dsn, seen(database.dsn, gid, "prepared").part)).removed
