"""How long writers wait beside a sweep: `python -m tests.benchmarks.hygiene.sweep_beside_writers`.

Four writers add, change and delete users of their own and real ones all the time, and twenty users are locked
in various ways, while a sweep deletes all the others that tests left. Each round tells the longest statement
of a writer alone and beside the sweep. Ends with 1 if a locked user isn't whole in the end, a writer failed,
or the median of the longest statements is over its budget.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from contextlib import ExitStack

import psycopg
from psycopg import sql

from pgwatch_tests.embedded.server import EmbeddedServer, find_programs
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep.run import Sweep
from tests.servers.server_places import server_directory
from tests.sweep.rows.bookings import REQUEST, add_users, half_users, make_tables, marked_users
from tests.sweep.rows.test_beside_tests import LOCKS
from tests.sweep.rows.writers import Writers

_WRITERS, _LOCKED = 4, 20
_BUDGET_S = 0.1
_FIRST_REAL = 5_000_001
_FULL, _COPY = "test_full", "test_copy"


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.hygiene.sweep_beside_writers", description=__doc__
    )
    parser.add_argument("--users", type=int, default=20_000, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    options = parser.parse_args()
    programs = find_programs()
    with EmbeddedServer(
        programs, server_directory(), {"shared_buffers": "256MB", "track_commit_timestamp": "off"}
    ) as server:
        print(f"PostgreSQL {programs.version()}, {options.users} users, {options.rounds} rounds")
        with psycopg.connect(server.dsn(), autocommit=True) as administrator:
            administrator.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_FULL)))
            with psycopg.connect(server.dsn(_FULL), autocommit=True) as owner:
                make_tables(owner)
                add_users(owner, 1, options.users)
                add_users(owner, _FIRST_REAL, _FIRST_REAL + 99, marked=False)
                owner.execute("VACUUM ANALYZE")
            longest = []
            for _ in range(options.rounds):
                administrator.execute(
                    sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(_COPY))
                )
                administrator.execute(
                    sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                        sql.Identifier(_COPY), sql.Identifier(_FULL)
                    )
                )
                administrator.execute("CHECKPOINT")
                longest.append(_round(server.dsn(_COPY), options.users))
    median_s = statistics.median(longest)
    print(f"longest wait of a writer: median {1000 * median_s:.0f} ms (budget: {1000 * _BUDGET_S:.0f} ms)")
    return 0 if median_s <= _BUDGET_S else 1


def _round(dsn: str, users: int) -> float:
    """The longest statement of a writer beside a sweep: seconds. Raises AssertionError if harm was done."""
    with ExitStack() as stack:
        locked = [users * (place + 1) // (_LOCKED + 1) for place in range(_LOCKED)]
        for place, user in enumerate(locked):
            test = stack.enter_context(psycopg.connect(dsn))
            test.execute(LOCKS[place % len(LOCKS)].encode(), {"user": user})
            stack.callback(test.rollback)
        with Writers(dsn, _WRITERS, _FIRST_REAL) as writers:
            writers.wait_for_rounds(200)
            alone_s = writers.longest_s
            writers.forget()
            begun = time.perf_counter()
            report = Sweep(Settings(Dsn(dsn, "the benchmark")), REQUEST).run()
            duration_s = time.perf_counter() - begun
            beside_s = writers.longest_s
    with psycopg.connect(dsn, autocommit=True) as owner:
        if writers.errors or marked_users(owner) != locked or half_users(owner):
            raise AssertionError(f"harm was done: {writers.errors or 'users that a test locked'}")
    print(
        f"{report.deleted_rows} rows in {duration_s:.1f} s, longest transaction"
        f" {1000 * report.longest_transaction_s:.0f} ms; longest statement of {_WRITERS} writers:"
        f" {1000 * alone_s:.0f} ms alone, {1000 * beside_s:.0f} ms beside the sweep"
    )
    return beside_s


if __name__ == "__main__":
    sys.exit(main())
