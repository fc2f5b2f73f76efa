"""What a leak count costs beside bare SQL: `python -m tests.benchmarks.hygiene.leaks --tables 2000`.

A server of its own. Each round runs all ways one after the other, and ratios are of the same round, so that a
machine that others use as well disturbs them little. Ends with 1 if a budget isn't met.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import psycopg
from psycopg import pq, sql

from pgwatch_tests.embedded.server import EmbeddedServer, find_programs
from pgwatch_tests.leaks.catalog.discovery import discover
from pgwatch_tests.leaks.catalog.ignored_names import Ignores
from pgwatch_tests.leaks.indexes.indexes import LeakIndexes
from pgwatch_tests.leaks.markers.markers import markers
from pgwatch_tests.leaks.scan import scan
from pgwatch_tests.leaks.statements.chunks import split
from pgwatch_tests.leaks.statements.marked_rows import MarkedRowStatements
from pgwatch_tests.postgres.connections.connect import connect
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.settings.load import Dsn, Settings
from tests.servers.server_places import server_directory

LEAKS = 20
_ROWS_A_TABLE = 20
_ONE_LIKE = b"SELECT 0, count(*) FROM users WHERE email LIKE '%@test.example.com'"
_TWO_LIKES = _ONE_LIKE + rb" OR email LIKE '%\_1____________\_%'"
_MANY, _ONE = "test_many", "test_one"


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.hygiene.leaks", description=__doc__)
    parser.add_argument("--tables", type=int, default=2000, help="small tables (default: %(default)s)")
    parser.add_argument(
        "--rows", type=int, default=2_000_000, help="rows of the big table (default: %(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=15, help="default: %(default)s")
    parser.add_argument(
        "--domain",
        default="@example.org",
        help="of the addresses in the big table (default: %(default)s); the worst case is one of the same "
        "shape as the marker's, @mail.example.org",
    )
    options = parser.parse_args()
    programs = find_programs()
    with EmbeddedServer(programs, server_directory(), {"shared_buffers": "128MB"}) as server:
        print(f"PostgreSQL {programs.version()}, {options.rounds} rounds, medians")
        with psycopg.connect(server.dsn(), autocommit=True) as administrator:
            for name in (_MANY, _ONE):
                administrator.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        met = [
            _many_tables(server.dsn(_MANY), options.tables, options.rounds),
            *_one_table(server.dsn(_ONE), options.rows, options.rounds, options.domain),
        ]
    return 0 if all(met) else 1


def _many_tables(dsn: str, tables: int, rounds: int) -> bool:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for number in range(tables):
            connection.execute(
                sql.SQL(
                    "CREATE TABLE {} (id int PRIMARY KEY, email text UNIQUE, name text, at timestamptz);"
                    "INSERT INTO {} SELECT i, 'someone' || i || '@mail.example.org', 'name ' || i, now()"
                    " FROM generate_series(1, {}) AS i"
                ).format(_table(number), _table(number), _ROWS_A_TABLE)
            )
        for number in range(LEAKS):
            connection.execute(
                sql.SQL("INSERT INTO {} VALUES (-1, 'a@test.example.com')").format(
                    _table(number * tables // LEAKS)
                )
            )
        connection.execute("VACUUM ANALYZE")
    settings = Settings(Dsn(dsn, "the benchmark"))
    bare = _Bare(settings)
    ways = {
        "pgwatch-tests": lambda: scan(settings).total,
        "bare, chunked": bare.chunked,
        "bare, a statement a table": bare.table_by_table,
    }
    print(f"\n{tables} tables, {LEAKS} leaks")
    taken = _measure(ways, rounds, LEAKS)
    _report(taken, "pgwatch-tests", "bare, a statement a table")
    return _report(taken, "pgwatch-tests", "bare, chunked", budget=1.3)


def _table(number: int) -> sql.Identifier:
    return sql.Identifier(f"t{number}")


def _one_table(dsn: str, rows: int, rounds: int, domain: str) -> list[bool]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE users (id bigint, email text NOT NULL)")
        connection.execute(
            "INSERT INTO users SELECT i, CASE WHEN i %% (%(rows)s / %(leaks)s) = 0"
            " THEN 'a' || i || '@test.example.com' ELSE 'someone' || i || %(domain)s END"
            " FROM generate_series(1, %(rows)s) AS i",
            {"rows": rows, "leaks": LEAKS, "domain": domain},
        )
        connection.execute("VACUUM ANALYZE users")
    settings = Settings(Dsn(dsn, "the benchmark"))
    one_marker = replace(settings, markers=settings.markers[:1])
    bare = _Bare(settings)
    print(f"\none table of {rows} rows, {LEAKS} leaks")
    ways = {
        "pgwatch-tests": lambda: scan(one_marker).total,
        "bare, LIKE": lambda: bare.total(_ONE_LIKE),
        "pgwatch-tests, two markers": lambda: scan(settings).total,
        "bare, two LIKEs": lambda: bare.total(_TWO_LIKES),
    }
    taken = _measure(ways, rounds, LEAKS)
    met = [
        _report(taken, "pgwatch-tests", "bare, LIKE", budget=1.1),
        _report(taken, "pgwatch-tests, two markers", "bare, two LIKEs", budget=1.1),
    ]
    with LeakIndexes(settings) as indexes:
        plan = indexes.plan((), 0)
        for outcome in indexes.create(plan):
            print(
                f"\nindex {outcome.result} in {outcome.duration_s:.1f} s"
                f" (estimated: {sum(one.build_s for one in plan.planned):.1f} s)"
            )
    ways = {"pgwatch-tests": lambda: scan(settings).total, "connecting": lambda: _only_connect(settings)}
    taken = _measure(ways, 3 * rounds, LEAKS)
    over_ms = 1000 * statistics.median(
        ours - theirs for ours, theirs in zip(taken["pgwatch-tests"], taken["connecting"], strict=True)
    )
    print(f"with the index: {over_ms:.1f} ms over connecting (budget: 5 ms)")
    return [*met, over_ms <= 5]


class _Bare:
    """The statements that a scan runs, and a connection like its own, without anything around them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        with psycopg.connect(settings.dsn.value, autocommit=True) as connection:
            self._tables = discover(connection, connection.info.user, Ignores(())).tables
            statements = MarkedRowStatements(pq.Escaping(connection.pgconn), markers(settings.markers))
            self._chunks = [b";".join(statements.counts(part)) for part in split(self._tables)]
            self._single = statements.counts(self._tables)

    def chunked(self) -> int:
        return self._sum(self._chunks)

    def table_by_table(self) -> int:
        return self._sum(self._single)

    def total(self, statement: bytes) -> int:
        return self._sum([statement])

    def _sum(self, statements: list[bytes]) -> int:
        with psycopg.connect(self._settings.dsn.value, autocommit=True) as connection:
            connection.prepare_threshold = None
            connection.execute("SET jit = off; SET enable_parallel_append = off")
            total = 0
            for statement in statements:
                cursor = connection.execute(statement)
                total += sum(rows for _, rows in cursor)
                while cursor.nextset():
                    total += sum(rows for _, rows in cursor)
            return total


def _only_connect(settings: Settings) -> int:
    limits = SessionLimits(settings.count_timeout_s, settings.lock_timeout_s)
    connect(settings.dsn, limits, connect_timeout_s=settings.connect_timeout_s).close()
    return LEAKS


def _measure(ways: Mapping[str, Callable[[], int]], rounds: int, expected: int) -> dict[str, list[float]]:
    """Seconds by way and round; the first round doesn't count."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            begun = time.perf_counter()
            found = way()
            duration_s = time.perf_counter() - begun
            if found != expected:
                raise AssertionError(f"{name}: {found} leaks, not {expected}")
            if number:
                taken[name].append(duration_s)
    for name, durations_s in taken.items():
        print(f"{name:>26}  {1000 * statistics.median(durations_s):8.1f} ms")
    return taken


def _report(taken: Mapping[str, list[float]], ours: str, theirs: str, budget: float | None = None) -> bool:
    """Prints how many times as long ours takes; whether that is within budget."""
    pairs = zip(taken[ours], taken[theirs], strict=True)
    ratio = statistics.median(mine / other for mine, other in pairs)
    print(f"{ours} / {theirs}: {ratio:.2f}{'' if budget is None else f' (budget: {budget:g})'}")
    return budget is None or ratio <= budget


if __name__ == "__main__":
    sys.exit(main())
