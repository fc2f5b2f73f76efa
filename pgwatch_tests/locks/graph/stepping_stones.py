"""Stepping stones: a wait-for graph as numbers; its edges are as many as its waiters, not as its waits. Pure.

Each beginning of a queue is a stone of its own. Who waits for the first three members waits for the stone of
three, and that leads to the third member and to the stone of two.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from pgwatch_tests.locks.lock_queue import LockQueue, QueuePrefix
from pgwatch_tests.strong_components import Orderable

N = TypeVar("N", bound=Orderable)


class SteppingStones(Generic[N]):
    """The graph: nodes are numbered first, then come the stones of queues."""

    def __init__(
        self,
        nodes: Iterable[N],
        blockers: Mapping[N, Collection[N]],
        queued: Mapping[N, Sequence[QueuePrefix[N]]],
    ) -> None:
        self._nodes = list(nodes)
        self._numbers = {node: number for number, node in enumerate(self._nodes)}
        self._ahead: list[list[int]] = [[] for _ in self._nodes]
        stones: dict[LockQueue[N], list[int]] = {}
        for waiter, others in blockers.items():
            self._ahead[self._numbers[waiter]] += map(self._numbers.__getitem__, others)
        for waiter, prefixes in queued.items():
            for first in prefixes:
                stone = self._stone(stones.setdefault(first.queue, []), first)
                self._ahead[self._numbers[waiter]].append(stone)
        self._behind: list[list[int]] = [[] for _ in self._ahead]
        for number, ahead in enumerate(self._ahead):
            for other in ahead:
                self._behind[other].append(number)

    def _stone(self, laid: list[int], first: QueuePrefix[N]) -> int:
        """The stone of a queue's first members; those of less members are laid before it."""
        for member in first.queue.members[len(laid) : first.length]:
            self._ahead.append([self._numbers[member], *laid[-1:]])
            laid.append(len(self._ahead) - 1)
        return laid[first.length - 1]

    def nodes_of(self, numbers: Iterable[int]) -> set[N]:
        """The nodes among them, without the stones."""
        return {self._nodes[number] for number in numbers if number < len(self._nodes)}

    def behind(self, node: N) -> set[N]:
        """Returns `node`, and all that wait for it, direct or through others."""
        start = self._numbers.get(node)
        if start is None:
            return {node}
        seen = {start}
        order = [start]
        for number in order:
            for other in self._behind[number]:
                if other not in seen:
                    seen.add(other)
                    order.append(other)
        return self.nodes_of(order)

    def count_behind(self) -> dict[N, int]:
        """How many are behind each node that no cycle is behind: sets of waiters as bits of a number."""
        nodes = len(self._nodes)
        bits = [0] * len(self._ahead)
        counts: dict[N, int] = {}
        for number in _peeled(self._behind, self._ahead):
            reached = 0
            for waiter in self._behind[number]:
                reached |= bits[waiter]
            if number < nodes:
                counts[self._nodes[number]] = reached.bit_count()
                reached |= 1 << number
            bits[number] = reached
        return counts

    def within_cycles(self) -> dict[int, list[int]]:
        """All numbers that a cycle is ahead of, with those of them that each waits for."""
        acyclic = set(_peeled(self._ahead, self._behind))
        return {
            number: [other for other in ahead if other not in acyclic]
            for number, ahead in enumerate(self._ahead)
            if number not in acyclic
        }


def _peeled(ahead: Sequence[Sequence[int]], behind: Sequence[Sequence[int]]) -> list[int]:
    """The numbers that no cycle is ahead of, each after all that are `ahead` of it (Kahn 1962)."""
    left = list(map(len, ahead))
    order = [number for number, before in enumerate(left) if not before]
    for number in order:
        for other in behind[number]:
            left[other] -= 1
            if not left[other]:
                order.append(other)
    return order
