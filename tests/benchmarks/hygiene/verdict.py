"""What a verdict costs a test, by what it wrote: `python -m tests.benchmarks.hygiene.verdict`.

Three tables of 10,000 rows, among others; a test writes to all three of them, or to none. Sides are drawn at
random in one process. Ends with 1 if a verdict takes more than 3 ms, or one on a test that wrote nothing more
than 0.1 ms.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import psycopg
from psycopg import sql

from pgwatch_tests.embedded.server import EmbeddedServer, find_programs
from pgwatch_tests.pytest_plugin.active import ActivePlugin
from pgwatch_tests.pytest_plugin.journal import Journal
from pgwatch_tests.pytest_plugin.verdicts.transactions.transaction_logs import TransactionLogs
from pgwatch_tests.pytest_plugin.verdicts.worker import WorkerVerdicts
from pgwatch_tests.testing.connections.commits import Commits
from pgwatch_tests.testing.connections.hooks.psycopg_hooks import PsycopgHooks
from pgwatch_tests.testing.current_test import Owner, running
from pgwatch_tests.testing.findings import Finding
from tests.servers.server_places import server_directory

BUDGET_MS = 3.0
BUDGET_OF_NOTHING_MS = 0.1
TABLES = 3
ROWS = 10_000
OTHER_TABLES = 50
CREATE = sql.SQL("CREATE TABLE {table} (id serial PRIMARY KEY, x text)")
FILL = sql.SQL("INSERT INTO {table} (x) SELECT 'x' FROM generate_series(1, %s)")
INSERT = sql.SQL("INSERT INTO {table} (x) VALUES (%s)")
COUNT = sql.SQL("SELECT count(*) FROM {table} WHERE xmin = ANY ('{{4711}}'::xid[])")
DELETE = sql.SQL("DELETE FROM {table} WHERE x = %s")


def name(table: int) -> sql.Identifier:
    """The name of a table, by its number."""
    return sql.Identifier(f"t{table}")


class Bench:
    """A worker's verdicts, and a connection of its tests."""

    def __init__(self, dsn: str, directory: Path) -> None:
        self.found: list[Finding] = []
        self._ended: list[Callable[[Owner], None]] = []
        commits = Commits()
        active = SimpleNamespace(
            journal=Journal(directory, "s", "gw0"),
            commits=commits,
            began=[],
            prepared=[],
            failed=[],
            ended=self._ended,
            left=[],
            reported=[],
            shared=SimpleNamespace(
                worker="gw0", session="s", is_temporary=False, log_directory=str(directory)
            ),
            found=self.found.append,
            not_checked=lambda reason, owner=None: sys.exit(f"not checked: {reason}"),
            dsn=lambda: dsn,
            has_workers=False,
            item=None,
            next_item=None,
        )
        self.hooks = PsycopgHooks(commits)
        self.hooks.install()
        self.verdicts = WorkerVerdicts(
            cast(ActivePlugin, active), TransactionLogs(cast(ActivePlugin, active))
        )
        self.verdicts.pytest_sessionstart()
        self._connection = psycopg.connect(dsn)

    def ms_of_bare_counts(self) -> float:
        """Returns the milliseconds of nothing but three counts by a transaction's id."""
        begun = time.perf_counter()
        for table in range(TABLES):
            self._connection.execute(COUNT.format(table=name(table))).fetchone()
        taken = (time.perf_counter() - begun) * 1000
        self._connection.rollback()
        return taken

    def ms_of_a_verdict(self, number: int, side: str) -> float:
        """Runs a test, and returns the milliseconds of the verdict on it."""
        owner = Owner("test", f"tests/test_it.py::test_{number}")
        with running(owner):
            connection = self._connection
            if side != "nothing":
                for table in range(TABLES):
                    connection.execute(INSERT.format(table=name(table)), [str(number)])
                connection.commit()
            if side == "cleans up":
                for table in range(TABLES):
                    connection.execute(DELETE.format(table=name(table)), [str(number)])
                connection.commit()
        owner.end()
        begun = time.perf_counter()
        for listener in self._ended:
            listener(owner)
        return (time.perf_counter() - begun) * 1000


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.hygiene.verdict", description=__doc__)
    parser.add_argument("--tests", type=int, default=300, help="default: %(default)s")
    options = parser.parse_args()
    with ExitStack() as stack:
        server = stack.enter_context(EmbeddedServer(find_programs(), server_directory()))
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            for table in range(TABLES + OTHER_TABLES):
                connection.execute(CREATE.format(table=name(table)))
            for table in range(TABLES):
                connection.execute(FILL.format(table=name(table)), [ROWS])
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bench = Bench(server.dsn(), directory)
        sides = ("nothing", "cleans up", "leaves rows", "bare counts")
        times: dict[str, list[float]] = {side: [] for side in sides}
        for number in range(options.tests):
            side = random.choice(sides)
            is_bare = side == "bare counts"
            times[side].append(bench.ms_of_bare_counts() if is_bare else bench.ms_of_a_verdict(number, side))
        bench.verdicts.pytest_sessionfinish()
        bench.hooks.remove()
    medians = {side: statistics.median(taken) for side, taken in times.items()}
    bare = medians.pop("bare counts")
    failed = False
    for side, median in medians.items():
        budget = BUDGET_OF_NOTHING_MS if side == "nothing" else BUDGET_MS
        failed = failed or median > budget
        print(
            f"{side:12} {median:7.3f} ms (budget {budget:g} ms), {median / bare:.2f}x of bare counts "
            f"({bare:.3f} ms), {len(times[side])} tests"
        )
    print(f"{len(bench.found)} findings")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
