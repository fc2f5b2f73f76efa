"""Snapshots made by hand, for what is pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pgwatch_tests.locks.model import (
    Edge,
    EdgeGroup,
    EdgeKind,
    LockSnapshot,
    LockTag,
    Party,
    Session,
    Subject,
    Wait,
    WaitedLock,
)

MOMENT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def session(
    pid: int, name: str = "", state: str = "active", query: str = "UPDATE t SET n = 1", hidden: bool = False
) -> Session:
    return Session(
        pid=pid,
        backend_start=MOMENT - timedelta(seconds=60),
        backend_type="client backend",
        database_oid=5,
        user_oid=10,
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


def grouped(edges: Iterable[Edge]) -> tuple[EdgeGroup, ...]:
    """Edges as groups, in the order of their first edges."""
    found: dict[EdgeGroup, list[Party]] = {}
    for edge in edges:
        group = EdgeGroup(
            edge.waiter, (), edge.kind, edge.lock, edge.wait, edge.wait_s, edge.subject, edge.confirmed
        )
        found.setdefault(group, []).append(edge.blocker)
    return tuple(replace(group, blockers=tuple(sorted(blockers))) for group, blockers in found.items())
