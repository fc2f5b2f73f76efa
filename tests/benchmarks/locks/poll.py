"""What a poll costs where many wait for one row: ours against what people run today.

Peers are asked by libpq alone, without decoding: the cheapest that they can be. The client's part,
from rows to what is drawn, is timed apart.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg
from psycopg import AsyncConnection, pq
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn

from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.snapshot import snapshot_query as reading
from pgwatch_tests.locks.snapshot.process_row import ProcessRow
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.connect import connect_async
from pgwatch_tests.postgres.connections.session_settings import Row, SessionLimits
from pgwatch_tests.postgres.stored_text import bytes_of_text
from pgwatch_tests.reports.locks.folded_tree import folded_rows
from pgwatch_tests.settings.load import Dsn
from tests.benchmarks.locks.crowd import crowd, server
from tests.benchmarks.measure import interleave, table, timed, verdict

OURS = "our poll, decoded"
OUR_SQL = "our SQL alone"
BLOCKING_PIDS = "pg_blocking_pids()"
WIKI = "wiki's recursive view"
VIEWS = "same facts from the views"
_SQL = {
    OUR_SQL: queries.load("locks"),
    BLOCKING_PIDS: "SELECT pid, pg_blocking_pids(pid) FROM pg_stat_activity",
    WIKI: Path(__file__).with_name("wiki_lock_tree.sql").read_text(encoding="utf-8"),
}
# What our one statement returns, as two: sessions with their blockers, and the locks that say on what.
_VIEWS = (
    "SELECT *, pg_blocking_pids(pid) FROM pg_stat_activity",
    "SELECT * FROM pg_locks",
)
_LIMITS = SessionLimits(statement_timeout_s=120.0, lock_timeout_s=0.5, any_bytes=True)


def main() -> None:
    """Prints medians and ratios for each number of waiters."""
    parser = argparse.ArgumentParser("python -m tests.benchmarks.locks.poll", description=__doc__)
    parser.add_argument("--sessions", type=int, default=1000, help="sessions in all (default: %(default)s)")
    parser.add_argument(
        "--waiters", type=int, nargs="+", default=[0, 50, 500], help="how many wait (default: 0 50 500)"
    )
    parser.add_argument("--rounds", type=int, default=15, help="measurements of each (default: %(default)s)")
    arguments = parser.parse_args()
    with (
        server(arguments.sessions + 100) as started,
        crowd(started.dsn()) as gathered,
        asyncio.Runner() as runner,
    ):
        connecting = connect_async(Dsn(started.dsn(), "benchmark"), _LIMITS, connect_timeout_s=10)
        connection = runner.run(connecting)
        try:
            gathered.grow_to(arguments.sessions)
            for waiters in sorted(arguments.waiters):
                gathered.block(waiters)
                print(f"\n{waiters} of {gathered.sessions} sessions wait")
                _compare_polls(runner, connection, started.dsn(), arguments.rounds)
                _time_client(runner, connection, arguments.rounds)
        finally:
            runner.run(connection.close())


def _compare_polls(runner: asyncio.Runner, connection: AsyncConnection[Row], dsn: str, rounds: int) -> None:
    bare = pq.PGconn.connect(dsn.encode())
    try:
        cases = {OURS: timed(lambda: runner.run(_poll(connection)))}
        cases |= {name: timed(_prepared(bare, name, sql)) for name, sql in _SQL.items()}
        both = [_prepared(bare, sql, sql) for sql in _VIEWS]
        cases[VIEWS] = timed(lambda: [ask() for ask in both])
        samples = interleave(cases, rounds)
    finally:
        bare.finish()
    print(table(samples, "ms", BLOCKING_PIDS))
    for case in (OUR_SQL, OURS):
        print(verdict(f"{case} / {BLOCKING_PIDS}", samples.ratio(case, BLOCKING_PIDS).median, 1.0))
    for peer in (WIKI, VIEWS):
        print(f"  {OUR_SQL} / {peer}: {samples.ratio(OUR_SQL, peer)}")


async def _poll(connection: AsyncConnection[Row]) -> None:
    # Its result stays here: Runner.run puts its task's result in words, in vain, when it restores SIGINT.
    await reading.read(connection, "", "")


def _prepared(connection: PGconn, name: str, sql: str) -> Callable[[], object]:
    result = connection.prepare(name.encode(), sql.encode())
    if result.status != ExecStatus.COMMAND_OK:
        raise psycopg.OperationalError(result.get_error_message())

    def ask() -> None:
        answer = connection.exec_prepared(name.encode(), None)
        if answer.status != ExecStatus.TUPLES_OK:
            raise psycopg.OperationalError(answer.get_error_message())

    return ask


def _time_client(runner: asyncio.Runner, connection: AsyncConnection[Row], rounds: int) -> None:
    rows = runner.run(_rows(connection))
    snapshot = reading.snapshot(rows, "", "", "")
    previous = settle(None, snapshot)
    settled = settle(previous, snapshot)
    edges = sum(len(group.blockers) for group in snapshot.groups)
    print(f"  client: {edges} edges of {snapshot.blocked} waiters")

    def drawn() -> LockGraph:
        graph = LockGraph(settled)
        folded_rows(graph)
        return graph

    graph = drawn()
    samples = interleave(
        {
            "rows to snapshot": timed(lambda: reading.snapshot(rows, "", "", "")),
            "settle": timed(lambda: settle(previous, snapshot)),
            "graph and tree rows": timed(drawn),
            "diagnose each root": timed(lambda: [diagnose(graph, root) for root in graph.root_blockers]),
        },
        rounds,
    )
    for case in samples.figures:
        print(f"    {case:<22} {samples.median(case):>9.2f} ms")


async def _rows(connection: AsyncConnection[Row]) -> Sequence[ProcessRow]:
    cursor = connection.cursor(binary=True)
    bytes_of_text(cursor)
    await cursor.execute(queries.load("locks"), prepare=True)
    return [ProcessRow._make(row) for row in await cursor.fetchall()]


if __name__ == "__main__":
    main()
