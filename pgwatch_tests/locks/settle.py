"""Which waits are real: one statement isn't one snapshot, so an edge must last or be seen twice. Pure.

The lock table is copied partition by partition and the blockers are asked a moment later; under churn
a single poll can show an edge, or a whole cycle, that never was.
"""

from __future__ import annotations

from dataclasses import replace

from pgwatch_tests.locks.graph import WaitForGraph
from pgwatch_tests.locks.model import Edge, LockSnapshot, Party, Wait

SURELY_REAL_S = 0.1
SECOND_LOOK_S = 0.15
"""How long a one-shot reader waits before its second sample."""

_EdgeKey = tuple[Party, Party, Wait | None]


def settle(previous: LockSnapshot | None, current: LockSnapshot) -> LockSnapshot:
    """`current` with `confirmed`, `deadlocks` and `probable_deadlocks` filled in.

    `previous` is the settled poll before it, None for a first poll. Before PostgreSQL 14 the server
    doesn't say when a wait began; there it counts from the poll that saw it first, whoever blocked it.
    """
    before = {} if previous is None else {_key(edge): edge for edge in previous.edges}
    ages = {} if previous is None else {_wait_key(edge): edge.wait_s or 0.0 for edge in previous.edges}
    elapsed_s = 0.0
    if previous is not None:
        elapsed_s = max(0.0, (current.sampled_at - previous.sampled_at).total_seconds())
    edges = tuple(
        _settled(edge, _key(edge) in before, ages.get(_wait_key(edge)), elapsed_s) for edge in current.edges
    )
    by_ends = {(edge.waiter, edge.blocker): edge for edge in edges if edge.confirmed}
    certain: list[tuple[Party, ...]] = []
    probable: list[tuple[Party, ...]] = []
    for cycle in WaitForGraph(by_ends).cycles():
        links = [
            by_ends[waiter, blocker] for waiter, blocker in zip(cycle, cycle[1:] + cycle[:1], strict=True)
        ]
        seen_before = all(_key(link) in before for link in links)
        (certain if seen_before else probable).append(cycle)
    return replace(current, edges=edges, deadlocks=tuple(certain), probable_deadlocks=tuple(probable))


def _settled(edge: Edge, seen_before: bool, age_before_s: float | None, elapsed_s: float) -> Edge:
    wait_s = edge.wait_s
    if wait_s is None:
        wait_s = 0.0 if age_before_s is None else age_before_s + elapsed_s
    confirmed = seen_before or (edge.wait_s is not None and edge.wait_s >= SURELY_REAL_S)
    return replace(edge, wait_s=wait_s, confirmed=confirmed)


def _key(edge: Edge) -> _EdgeKey:
    return edge.waiter, edge.blocker, edge.wait


def _wait_key(edge: Edge) -> tuple[Party, Wait | None]:
    return edge.waiter, edge.wait
