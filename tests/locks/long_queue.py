"""A queue of two thousand for one row, and a count of how much of it is gone through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from pgwatch_tests.locks.lock_queue import LockQueue, QueuePrefix
from pgwatch_tests.locks.model import LockSnapshot, Party
from tests.locks.snapshots import edge, snapshot

WAITERS = 2_000
HOLDER = 1
PIDS = range(100, 100 + WAITERS)


def long_queue(after_s: float = 0.0) -> LockSnapshot:
    """All wait for one row: the first for its holder, the others behind it as well."""
    queue = LockQueue([Party(pid) for pid in PIDS])
    bare = snapshot(tuple(edge(pid, HOLDER, wait_s=1.0 + after_s) for pid in PIDS), after_s=after_s)
    behind = [
        replace(group, kind="soft", blockers=queue.first(place))
        for place, group in enumerate(bare.groups)
        if place
    ]
    return replace(
        bare,
        groups=(*bare.groups, *behind),
        server_started=bare.sampled_at - timedelta(seconds=60.0 + after_s),
    )


@dataclass
class Steps:
    """How many members of queues were gone through; a queue's edges are a thousand times its members."""

    number: int = 0

    @property
    def are_few(self) -> bool:
        """Whether they are as many as the waiters, times a few, not as many as the edges."""
        return self.number <= 40 * WAITERS


def count_steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    """Counts them from now on, however queues are gone through."""
    steps = Steps()
    go_through = QueuePrefix.__iter__
    take = QueuePrefix.__getitem__

    def counted(self: QueuePrefix[Party]) -> Iterator[Party]:
        for member in go_through(self):
            steps.number += 1
            yield member

    def taken(self: QueuePrefix[Party], place: int | slice) -> Party | tuple[Party, ...]:
        found = take(self, place)
        steps.number += len(found) if isinstance(place, slice) else 1
        return found

    monkeypatch.setattr(QueuePrefix, "__iter__", counted)
    monkeypatch.setattr(QueuePrefix, "__getitem__", taken)
    return steps
