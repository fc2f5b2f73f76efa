"""A marked row that somebody makes a real one while it is about to be deleted: whoever comes first, wins.

Servers before 13.23, 14.20, 15.15, 16.11 and 17.7 delete the row's new version by the old one's ctid if they
waited for it: `python -m tests.old_minors` runs this on them.
"""

from __future__ import annotations

import time

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from tests.servers.sessions import Connect, Database, RunningStatement, is_waiting
from tests.sweep.rows.bookings import RunningSweep, settings
from tests.sweep.rows.gates import Gate
from tests.sweep.rows.row_sweeps import make
from tests.waiting import PATIENCE_S, wait_until

REAL = (1, "real@company.example")
_TURN = "UPDATE contact SET email = 'real@company.example' WHERE id = 1 RETURNING id, email"


@pytest.fixture
def contact(owner: Connection[TupleRow]) -> Connection[TupleRow]:
    """One marked contact, which nothing can refer to."""
    make(
        owner,
        "CREATE TABLE contact (id int PRIMARY KEY, email text); INSERT INTO contact VALUES (1, MARKED)",
    )
    return owner


def contacts(owner: Connection[TupleRow]) -> list[TupleRow]:
    return owner.execute("SELECT id, email FROM contact").fetchall()


def test_turned_by_a_transaction_that_is_open(
    database: Database, contact: Connection[TupleRow], connect: Connect
) -> None:
    writer = connect()
    writer.execute(_TURN)
    sweep = RunningSweep(settings(database.dsn))
    _until_it_waits(contact, sweep)
    writer.commit()
    report = sweep.result()

    assert contacts(contact) == [REAL]
    assert report.deleted_rows == 0


def test_turned_after_the_statement_began(
    database: Database, contact: Connection[TupleRow], connect: Connect
) -> None:
    writer = connect(autocommit=True)
    with Gate(connect(autocommit=True)) as gate:
        gate.put_before_statement("contact")
        sweep = RunningSweep(settings(database.dsn))
        gate.wait()
        turning = RunningStatement(writer, _TURN, ())
        # Either the sweep holds the row, or it doesn't, and must find out that it is another one.
        wait_until(lambda: not turning.thread.is_alive() or is_waiting(contact, turning.pid))
        gate.open()
        report = sweep.result()
        turned = turning.result()

    assert contacts(contact) == turned
    assert report.deleted_rows == 1 - len(turned)


def _until_it_waits(observer: Connection[TupleRow], sweep: RunningSweep) -> None:
    """Or is done. It waits for milliseconds only, so it is asked without a pause."""
    deadline = time.monotonic() + PATIENCE_S
    query = (
        "SELECT 1 FROM pg_lock_status() AS lock JOIN pg_stat_activity USING (pid)"
        " WHERE datname = current_database() AND NOT granted"
    )
    while not sweep.done and observer.execute(query).fetchone() is None:
        assert time.monotonic() < deadline, "the sweep neither waits nor ends"
