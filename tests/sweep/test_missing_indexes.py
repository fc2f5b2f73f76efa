"""Foreign keys without an index: what it would take is told, and indexes made for a sweep go with it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.sweep.foreign_keys import ForeignKeys
from pgwatch_tests.sweep.model import SweepProgress
from pgwatch_tests.sweep.survey import Surveyor
from tests.sessions import Connect, Database
from tests.sweep.bookings import REQUEST, count, details, kept, marked_users, swept

IMPATIENT = replace(REQUEST, patience_s=0.1)
WITH_INDEXES = replace(IMPATIENT, temp_index=True)
USERS = 2000


@pytest.fixture
def users(owner: Connection[TupleRow]) -> Connection[TupleRow]:
    """Users that tests left, with a booking each that no index helps to find; never analysed."""
    owner.execute("CREATE TABLE users (id bigint PRIMARY KEY, email text)")
    owner.execute("CREATE TABLE bookings (user_id bigint REFERENCES users, note text)")
    owner.execute(
        "INSERT INTO users SELECT n, 'user-1717171717171-x@test.example.com'"
        " FROM generate_series(1, %s) AS n",
        [USERS],
    )
    owner.execute("INSERT INTO bookings SELECT id, repeat('x', 80) FROM users")
    return owner


def indexes(owner: Connection[TupleRow]) -> list[str]:
    """Those on `bookings`."""
    found = owner.execute(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'bookings'::regclass ORDER BY 1"
    )
    return [str(name) for (name,) in found]


def leave_index(owner: Connection[TupleRow]) -> str:
    """What a sweep that was killed leaves."""
    owner.execute("CREATE INDEX pgwatch_sweep_1_2 ON bookings (user_id)")
    return "pgwatch_sweep_1_2"


@pytest.mark.parametrize("statistics", ["counted", "analysed", "lost"])
def test_what_it_would_take(users: Connection[TupleRow], database: Database, statistics: str) -> None:
    if statistics == "analysed":
        users.execute("ANALYZE")
    if statistics == "lost":  # as in a crash
        users.execute("SELECT pg_stat_reset()")

    report = swept(database.dsn, IMPATIENT)

    assert kept(report) == {("users", "no_index"): USERS}
    (detail,) = details(report)
    assert "CREATE INDEX CONCURRENTLY ON public.bookings (user_id)" in detail
    assert "--temp-index" in detail
    assert count(users, "users") == USERS
    assert indexes(users) == []


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
    monkeypatch.setattr("pgwatch_tests.sweep.temporary_index._PATIENCE_S", 0.1)
    reader = connect()

    def read(_: SweepProgress) -> None:
        reader.execute("SELECT FROM bookings LIMIT 1")

    report = swept(database.dsn, WITH_INDEXES, read)

    assert report.deleted_rows == 2 * USERS
    (sentence,) = report.not_checked
    assert "DROP INDEX public.pgwatch_sweep_" in sentence
    reader.rollback()
    swept(database.dsn, WITH_INDEXES)
    assert indexes(users) == []


def test_an_index_that_cant_be_made(
    users: Connection[TupleRow], database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgwatch_tests.sweep.temporary_index._PATIENCE_S", 0.1)
    writer = connect()
    graph = Surveyor._graph

    def then_write(surveyor: Surveyor) -> ForeignKeys:
        found = graph(surveyor)
        writer.execute("UPDATE bookings SET note = note WHERE user_id = 1")
        return found

    monkeypatch.setattr(Surveyor, "_graph", then_write)

    report = swept(database.dsn, WITH_INDEXES)

    writer.rollback()
    monkeypatch.undo()
    assert kept(report) == {("users", "no_index"): USERS}
    assert "isn't dropped yet" in report.not_checked[0]
    assert len(marked_users(users)) == USERS
    swept(database.dsn, WITH_INDEXES)
    assert indexes(users) == []
