"""How old rows are, by whatever tells, and that nothing young goes, nor what hangs together with it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.demo.embedded import EmbeddedServer, ServerPrograms
from pgwatch_tests.sweep.model import KeptReason
from tests.server_places import server_directory
from tests.sessions import Database
from tests.sweep.row_sweeps import deleted, ids, kept, mail, swept, swept_thoroughly

HOUR_MS = 3_600_000
UNSTAMPED = "ann@test.example.com"


def now_ms() -> int:
    """By this machine's clock."""
    return time.time_ns() // 1_000_000


@pytest.mark.parametrize(
    ("ahead_ms", "reason"),
    [
        (-HOUR_MS, None),
        (-1000, "too_young"),
        (1000, "too_young"),
        (HOUR_MS, "in_future"),
        (30_000, "too_young"),
    ],
)
def test_by_the_stamp(
    database: Database, owner: Connection[TupleRow], ahead_ms: int, reason: KeptReason | None
) -> None:
    owner.execute("CREATE TABLE users (email text, created_at timestamptz)")
    # The stamp is what counts: created_at may have been filled in by whoever copied the row.
    owner.execute(
        "INSERT INTO users VALUES (%s, '2020-01-01'), (%s, now())", [mail(stamp_ms=now_ms() + ahead_ms)] * 2
    )

    report = swept_thoroughly(database.dsn)

    assert kept(report) == ({("users", reason): 2} if reason else {})
    assert deleted(report) == ({} if reason else {"users": (2, 0)})


def test_the_latest_stamp_counts(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE users (a text, b text)")
    young = mail(stamp_ms=now_ms())
    owner.execute(
        "INSERT INTO users VALUES (%s, %s), (%s, %s), (%s, %s)", [mail(), young, young, mail(), mail(), "x"]
    )

    report = swept_thoroughly(database.dsn)

    assert (deleted(report), kept(report)) == ({"users": (1, 0)}, {("users", "too_young"): 2})


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("timestamptz", "now() - interval '1 hour'", None),
        ("timestamptz", "now() - interval '1 minute'", "too_young"),
        ("timestamptz", "now() + interval '1 hour'", "in_future"),
        ("timestamptz", "'infinity'", "too_young"),
        ("timestamptz", "'-infinity'", "too_young"),
        ("timestamptz", "NULL", "too_young"),
        ("timestamptz", "'294276-12-31 00:00:00+00'", "in_future"),
        ("timestamptz", "'4713-01-01 00:00:00+00 BC'", None),
        ("timestamp(0)", "now() AT TIME ZONE 'UTC' - interval '13 hours'", None),
        # In a zone that is behind, it is only an hour ago; in one that is ahead, it is still to come.
        ("timestamp", "now() AT TIME ZONE 'UTC' - interval '11 hours'", "too_young"),
        ("timestamp", "now() AT TIME ZONE 'UTC' + interval '13 hours'", "too_young"),
        ("timestamp", "now() AT TIME ZONE 'UTC' + interval '15 hours'", "in_future"),
        ("timestamp", "'infinity'", "too_young"),
        ("timestamp", "'294276-12-31 00:00:00'", "in_future"),
        ("date", "'2020-01-01'", "too_young"),
        ("bigint", "1577836800", "too_young"),
        ("text", "'2020-01-01'", "too_young"),
        ("timestamptz[]", "'{2020-01-01}'", "too_young"),
        ("tstzrange", "'[2020-01-01,)'", "too_young"),
        ("json", "'{}'", "too_young"),
    ],
)
def test_by_created_at_or_else_when_it_was_committed(
    database: Database,
    owner: Connection[TupleRow],
    column: LiteralString,
    value: LiteralString,
    reason: KeptReason | None,
) -> None:
    owner.execute(f"CREATE TABLE users (email text, created_at {column})")
    owner.execute("INSERT INTO users VALUES (%s)", [UNSTAMPED])
    owner.execute(sql.SQL("UPDATE users SET created_at = {}").format(sql.SQL(value)))

    report = swept_thoroughly(database.dsn)

    assert kept(report) == ({("users", reason): 1} if reason else {})
    assert deleted(report) == ({} if reason else {"users": (1, 0)})


def test_no_age_asked_for(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE users (id int PRIMARY KEY, email text, created_at timestamptz)")
    owner.execute(
        "INSERT INTO users VALUES (1, %s, NULL), (2, %s, now()), (3, %s, NULL),"
        " (4, %s, now() + interval '1 hour'), (5, %s, NULL)",
        [UNSTAMPED, UNSTAMPED, mail(stamp_ms=now_ms()), UNSTAMPED, mail(stamp_ms=now_ms() + HOUR_MS)],
    )

    report = swept(database.dsn, min_age_s=0)

    assert deleted(report) == {"users": (3, 0)}
    assert kept(report) == {("users", "in_future"): 2}
    assert ids(owner, "users") == [4, 5]


@pytest.mark.parametrize(
    ("created_at", "reason"),
    [("now()", "too_young"), ("now() + interval '1 day'", "in_future"), ("NULL", None)],
)
def test_dependents_keep_a_cluster(
    database: Database, owner: Connection[TupleRow], created_at: LiteralString, reason: KeptReason | None
) -> None:
    owner.execute(
        "CREATE TABLE users (id int PRIMARY KEY, email text);"
        "CREATE TABLE bookings (id int PRIMARY KEY, user_id int REFERENCES users);"
        "CREATE TABLE items (id int, booking_id int REFERENCES bookings, created_at timestamptz)"
    )
    owner.execute("INSERT INTO users VALUES (1, %s), (2, %s)", [mail(), mail()])
    owner.execute("INSERT INTO bookings VALUES (1, 1), (2, 1), (3, 2)")
    owner.execute("INSERT INTO items VALUES (1, 1, NULL), (2, 2, '2020-01-01'), (3, 3, '2020-01-01')")
    owner.execute(sql.SQL("UPDATE items SET created_at = {} WHERE id = 1").format(sql.SQL(created_at)))

    report = swept_thoroughly(database.dsn)

    gone = 1 if reason else 2
    assert deleted(report) == {
        "users": (gone, 0),
        "bookings": (0, 1 if reason else 3),
        "items": (0, 1 if reason else 3),
    }
    assert kept(report) == (
        {("users", reason): 1, ("bookings", reason): 2, ("items", reason): 2} if reason else {}
    )


def test_a_young_marked_child_or_parent_keeps_a_cluster(
    database: Database, owner: Connection[TupleRow]
) -> None:
    owner.execute(
        "CREATE TABLE users (id int PRIMARY KEY, email text);"
        "CREATE TABLE bookings (id int PRIMARY KEY, user_id int REFERENCES users, note text)"
    )
    young = mail(stamp_ms=now_ms())
    owner.execute("INSERT INTO users VALUES (1, %s), (2, %s), (3, %s)", [mail(), young, mail()])
    owner.execute("INSERT INTO bookings VALUES (1, 1, %s), (2, 2, %s), (3, 3, %s)", [young, mail(), mail()])

    report = swept_thoroughly(database.dsn)

    assert deleted(report) == {"users": (1, 0), "bookings": (1, 0)}
    assert (ids(owner, "users"), ids(owner, "bookings")) == ([1, 2], [1, 2])
    assert kept(report) == {("users", "too_young"): 2, ("bookings", "too_young"): 2}


@pytest.fixture(scope="module")
def forgetful(programs: ServerPrograms, template: Path) -> Iterator[EmbeddedServer]:
    """A server that doesn't keep commit timestamps."""
    chosen = {"track_commit_timestamp": "off"}
    with EmbeddedServer(programs, server_directory(), chosen, template) as started:
        with psycopg.connect(started.dsn(), autocommit=True) as administrator:
            administrator.execute("CREATE DATABASE test_ages")
        yield started


def test_where_nothing_tells(forgetful: EmbeddedServer) -> None:
    dsn = forgetful.dsn("test_ages")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE users (id int PRIMARY KEY, email text, created_at timestamptz);"
            "CREATE TABLE bookings (user_id int REFERENCES users)"
        )
        connection.execute(
            "INSERT INTO users VALUES (1, %s, NULL), (2, %s, NULL), (3, %s, '2020-01-01'),"
            " (4, %s, 'infinity')",
            [UNSTAMPED, mail(), UNSTAMPED, UNSTAMPED],
        )
        connection.execute("INSERT INTO bookings SELECT id FROM users")
        report = swept_thoroughly(dsn)
        without_age = swept(dsn, min_age_s=0)

    assert deleted(report) == {"users": (2, 0), "bookings": (0, 2)}
    assert kept(report) == {("users", "age_unknown"): 2, ("bookings", "age_unknown"): 2}
    assert not report.complete
    assert deleted(without_age) == {"users": (2, 0), "bookings": (0, 2)}


def test_by_when_a_row_was_committed(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE users (id int PRIMARY KEY, email text)")
    owner.execute("INSERT INTO users VALUES (1, %s), (2, %s)", [UNSTAMPED, mail()])

    at_once = swept(database.dsn)
    later = swept(database.dsn, min_age_s=0.001)

    assert (deleted(at_once), kept(at_once)) == ({"users": (1, 0)}, {("users", "too_young"): 1})
    assert deleted(later) == {"users": (1, 0)}
