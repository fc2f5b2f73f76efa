"""`6 of 6 rows of public.users`: how many rows there were is counted, whatever statistics say."""

from __future__ import annotations

from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.reports.sweeps import sweep_remarks
from tests.servers.sessions import Database
from tests.sweep.rows.row_sweeps import make, swept


def test_small_tables_are_counted_before_and_after(owner: Connection[TupleRow], database: Database) -> None:
    # Nobody has analysed them: the server knows no more than their files' size.
    make(
        owner,
        """
        CREATE TABLE users (id int PRIMARY KEY, email text);
        CREATE TABLE notes (id int PRIMARY KEY, "user" int REFERENCES users);
        CREATE TABLE days (email text, day int) PARTITION BY RANGE (day);
        CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM (1) TO (2);
        CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM (2) TO (3);
        INSERT INTO users SELECT n, MARKED FROM generate_series(1, 6) AS n;
        INSERT INTO notes SELECT n, CASE WHEN n < 3 THEN n END FROM generate_series(1, 9) AS n;
        INSERT INTO days VALUES (MARKED, 1), ('x', 2), ('y', 2);
        """,
    )

    dry, done = swept(database.dsn, dry_run=True, min_age_s=0.0), swept(database.dsn, min_age_s=0.0)

    for report in (dry, done):
        sizes = {one.table: (one.total, one.of) for one in report.planned}
        assert sizes == {"users": (6, 6), "notes": (2, 9), "days": (1, 3)}
    assert sweep_remarks.large_parts(dry, str).endswith("would go: 6 of 6 rows of public.users")
    assert sweep_remarks.large_parts(done, str).endswith("went: 6 of 6 rows of public.users")


def test_a_large_table_is_left_to_its_estimate(owner: Connection[TupleRow], database: Database) -> None:
    make(
        owner,
        """
        CREATE TABLE users (id int PRIMARY KEY, email text);
        INSERT INTO users SELECT n, CASE WHEN n < 3 THEN MARKED ELSE 'real' END
            FROM generate_series(1, 12000) AS n;
        ANALYZE users;
        """,
    )

    [users] = swept(database.dsn, dry_run=True, min_age_s=0.0).planned

    assert (users.total, users.of) == (2, 12000)
