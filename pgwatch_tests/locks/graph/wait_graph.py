"""The wait-for graph as such: closures, cycles and trees over whatever waits for whatever. Pure.

A node is anything hashable and orderable; an edge goes from a waiter to one of its blockers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pgwatch_tests.strong_components import Orderable, strongly_connected

N = TypeVar("N", bound=Orderable)


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

    Self-edges are dropped: a parallel leader doesn't block its own workers.
    """

    def __init__(self, blockers: Mapping[N, Iterable[N]]) -> None:
        self._blockers: dict[N, set[N]] = {}
        self._waiters: dict[N, set[N]] = {}
        self._reaches: dict[N, int] | None = None
        for waiter, ahead in blockers.items():
            others = set(ahead) - {waiter}
            if others:
                self._blockers[waiter] = others
                for blocker in others:
                    if blocker in self._waiters:
                        self._waiters[blocker].add(waiter)
                    else:
                        self._waiters[blocker] = {waiter}

    @property
    def nodes(self) -> set[N]:
        """All waiters and blockers."""
        return {*self._blockers, *self._waiters}

    def blockers(self, node: N) -> set[N]:
        """Returns the direct blockers of `node`."""
        return set(self._blockers.get(node, ()))

    def waiters(self, node: N) -> set[N]:
        """Returns the direct waiters of `node`."""
        return set(self._waiters.get(node, ()))

    def roots(self) -> list[N]:
        """Root blockers: they block and aren't blocked. Sorted."""
        return sorted(node for node in self._waiters if node not in self._blockers)

    def blocked_by(self, node: N) -> set[N]:
        """Returns all waiters of `node`, direct or through others; without `node` itself."""
        return self._reach([node], self._waiters) - {node}

    def blocks(self, node: N) -> int:
        """Returns the number of `blocked_by`: waiters of `node`, direct or through others."""
        if self._reaches is None:
            self._reaches = self._count_all()
        reached = self._reaches.get(node)
        return len(self.blocked_by(node)) if reached is None else reached

    def _count_all(self) -> dict[N, int]:
        """`blocks` of all nodes that no cycle is behind, in one pass: sets of waiters as bits of a number."""
        bit = {node: 1 << position for position, node in enumerate(self._blockers)}
        behind: dict[N, int] = {}
        for node in self._peeled(self._waiters, self._blockers):
            bits = 0
            for waiter in self._waiters.get(node, ()):
                bits |= bit[waiter] | behind[waiter]
            behind[node] = bits
        return {node: bits.bit_count() for node, bits in behind.items()}

    def _peeled(self, ahead: Mapping[N, set[N]], behind: Mapping[N, set[N]]) -> list[N]:
        """The nodes that no cycle is ahead of, each after all that are `ahead` of it (Kahn 1962)."""
        left = {node: len(ahead.get(node, ())) for node in self.nodes}
        order = [node for node, number in left.items() if not number]
        for node in order:
            for other in behind.get(node, ()):
                left[other] -= 1
                if not left[other]:
                    order.append(other)
        return order

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

        `hard` names the blockers of a waiter which hold what it wants; where there are any, the waiter
        is shown under these and not under those that are merely queued ahead of it.
        """
        parents = {waiter: self._shown_parents(waiter, hard or {}) for waiter in self._blockers}
        children: dict[N, list[N]] = {}
        for waiter in sorted(parents):
            for parent in parents[waiter]:
                children.setdefault(parent, []).append(waiter)
        shown: set[N] = set()
        # A deadlocked group has no root: its smallest member stands for it, if nothing above leads there.
        tops = self.roots() + [cycle[0] for cycle in self.cycles()]
        forest = [_grow(top, children, shown) for top in tops if top not in shown]
        # Nodes that only a cycle among the *shown* parents could hide.
        forest += [_grow(node, children, shown) for node in sorted(self.nodes) if node not in shown]
        return forest

    def _shown_parents(self, waiter: N, hard: Mapping[N, Iterable[N]]) -> list[N]:
        blockers = self._blockers[waiter]
        holding = sorted(blockers.intersection(hard.get(waiter, ())))
        # One is enough of a queue: each of those ahead is shown where it stands itself.
        return holding or [min((len(self._blockers.get(blocker, ())), blocker) for blocker in blockers)[1]]

    def _reach(self, start: Iterable[N], step: Mapping[N, set[N]]) -> set[N]:
        seen = set(start)
        todo = list(seen)
        while todo:
            new = step.get(todo.pop(), set()) - seen
            seen |= new
            todo.extend(new)
        return seen

    def _components(self) -> list[set[N]]:
        """Strongly connected components of more than one node."""
        # A long queue has very many edges and no cycle: what can be peeled off needs no search.
        acyclic = set(self._peeled(self._blockers, self._waiters))
        rest = {
            waiter: blockers - acyclic for waiter, blockers in self._blockers.items() if waiter not in acyclic
        }
        return [component for component in strongly_connected(rest) if len(component) > 1]

    def _shortest_cycle(self, component: set[N]) -> tuple[N, ...]:
        start = min(component)
        came_from: dict[N, N] = {}
        level: Sequence[N] = [start]
        while level:
            following: list[N] = []
            for node in level:
                for blocker in sorted(self._blockers[node] & component):
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
