"""How old rows are, by whatever tells, and that nothing young goes, nor what hangs together with it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms
from pgwatch_tests.sweep.model import KeptReason
from tests.servers.server_places import server_directory
from tests.servers.sessions import Database
from tests.sweep.rows.row_sweeps import OLD_MS, deleted, ids, kept, mail, swept, swept_thoroughly
from tests.waiting import wait_until

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
    owner.execute(
        "INSERT INTO users VALUES (%s, '2020-01-01'), (%s, NULL)", [mail(stamp_ms=now_ms() + ahead_ms)] * 2
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
    ("stamp_ms", "created_at", "reason"),
    [
        # A constant of a fixture says nothing against a row that was written a moment ago.
        (OLD_MS, "now()", "too_young"),
        (OLD_MS, "now() + interval '1 hour'", "in_future"),
        (OLD_MS, "'infinity'", None),
        (OLD_MS, "now() - interval '1 hour'", None),
        # What was copied has the time of the original.
        (None, "'2020-01-01'", "too_young"),
    ],
)
def test_the_latest_of_stamp_and_created_at_counts(
    database: Database,
    owner: Connection[TupleRow],
    stamp_ms: int | None,
    created_at: LiteralString,
    reason: KeptReason | None,
) -> None:
    owner.execute("CREATE TABLE users (email text, created_at timestamptz)")
    owner.execute(
        sql.SQL("INSERT INTO users VALUES (%s, {})").format(sql.SQL(created_at)),
        [mail(stamp_ms=now_ms() if stamp_ms is None else stamp_ms)],
    )

    report = swept_thoroughly(database.dsn)

    assert kept(report) == ({("users", reason): 1} if reason else {})
    assert deleted(report) == ({} if reason else {"users": (1, 0)})


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("timestamptz", "now() - interval '1 hour'", None),
        ("timestamptz", "now() - interval '1 minute'", "too_young"),
        ("timestamptz", "now() + interval '1 hour'", "in_future"),
        ("timestamptz", "'infinity'", "age_unknown"),
        ("timestamptz", "'-infinity'", "age_unknown"),
        ("timestamptz", "NULL", "age_unknown"),
        ("timestamptz", "'294276-12-31 00:00:00+00'", "in_future"),
        ("timestamptz", "'4713-01-01 00:00:00+00 BC'", None),
        ("timestamp(0)", "now() AT TIME ZONE 'UTC' - interval '13 hours'", None),
        # In a zone that is behind, it is only an hour ago; in one that is ahead, it is still to come.
        ("timestamp", "now() AT TIME ZONE 'UTC' - interval '11 hours'", "too_young"),
        ("timestamp", "now() AT TIME ZONE 'UTC' + interval '13 hours'", "too_young"),
        ("timestamp", "now() AT TIME ZONE 'UTC' + interval '15 hours'", "in_future"),
        ("timestamp", "'infinity'", "age_unknown"),
        ("timestamp", "'294276-12-31 00:00:00'", "in_future"),
        ("date", "'2020-01-01'", "age_unknown"),
        ("bigint", "1577836800", "age_unknown"),
        ("text", "'2020-01-01'", "age_unknown"),
        ("timestamptz[]", "'{2020-01-01}'", "age_unknown"),
        ("tstzrange", "'[2020-01-01,)'", "age_unknown"),
        ("json", "'{}'", "age_unknown"),
    ],
)
def test_by_created_at_where_nothing_else_tells(
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
    owner.execute("INSERT INTO items VALUES (1, 1, NULL), (2, 2, '2025-01-01'), (3, 3, '2025-01-01')")
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


@pytest.mark.parametrize(
    ("created_at", "is_real"),
    [
        ("2020-01-01 00:00:00+00", True),
        ("2024-05-31 16:07:30+00", True),
        # Clocks may be a minute apart: its user's stamp is of 16:08:37.
        ("2024-05-31 16:07:50+00", False),
        ("2024-05-31 16:08:40+00", False),
        ("-infinity", False),
        (None, False),
    ],
)
def test_what_was_there_before_a_marked_row_is_real(
    database: Database, owner: Connection[TupleRow], created_at: str | None, is_real: bool
) -> None:
    owner.execute(
        "CREATE TABLE users (id int PRIMARY KEY, email text, other text);"
        "CREATE TABLE bookings (id int PRIMARY KEY, user_id int REFERENCES users ON DELETE CASCADE,"
        " created_at timestamptz)"
    )
    # It was made when the older of its stamps says.
    later = mail(stamp_ms=OLD_MS + HOUR_MS)
    owner.execute("INSERT INTO users VALUES (1, %s, %s), (2, %s, NULL)", [mail(), later, mail()])
    owner.execute("INSERT INTO bookings VALUES (7, 1, %s), (8, 2, NULL)", [created_at])

    report = swept_thoroughly(database.dsn)

    gone = 1 if is_real else 2
    assert deleted(report) == {"users": (gone, 0), "bookings": (0, gone)}
    assert kept(report) == ({("users", "shared_with_real_data"): 1} if is_real else {})
    assert {one.detail for one in report.kept} == (
        {"public.bookings (id=7) is older than the marked row of public.users that it refers to"}
        if is_real
        else set()
    )


def test_where_nothing_tells(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute(
        "CREATE TABLE users (id int PRIMARY KEY, email text, created_at timestamptz);"
        "CREATE TABLE bookings (user_id int REFERENCES users)"
    )
    owner.execute(
        "INSERT INTO users VALUES (1, %s, NULL), (2, %s, NULL), (3, %s, '2020-01-01'), (4, %s, 'infinity')",
        [UNSTAMPED, mail(), UNSTAMPED, UNSTAMPED],
    )
    owner.execute("INSERT INTO bookings SELECT id FROM users")
    report = swept_thoroughly(database.dsn)
    without_age = swept(database.dsn, min_age_s=0)

    assert deleted(report) == {"users": (2, 0), "bookings": (0, 2)}
    assert kept(report) == {("users", "age_unknown"): 2, ("bookings", "age_unknown"): 2}
    assert not report.complete
    assert deleted(without_age) == {"users": (2, 0), "bookings": (0, 2)}


@pytest.fixture(scope="module")
def remembering(programs: ServerPrograms, template: Path) -> Iterator[EmbeddedServer]:
    """A server that keeps commit timestamps."""
    chosen = {"track_commit_timestamp": "on"}
    with EmbeddedServer(programs, server_directory(), chosen, template) as started:
        yield started


@pytest.fixture
def commits(remembering: EmbeddedServer) -> Iterator[Connection[TupleRow]]:
    """A new database of that server."""
    name = f"test_ages_{secrets.token_hex(4)}"
    with psycopg.connect(remembering.dsn(), autocommit=True) as administrator:
        administrator.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    with psycopg.connect(remembering.dsn(name), autocommit=True) as connection:
        yield connection


def test_by_when_a_row_was_committed(commits: Connection[TupleRow], remembering: EmbeddedServer) -> None:
    """Whatever its values say: they may be constants of a fixture."""
    commits.execute("CREATE TABLE users (id int PRIMARY KEY, email text, created_at timestamptz)")
    commits.execute(
        "INSERT INTO users VALUES (1, %s, NULL), (2, %s, NULL), (3, %s, '2020-01-01'), (4, %s, '2020-01-01'),"
        " (5, %s, 'infinity')",
        [UNSTAMPED, mail(), UNSTAMPED, mail(), UNSTAMPED],
    )
    dsn = remembering.dsn(commits.info.dbname)

    at_once = swept_thoroughly(dsn)
    later = swept(dsn, min_age_s=0.001)

    assert (deleted(at_once), kept(at_once)) == ({}, {("users", "too_young"): 5})
    assert at_once.complete
    assert (deleted(later), kept(later)) == ({"users": (5, 0)}, {})


def test_a_row_that_was_changed_a_moment_ago_is_young(
    commits: Connection[TupleRow], remembering: EmbeddedServer
) -> None:
    commits.execute(
        "CREATE TABLE users (id int PRIMARY KEY, email text);"
        "CREATE TABLE bookings (id int PRIMARY KEY, user_id int REFERENCES users)"
    )
    commits.execute("INSERT INTO users VALUES (1, %s), (2, %s)", [mail(), mail()])
    commits.execute("INSERT INTO bookings VALUES (1, 1), (2, 2)")
    dsn = remembering.dsn(commits.info.dbname)
    age_s = 2.0
    wait_until(lambda: not swept(dsn, dry_run=True, min_age_s=age_s).kept)
    # Others' rows have an age too, where the server keeps it.
    commits.execute("UPDATE bookings SET id = 3 WHERE id = 1")

    report = swept(dsn, min_age_s=age_s)

    assert deleted(report) == {"users": (1, 0), "bookings": (0, 1)}
    assert kept(report) == {("users", "too_young"): 1, ("bookings", "too_young"): 1}
