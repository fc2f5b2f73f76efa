"""Waiters: those that a question was about, followed from poll to poll until each can continue. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import Party


@dataclass(frozen=True, slots=True)
class Waiters:
    """The sessions that waited behind a root blocker, each with its start: a later one may have its pid."""

    sessions: frozenset[tuple[Party, datetime | None]]

    @classmethod
    def behind(cls, graph: LockGraph, root: Party) -> Waiters:
        """Those behind `root` in `graph`, directly or through others."""
        return cls(frozenset((one, _started(graph, one)) for one in graph.blocked_by(root)))

    def still(self, graph: LockGraph) -> frozenset[Party]:
        """Those that wait in `graph`, for whomever."""
        return frozenset(
            one for one, started in self.sessions if one in graph.groups and _started(graph, one) == started
        )

    def has_freed(self, graph: LockGraph, party: Party) -> bool:
        """Whether `party` was one of them, and waits no more."""
        return (party, _started(graph, party)) in self.sessions and party not in graph.groups

    def is_settled(self, graph: LockGraph) -> bool:
        """Whether `graph` tells of each if it waits: a wait that was seen once may be none."""
        known = {one for one, _ in self.sessions}
        return all(group.confirmed for group in graph.snapshot.groups if group.waiter in known)

    def blocker(self, graph: LockGraph) -> Party | None:
        """The root blocker of most of those that still wait; None if they are free, or deadlocked."""
        still = self.still(graph)
        behind = {root: len(still & graph.blocked_by(root)) for root in graph.root_blockers}
        return max(behind, key=lambda root: behind[root]) if any(behind.values()) else None


def _started(graph: LockGraph, party: Party) -> datetime | None:
    session = graph.sessions.get(party)
    return None if session is None else session.backend_start
