"""Deadlocks of a watch: those that its polls caught, their victims, and those the server counted. Pure.

The server names a victim only in its log, and to the client. Here later polls prove which member it was: it
waited in the cycle, and is in an aborted transaction with that very statement. Or its transaction alone is
over, while all others wait on, or are in the same transaction with the statement done: these still have the
locks that it waited for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from pgwatch_tests.locks.contention.wait_record import LockedObject, Side, locked, side
from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import (
    SAME_MOMENT_S,
    DeadlockCount,
    DeadlockCounts,
    LockSnapshot,
    Party,
    Session,
    Wait,
    WaitKey,
)

MOST_DEADLOCKS = 100
"""The number of deadlocks that are described; all are counted."""
_DEADLOCKS_REMEMBERED = 1000
# Once it is over, sessions soon do other things, which tell nothing of it.
_POLLS_FOR_VICTIM = 40
_MOST_DATABASES = 300

_Fate = Literal["failed", "over", "survived", "unknown"]
_Cycle = frozenset[WaitKey]


@dataclass(frozen=True, slots=True)
class DeadlockedSession:
    """One member of a deadlock, waiting for the next member."""

    who: str
    object: LockedObject
    side: Side
    target: str
    party: Party


@dataclass(frozen=True, slots=True)
class CaughtDeadlock:
    """A deadlock that two polls saw."""

    seen_at: datetime
    sessions: tuple[DeadlockedSession, ...]
    explanation: str
    advice: str
    victim: str = ""
    """The victim among them; empty if not known."""
    number: int = 0
    """The number among all that were caught, from 1."""


@dataclass(frozen=True, slots=True)
class _Member:
    """A session of a cycle, as it was when that was seen. Times in seconds since the epoch."""

    party: Party
    wait: Wait | None
    who: str
    backend_start: datetime | None
    transaction_s: float | None
    statement_s: float | None
    statement: str


@dataclass(slots=True)
class _Open:
    """A deadlock whose victim isn't known yet."""

    members: tuple[_Member, ...]
    polls_left: int = _POLLS_FOR_VICTIM


class DeadlockCatcher:
    """Takes one settled snapshot after another."""

    def __init__(self) -> None:
        self.caught = 0
        self._remembered: dict[_Cycle, None] = {}
        self._described: dict[_Cycle, CaughtDeadlock] = {}
        self._open: dict[_Cycle, _Open] = {}

    def look_for_victims(self, snapshot: LockSnapshot) -> None:
        """Looks in the next snapshot for the victims of earlier deadlocks."""
        for cycle, its in list(self._open.items()):
            member = _victim(its.members, snapshot)
            its.polls_left -= 1
            if member is not None:
                self._described[cycle] = replace(self._described[cycle], victim=member.who)
            if member is not None or not its.polls_left:
                del self._open[cycle]

    @property
    def looks_for_victims(self) -> bool:
        """Whether there is a deadlock of which the next snapshots may tell the victim."""
        return bool(self._open)

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
            diagnosis = diagnose(graph, parties[0])
            members = tuple(
                DeadlockedSession(
                    graph.who(edge.waiter),
                    locked(graph, edge),
                    side(graph, edge.waiter),
                    edge.lock.target or edge.lock.type,
                    edge.waiter,
                )
                for edge in links
            )
            self._described[cycle] = CaughtDeadlock(
                graph.snapshot.sampled_at,
                members,
                diagnosis.explanation,
                diagnosis.advice,
                number=self.caught,
            )
            self._open[cycle] = _Open(tuple(_member(graph, edge.waiter, edge.wait) for edge in links))
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


def _member(graph: LockGraph, party: Party, wait: Wait | None) -> _Member:
    """A member of a cycle in the graph."""
    session = graph.sessions.get(party)
    who = graph.who(party)
    if session is None:
        return _Member(party, wait, who, None, None, None, "")
    began_s = graph.snapshot.began_s
    return _Member(
        party,
        wait,
        who,
        session.backend_start,
        began_s(session.xact_age_s),
        began_s(session.query_age_s),
        session.query,
    )


def _victim(members: Sequence[_Member], now: LockSnapshot) -> _Member | None:
    """The member that was ended, by a later snapshot; None if that can't be told from it."""
    sessions = {Party(session.pid): session for session in now.sessions}
    waits = {group.wait_key for group in now.groups}
    fates = [_fate(one, now, sessions.get(one.party), (one.party, one.wait) in waits) for one in members]
    failed = _those(members, fates, "failed")
    if failed:
        return failed[0] if len(failed) == 1 else None
    over = _those(members, fates, "over")
    if len(over) == 1 and fates.count("survived") == len(members) - 1:
        return over[0]
    return None


def _those(members: Iterable[_Member], fates: Iterable[_Fate], fate: _Fate) -> list[_Member]:
    return [one for one, its_fate in zip(members, fates, strict=True) if its_fate == fate]


def _fate(one: _Member, now: LockSnapshot, session: Session | None, waits: bool) -> _Fate:
    if waits:
        return "survived"
    if one.backend_start is None or one.transaction_s is None or one.statement_s is None:
        return "unknown"
    if session is None or session.backend_start != one.backend_start:
        return "over"
    if session.hidden:
        return "unknown"
    transaction_s, statement_s = now.began_s(session.xact_age_s), now.began_s(session.query_age_s)
    if transaction_s is None or abs(transaction_s - one.transaction_s) > SAME_MOMENT_S:
        return "over"
    is_another = statement_s is None or abs(statement_s - one.statement_s) > SAME_MOMENT_S
    if is_another or session.query != one.statement:
        # It may have been ended, have gone back to a savepoint, and be at work again.
        return "unknown"
    if session.state == "idle in transaction (aborted)":
        return "failed"
    # While it runs, it may just be rolling back.
    return "survived" if session.state == "idle in transaction" else "unknown"


@dataclass(frozen=True, slots=True)
class CountedDeadlocks:
    """The growth of the server's counters, and when they were read last. `by_database`: those above 0."""

    total: int
    read_at: datetime
    by_database: tuple[tuple[str, int], ...]


class DeadlockDeltas:
    """Adds up the growth. A database seen for the first time, or reset, begins anew and adds nothing."""

    def __init__(self) -> None:
        self._last: DeadlockCounts | None = None
        self._readings = 0
        self._known = False
        self._total = 0
        self._by_database: dict[int, tuple[str, int]] = {}

    def add(self, counts: DeadlockCounts | None) -> None:
        """Takes a reading, the same one any number of times; None where the counters couldn't be read."""
        self._known = counts is not None
        if counts is None or (self._last is not None and counts.read_at <= self._last.read_at):
            return
        before = {} if self._last is None else {one.database_oid: one for one in self._last.databases}
        for one in counts.databases:
            grown = _growth(before.get(one.database_oid), one)
            if grown:
                name, so_far = self._by_database.pop(one.database_oid, ("", 0))
                self._by_database[one.database_oid] = (
                    one.database or name or f"database {one.database_oid}",
                    so_far + grown,
                )
                self._total += grown
        for oid in list(self._by_database)[:-_MOST_DATABASES]:
            del self._by_database[oid]
        self._last = counts
        self._readings += 1

    def result(self) -> CountedDeadlocks | None:
        """The growth from the first reading to the last; None if there weren't two, or the last failed."""
        if self._last is None or self._readings < 2 or not self._known:
            return None
        counts = sorted(self._by_database.values(), key=lambda one: (-one[1], one[0]))
        return CountedDeadlocks(self._total, self._last.read_at, tuple(counts))


def _growth(before: DeadlockCount | None, now: DeadlockCount) -> int:
    if before is None or before.reset_at != now.reset_at:
        return 0
    return max(0, now.deadlocks - before.deadlocks)
