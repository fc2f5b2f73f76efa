"""Contention of a recording from its beginning to a moment, from its recorded waits. Pure.

Blocked time here is exact to a poll: a recorded wait knows when it began. A wait that lasts at the moment
counts up to it, one that was never seen to end up to its last sight.
"""

from __future__ import annotations

from bisect import bisect_right
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import accumulate

from pgwatch_tests.locks.contention.contention import Contention, LongestWait, Pair
from pgwatch_tests.locks.contention.deadlocks import MOST_DEADLOCKS, CaughtDeadlock, DeadlockedSession
from pgwatch_tests.locks.contention.ranking import MOST_ROWS, BlockedTimes
from pgwatch_tests.locks.contention.timeline import FINEST_S, Moment
from pgwatch_tests.locks.contention.wait_record import LockedObject, RecordedWait, Side
from pgwatch_tests.locks.diagnosis.evidence import advice_afterwards
from pgwatch_tests.locks.model import Party
from pgwatch_tests.locks.waits import lock_modes
from pgwatch_tests.record.model import DeadlockEvent, RecordedSide, Root, WaitEvent
from pgwatch_tests.record.replay.events import ReplayEvents
from pgwatch_tests.record.sums import label

_CHECKPOINTS = 32
"""Sums are kept at so many moments: a seek adds up only what ended since the last one before it."""
_FEWEST_BETWEEN = 256
_MOMENTS = 512


@dataclass(slots=True)
class _Sums:
    """The sums of waits; each is credited its seconds up to a moment."""

    blocked_s: float = 0.0
    waits: int = 0
    longest: tuple[float, WaitEvent] | None = None
    pairs: BlockedTimes[Pair] = field(default_factory=BlockedTimes)
    objects: BlockedTimes[LockedObject] = field(default_factory=BlockedTimes)
    causes: BlockedTimes[str] = field(default_factory=BlockedTimes)
    pair_waits: dict[Pair, tuple[float, WaitEvent, Root]] = field(default_factory=dict)

    def add(self, wait: WaitEvent, wait_s: float, tested: str) -> None:
        """Adds a wait that has lasted `wait_s`; its roots keep their shares of it."""
        self.blocked_s += wait_s
        self.waits += 1
        if self.longest is None or wait_s > self.longest[0]:
            self.longest = wait_s, wait
        locked = _locked(wait, tested)
        self.objects.add(locked, locked, wait_s, 1, wait_s)
        self.causes.add(wait.cause, wait.cause, wait_s, 1, wait_s)
        share = wait_s / wait.waited_s if wait.waited_s > 0 else 0.0
        for root in wait.roots:
            pair = _pair(root.side, wait.waiter, tested)
            self.pairs.add(pair, pair, root.blocked_s * share, 1, wait_s)
            known = self.pair_waits.get(pair)
            if known is None or wait_s >= known[0]:
                self.pair_waits[pair] = wait_s, wait, root
        if len(self.pair_waits) > 2 * MOST_ROWS:
            self.pair_waits = {pair: one for pair, one in self.pair_waits.items() if pair in self.pairs}

    def copied(self) -> _Sums:
        """Returns sums of their own that start from these."""
        return replace(
            self,
            pairs=copy(self.pairs),
            objects=copy(self.objects),
            causes=copy(self.causes),
            pair_waits=dict(self.pair_waits),
        )


class RecordedContention:
    """The contention of a recording up to any moment. `tested` is the recorded database."""

    def __init__(self, events: ReplayEvents, server_version: str, tested: str) -> None:
        self._events = events
        self._version = server_version
        self._tested = tested
        self._by_end = sorted(events.waits, key=events.end_of)
        self._ends = [events.end_of(wait) for wait in self._by_end]
        # A wait that ends as another one begins doesn't overlap it.
        changes = sorted([(end, -1) for end in self._ends] + [(wait.began, 1) for wait in events.waits])
        self._change_times = [moment for moment, _ in changes]
        self._peaks = list(accumulate(accumulate(step for _, step in changes), max))
        self._checkpoints = [_Sums()]
        self._between = max(_FEWEST_BETWEEN, len(self._by_end) // _CHECKPOINTS)
        sums = _Sums()
        for place, wait in enumerate(self._by_end, 1):
            sums.add(wait, wait.waited_s, tested)
            if place % self._between == 0:
                self._checkpoints.append(sums.copied())

    def until(self, moment: datetime, polls: int) -> Contention:
        """Returns the sums from the recording's beginning to `moment`, which `polls` polls saw."""
        events = self._events
        sums = self._ended_until(moment)
        for wait in events.waits_at(moment):
            waited_s = min(wait.waited_s, (moment - wait.began).total_seconds())
            sums.add(wait, max(0.0, waited_s), self._tested)
        caught = [one for one in events.deadlocks if one.at <= moment]
        changes = bisect_right(self._change_times, moment)
        elapsed_s = max(0.0, (moment - events.began).total_seconds())
        unwatched_s = sum(
            (min(gap.until, moment) - gap.since).total_seconds() for gap in events.gaps if gap.since < moment
        )
        pair_waits = sorted(sums.pair_waits.items(), key=lambda one: one[1][0])
        return Contention(
            since=events.began,
            until=moment,
            server_version=self._version,
            database=self._tested,
            polls=polls,
            watched_s=elapsed_s - unwatched_s,
            unwatched_s=unwatched_s,
            blocked_s=sums.blocked_s,
            waits=sums.waits,
            most_blocked=self._peaks[changes - 1] if changes else 0,
            longest=sums.longest and self._longest(*sums.longest, moment),
            pairs=sums.pairs.ranking(),
            pair_waits={pair: self._pair_wait(*one, moment) for pair, one in pair_waits},
            objects=sums.objects.ranking(),
            causes=sums.causes.ranking(),
            timeline=self._timeline(moment, elapsed_s),
            deadlocks_caught=len(caught),
            deadlocks=tuple(self._deadlock(one) for one in caught[-MOST_DEADLOCKS:]),
            deadlocks_counted=None,
            findings={},
            more_findings_s=None,
        )

    def _ended_until(self, moment: datetime) -> _Sums:
        ended = bisect_right(self._ends, moment)
        checkpoint = ended // self._between
        sums = self._checkpoints[checkpoint].copied()
        for wait in self._by_end[checkpoint * self._between : ended]:
            sums.add(wait, wait.waited_s, self._tested)
        return sums

    def _timeline(self, moment: datetime, elapsed_s: float) -> tuple[Moment, ...]:
        steps = max(1, min(_MOMENTS, int(elapsed_s / FINEST_S)))
        span_s = elapsed_s / steps
        return tuple(
            Moment(self._events.began + timedelta(seconds=step * span_s), span_s, blocked)
            for step, blocked in enumerate(self._events.blocked_over_time(moment, steps))
        )

    def _longest(self, wait_s: float, wait: WaitEvent, moment: datetime) -> LongestWait:
        blockers = tuple(label(side) for side in wait.blockers)
        seen_at = min(moment, self._events.end_of(wait))
        return LongestWait(wait_s, label(wait.waiter), blockers, _locked(wait, self._tested), seen_at)

    def _pair_wait(self, wait_s: float, wait: WaitEvent, root: Root, moment: datetime) -> RecordedWait:
        return RecordedWait(
            wait_s,
            min(moment, self._events.end_of(wait)),
            _side(wait.waiter),
            _side(root.side),
            wait.target or wait.lock,
            _locked(wait, self._tested),
            wait.cause,
            wait.explanation,
            advice_afterwards(wait.advice),
            _direct(wait, root),
        )

    def _deadlock(self, one: DeadlockEvent) -> CaughtDeadlock:
        members = tuple(
            DeadlockedSession(
                member.side.who,
                LockedObject(member.object or member.target, _mode(member.mode)),
                _side(member.side),
                member.target,
                Party(member.side.pid, "" if member.side.pid else member.side.name),
            )
            for member in one.members
        )
        return CaughtDeadlock(one.at, members, one.explanation, advice_afterwards(one.advice), one.victim)


def _direct(wait: WaitEvent, root: Root) -> str:
    """Whom it waited for itself, where that isn't the root: a holder of the lock before who was ahead.

    Empty where it had several roots: which of them that one was behind isn't recorded.
    """
    blockers = {(one.pid, one.name): one for one in wait.blockers}
    if len(wait.roots) > 1 or not blockers or (root.side.pid, root.side.name) in blockers:
        return ""
    return _side(wait.blockers[0]).who


def _locked(wait: WaitEvent, tested: str) -> LockedObject:
    database = _other(wait.waiter.database, tested) if wait.lock != "database" else ""
    return LockedObject(wait.object or wait.target or wait.lock, _mode(wait.mode), database)


def _pair(blocker: RecordedSide, waiter: RecordedSide, tested: str) -> Pair:
    return Pair(
        label(blocker), label(waiter), _other(blocker.database, tested), _other(waiter.database, tested)
    )


def _other(database: str, tested: str) -> str:
    return "" if database == tested else database


def _mode(mode: str) -> str:
    return lock_modes.in_words(mode) if mode.endswith("Lock") else mode


def _side(one: RecordedSide) -> Side:
    return Side(one.who, one.database or None, one.user or None, one.client, one.statement)
