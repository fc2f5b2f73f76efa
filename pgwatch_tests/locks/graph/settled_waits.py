"""Settled waits and deadlocks: decides which are real. A wait lasts or is seen twice, a deadlock twice. Pure.

The server copies the lock table partition by partition and tells the blockers a moment later. Under churn a
single poll can show an edge, or a whole cycle, that never was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from pgwatch_tests.locks.graph.wait_graph import WaitForGraph
from pgwatch_tests.locks.lock_queue import QueuePrefix, is_within
from pgwatch_tests.locks.model import SAME_MOMENT_S, EdgeGroup, LockSnapshot, Party, Subject, WaitKey

SURELY_REAL_S = 0.1
SECOND_LOOK_S = 0.15
"""How long a one-shot reader waits before its second sample."""


def settle(previous: LockSnapshot | None, current: LockSnapshot) -> LockSnapshot:
    """`current` with `confirmed`, `deadlocks` and `probable_deadlocks` filled in.

    `previous` is the settled poll before it, None for a first poll. Before PostgreSQL 14 the server
    doesn't say when a wait began; there it counts from the poll that saw it first, whoever blocked it.
    """
    before = _Before(previous, current)
    groups = tuple(settled for group in current.groups for settled in before.settled(before.recalled(group)))
    certain: list[tuple[Party, ...]] = []
    probable: list[tuple[Party, ...]] = []
    for cycle in WaitForGraph(*confirmed_edges(groups)).cycles():
        links = zip(cycle, cycle[1:] + cycle[:1], strict=True)
        seen_before = all(before.has_seen(groups, waiter, blocker) for waiter, blocker in links)
        (certain if seen_before else probable).append(cycle)
    return replace(current, groups=groups, deadlocks=tuple(certain), probable_deadlocks=tuple(probable))


def confirmed_edges(
    groups: Iterable[EdgeGroup],
) -> tuple[Mapping[Party, Iterable[Party]], Sequence[tuple[Party, QueuePrefix[Party]]]]:
    """Returns the confirmed blockers of each waiter: those that are kept one by one, and the queues ahead."""
    alone: dict[Party, list[Party]] = {}
    queued: list[tuple[Party, QueuePrefix[Party]]] = []
    for group in groups:
        if not group.confirmed:
            continue
        if isinstance(group.blockers, QueuePrefix):
            queued.append((group.waiter, group.blockers))
        else:
            alone.setdefault(group.waiter, []).extend(group.blockers)
    return alone, queued


class _Before:
    """The poll before: its waits, and how long each had lasted."""

    def __init__(self, previous: LockSnapshot | None, current: LockSnapshot) -> None:
        self._before = () if previous is None else previous.groups
        self._elapsed_s = 0.0
        self._snapshots = previous, current
        if previous is not None:
            self._elapsed_s = max(0.0, (current.sampled_at - previous.sampled_at).total_seconds())

    @cached_property
    def _groups(self) -> Mapping[WaitKey, Sequence[EdgeGroup]]:
        found: dict[WaitKey, list[EdgeGroup]] = {}
        for group in self._before:
            found.setdefault(group.wait_key, []).append(group)
        return found

    @cached_property
    def _by_waiter(self) -> Mapping[Party, Sequence[EdgeGroup]]:
        found: dict[Party, list[EdgeGroup]] = {}
        for group in self._before:
            found.setdefault(group.waiter, []).append(group)
        return found

    def recalled(self, group: EdgeGroup) -> EdgeGroup:
        """The group with the row that its waiter was queued for: it waits for a later version of that now.

        Who has been queued for a row behind somebody, and now waits for the end of that transaction, can't
        have gone on in between: the row is that transaction's now.
        """
        subject = group.subject
        if subject is None or subject.sides is None or subject.kind != "transaction":
            return group
        for before in self._by_waiter.get(group.waiter, ()):
            blockers = set(group.blockers).intersection(before.blockers)
            if before.subject is None or not blockers or not self._in_same_transactions(group, blockers):
                continue
            row = _queued_row(before.subject)
            if row is not None:
                return replace(group, subject=replace(subject, sides=replace(subject.sides, queued_row=row)))
        return group

    def _in_same_transactions(self, group: EdgeGroup, blockers: Iterable[Party]) -> bool:
        """Whether waiter and blockers are where they were; not if that isn't visible."""
        before, now = self._transaction_starts
        return all(
            party in before and party in now and abs(now[party] - before[party]) < SAME_MOMENT_S
            for party in (group.waiter, *blockers)
        )

    def settled(self, group: EdgeGroup) -> Iterable[EdgeGroup]:
        """The group with its wait's age, in two if only some of its edges are surely real."""
        wait_s = group.wait_s
        if wait_s is not None and wait_s >= SURELY_REAL_S:
            return (group if group.confirmed else _with(group, group.blockers, wait_s, confirmed=True),)
        before = self._groups.get(group.wait_key, ())
        if wait_s is None:
            wait_s = (before[0].wait_s or 0.0) + self._elapsed_s if before else 0.0
        if not before:
            return (_with(group, group.blockers, wait_s, confirmed=False),)
        if any(is_within(group.blockers, one.blockers) for one in before):
            return (_with(group, group.blockers, wait_s, confirmed=True),)
        seen = {blocker for one in before for blocker in one.blockers}
        parts = (
            (tuple(blocker for blocker in group.blockers if (blocker in seen) is real), real)
            for real in (True, False)
        )
        return [_with(group, blockers, wait_s, confirmed=real) for blockers, real in parts if blockers]

    @cached_property
    def _transaction_starts(self) -> list[Mapping[Party, float]]:
        return [_transaction_starts(snapshot) if snapshot else {} for snapshot in self._snapshots]

    def has_seen(self, groups: Iterable[EdgeGroup], waiter: Party, blocker: Party) -> bool:
        """Whether the edge between the two was there before, by the same wait."""
        return any(
            blocker in one.blockers
            for group in groups
            if group.waiter == waiter and blocker in group.blockers and group.confirmed
            for one in self._groups.get(group.wait_key, ())
        )


def _with(group: EdgeGroup, blockers: Sequence[Party], wait_s: float, *, confirmed: bool) -> EdgeGroup:
    # Said in full: `replace` takes three times as long, and thousands may wait.
    return EdgeGroup(
        group.waiter, blockers, group.kind, group.lock, group.wait, wait_s, group.subject, confirmed
    )


def _queued_row(subject: Subject) -> tuple[int, int, int] | None:
    """The row of a wait behind others for its tuple lock, or what was made of such a wait before."""
    if subject.sides is not None:
        return subject.sides.queued_row
    if subject.kind != "row" or subject.page is None or subject.offset is None:
        return None
    return subject.relations[0], subject.page, subject.offset


def _transaction_starts(snapshot: LockSnapshot) -> dict[Party, float]:
    """When each visible transaction began, in seconds since the epoch."""
    starts = ((one.pid, snapshot.began_s(one.xact_age_s)) for one in snapshot.sessions)
    return {Party(pid): start_s for pid, start_s in starts if start_s is not None}
