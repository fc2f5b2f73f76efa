"""A plain lock manager: who holds and who queues, one lock at a time, to compare sums about a graph with.

Tables are granted as the server does it (ProcLockWakeup, src/backend/storage/lmgr/proc.c): in the order of
the queue, to whoever conflicts with no holder and with nobody who still waits ahead. Of those who queue for
a row, the first has its turn and waits for one holder after the other; the rest wait for their turn
(heap_lock_tuple, src/backend/access/heap/heapam.c).
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Literal

from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import Edge, LockTag, Party
from tests.locks.snapshots import edge, snapshot

Mode = Literal["share", "exclusive"]


def conflict(one: Mode, other: Mode) -> bool:
    return "exclusive" in (one, other)


@dataclass
class Lock:
    """A lock on a table, or on a row: those who hold it, and those who queue for it, the first one first."""

    number: int
    is_row: bool
    held: dict[int, Mode] = field(default_factory=dict)
    queue: list[tuple[int, Mode]] = field(default_factory=list)
    named: int = 0
    """Of a row's holders, the one that the first in the queue waits for now."""

    def ask(self, pid: int, mode: Mode) -> None:
        ahead = [*self.held.values(), *(one for _, one in self.queue)]
        if any(conflict(mode, one) for one in ahead):
            self.queue.append((pid, mode))
        else:
            self.held[pid] = mode
        self._name()

    def drop(self, pid: int) -> None:
        """Takes everything from a session, and grants what can be granted then."""
        self.held.pop(pid, None)
        waiting: list[tuple[int, Mode]] = []
        for one, mode in [each for each in self.queue if each[0] != pid]:
            if any(conflict(mode, other) for other in (*self.held.values(), *(m for _, m in waiting))):
                waiting.append((one, mode))
            else:
                self.held[one] = mode
        self.queue = waiting
        self._name()

    def _name(self) -> None:
        if self.named not in self.held:
            self.named = min(self.held, default=0)

    def edges(self) -> Iterator[Edge]:
        """Who waits for whom, as the server tells it."""
        for place, (pid, mode) in enumerate(self.queue):
            if not self.is_row:
                tag = LockTag("relation", 5, self.number)
                for holder, held in self.held.items():
                    if conflict(mode, held):
                        yield edge(pid, holder, tag=tag)
                for other, asked in self.queue[:place]:
                    if conflict(mode, asked):
                        yield edge(pid, other, kind="soft", tag=tag)
            elif place:
                tag = LockTag("tuple", 5, 1, 0, self.number)
                first, *others = (one for one, _ in self.queue[:place])
                yield edge(pid, first, tag=tag)
                yield from (edge(pid, one, kind="soft", tag=tag) for one in others)
            else:
                wait = edge(pid, self.named, tag=LockTag("transactionid", transactionid=self.named))
                others = sorted(self.held.keys() - {self.named})
                yield replace(wait, lock=replace(wait.lock, also_held_by=tuple(map(Party, others))))


@dataclass
class LockManager:
    """Sessions by pid, each of which waits for one lock at most."""

    locks: list[Lock]

    def ask(self, pid: int, number: int, mode: Mode) -> None:
        """Asks for a lock, unless the session waits or has that one.

        Nor does it queue to share a row: several would have their turn at once then.
        """
        lock = self.locks[number]
        is_free = not lock.queue and "exclusive" not in lock.held.values()
        if pid in self.waiting or pid in lock.held or (lock.is_row and mode == "share" and not is_free):
            return
        lock.ask(pid, mode)

    def drop(self, pid: int) -> None:
        for lock in self.locks:
            lock.drop(pid)

    def without(self, pid: int) -> LockManager:
        """What is left once a session has ended."""
        left = deepcopy(self)
        left.drop(pid)
        return left

    @property
    def waiting(self) -> set[int]:
        return {pid for lock in self.locks for pid, _ in lock.queue}

    @property
    def graph(self) -> LockGraph:
        """The graph that a poll would see."""
        return LockGraph(snapshot(tuple(one for lock in self.locks for one in lock.edges())))
