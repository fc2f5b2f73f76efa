"""Rollback isolation on a plain connection of psycopg 3."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from pgwatch_tests.testing.isolation.rollbacks.rollback import rollback_connection
from pgwatch_tests.testing.isolation.rollbacks.self_waits import SelfWaitError
from tests.servers.sessions import Database
from tests.testing.isolation.rollbacks.test_rollback import DEFERRED, SCHEMA


@pytest.fixture
def inside(database: Database, owner: Connection[TupleRow]) -> Iterator[Connection[TupleRow]]:
    owner.execute(SCHEMA)
    owner.execute(DEFERRED)
    with rollback_connection(database.dsn) as connection:
        yield connection
    assert connection.closed
    assert ids(owner) == []


def ids(connection: Connection[TupleRow]) -> list[int]:
    return [row[0] for row in connection.execute("SELECT id FROM users ORDER BY id")]


def add(connection: Connection[TupleRow], id_: int) -> None:
    connection.execute("INSERT INTO users VALUES (%s)", [id_])


def test_commits_stay_and_rollbacks_undo_what_came_since(
    inside: Connection[TupleRow], owner: Connection[TupleRow]
) -> None:
    for number in range(7):
        add(inside, number)
        inside.commit()
        with pytest.raises(psycopg.errors.UniqueViolation):
            add(inside, number)
        inside.rollback()
    with inside:
        add(inside, 10)
    with pytest.raises(ZeroDivisionError), inside:
        fail_after_adding(inside)
    add(inside, 12)
    inside.close()
    with inside.cursor() as cursor, cursor.copy("COPY users (id) FROM STDIN") as copy:
        copy.write_row([13])
    inside.commit()
    assert ids(inside) == [*range(7), 10, 13]
    assert ids(owner) == []


def fail_after_adding(connection: Connection[TupleRow]) -> None:
    add(connection, 11)
    raise ZeroDivisionError


def test_transaction_blocks_commit_as_outside_of_a_test(inside: Connection[TupleRow]) -> None:
    with inside.transaction():
        add(inside, 1)
        with inside.transaction(force_rollback=True):
            add(inside, 2)
        with pytest.raises(psycopg.ProgrammingError, match="forbidden within a transaction"):
            inside.commit()
    inside.rollback()
    assert ids(inside) == [1]
    # One inside of a transaction that was begun before is a savepoint only.
    with inside.transaction():
        add(inside, 3)
    inside.rollback()
    assert ids(inside) == [1]
    inside.rollback()
    with pytest.raises(ZeroDivisionError), inside.transaction():
        fail_after_adding(inside)
    assert ids(inside) == [1]


def test_deferred_constraints_are_checked_at_each_commit(inside: Connection[TupleRow]) -> None:
    for _ in range(2):
        inside.execute("INSERT INTO bookings VALUES (1, 1)")
        with pytest.raises(psycopg.errors.ForeignKeyViolation, match="booked_by"):
            inside.commit()
    inside.execute("INSERT INTO bookings VALUES (1, 1)")
    add(inside, 1)
    inside.commit()
    with pytest.raises(psycopg.errors.ForeignKeyViolation), inside.transaction():
        inside.execute("INSERT INTO bookings VALUES (2, 2)")
    assert ids(inside) == [1]


def test_what_would_end_the_tests_transaction_is_refused(inside: Connection[TupleRow]) -> None:
    add(inside, 1)
    for statement in (b"COMMIT", psycopg.sql.SQL("ROLLBACK")):
        with pytest.raises(psycopg.ProgrammingError, match="would end the test's own transaction"):
            inside.execute(statement)
    with pytest.raises(psycopg.ProgrammingError):
        inside.autocommit = True
    assert ids(inside) == [1]


def test_a_test_that_waits_for_itself_is_told(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute(SCHEMA)

    def wait() -> None:
        with rollback_connection(database.dsn) as connection:
            add(connection, 1)
            connection.commit()
            with pytest.raises(psycopg.errors.QueryCanceled):
                add(owner, 1)

    with pytest.raises(SelfWaitError, match="which its rollback_connection"):
        wait()


def test_any_kind_of_rows_and_cursors_of_the_application(
    database: Database, owner: Connection[TupleRow]
) -> None:
    owner.execute(SCHEMA)
    owner.execute(DEFERRED)
    with rollback_connection(
        database.dsn, row_factory=dict_row, cursor_factory=psycopg.ClientCursor
    ) as connection:
        connection.execute("INSERT INTO users VALUES (%s)", [1])
        connection.commit()
        rows: list[object] = list(connection.execute("SELECT id FROM users"))
        assert rows == [{"id": 1}]
        with pytest.raises(psycopg.ProgrammingError, match="test's own transaction"):
            connection.execute("COMMIT")
    with (
        pytest.raises(psycopg.ProgrammingError, match="autocommit"),
        rollback_connection(database.dsn, autocommit=True),
    ):
        pass
    assert ids(owner) == []


def test_commits_in_a_pipeline(inside: Connection[TupleRow]) -> None:
    with inside.pipeline():
        add(inside, 1)
        inside.commit()
        add(inside, 2)
        inside.rollback()
        add(inside, 3)
    inside.commit()
    assert ids(inside) == [1, 3]


@pytest.mark.parametrize(
    "text",
    [
        "/* shop.views.pay */ COMMIT",
        "-- pay\nCOMMIT",
        "INSERT INTO users VALUES (2); COMMIT",
        "; ROLLBACK",
        "SELECT ';' /* ; */; END",
    ],
)
def test_a_commit_behind_something_else_is_refused(inside: Connection[TupleRow], text: str) -> None:
    add(inside, 1)
    with pytest.raises(psycopg.ProgrammingError, match="would end the test's own transaction"):
        inside.execute(text.encode())
    assert ids(inside) == [1]
