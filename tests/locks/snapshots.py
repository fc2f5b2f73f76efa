"""Snapshots made by hand, for what is pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pgwatch_tests.locks.model import (
    Edge,
    EdgeKind,
    LockSnapshot,
    LockTag,
    Party,
    Session,
    Subject,
    Wait,
    WaitedLock,
    grouped,
)

MOMENT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def session(
    pid: int, name: str = "", state: str = "active", query: str = "UPDATE t SET n = 1", hidden: bool = False
) -> Session:
    return Session(
        pid=pid,
        backend_start=MOMENT - timedelta(seconds=60),
        backend_type="client backend",
        database="test_app",
        user="app",
        application_name=name or f"pytest:gw{pid} tests/test_app.py::test_{pid}",
        state=state,
        state_age_s=2.0,
        xact_age_s=3.0,
        query_age_s=2.5,
        query=query,
        hidden=hidden,
    )


def edge(
    waiter: int,
    blocker: int,
    kind: EdgeKind = "hard",
    wait_s: float | None = 1.0,
    target: str = "row of t (id=1)",
    mode: str = "ExclusiveLock",
    subject: Subject | None = None,
    tag: LockTag | None = None,
    gid: str = "",
) -> Edge:
    tag = tag or LockTag("tuple", 5, 16400, 0, 1)
    return Edge(
        Party(waiter),
        Party(blocker, gid),
        kind,
        WaitedLock(tag.type, mode, "ExclusiveLock" if kind == "hard" else None, target),
        Wait(waiter, f"3/{waiter}", tag, mode, None),
        wait_s,
        subject or Subject("row", 5, (16400,), 0, 1),
    )


def snapshot(
    edges: tuple[Edge, ...] = (), sessions: tuple[Session, ...] = (), after_s: float = 0.0
) -> LockSnapshot:
    known = {one.pid for one in sessions}
    ends = {party.pid for one in edges for party in (one.waiter, one.blocker) if party.pid}
    return LockSnapshot(
        MOMENT + timedelta(seconds=after_s),
        "18.1",
        "test_app",
        "localhost:5432",
        sessions + tuple(session(pid) for pid in sorted(ends - known)),
        (),
        grouped(edges),
    )
