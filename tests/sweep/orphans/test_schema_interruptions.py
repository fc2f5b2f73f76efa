"""What comes in the way of a drop ends it in order: whole before it begins, else between two portions."""

from __future__ import annotations

from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.errors import ConnectionLostError
from tests.servers.sessions import Connect, Database
from tests.sweep.orphans.processes import owner_of
from tests.sweep.orphans.sweeping import (
    aged_name,
    at_third_question,
    exists,
    make_schema,
    make_tables,
    named,
    swept,
    tables,
    verdict,
)
from tests.waiting import wait_until


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
    assert "parts are dropped; the next sweep continues" in kept.detail
    assert tables(owner, name) == 20
    worker.rollback()
    assert named(swept(database.dsn, "schemas"), name).removed


def test_a_lock_on_the_schema_is_waited_for_only_shortly(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    name = make_schema(owner)
    other = connect()
    other.execute(sql.SQL("COMMENT ON SCHEMA {} IS 'x'").format(sql.Identifier(name)))

    kept = named(swept(database.dsn, "schemas"), name)

    assert kept.reason == "locked"
    assert exists(owner, name)


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
    wait_until(lambda: named(swept(database.dsn, "schemas"), name).removed)
    assert not exists(owner, name)


def test_a_sweep_whose_connection_is_lost_says_so(owner: Connection[TupleRow], database: Database) -> None:
    name = make_schema(owner)
    make_tables(owner, name, 120, "(i int)")

    def meanwhile() -> None:
        owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'pgwatch-tests' AND datname = current_database()"
        )

    found = swept(database.dsn, "schemas", stopped=at_third_question(meanwhile))

    assert isinstance(found.error, ConnectionLostError)
    assert not named(found, name).removed
    assert "not known whether it was removed" in named(found, name).detail
    assert tables(owner, name) == 70
