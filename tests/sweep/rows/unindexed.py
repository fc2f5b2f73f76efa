"""Bookings that refer to users, where no index helps to find them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.leaks.indexes.index_builds import IndexBuilds
from pgwatch_tests.sweep.gate import verdict
from pgwatch_tests.sweep.model import SweepReport
from tests.sweep.rows.bookings import REQUEST, details, kept

IMPATIENT = replace(REQUEST, patience_s=0.1)
WITH_INDEXES = replace(IMPATIENT, temp_index=True)
USERS = 2000


def make_unindexed(owner: Connection[TupleRow]) -> Connection[TupleRow]:
    """Users that tests left, with a booking each; never analysed."""
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


def write_before_it_is_made(
    monkeypatch: pytest.MonkeyPatch, writer: Connection[TupleRow], times: int = 1
) -> None:
    """Opens a transaction between the look for open ones and the start of the index."""
    run = IndexBuilds._run
    left = [writer] * times

    def then_run(work: IndexBuilds, statement: bytes) -> None:
        if statement.startswith(b"CREATE") and left:
            left.pop().execute("INSERT INTO bookings VALUES (1, 'x')")
        run(work, statement)

    monkeypatch.setattr(IndexBuilds, "_run", then_run)


def not_made(report: SweepReport) -> str:
    """Why no temporary index could be made, as it is told; which makes the sweep incomplete, and no more."""
    (detail,) = details(report)
    assert {reason for _, reason in kept(report)} == {"not_checked"}
    assert verdict([report]) == "incomplete"
    assert "--temp-index" not in detail
    lacks, _, why = detail.partition(", and no temporary one could be created: ")
    assert "since public.bookings has no usable index on user_id" in lacks
    why, _, statement = why.partition("; sweep again, or create it: ")
    assert statement == 'CREATE INDEX CONCURRENTLY ON "public"."bookings" ("user_id")'
    return why
