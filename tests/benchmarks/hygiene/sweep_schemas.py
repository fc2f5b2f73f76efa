"""Sweeps of large generated schemas beside bare SQL: `python -m tests.benchmarks.hygiene.sweep_schemas`.

Without options, all of it; else `--tables 150 --keys 350` (a schema of so many), `--refusing` (the same with
triggers that refuse everything), `--chain 10000` (rows by a self key), `--partitions 4000` (with a marked row
each), `--memory 1000000` (marked rows of one table). Statements and transactions are read from the server's
log, in a run of its own; a transaction counts if it wrote or locked rows. Ends with 1 if a budget isn't met.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer, find_programs
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep.model import SweepReport
from pgwatch_tests.sweep.request import SweepRequest
from pgwatch_tests.sweep.run import Sweep
from tests.benchmarks.hygiene import bare_sweep
from tests.benchmarks.hygiene.generated_schema import OLD_MS, create, generated
from tests.benchmarks.hygiene.server_log import SETTINGS, logged
from tests.servers.server_places import server_directory

_FULL, _COPY = "test_full", "test_copy"
_SCHEMAS = ((150, 350, 6000, 40), (500, 900, 9000, 60))
"""Tables, keys, rows, and tests that left rows."""
_REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not while I am here'; END $$;
DO $$ DECLARE one text; BEGIN
FOR one IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
EXECUTE format('CREATE TRIGGER refuse BEFORE DELETE ON %I FOR EACH ROW EXECUTE FUNCTION refuse()', one);
END LOOP; END $$
"""


@dataclass(slots=True)
class Figures:
    """What was measured, told at once, and what isn't within its budget."""

    missed: list[str] = field(default_factory=list)
    _place: str = ""

    def begin(self, place: str) -> None:
        """What follows is of this."""
        self._place = place
        print(f"\n{place:<36}  {'figure':>12}  {'budget':>9}\n{'-' * 36}  {'-' * 12}  {'-' * 9}", flush=True)

    def told(self, what: str, figure: float, unit: str = "", budget: float | None = None) -> None:
        """Tells a figure."""
        met = budget is None or figure <= budget
        if not met:
            self.missed.append(f"{self._place}: {what} {figure:.3g}{unit}, at most {budget:g}{unit}")
        limit = "" if budget is None else f"≤ {budget:g}{unit}"
        shown = f"{figure:,.4g}{unit}" if unit else f"{figure:,.0f}"
        print(f"{what:<36}  {shown:>12}  {limit:>9}{'' if met else '  NOT MET'}", flush=True)


class Benchmark:
    """Databases of one server, and the sweeps of them."""

    def __init__(self, server: EmbeddedServer, administrator: Connection[TupleRow], rounds: int) -> None:
        self._server = server
        self._administrator = administrator
        self._rounds = rounds
        self.figures = Figures()

    def schema(self, tables: int, keys: int, rows: int, groups: int, seed: int) -> None:
        """The dry run and the deed, beside bare SQL."""
        made = generated(tables, keys, rows, groups, seed)
        self._begin(f"{tables} tables, {keys} keys, seed {seed}", lambda owner: create(owner, made))
        figures = self.figures
        figures.told("rows", made.total)
        figures.told("marked rows", made.marked_rows)
        bare_s, dry_s = self._dry()
        figures.told("bare scan and closure", bare_s, " s")
        figures.told("dry run", dry_s, " s")
        figures.told("dry run / bare", dry_s / bare_s, "x", 3)
        bare, ours, reports = [], [], []
        for _ in range(self._rounds):
            self._copy()
            bare.append(bare_sweep.timed(self._dsn(_COPY), deleting=True))
            self._copy()
            took_s, report = self._sweep(_COPY)
            ours.append(took_s)
            reports.append(report)
        bare_s = statistics.median(one for one, _ in bare)
        figures.told("rows that bare SQL deletes", bare[0][1])
        figures.told("rows that go", reports[0].deleted_rows)
        figures.told("rows that stay", sum(kept.rows for kept in reports[0].kept))
        figures.told("bare closure and DELETE", bare_s, " s")
        figures.told("--yes", statistics.median(ours), " s")
        figures.told("--yes / bare", statistics.median(ours) / bare_s, "x", 3)
        for time_ in ("second", "third"):
            took_s, _ = self._sweep(_COPY)
            figures.told(f"{time_} run / dry run", took_s / dry_s, "x", 2)
        self._watched()
        self._beside_a_writer(next(iter(made.rows)))

    def refusing(self, tables: int, keys: int, rows: int, groups: int, seed: int) -> None:
        """Where each table has a trigger that refuses."""
        made = generated(tables, keys, rows, groups, seed)

        def fill(owner: Connection[TupleRow]) -> None:
            create(owner, made)
            owner.execute(_REFUSE.encode())

        self._begin(f"{tables} tables, {keys} keys, all refuse", fill)
        _, dry_s = self._dry()
        self.figures.told("dry run", dry_s, " s")
        refused: frozenset[tuple[str, str, str]] = frozenset()
        for time_ in ("first", "second", "third"):
            took_s, report = self._sweep(_FULL, refused=refused)
            assert not report.deleted_rows
            # As the history remembers it.
            refused = frozenset(
                (one.schema, one.table, one.detail) for one in report.kept if one.reason == "refused"
            )
            self.figures.told(f"{time_} run / dry run", took_s / dry_s, "x", 2 if time_ != "first" else None)
        self._watched()

    def chain(self, length: int) -> None:
        """Rows, each of which refers to the one before."""

        def fill(owner: Connection[TupleRow]) -> None:
            owner.execute("CREATE TABLE node (id int PRIMARY KEY, above int REFERENCES node, mark text)")
            owner.execute(
                "INSERT INTO node SELECT i, nullif(i - 1, 0), 'node_' || %s || '_x' || i"
                " FROM generate_series(1, %s) i",
                [str(OLD_MS), length],
            )
            owner.execute("CREATE INDEX ON node (above)")
            owner.execute("VACUUM ANALYZE")

        self._whole(f"chain of {length}", fill, 5, length, is_one=True)

    def partitions(self, number: int) -> None:
        """A partitioned table with a marked row in each leaf."""

        def fill(owner: Connection[TupleRow]) -> None:
            owner.execute("CREATE TABLE part (id int PRIMARY KEY, mark text) PARTITION BY LIST (id)")
            # Not in one transaction: it would need too many locks.
            for first in range(1, number + 1, 500):
                owner.execute(
                    sql.SQL(
                        "DO $$ BEGIN FOR i IN {}..{} LOOP EXECUTE"
                        " format('CREATE TABLE part_%s PARTITION OF part FOR VALUES IN (%s)', i, i);"
                        " END LOOP; END $$"
                    ).format(first, min(number, first + 499))
                )
            owner.execute(
                "INSERT INTO part SELECT i, 'part_' || %s || '_x' || i FROM generate_series(1, %s) i",
                [str(OLD_MS), number],
            )
            owner.execute("ANALYZE")

        self._whole(f"{number} partitions", fill, 10, number, is_one=False)

    def memory(self, rows: int) -> None:
        """What the process needs at its peak."""

        def fill(owner: Connection[TupleRow]) -> None:
            owner.execute("CREATE TABLE users (id int PRIMARY KEY, email text)")
            owner.execute("CREATE TABLE visits (id int, user_id int REFERENCES users)")
            owner.execute(
                "INSERT INTO users SELECT i, 'user-' || %s || '-' || i || '@test.example.com'"
                " FROM generate_series(1, %s) i",
                [str(OLD_MS), rows],
            )
            owner.execute("INSERT INTO visits SELECT i, i * 10 FROM generate_series(1, %s) i", [rows // 10])
            owner.execute("CREATE INDEX ON visits (user_id)")
            owner.execute("VACUUM ANALYZE")

        self._begin(f"{rows:,} marked rows", fill)
        for what, deleting in (("dry run", "no"), ("--yes", "yes")):
            begun = time.perf_counter()
            command = [sys.executable, "-m", __spec__.name, "--peak-of", self._dsn(_FULL), deleting]
            peak = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            self.figures.told(what, time.perf_counter() - begun, " s")
            self.figures.told(f"{what}: peak memory", float(peak), " MB", 200)

    def _whole(
        self,
        place: str,
        fill: Callable[[Connection[TupleRow]], None],
        budget_s: float,
        rows: int,
        *,
        is_one: bool,
    ) -> None:
        """A database of which everything goes; `is_one` if all hangs together."""
        self._begin(place, fill)
        _, dry_s = self._dry()
        self.figures.told("dry run", dry_s, " s")
        self._copy()
        took_s, report = self._sweep(_COPY)
        assert report.deleted_rows == rows, report
        self.figures.told("--yes", took_s, " s", budget_s)
        self._watched(is_one=is_one)

    def _begin(self, place: str, fill: Callable[[Connection[TupleRow]], None]) -> None:
        self.figures.begin(place)
        self._drop(_COPY)
        self._drop(_FULL)
        self._administrator.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_FULL)))
        with psycopg.connect(self._dsn(_FULL), autocommit=True) as owner:
            fill(owner)

    def _dry(self) -> tuple[float, float]:
        """The medians of bare SQL and of ours, in turns, once both are warm."""
        bare, ours = [], []
        for _ in range(self._rounds + 1):
            bare.append(bare_sweep.timed(self._dsn(_FULL), deleting=False)[0])
            ours.append(self._sweep(_FULL, dry_run=True)[0])
        return statistics.median(bare[1:]), statistics.median(ours[1:])

    def _watched(self, *, is_one: bool = False) -> None:
        """A sweep of a copy, with its statements and transactions written down by the server."""
        self._copy()
        with logged(self._administrator, _COPY, self._server.log_file) as ran:
            self._sweep(_COPY)
        self.figures.told("statements", ran.statements)
        self.figures.told("distinct statements", len(ran.distinct))
        self.figures.told("transactions", len(ran.transactions_s))
        if ran.transactions_s:
            milliseconds = [1000 * one for one in ran.transactions_s]
            # What hangs together goes together, however much it is.
            longest, median = (None, None) if is_one else (200, 60)
            self.figures.told("longest transaction", max(milliseconds), " ms", longest)
            self.figures.told("median transaction", statistics.median(milliseconds), " ms", median)

    def _beside_a_writer(self, hub: str) -> None:
        """How long somebody waits who changes real rows of a table that many refer to, and adds such."""
        self._copy()
        with _writer(self._dsn(_COPY), hub) as longest:
            time.sleep(1)
            alone_s = longest[0]
            longest[0] = 0.0
            self._sweep(_COPY)
            beside_s = longest[0]
        self.figures.told("a writer's longest statement alone", 1000 * alone_s, " ms")
        self.figures.told("beside the sweep", 1000 * beside_s, " ms", 100)

    def _sweep(
        self, database: str, *, dry_run: bool = False, refused: frozenset[tuple[str, str, str]] = frozenset()
    ) -> tuple[float, SweepReport]:
        begun = time.perf_counter()
        report = swept(self._dsn(database), dry_run=dry_run, refused=refused)
        return time.perf_counter() - begun, report

    def _copy(self) -> None:
        self._drop(_COPY)
        self._administrator.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(_COPY), sql.Identifier(_FULL))
        )
        self._administrator.execute("CHECKPOINT")

    def _drop(self, database: str) -> None:
        self._administrator.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database))
        )

    def _dsn(self, database: str) -> str:
        return self._server.dsn(database)


def swept(dsn: str, *, dry_run: bool, refused: frozenset[tuple[str, str, str]] = frozenset()) -> SweepReport:
    """The report of a sweep of rows; `refused` is what the last one was refused."""
    request = SweepRequest(kinds=("rows",), dry_run=dry_run, refused_before=refused)
    return Sweep(Settings(Dsn(dsn, "the benchmark")), request).run()


@contextmanager
def _writer(dsn: str, hub: str) -> Iterator[list[float]]:
    """Writes until the end; what it gives is how long the longest statement took, in seconds."""
    longest = [0.0]
    ended = threading.Event()
    table = sql.Identifier(hub)
    statements = (
        sql.SQL("UPDATE {} SET note = note WHERE id = 1").format(table),
        sql.SQL("INSERT INTO {} (id, note) VALUES (-1, 'new')").format(table),
        sql.SQL("DELETE FROM {} WHERE id = -1").format(table),
    )

    def write() -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            while not ended.is_set():
                for statement in statements:
                    begun = time.perf_counter()
                    connection.execute(statement)
                    longest[0] = max(longest[0], time.perf_counter() - begun)

    thread = threading.Thread(target=write, name="writer", daemon=True)
    thread.start()
    try:
        yield longest
    finally:
        ended.set()
        thread.join()


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.hygiene.sweep_schemas", description=__doc__
    )
    parser.add_argument("--tables", type=int)
    parser.add_argument("--keys", type=int, help="default: twice as many")
    parser.add_argument("--rows", type=int, help="default: 6,000, from 300 tables on 9,000")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--refusing", action="store_true")
    parser.add_argument("--chain", type=int, metavar="ROWS")
    parser.add_argument("--partitions", type=int, metavar="NUMBER")
    parser.add_argument("--memory", type=int, metavar="ROWS")
    parser.add_argument("--peak-of", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak_of is not None:
        swept(options.peak_of[0], dry_run=options.peak_of[1] != "yes")
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return 0
    tables = options.tables
    schema = (tables, options.keys or 2 * tables) if tables else _SCHEMAS[0][:2]
    large = schema[0] >= 300
    sized = (*schema, options.rows or (9000 if large else 6000), 60 if large else 40, options.seed)
    settings = {
        "shared_buffers": "256MB",
        "max_wal_size": "4GB",
        "max_locks_per_transaction": "256",
        # By which everything would be of just now.
        "track_commit_timestamp": "off",
        **SETTINGS,
    }
    programs = find_programs()
    with (
        EmbeddedServer(programs, server_directory(), settings) as server,
        psycopg.connect(server.dsn(), autocommit=True) as administrator,
    ):
        print(f"PostgreSQL {programs.version()}, {options.rounds} rounds", flush=True)
        benchmark = Benchmark(server, administrator, options.rounds)
        everything = not (tables or options.refusing or options.chain or options.partitions or options.memory)
        if everything:
            for one in _SCHEMAS:
                benchmark.schema(*one, seed=options.seed)
        elif tables and not options.refusing:
            benchmark.schema(*sized)
        if everything or options.refusing:
            benchmark.refusing(*sized)
        if everything or options.chain:
            benchmark.chain(options.chain or 10_000)
        if everything or options.partitions:
            benchmark.partitions(options.partitions or 4000)
        if everything or options.memory:
            benchmark.memory(options.memory or 1_000_000)
    print("\n".join(benchmark.figures.missed) or "all budgets are met")
    return 1 if benchmark.figures.missed else 0


if __name__ == "__main__":
    sys.exit(main())
