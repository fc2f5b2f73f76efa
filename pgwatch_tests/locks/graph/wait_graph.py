"""The wait-for graph as such: closures, cycles and trees over whatever waits for whatever. Pure.

A node is anything hashable and orderable; an edge goes from a waiter to one of its blockers. Who stands in a
queue waits for all ahead of it: these edges aren't kept one by one, so that a queue of thousands costs what
its length says, not its square.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Generic, TypeVar

from pgwatch_tests.locks.graph.stepping_stones import SteppingStones
from pgwatch_tests.locks.lock_queue import LockQueue, QueuePrefix
from pgwatch_tests.strong_components import Orderable, strongly_connected

N = TypeVar("N", bound=Orderable)
_MOST_REMEMBERED = 64
"""Of how many nodes all waiters are remembered: these are asked for again and again."""


@dataclass(frozen=True, slots=True)
class Branch(Generic[N]):
    """A node of the forest and what is shown under it.

    Every node has its branch once; `again` marks a mention of a waiter that is shown in full elsewhere.
    """

    node: N
    children: tuple[Branch[N], ...] = ()
    again: bool = False


class WaitForGraph(Generic[N]):
    """A wait-for graph: each key of `blockers` waits for each of its values.

    In `queued` a waiter waits for all members of the beginning of a queue. Self-edges are dropped: a parallel
    leader doesn't block its own workers.
    """

    def __init__(
        self, blockers: Mapping[N, Iterable[N]], queued: Iterable[tuple[N, QueuePrefix[N]]] = ()
    ) -> None:
        self._blockers: dict[N, set[N]] = {}
        """Of each waiter, those that are kept one by one."""
        self._waiters: dict[N, set[N]] = {}
        self._ahead: dict[N, list[QueuePrefix[N]]] = {}
        standing: dict[LockQueue[N], dict[N, int]] = {}
        for waiter, ahead in blockers.items():
            self._add(waiter, ahead)
        for waiter, first in queued:
            if waiter in first:
                self._add(waiter, first)
            elif first:
                lengths = standing.setdefault(first.queue, {})
                lengths[waiter] = max(first.length, lengths.get(waiter, 0))
        for queue, lengths in standing.items():
            for waiter, length in lengths.items():
                self._ahead.setdefault(waiter, []).append(queue.first(length))
        self._behind: dict[N, frozenset[N]] = {}
        self._sorted_behind: dict[N, tuple[N, ...]] = {}
        self._queues = {queue: _Standing.of(queue, lengths) for queue, lengths in standing.items()}

    def _add(self, waiter: N, ahead: Iterable[N]) -> None:
        others = set(ahead) - {waiter}
        if others:
            self._blockers.setdefault(waiter, set()).update(others)
            for blocker in others:
                if blocker in self._waiters:
                    self._waiters[blocker].add(waiter)
                else:
                    self._waiters[blocker] = {waiter}

    @cached_property
    def nodes(self) -> set[N]:
        """All waiters and blockers."""
        return {*self._blockers, *self._ahead, *self._blocking}

    @property
    def _blocking(self) -> set[N]:
        return set(self._waiters).union(*(one.members for one in self._queues.values()))

    def blockers(self, node: N) -> set[N]:
        """Returns the direct blockers of `node`."""
        return set(self._blockers.get(node, ())).union(*self._ahead.get(node, ()))

    def waiters(self, node: N) -> set[N]:
        """Returns the direct waiters of `node`."""
        queued = (one.behind(node) for one in self._queues.values())
        return set(self._waiters.get(node, ())).union(*queued)

    def blocks_directly(self, node: N) -> int:
        """Returns how many wait for `node` itself."""
        alone = self._waiters.get(node, ())
        queued = [behind for one in self._queues.values() if (behind := one.behind(node))]
        if not queued:
            return len(alone)
        return len(queued[0]) if len(queued) == 1 and not alone else len(self.waiters(node))

    def roots(self) -> list[N]:
        """Root blockers: they block and aren't blocked. Sorted."""
        return sorted(
            node for node in self._blocking if node not in self._blockers and node not in self._ahead
        )

    def blocked_by(self, node: N) -> frozenset[N]:
        """Returns all waiters of `node`, direct or through others; without `node` itself."""
        behind = self._behind.get(node)
        if behind is None:
            behind = frozenset(self._stones.behind(node) - {node})
            if len(self._behind) < _MOST_REMEMBERED:
                self._behind[node] = behind
        return behind

    def all_behind(self, node: N) -> tuple[N, ...]:
        """Returns `blocked_by`, sorted."""
        behind = self._sorted_behind.get(node)
        if behind is None:
            behind = tuple(sorted(self.blocked_by(node)))
            if len(self._sorted_behind) < _MOST_REMEMBERED:
                self._sorted_behind[node] = behind
        return behind

    def blocks(self, node: N) -> int:
        """Returns the number of `blocked_by`: waiters of `node`, direct or through others."""
        reached = self._reaches.get(node)
        return len(self.blocked_by(node)) if reached is None else reached

    @cached_property
    def _reaches(self) -> Mapping[N, int]:
        return self._stones.count_behind()

    @cached_property
    def _stones(self) -> SteppingStones[N]:
        return SteppingStones(self.nodes, self._blockers, self._ahead)

    def cycles(self) -> list[tuple[N, ...]]:
        """Returns one shortest cycle of every deadlocked group, each node waiting for the next one, smallest
        first.

        The groups are the graph's strongly connected components of more than one node. Sorted.
        """
        return sorted(
            (self._shortest_cycle(component) for component in self._components()), key=lambda cycle: cycle[0]
        )

    def forest(self, hard: Mapping[N, Iterable[N]] | None = None) -> list[Branch[N]]:
        """The trees to show: every node in full once, a root blocker or a deadlocked group at the top.

        Those that block most come first. A node that stands in several trees is in full in the first of them.

        `hard` names the blockers of a waiter which hold what it wants; where there are any, the waiter
        is shown under these and not under those that are merely queued ahead of it.
        """
        waiters = sorted({*self._blockers, *self._ahead})
        children: dict[N, list[N]] = {}
        for waiter in waiters:
            for parent in self._shown_parents(waiter, hard or {}):
                children.setdefault(parent, []).append(waiter)
        shown: set[N] = set()
        # A deadlocked group has no root: its smallest member stands for it, if nothing above leads there.
        tops = self.roots() + [cycle[0] for cycle in self.cycles()]
        tops.sort(key=lambda top: (-self.blocks(top), top))
        forest = [_grow(top, children, shown) for top in tops if top not in shown]
        # Nodes that only a cycle among the *shown* parents could hide.
        forest += [_grow(node, children, shown) for node in sorted(self.nodes - shown) if node not in shown]
        return forest

    def _shown_parents(self, waiter: N, hard: Mapping[N, Iterable[N]]) -> list[N]:
        holding = sorted({blocker for blocker in hard.get(waiter, ()) if self._waits_for(waiter, blocker)})
        if holding:
            return holding
        # One is enough of a queue: each of those ahead is shown where it stands itself.
        best = [(self._count_blockers(blocker), blocker) for blocker in self._blockers.get(waiter, ())]
        best += [self._least_blocked[ahead.queue][ahead.length - 1] for ahead in self._ahead.get(waiter, ())]
        return [min(best)[1]]

    def _waits_for(self, waiter: N, blocker: N) -> bool:
        alone = self._blockers.get(waiter, ())
        return blocker in alone or any(blocker in ahead for ahead in self._ahead.get(waiter, ()))

    def _count_blockers(self, node: N) -> int:
        ahead = self._ahead.get(node, ())
        if len(ahead) > 1:
            return len(self.blockers(node))
        alone = self._blockers.get(node, ())
        return sum(len(one) + sum(blocker not in one for blocker in alone) for one in ahead) or len(alone)

    @cached_property
    def _least_blocked(self) -> Mapping[LockQueue[N], Sequence[tuple[int, N]]]:
        """Of the first member of each queue, the first two, and so on: who is blocked by fewest, and by how
        many."""
        return {
            queue: list(accumulate(((self._count_blockers(one), one) for one in standing.members), min))
            for queue, standing in self._queues.items()
        }

    def _components(self) -> list[set[N]]:
        """Strongly connected components of more than one node."""
        # A long queue has no cycle: what can be peeled off needs no search.
        rest = self._stones.within_cycles()
        found = (self._stones.nodes_of(component) for component in strongly_connected(rest))
        return [component for component in found if len(component) > 1]

    def _shortest_cycle(self, component: set[N]) -> tuple[N, ...]:
        start = min(component)
        came_from: dict[N, N] = {}
        level: Sequence[N] = [start]
        while level:
            following: list[N] = []
            for node in level:
                for blocker in sorted(self.blockers(node) & component):
                    if blocker == start:
                        cycle = [node]
                        while cycle[-1] != start:
                            cycle.append(came_from[cycle[-1]])
                        return tuple(reversed(cycle))
                    if blocker not in came_from:
                        came_from[blocker] = node
                        following.append(blocker)
            level = following
        raise AssertionError("a strongly connected component has a cycle through each of its nodes")


@dataclass(frozen=True, slots=True)
class _Standing(Generic[N]):
    """Those who wait for the beginnings of one queue."""

    queue: LockQueue[N]
    lengths: Sequence[int]
    """Ascending."""
    waiters: Sequence[N]
    """In the order of `lengths`."""

    @classmethod
    def of(cls, queue: LockQueue[N], waiting: Mapping[N, int]) -> _Standing[N]:
        """Those that wait for so many of its members, each."""
        waiters = sorted(waiting, key=waiting.__getitem__)
        return cls(queue, [waiting[waiter] for waiter in waiters], waiters)

    @property
    def members(self) -> Sequence[N]:
        """The members of the queue that somebody waits for."""
        return self.queue.members[: self.lengths[-1]]

    def behind(self, member: N) -> Sequence[N]:
        """Those that wait for that one; empty if it isn't in the queue."""
        place = self.queue.places.get(member)
        return () if place is None else self.waiters[bisect_right(self.lengths, place) :]


def _grow(node: N, children: Mapping[N, Sequence[N]], shown: set[N]) -> Branch[N]:
    """The branch of `node`, breadth first: a waiter is shown in full as near the root as it can be."""
    shown.add(node)
    order: list[N] = [node]
    grown: dict[N, list[tuple[N, bool]]] = {}
    for parent in order:
        grown[parent] = []
        for child in children.get(parent, ()):
            grown[parent].append((child, child in shown))
            if child not in shown:
                shown.add(child)
                order.append(child)
    branches: dict[N, Branch[N]] = {}
    for parent in reversed(order):
        branches[parent] = Branch(
            parent,
            tuple(Branch(child, again=True) if again else branches[child] for child, again in grown[parent]),
        )
    return branches[node]
