"""Schemas that tests left behind go; those of whoever lives, and those that others use, stay whole."""

from __future__ import annotations

import signal

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.postgres.leases import LEASE_KEY
from tests.servers.sessions import Connect, Database, MakeRole
from tests.sweep.orphans.processes import owner_of
from tests.sweep.orphans.sweeping import (
    HOSTILE,
    aged_name,
    exists,
    make_schema,
    make_tables,
    named,
    swept,
    tables,
    verdict,
)
from tests.waiting import wait_until


def test_an_orphan_goes(owner: Connection[TupleRow], database: Database) -> None:
    name = make_schema(owner)
    make_tables(owner, name, 3, "(i int PRIMARY KEY, s text)")

    orphan = named(swept(database.dsn, "schemas"), name)

    assert (orphan.kind, orphan.removed, orphan.reason, orphan.detail) == ("schemas", True, None, "")
    assert orphan.age_s == pytest.approx(3600, abs=60)
    assert not exists(owner, name)
    assert swept(database.dsn, "schemas").orphans == ()


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
        "test_plain": "unleased_name",
        f"{aged_name()}_more": "unleased_name",
        f"{aged_name()}\n": "unleased_name",
        "test_1717171717171_x7f3": "unleased_name",
        "app_test_gw0": "unleased_name",
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

        wait_until(lambda: named(swept(database.dsn, "schemas", min_age_s=0), schema).removed)
        assert not exists(owner, schema)


def test_a_schema_whose_lease_is_held_elsewhere_stays(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    name = make_schema(owner)
    elsewhere = connect(database="postgres", autocommit=True)
    elsewhere.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", [LEASE_KEY, name])

    assert named(swept(database.dsn, "schemas"), name).reason == "run_alive"


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
