"""Which waits are real: one statement isn't one snapshot, so an edge must last or be seen twice. Pure.

The lock table is copied partition by partition and the blockers are asked a moment later; under churn
a single poll can show an edge, or a whole cycle, that never was.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pgwatch_tests.locks.graph import WaitForGraph
from pgwatch_tests.locks.model import Edge, LockSnapshot, Party, Wait

SURELY_REAL_S = 0.1
SECOND_LOOK_S = 0.15
"""How long a one-shot reader waits before its second sample."""

_Ends = tuple[int, str, int, str]


def settle(previous: LockSnapshot | None, current: LockSnapshot) -> LockSnapshot:
    """`current` with `confirmed`, `deadlocks` and `probable_deadlocks` filled in.

    `previous` is the settled poll before it, None for a first poll. Before PostgreSQL 14 the server
    doesn't say when a wait began; there it counts from the poll that saw it first.
    """
    before = _Before(() if previous is None else previous.edges)
    elapsed_s = 0.0
    if previous is not None:
        elapsed_s = max(0.0, (current.sampled_at - previous.sampled_at).total_seconds())
    edges = tuple(_settled(edge, before.same(edge), elapsed_s) for edge in current.edges)
    certain: list[tuple[Party, ...]] = []
    probable: list[tuple[Party, ...]] = []
    for cycle in WaitForGraph((edge.waiter, edge.blocker) for edge in edges if edge.confirmed).cycles():
        links = set(zip(cycle, cycle[1:] + cycle[:1], strict=True))
        seen_before = links <= {
            (edge.waiter, edge.blocker) for edge in edges if edge.confirmed and before.same(edge)
        }
        (certain if seen_before else probable).append(cycle)
    return replace(current, edges=edges, deadlocks=tuple(certain), probable_deadlocks=tuple(probable))


def _settled(edge: Edge, before: Edge | None, elapsed_s: float) -> Edge:
    wait_s = edge.wait_s
    if wait_s is None:
        wait_s = 0.0 if before is None else (before.wait_s or 0.0) + elapsed_s
    confirmed = before is not None or (edge.wait_s is not None and edge.wait_s >= SURELY_REAL_S)
    if wait_s == edge.wait_s and confirmed is edge.confirmed:
        return edge
    return replace(edge, wait_s=wait_s, confirmed=confirmed)


class _Before:
    """The edges of the poll before. By wait first: those of one waiter come together and share it."""

    def __init__(self, edges: Iterable[Edge]) -> None:
        self._by_wait: dict[Wait | None, dict[_Ends, Edge]] = {}
        self._wait: Wait | None = None
        self._of_wait: dict[_Ends, Edge] = {}
        for edge in edges:
            if edge.wait is not self._wait or not self._of_wait:
                self._wait, self._of_wait = edge.wait, self._by_wait.setdefault(edge.wait, {})
            self._of_wait[_ends(edge)] = edge

    def same(self, edge: Edge) -> Edge | None:
        """The edge between the same two for the same wait, if it was there already."""
        if edge.wait is not self._wait:
            self._wait, self._of_wait = edge.wait, self._by_wait.get(edge.wait, {})
        return self._of_wait.get(_ends(edge))


def _ends(edge: Edge) -> _Ends:
    return edge.waiter.pid, edge.waiter.gid, edge.blocker.pid, edge.blocker.gid
