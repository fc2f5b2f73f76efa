"""Statements that a sweep sends without waiting for the answer to each: which failed, what comes after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from psycopg import Connection, errors
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.sweep.pipelined import Answers, Asked, answers
from pgwatch_tests.sweep.tids import Tids
from tests.leaks.scanning import settings
from tests.servers.sessions import Database
from tests.sweep.rows.row_sweeps import deleted, make, swept

_COUNTED = Asked(b"SELECT pg_catalog.cardinality(%(tids)s::pg_catalog.tid[])", {"tids": Tids([1, 2, 3])})
_FAILING = Asked(b"SELECT 1 / pg_catalog.cardinality(%(tids)s::pg_catalog.tid[])", {"tids": Tids([])})
_AFTER = Asked(b"SELECT 7 + pg_catalog.cardinality(%(tids)s::pg_catalog.tid[])", {"tids": Tids([1])})


@pytest.fixture(params=["together", "in turn"])
def session(database: Database, request: pytest.FixtureRequest) -> Iterator[DatabaseSession]:
    """One that prepares statements soon, as a sweep's does; `in turn` as behind a pooler."""
    with closing(DatabaseSession(settings(database.dsn), read_only=False)) as session:
        session.open()
        session.connection.prepare_threshold = 1
        session.connection.pooled = request.param == "in turn"
        yield session


def test_each_has_its_answer(session: DatabaseSession) -> None:
    session.execute(b"BEGIN")
    # A batch of a large schema sends hundreds.
    found = answers(session, [_COUNTED, _AFTER] * 300)
    session.execute(b"COMMIT")

    assert found.error is None
    assert list(found.rows) == [[(3,)], [(8,)]] * 300


def test_what_failed_is_known_and_what_comes_after_it_runs_the_next_time(session: DatabaseSession) -> None:
    def run(*asked: Asked) -> Answers:
        session.execute(b"BEGIN")
        found = answers(session, asked)
        assert found.error is None or session.connection.info.transaction_status != TransactionStatus.INTRANS
        session.execute(b"ROLLBACK")
        return found

    # What comes after it would be prepared, as it was run once.
    run(_AFTER)
    for _ in range(2):
        found = run(_COUNTED, _FAILING, _AFTER)
        assert list(found.rows) == [[(3,)]]
        assert isinstance(found.error, errors.DivisionByZero)

    assert run(_AFTER, _COUNTED) == Answers([[(8,)], [(3,)]])


def test_who_refuses_is_named_though_others_were_sent_before_and_after(
    database: Database, owner: Connection[TupleRow]
) -> None:
    make(
        owner,
        "CREATE TABLE users (id int PRIMARY KEY, email text);"
        "CREATE TABLE bookings (id int PRIMARY KEY, user_id int REFERENCES users);"
        "CREATE TABLE items (id int, booking_id int REFERENCES bookings);"
        "CREATE INDEX ON bookings (user_id); CREATE INDEX ON items (booking_id);"
        "INSERT INTO users SELECT i, MARKED FROM generate_series(1, 40) i;"
        "INSERT INTO bookings SELECT i, i FROM generate_series(1, 40) i;"
        "INSERT INTO items SELECT i, i FROM generate_series(1, 40) i;"
        "INSERT INTO users VALUES (100, 'real');"
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN IF OLD.id = 7 THEN RAISE 'not this one'; END IF; RETURN OLD; END $$;"
        "CREATE TRIGGER refuse BEFORE DELETE ON bookings FOR EACH ROW EXECUTE FUNCTION refuse()",
    )

    report = swept(database.dsn)

    assert deleted(report) == {"users": (39, 0), "bookings": (0, 39), "items": (0, 39)}
    assert {(kept.table, kept.rows, kept.reason) for kept in report.kept} == {
        (table, 1, "refused") for table in ("users", "bookings", "items")
    }
    assert all("not this one" in kept.detail and "bookings" in kept.detail for kept in report.kept)
    assert owner.execute("SELECT id FROM items").fetchall() == [(7,)]
