"""What a history of 100,000 runs costs: a trend, its size, and an addition while eight processes write.

    python -m tests.benchmarks.runs.trends [runs]

The history is in an SQLite file, and in a PostgreSQL; both have the same generated runs of 180 days.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, pairwise
from pathlib import Path

import psycopg

from pgwatch_tests.embedded.server import EmbeddedServer, find_programs
from pgwatch_tests.history.layout import SCHEMA
from pgwatch_tests.history.runs.run_store import RunStore
from pgwatch_tests.history.store import Store
from pgwatch_tests.settings.load import Dsn
from tests.benchmarks.runs.generated_runs import DAYS, fill
from tests.history.runs.summaries import facts, leak, outcome, pair, summary
from tests.servers.server_places import server_directory

BUDGET_S = 1.0
_ROUNDS = 5
_WRITERS = 8
_ADDITIONS = 25
_KEEP_S = 10 * 365 * 86_400.0


def trend_s(store: RunStore, days: int) -> float:
    """The median time of a trend over so many days, once everything is in memory."""
    since = datetime.now(UTC) - timedelta(days=days)
    times = []
    for _ in range(_ROUNDS + 1):
        began = time.perf_counter()
        store.trends(since)
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def add_runs(place: Path | Dsn, writer: int) -> list[float]:
    """Adds runs of 400 tests; returns how long each addition took."""
    store = RunStore(Store(place), _KEEP_S)
    tests = [outcome(f"tests/test_area.py::test_case_{number}") for number in range(400)]
    times = []
    for number in range(_ADDITIONS):
        names = [f"tests/test_area.py::test_case_{(number * 7 + one) % 400}" for one in range(11)]
        pairs = [pair(blocker, waiter) for blocker, waiter in pairwise(names)]
        one = facts(number, shard=str(writer), commit=f"{number:040x}")
        whole = summary(one, pairs, [leak(names[0]), leak(names[1])], tests)
        began = time.perf_counter()
        assert store.add(whole) == "added"
        times.append(time.perf_counter() - began)
    return times


def measure(name: str, place: Path | Dsn, runs: int) -> None:
    """Prints the figures of one kind of store."""
    began = time.perf_counter()
    fill(Store(place), runs)
    print(f"{name}: {runs:,} generated runs in {time.perf_counter() - began:.0f} s", flush=True)
    store = RunStore(Store(place), _KEEP_S)
    if isinstance(place, Dsn):
        print(f"  trend over 30 days, before any vacuum: {trend_s(store, 30):.2f} s", flush=True)
        with psycopg.connect(place.value, autocommit=True) as connection:
            # What autovacuum does meanwhile, where runs come one after the other.
            connection.execute("VACUUM (ANALYZE)")
    size = _size(place)
    print(f"  size: {size / 1e6:.0f} MB, {size / runs:,.0f} bytes a run")
    for days in (30, DAYS):
        seconds = trend_s(store, days)
        verdict = f" (budget {BUDGET_S} s)" if days == 30 else ""
        print(f"  trend over {days} days: {seconds:.2f} s{verdict}", flush=True)
    alone = add_runs(place, _WRITERS)
    with multiprocessing.get_context("spawn").Pool(_WRITERS) as pool:
        together = pool.starmap(add_runs, [(place, writer) for writer in range(_WRITERS)], 1)
    print(f"  an addition alone: {_in_ms(alone)}; with {_WRITERS} writers: {_in_ms(list(chain(*together)))}")


def _in_ms(times: Sequence[float]) -> str:
    slowest = statistics.quantiles(times, n=20)[-1]
    return f"{statistics.median(times) * 1000:.0f} ms (19 of 20 within {slowest * 1000:.0f} ms)"


def _size(place: Path | Dsn) -> int:
    if isinstance(place, Path):
        return place.stat().st_size
    query = (
        "SELECT sum(pg_total_relation_size(oid)) FROM pg_class "
        "WHERE relkind = 'r' AND relnamespace = %s::text::regnamespace"
    )
    with psycopg.connect(place.value) as connection:
        row = connection.execute(query, [SCHEMA]).fetchone()
    assert row is not None
    return int(row[0])


def main(runs: int) -> None:
    """Prints the figures of both kinds of store."""
    with tempfile.TemporaryDirectory(prefix="pgwatch-trends-") as folder:
        measure("SQLite", Path(folder) / "history.sqlite3", runs)
    with EmbeddedServer(find_programs(), server_directory()) as server:
        measure("PostgreSQL", Dsn(server.dsn(), "the benchmark's server"), runs)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
