"""Waits and deadlocks that several recorders of one server saw: each counts once. Pure.

What one recorder tells apart stays apart: only observations of different recorders are the same event.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, TypeVar

from pgwatch_tests.record.model import DeadlockEvent, DeadlockMember, RecordedSide, WaitEvent

EXACT_S = 0.1
"""Two recorders differ by less on when a wait began, where the server tells it (from PostgreSQL 14)."""
POLL_S = 1.0
"""By less than the slowest poll where it doesn't."""
DEADLOCK_S = 5.0
"""A server's log tells a deadlock after `deadlock_timeout`, 1 s by default; polls see it before that."""
_WAITSTART_SINCE = 14

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Observed(Generic[E]):
    """An event as one recorder saw it."""

    recorder: Hashable
    start: Hashable
    """The server from one of its starts to the next: pids are unique in it at any time."""
    event: E


def waits(observed: Iterable[Observed[WaitEvent]], server_version: str) -> list[WaitEvent]:
    """Each wait once: by its process, its lock, and when it began. In order of their beginnings.

    A process waits for one lock at a time, so what began at the same moment is the same wait. Of several
    observations, the longest stays: it has seen most of the wait.
    """
    within_s = EXACT_S if _major(server_version) >= _WAITSTART_SINCE else POLL_S
    by_process: defaultdict[Hashable, list[Observed[WaitEvent]]] = defaultdict(list)
    for one in observed:
        wait = one.event
        by_process[one.start, wait.waiter.pid, wait.lock, wait.mode].append(one)
    found = [
        _longest([one.event for one in group])
        for process in by_process.values()
        for group in _groups(process, lambda wait: wait.began, within_s, lambda *_: True)
    ]
    return sorted(found, key=lambda wait: (wait.began, wait.waiter.pid, wait.lock, wait.mode))


def deadlocks(observed: Iterable[Observed[DeadlockEvent]]) -> list[DeadlockEvent]:
    """Each deadlock once: two members in common, a few seconds apart at most. In order of time.

    What the server's log says of it is exact; polls know tests and advice. A recorder may have both.
    """
    by_start: defaultdict[Hashable, list[Observed[DeadlockEvent]]] = defaultdict(list)
    for one in observed:
        seen_by = one.recorder, one.event.source
        by_start[one.start].append(Observed(seen_by, one.start, one.event))
    found = [
        _put_together([one.event for one in group])
        for started in by_start.values()
        for group in _groups(started, lambda one: one.at, DEADLOCK_S, _share_members)
    ]
    return sorted(found, key=lambda one: (one.at, sorted(_pids(one))))


def _groups(
    observed: Sequence[Observed[E]],
    moment: Callable[[E], datetime],
    within_s: float,
    same: Callable[[E, E], bool],
) -> list[list[Observed[E]]]:
    """Observations by event, nearest in time first; none has two of one recorder."""
    ordered = sorted(observed, key=lambda one: (moment(one.event), str(one.recorder)))
    group_of = [[place] for place in range(len(ordered))]
    near: list[tuple[float, int, int]] = []
    for first, one in enumerate(ordered):
        for second in range(first + 1, len(ordered)):
            other = ordered[second]
            apart_s = (moment(other.event) - moment(one.event)).total_seconds()
            if apart_s > within_s:
                break
            if same(one.event, other.event):
                near.append((apart_s, first, second))
    for _, first, second in sorted(near):
        group, more = group_of[first], group_of[second]
        if not {ordered[place].recorder for place in group} & {ordered[place].recorder for place in more}:
            group += more
            for place in more:
                group_of[place] = group
    return [
        [ordered[place] for place in group] for group in {id(group): group for group in group_of}.values()
    ]


def _longest(seen: Sequence[WaitEvent]) -> WaitEvent:
    kept = max(seen, key=lambda wait: (wait.waited_s, wait.ended is not None, wait.target))
    if len(seen) == 1:
        return kept
    ends = [wait.ended for wait in seen if wait.ended is not None]
    return replace(
        kept,
        began=min(wait.began for wait in seen),
        ended=kept.ended or max(ends, default=None),
        polls=sum(wait.polls for wait in seen),
    )


def _share_members(one: DeadlockEvent, other: DeadlockEvent) -> bool:
    return len(_pids(one) & _pids(other)) > 1


def _pids(deadlock: DeadlockEvent) -> set[int]:
    return {member.side.pid for member in deadlock.members}


def _put_together(seen: Sequence[DeadlockEvent]) -> DeadlockEvent:
    kept = max(seen, key=lambda one: (one.source == "server log", _statements(one)))
    others = [one for one in seen if one is not kept]
    known = {member.side.pid: member for one in others for member in one.members}
    return replace(
        kept,
        members=tuple(_filled_in(member, known.get(member.side.pid)) for member in kept.members),
        victim=kept.victim or next((one.victim for one in others if one.victim), ""),
        explanation=kept.explanation or next((one.explanation for one in others if one.explanation), ""),
        advice=kept.advice or next((one.advice for one in others if one.advice), ""),
    )


def _statements(deadlock: DeadlockEvent) -> int:
    return sum(bool(member.side.statement) for member in deadlock.members)


def _filled_in(member: DeadlockMember, other: DeadlockMember | None) -> DeadlockMember:
    """The member, with what only the other observation of it knows."""
    if other is None:
        return member
    side = member.side
    named = side if side.test or not other.side.test else _named_as(side, other.side)
    return replace(
        member,
        side=replace(named, statement=side.statement or other.side.statement),
        target=member.target or other.target,
        object=member.object or other.object,
        mode=member.mode or other.mode,
    )


def _named_as(side: RecordedSide, other: RecordedSide) -> RecordedSide:
    return replace(
        side, who=other.who, name=other.name, test=other.test, runner=other.runner, worker=other.worker
    )


def _major(version: str) -> int:
    digits = version.split(".")[0].split(" ")[0]
    return int(digits) if digits.isdecimal() else 0
