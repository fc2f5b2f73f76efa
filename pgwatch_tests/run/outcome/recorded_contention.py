"""Contention of a run, as `locks --watch` tells it, from the waits and deadlocks of its recording. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pgwatch_tests.locks.contention.contention import Contention, LongestWait, Pair
from pgwatch_tests.locks.contention.deadlocks import CaughtDeadlock, DeadlockedSession
from pgwatch_tests.locks.contention.ranking import BlockedTime, Ranking
from pgwatch_tests.locks.contention.timeline import FINEST_S, MOST_MOMENTS, Moment
from pgwatch_tests.locks.contention.wait_record import LockedObject, RecordedWait, Side
from pgwatch_tests.locks.model import Party
from pgwatch_tests.record import sums
from pgwatch_tests.record.model import DeadlockEvent, RecordedServer, RecordedSide, WaitEvent
from pgwatch_tests.record.run_summary import BlockedSum


@dataclass(frozen=True, slots=True)
class Watched:
    """When and what a recording watched."""

    servers: Sequence[RecordedServer]
    since: datetime
    until: datetime
    polls: int
    watched_s: float
    unwatched_s: float


def contention(
    watched: Watched, waits: Sequence[WaitEvent], deadlocks: Sequence[DeadlockEvent]
) -> Contention:
    """Returns the sums; deadlocks that only the server counted aren't known here."""
    server = watched.servers[-1] if watched.servers else None
    database = "" if server is None else server.database
    longest = sums.largest(waits, 1)
    by_pair = sums.longest_by_pair(waits)
    pairs = sums.pairs(waits)
    timeline = _timeline(watched, waits)
    return Contention(
        since=watched.since,
        until=watched.until,
        server_version="" if server is None else server.version,
        database=database,
        polls=watched.polls,
        watched_s=watched.watched_s,
        unwatched_s=watched.unwatched_s,
        blocked_s=sum(wait.waited_s for wait in waits),
        waits=len(waits),
        most_blocked=max((moment.blocked or 0 for moment in timeline), default=0),
        longest=_longest(longest[0], database) if longest else None,
        pairs=Ranking(tuple((Pair(one.blocker, one.waiter), _blocked(one.sum)) for one in pairs)),
        pair_waits={Pair(*names): _wait(wait, root, database) for names, (wait, root) in by_pair.items()},
        objects=Ranking(
            tuple((LockedObject(one.object, one.mode), _blocked(one.sum)) for one in sums.objects(waits))
        ),
        causes=Ranking(tuple((one.cause, _blocked(one.sum)) for one in sums.causes(waits))),
        timeline=timeline,
        deadlocks_caught=len(deadlocks),
        deadlocks=tuple(_deadlock(one, database) for one in deadlocks),
        deadlocks_counted=None,
        findings={},
        more_findings_s=None,
    )


def _timeline(watched: Watched, waits: Sequence[WaitEvent]) -> tuple[Moment, ...]:
    seconds = (watched.until - watched.since).total_seconds()
    steps = min(MOST_MOMENTS, int(seconds / FINEST_S))
    if steps < 1:
        return ()
    span_s = seconds / steps
    blocked = sums.blocked_over_time(waits, watched.since, watched.until, steps)
    return tuple(
        Moment(watched.since + timedelta(seconds=place * span_s), span_s, number)
        for place, number in enumerate(blocked)
    )


def _blocked(blocked: BlockedSum) -> BlockedTime:
    return BlockedTime(blocked.blocked_s, blocked.waits, blocked.longest_s)


def _longest(wait: WaitEvent, database: str) -> LongestWait:
    names = tuple(sums.label(side) for side in wait.blockers)
    return LongestWait(wait.waited_s, sums.label(wait.waiter), names, _object(wait, database), wait.began)


def _wait(wait: WaitEvent, root: RecordedSide, database: str) -> RecordedWait:
    return RecordedWait(
        wait_s=wait.waited_s,
        seen_at=wait.began,
        waiter=_side(wait.waiter),
        blocker=_side(root),
        target=wait.target,
        object=_object(wait, database),
        cause=wait.cause,
        explanation=wait.explanation,
        advice=wait.advice,
    )


def _object(wait: WaitEvent, database: str) -> LockedObject:
    other = wait.waiter.database if wait.waiter.database != database else ""
    return LockedObject(wait.object, wait.mode, other)


def _side(side: RecordedSide) -> Side:
    return Side(side.who, side.database or None, side.user or None, side.client, side.statement)


def _deadlock(deadlock: DeadlockEvent, database: str) -> CaughtDeadlock:
    sessions = tuple(
        DeadlockedSession(
            member.side.who,
            LockedObject(
                member.object, member.mode, member.side.database if member.side.database != database else ""
            ),
            _side(member.side),
            member.target,
            Party(member.side.pid, "" if member.side.pid else member.side.name),
        )
        for member in deadlock.members
    )
    return CaughtDeadlock(deadlock.at, sessions, deadlock.explanation, deadlock.advice, deadlock.victim)
