"""Looks at a server's locks, by our reader and by the server's own functions."""

from __future__ import annotations

import asyncio

import psycopg

from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.locks.snapshot.live_source import LiveSource
from pgwatch_tests.settings.load import Dsn, Settings
from tests.waiting import PATIENCE_S


def look(dsn: str) -> LockGraph:
    """A settled graph of the whole server, with all names that can be had."""

    async def read() -> LockSnapshot:
        async with LiveSource(Settings(dsn=Dsn(dsn, "the test"))) as source:
            return await source.read_twice(names_within_s=PATIENCE_S)

    return LockGraph(asyncio.run(read()))


def edges_of(graph: LockGraph) -> set[tuple[int, int]]:
    """(waiter's pid, blocker's pid); 0 stands for prepared transactions."""
    return {(edge.waiter.pid, edge.blocker.pid) for edge in graph.snapshot.shown_edges}


def edges_of_server(dsn: str) -> set[tuple[int, int]]:
    """The same by the server's own functions, asked for every process that is there or in the lock table."""
    query = """
        SELECT coalesce(leader_pid, process.pid), unnest(pg_blocking_pids(process.pid)
                                                         || pg_safe_snapshot_blocking_pids(process.pid))
        FROM (
            -- Before 18 a session that is still connecting is in the lock table only.
            SELECT pid FROM pg_stat_get_activity(NULL) UNION SELECT pid FROM pg_locks WHERE pid IS NOT NULL
        ) AS process
        LEFT JOIN pg_stat_get_activity(NULL) AS activity ON activity.pid = process.pid
    """
    with psycopg.connect(dsn, autocommit=True) as connection:
        return {(waiter, blocker) for waiter, blocker in connection.execute(query) if waiter != blocker}


def target_of(graph: LockGraph, waiter: int, blocker: int) -> str:
    """What `waiter` waits for behind `blocker`, in words."""
    found = [
        edge.lock.target
        for edge in graph.snapshot.shown_edges
        if (edge.waiter.pid, edge.blocker.pid) == (waiter, blocker)
    ]
    assert len(found) == 1, f"one edge from {waiter} to {blocker}, not {found}"
    return found[0]
