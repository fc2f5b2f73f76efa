"""The youngest of rows that stay for their age: when it was written, by what, and that this doesn't move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import LiteralString

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.sweep.model import AgeKnownBy
from pgwatch_tests.sweep.plan.young_rows import SHIFT, STEPS, WAYS, step_s, youngest
from tests.servers.sessions import Database
from tests.sweep.plan.test_ages import UNSTAMPED, commits, now_ms, remembering
from tests.sweep.rows.row_sweeps import deleted, kept, mail, swept
from tests.waiting import wait_until

__all__ = ["commits", "remembering"]
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TABLE = ("public", "users")


@given(
    min_age_s=st.floats(0.001, 10**8),
    share=st.floats(0, 1),
    way=st.integers(0, SHIFT - 1),
    took_s=st.floats(0, 3600),
)
def test_a_time_is_told_by_its_step(min_age_s: float, share: float, way: int, took_s: float) -> None:
    # Up to 26 hours ahead: what has no zone may be of any.
    written = NOW - timedelta(seconds=min_age_s) + share * timedelta(seconds=min_age_s + 26 * 3600)
    length_s = step_s(min_age_s)
    step = -int(-written.timestamp() // length_s)
    now = NOW + timedelta(seconds=took_s)

    found = youngest([(TABLE, step % STEPS * SHIFT + way)], min_age_s, now, 3)

    assert found is not None
    assert (found.schema, found.table, found.known_by, found.held_back) == (*TABLE, WAYS[way], 3)
    assert timedelta() <= found.at - written <= timedelta(seconds=length_s)


def test_the_youngest_of_several() -> None:
    def bits(ago_s: int) -> int:
        return (int(NOW.timestamp()) - ago_s) % STEPS * SHIFT

    found = youngest([(("a", "b"), bits(9)), (TABLE, bits(3)), (("c", "d"), bits(5))], 600.0, NOW, 0)

    assert found is not None
    assert (found.table, found.at) == ("users", NOW - timedelta(seconds=3))
    assert youngest([], 600.0, NOW, 0) is None


@pytest.mark.parametrize(
    ("created_at", "kind", "known_by", "ago_s"),
    [
        ("NULL", "timestamptz", "stamp", 60),
        ("now() - interval '30 s'", "timestamptz", "created_at", 30),
        ("now() - interval '2 min'", "timestamptz", "stamp", 60),
        ("'infinity'", "timestamptz", "stamp", 60),
        # In a zone that is behind by 12 hours, it is that much later.
        ("now() AT TIME ZONE 'UTC' - interval '1 hour'", "timestamp", "created_at_without_zone", -11 * 3600),
        ("now() AT TIME ZONE 'UTC' - interval '13 hours'", "timestamp", "stamp", 60),
    ],
)
def test_what_the_youngest_is_known_by(
    database: Database,
    owner: Connection[TupleRow],
    created_at: LiteralString,
    kind: LiteralString,
    known_by: AgeKnownBy,
    ago_s: int,
) -> None:
    owner.execute(sql.SQL("CREATE TABLE users (email text, created_at {})").format(sql.SQL(kind)))
    owner.execute(
        sql.SQL("INSERT INTO users VALUES (%s, {})").format(sql.SQL(created_at)),
        [mail(stamp_ms=now_ms() - 60_000)],
    )
    expected = datetime.now(UTC) - timedelta(seconds=ago_s)

    first, second = (swept(database.dsn, dry_run=True) for _ in range(2))

    assert first.youngest is not None
    assert (first.youngest.table, first.youngest.known_by) == ("users", known_by)
    assert abs(first.youngest.at - expected) < timedelta(seconds=20)
    assert first.youngest == second.youngest


def test_a_row_that_is_old_enough_is_held_back_by_one_that_depends_on_it(
    database: Database, owner: Connection[TupleRow]
) -> None:
    owner.execute(
        "CREATE TABLE users (id int PRIMARY KEY, email text);"
        "CREATE TABLE posts (id int, user_id int REFERENCES users, created_at timestamptz DEFAULT now());"
        "CREATE TABLE colours (user_id int REFERENCES users ON DELETE SET NULL, created_at timestamptz)"
    )
    owner.execute("INSERT INTO users VALUES (1, %s), (2, %s), (3, %s)", [mail()] * 3)
    owner.execute("INSERT INTO posts VALUES (1, 1), (2, 1), (3, 2)")

    report = swept(database.dsn, dry_run=True)

    assert kept(report) == {("users", "too_young"): 2, ("posts", "too_young"): 3}
    assert report.youngest is not None
    assert (report.youngest.table, report.youngest.held_back) == ("posts", 2)

    # Nor does it go while a young row would lose its reference.
    owner.execute("INSERT INTO colours VALUES (3, now() + interval '20 s')")
    report = swept(database.dsn, dry_run=True)
    assert report.youngest is not None
    assert (report.youngest.table, report.youngest.held_back) == ("colours", 3)


def test_the_last_commit_bounds_a_created_at_without_zone(
    commits: Connection[TupleRow], remembering: EmbeddedServer
) -> None:
    commits.execute("CREATE TABLE users (email text, created_at timestamp)")
    commits.execute("INSERT INTO users VALUES (%s, now() AT TIME ZONE 'UTC' - interval '1 h')", [UNSTAMPED])
    dsn = remembering.dsn(commits.info.dbname)

    young = swept(dsn, dry_run=True)

    assert young.youngest is not None
    assert young.youngest.known_by == "commit"
    wait_until(lambda: not swept(dsn, dry_run=True, min_age_s=0.5).kept)
    assert deleted(swept(dsn, min_age_s=0.5)) == {"users": (1, 0)}
