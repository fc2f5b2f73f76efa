"""Looks at a server's locks, by our reader and by the server's own functions."""

from __future__ import annotations

import asyncio

import psycopg

from pgwatch_tests.config import Dsn, Settings
from pgwatch_tests.locks.model import LockSnapshot, Party
from pgwatch_tests.locks.picture import LockPicture
from pgwatch_tests.locks.watch import LockWatch


def look(dsn: str) -> LockPicture:
    """A settled picture of the whole server."""

    async def read() -> LockSnapshot:
        async with LockWatch(Settings(dsn=Dsn(dsn, "the test"))) as watch:
            return await watch.read_twice()

    return LockPicture(asyncio.run(read()))


def edges_of(picture: LockPicture) -> set[tuple[int, int]]:
    """(waiter's pid, blocker's pid); 0 stands for prepared transactions."""
    return {(edge.waiter.pid, edge.blocker.pid) for edge in picture.snapshot.shown_edges}


def edges_of_server(dsn: str) -> set[tuple[int, int]]:
    """The same by pg_blocking_pids() of every session."""
    query = """
        SELECT coalesce(leader_pid, pid), unnest(pg_blocking_pids(pid))
        FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0
    """
    with psycopg.connect(dsn, autocommit=True) as connection:
        return {(waiter, blocker) for waiter, blocker in connection.execute(query) if waiter != blocker}


def target_of(picture: LockPicture, waiter: int, blocker: int) -> str:
    """What `waiter` waits for behind `blocker`, in words."""
    found = [
        edge.lock.target
        for edge in picture.snapshot.shown_edges
        if (edge.waiter.pid, edge.blocker.pid) == (waiter, blocker)
    ]
    assert len(found) == 1, f"one edge from {waiter} to {blocker}, not {found}"
    return found[0]


def roots_of(picture: LockPicture) -> dict[int, tuple[int, int]]:
    """Root blockers' pids with how many they block, and how many directly."""
    return {root.pid: (picture.blocks(root), picture.blocks_directly(root)) for root in picture.roots}


def kind_of(picture: LockPicture, waiter: int, blocker: int) -> str:
    """`hard`, `soft` or `safe_snapshot`."""
    waits = picture.waits(Party(waiter))
    return next(edge.kind for edge in waits if edge.blocker.pid == blocker)
