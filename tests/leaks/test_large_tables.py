"""A large table is read once, and what can be told of it is the same as of a small one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.leaks import scan
from pgwatch_tests.leaks.scan import LeakScan
from tests.leaks.scanning import insert, scanned, settings
from tests.servers.sessions import Connect, Database
from tests.waiting import wait_until


@pytest.fixture
def owner(connect: Connect) -> Connection[TupleRow]:
    """A superuser's session in the test's database, which has a table of some pages and one of none."""
    connection = connect(autocommit=True)
    connection.execute("CREATE TABLE large (c text, created_at timestamp)")
    connection.execute("INSERT INTO large SELECT 'x', now() FROM generate_series(1, 5000)")
    connection.execute("INSERT INTO large VALUES ('a@test.example.com', '2026-01-01')")
    connection.execute("CREATE TABLE small (c text)")
    connection.execute("ANALYZE large")
    return connection


def times_read(owner: Connection[TupleRow]) -> int:
    row = owner.execute("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'large'").fetchone()
    assert row is not None
    return int(row[0])


def sessions(owner: Connection[TupleRow]) -> int:
    row = owner.execute(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE application_name = 'pgwatch-tests' AND datname = current_database()"
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_it_is_read_once(
    database: Database, owner: Connection[TupleRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_before = times_read(owner)
    as_small = scanned(database.dsn)
    wait_until(lambda: times_read(owner) == read_before + 2)
    monkeypatch.setattr(scan, "_LARGE_PAGES", 5)

    as_large = scanned(database.dsn)

    assert replace(as_large, checked_at=as_small.checked_at, duration_s=as_small.duration_s) == as_small
    assert [(leak.table, leak.rows, leak.columns) for leak in as_large.tables] == [("large", 1, ("c",))]
    wait_until(lambda: times_read(owner) >= read_before + 3)
    # What a session did is published before it is gone, so nothing more can come.
    wait_until(lambda: not sessions(owner))
    assert times_read(owner) == read_before + 3


def test_without_details_the_count_still_stands(
    database: Database, owner: Connection[TupleRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "_LARGE_PAGES", 5)
    owner.execute(
        sql.SQL("ALTER DATABASE {} SET timezone = 'America/Los_Angeles'").format(
            sql.Identifier(database.name)
        )
    )
    # Has no equivalent with a time zone.
    owner.execute("INSERT INTO large VALUES ('b@test.example.com', '294276-12-31 23:59:59')")

    report = scanned(database.dsn)

    assert [(leak.table, leak.rows, leak.columns) for leak in report.tables] == [("large", 2, ())]
    assert report.skipped == ()


def test_progress_goes_by_pages(database: Database, owner: Connection[TupleRow]) -> None:
    insert(owner, "small", "x")
    shares: list[float] = []

    def note(_: int, __: int) -> None:
        shares.append(leak_scan.share_done)

    leak_scan = LeakScan(settings(database.dsn), note)
    leak_scan.run()

    first, after_large, last = shares
    assert first == 0
    assert 0.75 < after_large < 1
    assert last == 1
