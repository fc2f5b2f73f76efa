"""What a sweep costs beside bare SQL: `python -m tests.benchmarks.hygiene.sweep --users 300000`.

A third of the users is marked. Each round deletes the same rows from a copy of the same database, once by a
sweep and once by the shortest SQL that closes over the foreign keys, locks and deletes in batches of 1,000
users. Ratios are of the same round. Ends with 1 if a budget isn't met.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import psycopg
from psycopg import sql

from pgwatch_tests.embedded.server import EmbeddedServer, find_programs
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep.request import SweepRequest
from pgwatch_tests.sweep.run import Sweep
from tests.servers.server_places import server_directory

_BOOKINGS_A_USER = 3
_ITEMS = 7
"""A user's, on all bookings together."""
_FULL, _COPY = "test_full", "test_copy"
_BARE_BATCH = 1000
_TABLES = """
CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL UNIQUE, created_at timestamptz NOT NULL);
CREATE TABLE bookings (id bigint PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, note text);
CREATE TABLE items (id bigint PRIMARY KEY, booking_id bigint NOT NULL REFERENCES bookings, price int);
"""
# Arrays, since with subqueries the planner may read whole tables for each batch.
_BARE = (
    (
        "SELECT id FROM users WHERE id = ANY (%s) FOR UPDATE SKIP LOCKED",
        "DELETE FROM users WHERE id = ANY (%s)",
    ),
    (
        "SELECT id FROM bookings WHERE user_id = ANY (%s) FOR UPDATE SKIP LOCKED",
        "DELETE FROM bookings WHERE id = ANY (%s)",
    ),
    (
        "SELECT id FROM items WHERE booking_id = ANY (%s) FOR UPDATE SKIP LOCKED",
        "DELETE FROM items WHERE id = ANY (%s)",
    ),
)


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.hygiene.sweep", description=__doc__)
    parser.add_argument("--users", type=int, default=300_000, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--no-indexes", action="store_true", help="leave the foreign keys without indexes")
    options = parser.parse_args()
    programs = find_programs()
    memory = {"shared_buffers": "512MB", "max_wal_size": "8GB", "track_commit_timestamp": "off"}
    with EmbeddedServer(programs, server_directory(), memory) as server:
        print(f"PostgreSQL {programs.version()}, {options.users} users, {options.rounds} rounds")
        with psycopg.connect(server.dsn(), autocommit=True) as administrator:
            administrator.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_FULL)))
            _fill(server.dsn(_FULL), options.users, indexes=not options.no_indexes)
            if options.no_indexes:
                return _without_indexes(server.dsn(_FULL))
            ratios, longest = [], []
            for number in range(options.rounds):
                results = {}
                # In turns: the machine's speed drifts.
                for work in (_bare, _sweep) if number % 2 == 0 else (_sweep, _bare):
                    _copy(administrator)
                    results[work] = work(server.dsn(_COPY))
                bare_s, bare_rows, bare_longest_s = results[_bare]
                ours_s, rows, longest_s = results[_sweep]
                if rows != bare_rows:
                    raise AssertionError(f"{rows} rows went, not {bare_rows}")
                ratios.append(ours_s / bare_s)
                longest.append(longest_s)
                print(
                    f"{rows} rows: bare SQL {bare_s:6.2f} s (longest transaction "
                    f"{1000 * bare_longest_s:.0f} ms), a sweep {ours_s:6.2f} s "
                    f"({1000 * longest_s:.0f} ms): {ratios[-1]:.2f}"
                )
    ratio = statistics.median(ratios)
    print(f"a sweep / bare SQL: {ratio:.2f} (budget: 1.3); longest transaction {1000 * max(longest):.0f} ms")
    return 0 if ratio <= 1.3 and max(longest) <= 0.2 else 1


def _fill(dsn: str, users: int, *, indexes: bool) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_TABLES.encode())
        connection.execute(
            "INSERT INTO users SELECT i, CASE i %% 3 WHEN 0 THEN 'user-' || 1717171717171 + i || '-x'"
            " || '@test.example.com' ELSE 'someone' || i || '@example.org' END, now() - interval '1 day'"
            " FROM generate_series(1, %s) AS i",
            [users],
        )
        connection.execute(
            "INSERT INTO bookings SELECT i, (i - 1) / %s + 1, 'note ' || i FROM generate_series(1, %s) AS i",
            [_BOOKINGS_A_USER, users * _BOOKINGS_A_USER],
        )
        connection.execute(
            "INSERT INTO items SELECT i, ((i - 1) / %s) * %s + (i %% %s) + 1, i"
            " FROM generate_series(1, %s) AS i",
            [_ITEMS, _BOOKINGS_A_USER, _BOOKINGS_A_USER, users * _ITEMS],
        )
        if indexes:
            connection.execute("CREATE INDEX ON bookings (user_id); CREATE INDEX ON items (booking_id)")
        connection.execute("VACUUM ANALYZE")


def _copy(administrator: psycopg.Connection[tuple[object, ...]]) -> None:
    administrator.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(_COPY)))
    administrator.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(_COPY), sql.Identifier(_FULL))
    )
    administrator.execute("CHECKPOINT")


def _bare(dsn: str) -> tuple[float, int, float]:
    begun = time.perf_counter()
    rows, longest_s = 0, 0.0
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.prepare_threshold = None
        connection.execute("SET jit = off")
        found = connection.execute("SELECT id FROM users WHERE email LIKE '%@test.example.com'")
        seeds = [id_ for (id_,) in found]
        for first in range(0, len(seeds), _BARE_BATCH):
            at = time.perf_counter()
            with connection.transaction():
                ids = seeds[first : first + _BARE_BATCH]
                deletes = []
                for locking, deleting in _BARE:
                    ids = [id_ for (id_,) in connection.execute(locking, [ids])]
                    deletes.append((deleting, ids))
                for deleting, ids in reversed(deletes):
                    rows += connection.execute(deleting, [ids]).rowcount
            longest_s = max(longest_s, time.perf_counter() - at)
    return time.perf_counter() - begun, rows, longest_s


def _sweep(dsn: str) -> tuple[float, int, float]:
    begun = time.perf_counter()
    report = Sweep(Settings(Dsn(dsn, "the benchmark")), SweepRequest(kinds=("rows",), dry_run=False)).run()
    return time.perf_counter() - begun, report.deleted_rows, report.longest_transaction_s


def _without_indexes(dsn: str) -> int:
    begun = time.perf_counter()
    report = Sweep(Settings(Dsn(dsn, "the benchmark")), SweepRequest(kinds=("rows",), dry_run=False)).run()
    duration_s = time.perf_counter() - begun
    for kept in report.kept:
        print(f"{kept.schema}.{kept.table}: {kept.rows} rows stay ({kept.reason}): {kept.detail}")
    print(f"said in {duration_s:.1f} s (budget: 5 s)")
    return 0 if duration_s <= 5 and not report.deleted_rows else 1


if __name__ == "__main__":
    sys.exit(main())
