"""The latest of all that tells a row's age counts: an old stamp in a fixture doesn't make a new row old."""

from __future__ import annotations

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from tests.servers.sessions import Database
from tests.sweep.rows.bookings import now_ms
from tests.sweep.rows.row_sweeps import OLD_MS, deleted, ids, kept, swept_thoroughly

_OLD = f"booking_{OLD_MS}_x7f3"


@pytest.mark.parametrize(
    "value",
    [
        "order_user_{old}_x7f3_{new}_ab",
        "order_user_{new}_x7f3_{old}_ab",
        "order_{old}_{old}_{new}_{old}_ab",
        "x-{old}-{new}-1a@test.example.com",
    ],
)
def test_of_all_stamps_in_a_value(database: Database, owner: Connection[TupleRow], value: str) -> None:
    owner.execute("CREATE TABLE t (id int PRIMARY KEY, m text)")
    young = value.format(old=OLD_MS, new=now_ms())
    old = value.format(old=OLD_MS, new=OLD_MS + 1)
    owner.execute("INSERT INTO t VALUES (1, %s), (2, %s)", [young, old])
    # Both were committed just now: without any other evidence, that would count.
    report = swept_thoroughly(database.dsn)

    assert kept(report)["t", "too_young"] >= 1
    assert 1 in ids(owner, "t")


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp"])
def test_of_a_stamp_and_created_at(database: Database, owner: Connection[TupleRow], kind: str) -> None:
    owner.execute(f"CREATE TABLE t (id int PRIMARY KEY, m text, created_at {kind} DEFAULT now())".encode())
    owner.execute("INSERT INTO t VALUES (1, %s)", [_OLD])

    report = swept_thoroughly(database.dsn)

    assert kept(report) == {("t", "too_young"): 1}
    assert deleted(report) == {}
    assert ids(owner, "t") == [1]
