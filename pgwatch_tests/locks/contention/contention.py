"""Blocked time over a watch: by pair of tests, by object and mode, by cause. Pure, with no clock of its own.

A session that a poll shows waiting is credited the time since the poll before, but no more than it has
waited. That time is split evenly over its root blockers, so all three sums are the same. A wait that
began and ended between two polls isn't seen; what was seen and is gone isn't guessed at.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

from pgwatch_tests.accepted_findings import Finding
from pgwatch_tests.locks.contention.deadlocks import (
    CaughtDeadlock,
    CountedDeadlocks,
    DeadlockCatcher,
    DeadlockDeltas,
)
from pgwatch_tests.locks.contention.ranking import MOST_ROWS, BlockedTimes, Ranking
from pgwatch_tests.locks.contention.timeline import Moment, Timeline
from pgwatch_tests.locks.contention.wait_record import LockedObject, RecordedWait, locked, recorded, side
from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.findings import DEADLOCK, findings
from pgwatch_tests.locks.graph.lock_graph import LockGraph, graph_of
from pgwatch_tests.locks.model import EdgeGroup, LockSnapshot, Party, Wait, WaitKey

_MOST_FINDINGS = 2_000

K = TypeVar("K", bound=Hashable)
_IN_TOTAL = ("total",)


@dataclass(frozen=True, slots=True)
class Pair:
    """A blocker and its waiter: tests, or application names where these name no test.

    Foreign text as it is.
    """

    blocker: str
    waiter: str
    blocker_database: str = ""
    """Empty: the tested one, or not known."""
    waiter_database: str = ""


@dataclass(frozen=True, slots=True)
class LongestWait:
    """The longest of all waits, its whole length, even if it began before the watch."""

    wait_s: float
    waiter: str
    blockers: tuple[str, ...]
    object: LockedObject
    seen_at: datetime

    def began_before(self, moment: datetime) -> bool:
        """Whether some of it is from before that moment."""
        return self.seen_at - timedelta(seconds=self.wait_s) < moment


@dataclass(frozen=True, slots=True)
class Contention:
    """The sums of a watch. `blocked_s` is in session-seconds: two that wait for 3 s are 6 s."""

    since: datetime
    until: datetime
    server_version: str
    database: str
    polls: int
    watched_s: float
    unwatched_s: float
    """While polling was paused, or the server didn't answer."""
    blocked_s: float
    waits: int
    most_blocked: int
    longest: LongestWait | None
    pairs: Ranking[Pair]
    pair_waits: Mapping[Pair, RecordedWait]
    """The longest wait of each pair."""
    objects: Ranking[LockedObject]
    causes: Ranking[str]
    """Blocked time by the diagnosed cause of the root blocker."""
    timeline: tuple[Moment, ...]
    deadlocks_caught: int
    deadlocks: tuple[CaughtDeadlock, ...]
    """The last MOST_DEADLOCKS of them."""
    deadlocks_counted: CountedDeadlocks | None
    """The deadlocks that the server counted; None if not read."""
    findings: Mapping[Finding, float]
    """The findings that a gate can fail on, each with its longest wait in seconds; a deadlock's is
    endless."""
    more_findings_s: float | None
    """The longest wait of the findings beyond the number that is kept; None without any."""


@dataclass(slots=True)
class _Waiting:
    """One session that waits. Only a parallel query has several waits."""

    party: Party
    longest: EdgeGroup
    wait_s: float = 0.0
    waits: dict[Wait | None, None] = field(default_factory=dict)
    counted: list[set[Hashable]] = field(default_factory=list)
    """The sums that each of its waits has been counted in."""
    objects: dict[Hashable, LockedObject] = field(default_factory=dict)


class ContentionMeter:
    """Takes one settled snapshot after another."""

    def __init__(self) -> None:
        self._first: LockSnapshot | None = None
        self._last: LockSnapshot | None = None
        self._timeline: Timeline | None = None
        self._unseen = False
        self._polls = 0
        self._watched_s = self._unwatched_s = self._blocked_s = 0.0
        self._waits = self._most_blocked = 0
        self._longest: LongestWait | None = None
        self._pairs: BlockedTimes[Pair] = BlockedTimes()
        self._objects: BlockedTimes[LockedObject] = BlockedTimes()
        self._causes: BlockedTimes[str] = BlockedTimes()
        self._counted: dict[WaitKey, set[Hashable]] = {}
        """The sums that each present wait has been counted in."""
        self._pair_waits: dict[Hashable, tuple[Pair, RecordedWait]] = {}
        self._deadlocks = DeadlockCatcher()
        self._deltas = DeadlockDeltas()
        self._findings: dict[Finding, float] = {}
        self._more_findings_s: float | None = None

    def interrupt(self) -> None:
        """Interrupts the watch until the next snapshot: polling is paused, or has failed."""
        self._unseen = True

    def add(self, snapshot: LockSnapshot, *, polls: int = 1) -> None:
        """Adds the next snapshot. The first one begins the watch: nothing is credited for it.

        `polls`: how many polls stand behind it, that found the same waits since the snapshot before.
        """
        last_at = snapshot.sampled_at if self._last is None else self._last.sampled_at
        elapsed_s = max(0.0, (snapshot.sampled_at - last_at).total_seconds())
        if self._unseen:
            self._unwatched_s += elapsed_s
        else:
            self._watched_s += elapsed_s
        graph = graph_of(snapshot)
        waiting = _waiting(graph)
        credits_s = [min(elapsed_s, one.wait_s) for one in waiting]
        if self._timeline is None:
            self._first, self._timeline = snapshot, Timeline(snapshot.sampled_at)
        self._timeline.add(last_at, snapshot.sampled_at, credits_s, not self._unseen)
        self._deltas.add(snapshot.deadlock_counts)
        self._last, self._unseen = snapshot, False
        self._polls += polls
        self._deadlocks.look_for_victims(snapshot)
        if self._counted:
            going_on = _going_on(snapshot)
            self._counted = {key: sums for key, sums in self._counted.items() if key in going_on}
        if waiting:
            self._most_blocked = max(self._most_blocked, len(waiting))
            self._credit(graph, waiting, credits_s)

    @property
    def looks_for_victims(self) -> bool:
        """Whether the next snapshots may tell which member of a deadlock was ended."""
        return self._deadlocks.looks_for_victims

    def result(self) -> Contention | None:
        """Returns the sums so far; None before the first snapshot."""
        if self._first is None or self._last is None or self._timeline is None:
            return None
        return Contention(
            since=self._first.sampled_at,
            until=self._last.sampled_at,
            server_version=self._last.server_version,
            database=self._last.database,
            polls=self._polls,
            watched_s=self._watched_s,
            unwatched_s=self._unwatched_s,
            blocked_s=self._blocked_s,
            waits=self._waits,
            most_blocked=self._most_blocked,
            longest=self._longest,
            pairs=self._pairs.ranking(),
            pair_waits=self._longest_by_pair(),
            objects=self._objects.ranking(),
            causes=self._causes.ranking(),
            timeline=self._timeline.moments(),
            deadlocks_caught=self._deadlocks.caught,
            deadlocks=self._deadlocks.result(),
            deadlocks_counted=self._deltas.result(),
            findings=dict(self._findings),
            more_findings_s=self._more_findings_s,
        )

    def _credit(self, graph: LockGraph, waiting: list[_Waiting], credits_s: list[float]) -> None:
        accountable = responsible(graph)
        accused = {blocker for blockers in accountable.values() for blocker in blockers}
        diagnoses = {blocker: diagnose(graph, blocker) for blocker in accused}
        sides = {party: side(graph, party) for party in {*accused, *accountable}}
        ends = {party: _End.of(graph, party) for party in sides}
        for blocker, diagnosis in diagnoses.items():
            self._find(findings(graph, blocker, diagnosis.cause))
        for one, credit_s in zip(waiting, credits_s, strict=True):
            one.counted = [self._counted.setdefault((one.party, wait), set()) for wait in one.waits]
            blockers = accountable[one.party]
            self._blocked_s += credit_s
            self._waits += self._is_new(one, _IN_TOTAL)
            for blocker in blockers:
                share_s = credit_s / len(blockers)
                key, pair = _pair(ends[blocker], ends[one.party])
                self._add(self._pairs, one, key, pair, share_s)
                known = self._pair_waits.get(key)
                if known is None or one.wait_s >= known[1].wait_s:
                    wait = recorded(
                        graph,
                        one.longest,
                        blocker,
                        sides[one.party],
                        sides[blocker],
                        one.wait_s,
                        diagnoses[blocker],
                    )
                    self._pair_waits[key] = pair, wait
                cause = diagnoses[blocker].cause
                self._add(self._causes, one, cause, cause, share_s)
            for key, what in one.objects.items():
                self._add(self._objects, one, key, what, credit_s / len(one.objects))
            if self._longest is None or one.wait_s > self._longest.wait_s:
                self._longest = LongestWait(
                    one.wait_s,
                    graph.who(one.party),
                    tuple(graph.who(blocker) for blocker in blockers),
                    next(iter(one.objects.values())),
                    graph.snapshot.sampled_at,
                )
        if len(self._pair_waits) > 2 * MOST_ROWS:
            self._pair_waits = {key: one for key, one in self._pair_waits.items() if key in self._pairs}
        for cycle in graph.snapshot.deadlocks:
            self._find(findings(graph, cycle[0], DEADLOCK))
        self._deadlocks.catch(graph)

    def _find(self, durations_s: Mapping[Finding, float]) -> None:
        for finding, wait_s in durations_s.items():
            if finding in self._findings or len(self._findings) < _MOST_FINDINGS:
                self._findings[finding] = max(wait_s, self._findings.get(finding, 0.0))
            else:
                self._more_findings_s = max(wait_s, self._more_findings_s or 0.0)

    def _longest_by_pair(self) -> dict[Pair, RecordedWait]:
        by_wait = sorted(self._pair_waits.values(), key=lambda one: one[1].wait_s)
        return dict(by_wait)

    def _add(self, sums: BlockedTimes[K], one: _Waiting, key: Hashable, label: K, share_s: float) -> None:
        sums.add(key, label, share_s, self._is_new(one, key), one.wait_s)

    def _is_new(self, one: _Waiting, what: Hashable) -> bool:
        """Whether this wait wasn't counted in that sum yet; from now on it is."""
        is_new = True
        for sums in one.counted:
            is_new = is_new and what not in sums
            sums.add(what)
        return is_new


def _waiting(graph: LockGraph) -> list[_Waiting]:
    """The sessions that surely wait, sorted."""
    waiting: dict[Party, _Waiting] = {}
    # By identity: thousands in a queue share what they wait for, and to compare it takes longer.
    objects: dict[tuple[int, int, str], tuple[Hashable, LockedObject]] = {}
    for group in graph.snapshot.shown_groups:
        one = waiting.get(group.waiter)
        if one is None:
            one = waiting[group.waiter] = _Waiting(group.waiter, group)
        if (group.wait_s or 0.0) > one.wait_s:
            one.wait_s, one.longest = group.wait_s or 0.0, group
        one.waits[group.wait] = None
        same = id(group.subject), id(group.lock), graph.other_database(group.waiter)
        if same not in objects:
            objects[same] = _object_key(group), locked(graph, group)
        key, what = objects[same]
        one.objects[key] = what
    return [waiting[party] for party in sorted(waiting)]


def _going_on(snapshot: LockSnapshot) -> set[WaitKey]:
    """All waits, also those that aren't sure: after a reconnect, those seen before come back as such."""
    return {group.wait_key for group in snapshot.groups}


def responsible(graph: LockGraph) -> dict[Party, list[Party]]:
    """Returns the root blockers of each waiter; without any, the members of the deadlock that it is in."""
    accountable: dict[Party, list[Party]] = {}
    for root in graph.roots():
        for waiter in graph.blocked_by(root):
            accountable.setdefault(waiter, []).append(root)
    if len(accountable) + len(graph.roots()) == len(graph.nodes):
        return accountable
    stuck: dict[Party, list[Party]] = {}
    for cycle in graph.cycles():
        for waiter in graph.blocked_by(cycle[0]) | {cycle[0]}:
            if waiter not in accountable:
                stuck.setdefault(waiter, []).extend(member for member in cycle if member != waiter)
    return accountable | stuck


def _object_key(edge: EdgeGroup) -> Hashable:
    """A key of the object that stays the same when its name becomes known during a wait."""
    subject = edge.subject
    if subject is None or not subject.relations:
        what = edge.lock.object or edge.lock.target or edge.lock.type
        return what, edge.lock.mode, subject and subject.database
    return subject.kind == "unique_key", subject.database, subject.relations, edge.lock.mode


class _End(NamedTuple):
    """One side of a pair."""

    name: str
    database_oid: int | None
    database: str

    @classmethod
    def of(cls, graph: LockGraph, party: Party) -> _End:
        return cls(_name(graph, party), _database(graph, party), graph.other_database(party))


def _pair(blocker: _End, waiter: _End) -> tuple[Hashable, Pair]:
    """A key that stays the same when a database's name becomes known, and what it is shown as."""
    key = blocker.name, waiter.name, blocker.database_oid, waiter.database_oid
    return key, Pair(blocker.name, waiter.name, blocker.database, waiter.database)


def _database(graph: LockGraph, party: Party) -> int | None:
    one = graph.sessions.get(party) or graph.prepared.get(party)
    return one.database_oid if one else None


def _name(graph: LockGraph, party: Party) -> str:
    """The test, whichever worker runs it; the application's name where it names no test."""
    if not party.pid:
        return str(party).strip()
    session = graph.sessions.get(party)
    if session is None:
        return "unknown session"
    identity = session.identity
    if identity is not None:
        return identity.label
    return session.known_as
