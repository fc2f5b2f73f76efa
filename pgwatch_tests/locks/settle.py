"""Which waits are real: one statement isn't one snapshot, so an edge must last or be seen twice. Pure.

The lock table is copied partition by partition and the blockers are asked a moment later; under churn
a single poll can show an edge, or a whole cycle, that never was.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pgwatch_tests.locks.graph import WaitForGraph
from pgwatch_tests.locks.model import EdgeGroup, LockSnapshot, Party, Wait

SURELY_REAL_S = 0.1
SECOND_LOOK_S = 0.15
"""How long a one-shot reader waits before its second sample."""

_WaitKey = tuple[Party, Wait | None]


def settle(previous: LockSnapshot | None, current: LockSnapshot) -> LockSnapshot:
    """`current` with `confirmed`, `deadlocks` and `probable_deadlocks` filled in.

    `previous` is the settled poll before it, None for a first poll. Before PostgreSQL 14 the server
    doesn't say when a wait began; there it counts from the poll that saw it first, whoever blocked it.
    """
    before = _Before(previous, current)
    groups = tuple(settled for group in current.groups for settled in before.settled(group))
    certain: list[tuple[Party, ...]] = []
    probable: list[tuple[Party, ...]] = []
    for cycle in wait_for_graph(groups).cycles():
        links = zip(cycle, cycle[1:] + cycle[:1], strict=True)
        seen_before = all(before.has_seen(groups, waiter, blocker) for waiter, blocker in links)
        (certain if seen_before else probable).append(cycle)
    return replace(current, groups=groups, deadlocks=tuple(certain), probable_deadlocks=tuple(probable))


def wait_for_graph(groups: Iterable[EdgeGroup]) -> WaitForGraph[Party]:
    """Who waits for whom, as far as that is confirmed."""
    blockers: dict[Party, set[Party]] = {}
    for group in groups:
        if group.confirmed:
            blockers.setdefault(group.waiter, set()).update(group.blockers)
    return WaitForGraph.of(blockers)


class _Before:
    """The poll before: who waited behind whom, and for how long."""

    def __init__(self, previous: LockSnapshot | None, current: LockSnapshot) -> None:
        self._groups: dict[_WaitKey, list[EdgeGroup]] = {}
        self._elapsed_s = 0.0
        if previous is not None:
            self._elapsed_s = max(0.0, (current.sampled_at - previous.sampled_at).total_seconds())
            for group in previous.groups:
                self._groups.setdefault(_key(group), []).append(group)

    def settled(self, group: EdgeGroup) -> Iterable[EdgeGroup]:
        """The group with its wait's age, in two if only some of its edges are surely real."""
        before = self._groups.get(_key(group), [])
        wait_s = group.wait_s
        if wait_s is None:
            wait_s = (before[0].wait_s or 0.0) + self._elapsed_s if before else 0.0
        elif wait_s >= SURELY_REAL_S:
            return (replace(group, confirmed=True),)
        seen = {blocker for one in before for blocker in one.blockers}
        parts = (
            (tuple(blocker for blocker in group.blockers if (blocker in seen) is real), real)
            for real in (True, False)
        )
        return [
            replace(group, blockers=blockers, wait_s=wait_s, confirmed=real)
            for blockers, real in parts
            if blockers
        ]

    def has_seen(self, groups: Iterable[EdgeGroup], waiter: Party, blocker: Party) -> bool:
        """Whether the edge between the two was there before, by the same wait."""
        return any(
            blocker in one.blockers
            for group in groups
            if group.waiter == waiter and blocker in group.blockers and group.confirmed
            for one in self._groups.get(_key(group), ())
        )


def _key(group: EdgeGroup) -> _WaitKey:
    return group.waiter, group.wait
