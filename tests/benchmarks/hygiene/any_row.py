"""What statistics spare a look for any row that is new: `python -m tests.benchmarks.hygiene.any_row`.

A server of its own with many tables, of which a suite touches a few. Ends with 1 if the two ways differ.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import psycopg

from pgwatch_tests.embedded.server import EmbeddedServer, find_programs
from pgwatch_tests.leaks.baseline.baseline_reader import take
from pgwatch_tests.leaks.baseline.comparison import Since
from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.leaks.scan import scan
from pgwatch_tests.settings.load import Dsn, Settings
from tests.leaks.scanning import rows
from tests.servers.server_places import server_directory

T = TypeVar("T")
FILL = "INSERT INTO {} SELECT g, md5(g::text) FROM generate_series(1, {}) AS g"


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.hygiene.any_row", description=__doc__)
    parser.add_argument("--tables", type=int, default=2000, help="default: %(default)s")
    parser.add_argument("--rows", type=int, default=1000, help="in each table; default: %(default)s")
    parser.add_argument("--touched", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--repeat", type=int, default=7, help="default: %(default)s")
    options = parser.parse_args()
    with EmbeddedServer(find_programs(), server_directory(), {"autovacuum": "off"}) as server:
        settings = Settings(Dsn(server.dsn(), "the benchmark"))
        with psycopg.connect(server.dsn(), autocommit=True) as session:
            for number in range(options.tables):
                session.execute(f"CREATE TABLE t{number} (id int PRIMARY KEY, name text)".encode())
                session.execute(FILL.format(f"t{number}", options.rows).encode())
        taking_s, baseline = timed(options.repeat, lambda: take(settings))
        with psycopg.connect(server.dsn(), autocommit=True) as session:
            for number in range(options.touched):
                session.execute(f"INSERT INTO t{number * 7} VALUES (0, 'x')".encode())  # noqa: S608
        until_alone(server)
        since = Since(baseline, any_rows=True)
        with psycopg.connect(server.dsn()) as open_transaction:
            open_transaction.execute("SELECT 1")
            looked_s, looked = timed(options.repeat, lambda: scan(settings, since=since))
        until_alone(server)
        spared_s, spared = timed(options.repeat, lambda: scan(settings, since=since))
    print(f"PostgreSQL {find_programs().version()}, {options.tables} tables of {options.rows} rows")
    print(f"{'baseline':>15}  {taking_s * 1000:7.0f} ms")
    print(f"{'every table':>15}  {looked_s * 1000:7.0f} ms  {describe(looked)}")
    print(f"{'by statistics':>15}  {spared_s * 1000:7.0f} ms  {describe(spared)}")
    print(f"{'fraction':>15}  {spared_s / looked_s:7.2f}")
    return 0 if rows(looked) == rows(spared) and looked.total == options.touched else 1


def timed(repeat: int, work: Callable[[], T]) -> tuple[float, T]:
    """The median of the times that it takes, in seconds, and what came of the last."""
    durations = []
    for _ in range(repeat):
        begun = time.perf_counter()
        result = work()
        durations.append(time.perf_counter() - begun)
    return statistics.median(durations), result


def until_alone(server: EmbeddedServer) -> None:
    """Returns when nobody else is connected."""
    query = "SELECT count(*) FROM pg_stat_get_activity(NULL) WHERE backend_type = 'client backend'"
    with psycopg.connect(server.dsn(), autocommit=True) as session:
        while session.execute(query).fetchone() != (1,):
            time.sleep(0.02)


def describe(report: LeakReport) -> str:
    """How it went, and what it found."""
    assert report.baseline is not None
    return (
        f"{report.total} rows in {len(report.tables)} tables, {report.baseline.tables_untouched} left out, "
        f"{report.baseline.way}: {report.baseline.detail}"
    )


if __name__ == "__main__":
    sys.exit(main())
