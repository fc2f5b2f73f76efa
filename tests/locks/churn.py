"""Many sessions that wait for each other's rows all the time and can't deadlock, while a watch polls."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import psycopg

from pgwatch_tests.locks.graph.wait_graph import WaitForGraph
from pgwatch_tests.locks.model import LockSnapshot, Party
from pgwatch_tests.locks.snapshot.live_source import LiveSource
from pgwatch_tests.settings.load import Dsn, Settings
from tests.servers.sessions import RunningStatement

ROWS = 5
# Everybody takes some of the rows, always in ascending order: no two can wait for each other.
_WORK = """
    DO $$
    BEGIN
        WHILE clock_timestamp() < '{until}'::timestamptz LOOP
            FOR hot IN 1..{rows} LOOP
                IF random() < 0.6 THEN
                    UPDATE hot_rows SET n = n + 1 WHERE id = hot;
                END IF;
            END LOOP;
            COMMIT;
        END LOOP;
    END $$
"""


@dataclass(frozen=True, slots=True)
class Churned:
    """What the polls showed. There was no deadlock, so all but the raw cycles should be 0."""

    polls: int
    polls_with_waits: int
    transactions: int
    """How many the workers committed, about."""
    raw_cycles: int
    """Polls in whose edges, before they are settled, there was a cycle: ghosts."""
    probable: int
    """Polls that spoke of a probable deadlock."""
    lasting_probable: int
    """Polls that spoke of the same probable deadlock as the poll before."""
    deadlocks: int
    """Polls that reported a deadlock."""
    server_deadlocks: int
    """Deadlocks that the server itself found."""


def churn(dsn: str, workers: int, seconds: float, pauses_s: Sequence[float]) -> Churned:
    """Lets `workers` sessions loose for `seconds`, and polls with each of the pauses for its share of them.

    Makes the table `hot_rows` in the database. Raises what a worker raises.
    """
    with ExitStack() as stack:
        administrator = stack.enter_context(psycopg.connect(dsn, autocommit=True))
        administrator.execute("CREATE TABLE hot_rows (id int PRIMARY KEY, n bigint)")
        administrator.execute("INSERT INTO hot_rows SELECT g, 0 FROM generate_series(1, %s) AS g", [ROWS])
        [(until,)] = administrator.execute(
            "SELECT (clock_timestamp() + make_interval(secs => %s))::text", [seconds]
        ).fetchall()
        sessions = [stack.enter_context(psycopg.connect(dsn, autocommit=True)) for _ in range(workers)]
        work = _WORK.format(until=until, rows=ROWS)
        running = [RunningStatement(session, work, ()) for session in sessions]
        snapshots = asyncio.run(_watch(dsn, seconds, pauses_s))
        for one in running:
            one.result(timeout_s=30)
        counters = administrator.execute(
            "SELECT (SELECT sum(n) FROM hot_rows)::bigint, deadlocks::bigint"
            " FROM pg_stat_database WHERE datname = current_database()"
        ).fetchall()
    [(updates, server_deadlocks)] = counters
    return _summed(snapshots, int(updates / ROWS / 0.6), server_deadlocks)


async def _watch(dsn: str, seconds: float, pauses_s: Sequence[float]) -> list[LockSnapshot]:
    snapshots: list[LockSnapshot] = []
    async with LiveSource(Settings(dsn=Dsn(dsn, "the churn"))) as source:
        for pause_s in pauses_s:
            end_s = time.monotonic() + seconds / len(pauses_s)
            while time.monotonic() < end_s:
                snapshots.append(await source.read())
                await asyncio.sleep(pause_s)
    return snapshots


def _summed(snapshots: Sequence[LockSnapshot], transactions: int, server_deadlocks: int) -> Churned:
    probable = [frozenset(map(_as_set, one.probable_deadlocks)) for one in snapshots]
    return Churned(
        polls=len(snapshots),
        polls_with_waits=sum(bool(one.edges) for one in snapshots),
        transactions=transactions,
        raw_cycles=sum(_has_cycle(one) for one in snapshots),
        probable=sum(map(bool, probable)),
        lasting_probable=sum(bool(before & after) for before, after in itertools.pairwise(probable)),
        deadlocks=sum(bool(one.deadlocks) for one in snapshots),
        server_deadlocks=server_deadlocks,
    )


def _as_set(cycle: tuple[Party, ...]) -> frozenset[Party]:
    return frozenset(cycle)


def _has_cycle(snapshot: LockSnapshot) -> bool:
    blockers: dict[Party, set[Party]] = {}
    for group in snapshot.groups:
        blockers.setdefault(group.waiter, set()).update(group.blockers)
    return bool(WaitForGraph(blockers).cycles())
