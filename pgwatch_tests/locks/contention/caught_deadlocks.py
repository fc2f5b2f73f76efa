"""The deadlocks that a watch's polls caught, each once. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from pgwatch_tests.locks.contention.deadlock_victim import Member, member, victim
from pgwatch_tests.locks.contention.wait_record import LockedObject, Side, locked, side
from pgwatch_tests.locks.diagnosis.diagnosis import diagnose
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import LockSnapshot, Party, Wait

MOST_DEADLOCKS = 100
"""How many are described; all are counted."""
_DEADLOCKS_REMEMBERED = 1000
# From when it is over, sessions soon do other things, which tell nothing of it.
_POLLS_FOR_VICTIM = 40

_Cycle = frozenset[tuple[Party, Wait | None]]


@dataclass(frozen=True, slots=True)
class DeadlockedSession:
    """One member of a deadlock, waiting for the next member."""

    who: str
    object: LockedObject
    side: Side
    target: str


@dataclass(frozen=True, slots=True)
class CaughtDeadlock:
    """A deadlock that two polls saw."""

    seen_at: datetime
    sessions: tuple[DeadlockedSession, ...]
    explanation: str
    advice: str
    victim: str = ""
    """Who of them was ended for it; empty: not known."""


@dataclass(slots=True)
class _Open:
    """A deadlock whose victim isn't known yet."""

    members: tuple[Member, ...]
    polls_left: int = _POLLS_FOR_VICTIM


class DeadlockCatcher:
    """Takes one settled snapshot after another."""

    def __init__(self) -> None:
        self.caught = 0
        self._remembered: dict[_Cycle, None] = {}
        self._described: dict[_Cycle, CaughtDeadlock] = {}
        self._open: dict[_Cycle, _Open] = {}

    def look_for_victims(self, snapshot: LockSnapshot) -> None:
        """Takes from the next snapshot how the deadlocks before it went on."""
        for cycle, its in list(self._open.items()):
            found = victim(its.members, snapshot)
            its.polls_left -= 1
            if found is not None:
                self._described[cycle] = replace(self._described[cycle], victim=found.who)
            if found is not None or not its.polls_left:
                del self._open[cycle]

    def catch(self, graph: LockGraph) -> None:
        """Takes the deadlocks of a snapshot."""
        for parties in graph.snapshot.deadlocks:
            self._catch(graph, parties)

    def result(self) -> tuple[CaughtDeadlock, ...]:
        """The last MOST_DEADLOCKS of them."""
        return tuple(self._described.values())

    def _catch(self, graph: LockGraph, parties: tuple[Party, ...]) -> None:
        steps = zip(parties, parties[1:] + parties[:1], strict=True)
        links = [edge for edge in (graph.edge(waiter, blocker) for waiter, blocker in steps) if edge]
        cycle = frozenset((edge.waiter, edge.wait) for edge in links)
        if cycle not in self._remembered:
            self.caught += 1
            found = diagnose(graph, parties[0])
            members = tuple(
                DeadlockedSession(
                    graph.who(edge.waiter),
                    locked(graph, edge),
                    side(graph, edge.waiter),
                    edge.lock.target or edge.lock.type,
                )
                for edge in links
            )
            self._described[cycle] = CaughtDeadlock(
                graph.snapshot.sampled_at, members, found.explanation, found.advice
            )
            self._open[cycle] = _Open(tuple(member(graph, edge.waiter, edge.wait) for edge in links))
            if len(self._described) > MOST_DEADLOCKS:
                first = next(iter(self._described))
                del self._described[first]
                self._open.pop(first, None)
        elif cycle in self._open:
            self._open[cycle].polls_left = _POLLS_FOR_VICTIM
        # Put last again while it lives: those that are over are forgotten first.
        self._remembered.pop(cycle, None)
        self._remembered[cycle] = None
        if len(self._remembered) > _DEADLOCKS_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
