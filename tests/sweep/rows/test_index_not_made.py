"""A temporary index that can't be made: why is told, the sweep is incomplete, and nothing is left of it."""

from __future__ import annotations

from dataclasses import replace
from typing import LiteralString

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.leaks.indexes.index_builds import IndexBuilds
from tests.servers.sessions import Connect, Database, MakeRole
from tests.sweep.rows.bookings import marked_users, swept
from tests.sweep.rows.unindexed import (
    USERS,
    WITH_INDEXES,
    indexes,
    make_unindexed,
    not_made,
    write_before_it_is_made,
)


@pytest.fixture
def users(owner: Connection[TupleRow]) -> Connection[TupleRow]:
    """Users that tests left, with a booking each that no index helps to find; never analysed."""
    return make_unindexed(owner)


@pytest.mark.parametrize("prepared", [False, True])
def test_an_open_writer_is_named_and_nothing_is_begun(
    users: Connection[TupleRow],
    database: Database,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    prepared: bool,
) -> None:
    monkeypatch.setattr("pgwatch_tests.leaks.indexes.index_builds.PATIENCE_S", 0.1)
    writer = connect("pytest:gw0 t.py::test_writes")
    writer.execute("INSERT INTO bookings VALUES (1, 'x')")
    if prepared:
        writer.execute("PREPARE TRANSACTION 'written'")

    report = swept(database.dsn, WITH_INDEXES)

    who = "a prepared transaction"
    if not prepared:
        who = f"a transaction of pid {writer.info.backend_pid} (pytest:gw0 t.py::test_writes), begun "
    why = not_made(report)
    assert why.startswith(who)
    assert why.endswith(" is still open")
    assert report.not_checked == ()
    assert indexes(users) == []
    writer.rollback()
    if prepared:
        users.execute("ROLLBACK PREPARED 'written'")
    assert swept(database.dsn, WITH_INDEXES).deleted_rows == 2 * USERS


def test_a_long_reader_of_another_table_is_named(
    users: Connection[TupleRow], database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its snapshot may still need rows that the index lacks."""
    monkeypatch.setattr("pgwatch_tests.leaks.indexes.index_builds.PATIENCE_S", 0.1)
    reader = connect()
    reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    reader.execute("SELECT FROM users LIMIT 1")

    why = not_made(swept(database.dsn, WITH_INDEXES))

    assert f"pid {reader.info.backend_pid}" in why
    assert indexes(users) == []


def test_short_transactions_are_waited_for(
    users: Connection[TupleRow], database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = connect()
    writer.execute("INSERT INTO bookings VALUES (1, 'x')")
    look = IndexBuilds._obstacles
    looks = 0

    def then_end(work: IndexBuilds, table: int) -> list[object]:
        nonlocal looks
        looks += 1
        found: list[object] = list(look(work, table))
        if looks == 3:
            writer.rollback()
        return found

    monkeypatch.setattr(IndexBuilds, "_obstacles", then_end)

    assert swept(database.dsn, WITH_INDEXES).deleted_rows == 2 * USERS
    assert looks >= 4


def test_writers_who_come_and_go_are_not_waited_for(
    users: Connection[TupleRow], database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgwatch_tests.leaks.indexes.index_builds.PATIENCE_S", 60.0)
    first, second = connect(), connect()
    first.execute("INSERT INTO bookings VALUES (1, 'x')")
    look = IndexBuilds._obstacles

    def take_turns(work: IndexBuilds, table: int) -> list[object]:
        nonlocal first, second
        found: list[object] = list(look(work, table))
        assert found, "there is always one"
        second.execute("INSERT INTO bookings VALUES (1, 'x')")
        first.rollback()
        first, second = second, first
        return found

    run = IndexBuilds._run

    def end_and_run(work: IndexBuilds, statement: bytes) -> None:
        first.rollback()
        run(work, statement)

    monkeypatch.setattr(IndexBuilds, "_obstacles", take_turns)
    monkeypatch.setattr(IndexBuilds, "_run", end_and_run)

    assert swept(database.dsn, WITH_INDEXES).deleted_rows == 2 * USERS


def test_an_index_that_comes_out_invalid(
    users: Connection[TupleRow], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = IndexBuilds._run

    def spoil(work: IndexBuilds, statement: bytes) -> None:
        run(work, statement)
        if statement.startswith(b"CREATE"):
            spoilt = "UPDATE pg_index SET indisvalid = false WHERE indrelid = 'bookings'::regclass"
            users.execute(spoilt)

    monkeypatch.setattr(IndexBuilds, "_run", spoil)

    assert not_made(swept(database.dsn, WITH_INDEXES)) == "the index is invalid"
    assert indexes(users) == []


def test_a_writer_who_comes_after_the_look(
    users: Connection[TupleRow], database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of the index can't be dropped before that transaction ends: it is named."""
    monkeypatch.setattr("pgwatch_tests.leaks.indexes.index_builds.PATIENCE_S", 0.1)
    writer = connect()
    write_before_it_is_made(monkeypatch, writer)

    report = swept(database.dsn, WITH_INDEXES)

    assert f"pid {writer.info.backend_pid}" in not_made(report)
    assert "temporary index not dropped yet" in report.not_checked[0]
    assert len(marked_users(users)) == USERS
    writer.rollback()
    monkeypatch.undo()
    assert swept(database.dsn, WITH_INDEXES).deleted_rows == 2 * USERS
    assert indexes(users) == []


def test_an_index_that_has_no_room(users: Connection[TupleRow], database: Database) -> None:
    """The build fails in the middle, as it does on a full disk: what is left of it is dropped."""
    users.execute("INSERT INTO bookings SELECT 1, '' FROM generate_series(1, 200000)")
    settings: tuple[LiteralString, ...] = ("temp_file_limit = '100kB'", "maintenance_work_mem = '1MB'")
    for setting in settings:
        alter = sql.SQL("ALTER DATABASE {} SET {}")
        users.execute(alter.format(sql.Identifier(database.name), sql.SQL(setting)))

    report = swept(database.dsn, WITH_INDEXES)

    assert not_made(report).replace('"', "") == "temporary file size exceeds temp_file_limit (100kB)"
    assert report.not_checked == ()
    assert indexes(users) == []


def test_a_table_of_somebody_else(
    users: Connection[TupleRow], database: Database, server: EmbeddedServer, make_role: MakeRole
) -> None:
    role = make_role()
    grant = "GRANT SELECT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}"
    users.execute(sql.SQL(grant).format(sql.Identifier(role)))

    report = swept(server.dsn(database.name, role), WITH_INDEXES)

    assert not_made(report) == "must be owner of table bookings"
    assert indexes(users) == []


def test_a_table_that_somebody_has_locked(
    users: Connection[TupleRow], database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgwatch_tests.leaks.indexes.index_builds.PATIENCE_S", 0.1)
    locker = connect()
    locker.execute("LOCK TABLE bookings IN SHARE UPDATE EXCLUSIVE MODE")

    why = not_made(swept(database.dsn, WITH_INDEXES))

    assert f"pid {locker.info.backend_pid}" in why
    assert indexes(users) == []


def test_a_dry_run_with_indexes_plans_what_goes_with_them(
    users: Connection[TupleRow], database: Database
) -> None:
    dry = swept(database.dsn, replace(WITH_INDEXES, dry_run=True))

    assert (dry.planned_rows, dry.kept) == (2 * USERS, ())
    assert swept(database.dsn, WITH_INDEXES).deleted == dry.planned
