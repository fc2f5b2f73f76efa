"""Foreign keys without an index: what it would take is told, and indexes made for a sweep go with it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.leaks.indexes import index_builds
from pgwatch_tests.postgres.sessions.session import WorkCancelledError
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep.model import SweepProgress
from pgwatch_tests.sweep.run import Sweep
from tests.servers.sessions import Connect, Database, MakeRole, RunningStatement, is_waiting
from tests.sweep.rows.bookings import count, details, kept, swept
from tests.sweep.rows.unindexed import (
    IMPATIENT,
    USERS,
    WITH_INDEXES,
    indexes,
    make_unindexed,
    not_made,
    write_before_it_is_made,
)
from tests.waiting import wait_until


@pytest.fixture
def users(owner: Connection[TupleRow]) -> Connection[TupleRow]:
    """Users that tests left, with a booking each that no index helps to find; never analysed."""
    return make_unindexed(owner)


def leave_index(owner: Connection[TupleRow]) -> str:
    """What a sweep that was killed leaves."""
    row = owner.execute("SELECT 'pgwatch_sweep_' || 'bookings'::regclass::oid || '_1'").fetchone()
    assert row is not None
    name = str(row[0])
    owner.execute(sql.SQL("CREATE INDEX {} ON bookings (user_id)").format(sql.Identifier(name)))
    return name


@pytest.mark.parametrize("statistics", ["counted", "analysed", "lost"])
def test_what_it_would_take(users: Connection[TupleRow], database: Database, statistics: str) -> None:
    if statistics == "analysed":
        users.execute("ANALYZE")
    if statistics == "lost":  # as in a crash
        users.execute("SELECT pg_stat_reset()")

    report = swept(database.dsn, IMPATIENT)

    assert kept(report) == {("users", "no_index"): USERS}
    (detail,) = details(report)
    assert 'CREATE INDEX CONCURRENTLY ON "public"."bookings" ("user_id")' in detail
    assert "--temp-index" in detail
    assert count(users, "users") == USERS
    assert indexes(users) == []


def test_rows_that_share_what_hangs_on_a_row_that_stays(
    users: Connection[TupleRow], database: Database
) -> None:
    # All three notes lead to one booking, which isn't found from its user.
    users.execute(
        "UPDATE bookings SET note = user_id || note; ALTER TABLE bookings ADD PRIMARY KEY (note);"
        "INSERT INTO bookings VALUES (1, 'shared')"
    )
    users.execute("CREATE TABLE notes (id int PRIMARY KEY, booking text REFERENCES bookings, email text)")
    users.execute("CREATE INDEX ON notes (booking)")
    users.execute(
        "INSERT INTO notes SELECT n, 'shared', 'x-1717171717171-y@test.example.com'"
        " FROM generate_series(1, 3) AS n"
    )

    report = swept(database.dsn, IMPATIENT)

    assert kept(report) == {("users", "no_index"): USERS, ("notes", "no_index"): 3}
    assert count(users, "notes") == 3


def test_the_statement_that_is_told_helps(users: Connection[TupleRow], database: Database) -> None:
    (detail,) = details(swept(database.dsn, IMPATIENT))
    statement = detail[detail.index("CREATE") :].removesuffix(", or --temp-index")

    users.execute(statement.encode())

    assert swept(database.dsn, IMPATIENT).deleted_rows == 2 * USERS


def test_an_index_that_waits_for_an_older_transaction(
    users: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    older = connect()
    older.execute("SELECT pg_current_xact_id()")
    users.execute("ALTER TABLE bookings SET (fillfactor = 50)")
    users.execute("VACUUM FULL bookings")
    users.execute(
        "UPDATE bookings SET note = 'y'"
    )  # in place, so that the index can't have the rows of before
    users.execute("CREATE INDEX ON bookings (user_id)")

    assert kept(swept(database.dsn, IMPATIENT)) == {("users", "no_index"): USERS}

    older.rollback()
    assert swept(database.dsn, IMPATIENT).deleted_rows == 2 * USERS


def test_indexes_for_a_sweep(users: Connection[TupleRow], database: Database) -> None:
    seen: set[str] = set()

    report = swept(database.dsn, WITH_INDEXES, lambda _: seen.update(indexes(users)))

    assert len(seen) == 1
    assert next(iter(seen)).startswith("pgwatch_sweep_")
    assert report.deleted_rows == 2 * USERS
    assert report.complete
    assert indexes(users) == []


@pytest.mark.parametrize("rows", [USERS, 0])
def test_an_index_that_a_killed_sweep_left(
    users: Connection[TupleRow], database: Database, rows: int
) -> None:
    leave_index(users)
    if not rows:
        users.execute("TRUNCATE users, bookings")

    report = swept(database.dsn, WITH_INDEXES)

    assert report.deleted_rows == 2 * rows
    assert indexes(users) == []


def test_an_invalid_index_that_a_killed_sweep_left(users: Connection[TupleRow], database: Database) -> None:
    name = leave_index(users)
    users.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", [name])

    report = swept(database.dsn, WITH_INDEXES)

    assert report.deleted_rows == 2 * USERS
    assert indexes(users) == []


def test_a_sweep_that_doesnt_make_indexes_leaves_them(
    users: Connection[TupleRow], database: Database
) -> None:
    name = leave_index(users)

    swept(database.dsn, IMPATIENT)
    swept(database.dsn, replace(WITH_INDEXES, dry_run=True))

    assert indexes(users) == [name]


def test_an_index_that_cant_be_dropped_is_told(
    users: Connection[TupleRow], database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgwatch_tests.leaks.indexes.index_builds.PATIENCE_S", 0.1)
    reader = connect()

    def read(_: SweepProgress) -> None:
        reader.execute("SELECT FROM bookings LIMIT 1")

    report = swept(database.dsn, WITH_INDEXES, read)

    assert report.deleted_rows == 2 * USERS
    (sentence,) = report.not_checked
    assert 'DROP INDEX "public"."pgwatch_sweep_' in sentence
    reader.rollback()
    swept(database.dsn, WITH_INDEXES)
    assert indexes(users) == []


def index_waits(owner: Connection[TupleRow]) -> bool:
    query = (
        "SELECT FROM pg_stat_activity JOIN pg_locks AS lock USING (pid) WHERE NOT granted"
        " AND datname = current_database() AND query LIKE 'CREATE INDEX CONCURRENTLY%pgwatch_sweep%'"
        " AND lock.locktype = 'virtualxid'"
    )
    return owner.execute(query).fetchone() is not None


def test_who_wants_the_table_is_given_way_to(
    users: Connection[TupleRow], database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier, test = connect(), connect("pytest:gw0 t.py::test_alters")
    write_before_it_is_made(monkeypatch, earlier)
    with ThreadPoolExecutor(1) as pool:
        sweeping = pool.submit(swept, database.dsn, WITH_INDEXES)
        wait_until(lambda: index_waits(users))
        wants = RunningStatement(test, "ALTER TABLE bookings ADD COLUMN more int", ())
        wait_until(lambda: is_waiting(users, wants.pid))
        earlier.rollback()
        wants.result(timeout_s=5)  # its error, were it a victim
        test.commit()
        report = sweeping.result(timeout=30)

    assert report.deleted_rows == 2 * USERS
    assert report.complete
    assert indexes(users) == []


def test_what_a_cancelled_sweep_leaves_is_named(
    users: Connection[TupleRow], database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_builds, "PATIENCE_S", 0.3)
    earlier = connect()
    write_before_it_is_made(monkeypatch, earlier)
    sweep = Sweep(Settings(dsn=Dsn(database.dsn, "test")), WITH_INDEXES)
    monkeypatch.setattr(index_builds, "_ATTEMPTS", 1)
    with ThreadPoolExecutor(1) as pool:
        sweeping = pool.submit(sweep.run)
        wait_until(lambda: index_waits(users))
        sweep.cancel()
        with pytest.raises(WorkCancelledError) as caught:
            sweeping.result(timeout=30)

    earlier.rollback()
    [left] = indexes(users)
    statement = f'DROP INDEX "public"."{left}"'
    assert statement in str(caught.value)
    users.execute(statement.encode())


def test_an_index_of_somebody_else_under_such_a_name_stays(
    users: Connection[TupleRow], database: Database
) -> None:
    users.execute("CREATE UNIQUE INDEX pgwatch_sweep_1_2 ON bookings (user_id)")

    report = swept(database.dsn, WITH_INDEXES)

    assert report.deleted_rows == 2 * USERS
    assert indexes(users) == ["pgwatch_sweep_1_2"]


def test_without_a_second_connection_no_index_is_made(
    server: EmbeddedServer, users: Connection[TupleRow], database: Database, make_role: MakeRole
) -> None:
    role = make_role("CONNECTION LIMIT 1")
    for table in ("users", "bookings"):
        users.execute(sql.SQL("ALTER TABLE {} OWNER TO {}").format(*map(sql.Identifier, (table, role))))

    report = swept(server.dsn(database.name, role), WITH_INDEXES)

    assert "takes a second connection" in not_made(report)
