"""The log's waits and deadlocks joined to tests, and to what polls saw of them: each is one event.

A session's test is what it called itself while it waited: in the log itself, or in a sample of the recording
that was taken meanwhile. Where only samples before and after tell, they have to agree. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from pgwatch_tests.identity.application_name import parse
from pgwatch_tests.identity.known_tests import KnownTests
from pgwatch_tests.locks.model import LockSnapshot, Session
from pgwatch_tests.locks.waits import lock_modes
from pgwatch_tests.record.model import DeadlockEvent, DeadlockMember, RecordedSide, Root, WaitEvent
from pgwatch_tests.record.server_log.lock_messages import (
    LockMessages,
    LoggedDeadlock,
    LoggedSession,
    LoggedWait,
)
from pgwatch_tests.text.plain_text import plain

_NEAR = timedelta(seconds=2)
"""How far a sample that was taken before or after may be away."""
_SAME_WAIT = timedelta(seconds=1)
_SAME_DEADLOCK = timedelta(seconds=5)
_MOST_BLOCKERS = 4
_PREPARED = "a prepared transaction"
"""Its name isn't in the log."""

RelationNames = Callable[[int, int], str]
"""From a database's OID and a relation's, its name; empty if that isn't known."""


class Samples(Protocol):
    """A recording's samples."""

    def at(self, moment: datetime) -> LockSnapshot | None:
        """Returns the last sample at or before a moment."""

    def after(self, moment: datetime) -> datetime | None:
        """Returns the time of the next sample after a moment."""


@dataclass(frozen=True, slots=True)
class Joined:
    """All waits and deadlocks, those of the log and those that only polls saw, in the order of time."""

    waits: tuple[WaitEvent, ...]
    deadlocks: tuple[DeadlockEvent, ...]
    from_log: int
    """How many of them the log tells."""


class LogJoin:
    """Joins what the log of one server tells."""

    def __init__(
        self,
        messages: LockMessages,
        samples: Samples | None,
        *,
        server: int = 1,
        tests: KnownTests | None = None,
        relations: RelationNames = lambda _database, _relation: "",
    ) -> None:
        self._messages = messages
        self._samples = samples
        self._server = server
        self._tests = tests or KnownTests()
        self._relations = relations

    def join(self, waits: Sequence[WaitEvent], deadlocks: Sequence[DeadlockEvent]) -> Joined:
        """Returns the events of the polls, made exact by the log, and those that they missed."""
        by_pid: dict[int, list[WaitEvent]] = {}
        for wait in waits:
            if wait.server == self._server:
                by_pid.setdefault(wait.waiter.pid, []).append(wait)
        joined = {wait.number: wait for wait in waits}
        last = max(joined, default=0)
        for logged in self._messages.waits:
            same = next((one for one in by_pid.get(logged.waiter.pid, ()) if _is_same(one, logged)), None)
            if same is None:
                last += 1
                joined[last] = self._wait(last, logged)
            else:
                by_pid[logged.waiter.pid].remove(same)
                joined[same.number] = _exact(same, logged)
        rest = list(deadlocks)
        found: list[DeadlockEvent] = []
        for deadlock in self._messages.deadlocks:
            seen = next((one for one in rest if _is_same_deadlock(one, deadlock, self._server)), None)
            if seen is not None:
                rest.remove(seen)
            found.append(self._deadlock(deadlock, seen))
        return Joined(
            tuple(sorted(joined.values(), key=lambda one: (one.began, one.number))),
            tuple(sorted([*rest, *found], key=lambda one: one.at)),
            len(self._messages.waits) + len(self._messages.deadlocks),
        )

    # Waits.

    def _wait(self, number: int, logged: LoggedWait) -> WaitEvent:
        until = logged.ended or logged.began + timedelta(seconds=logged.waited_s)
        waiter = self._side(logged.waiter, logged.began, until)
        holders = [self._side(LoggedSession(pid), logged.began, until) for pid in logged.holders]
        target, object_ = self._target(logged)
        mode = lock_modes.in_words(logged.mode)
        return WaitEvent(
            number=number,
            server=self._server,
            began=logged.began,
            ended=logged.ended,
            waited_s=logged.waited_s,
            waiter=waiter,
            blockers=tuple(holders[:_MOST_BLOCKERS]),
            more_blockers=max(0, len(holders) - _MOST_BLOCKERS),
            roots=tuple(Root(one, logged.waited_s / len(holders)) for one in holders[:_MOST_BLOCKERS]),
            lock=_lock(logged.target),
            mode=mode,
            held_mode="",
            target=target,
            object=object_,
            cause="",
            explanation="",
            advice="",
            polls=0,
        )

    def _target(self, logged: LoggedWait) -> tuple[str, str]:
        """Returns the words for what is waited for, and for what waits are summed up by."""
        if logged.relation:
            return (f"row of {logged.relation}",) * 2
        oids = logged.relation_oid
        if oids is not None:
            name = self._relations(oids[1], oids[0])
            if name:
                words = logged.target.replace(f"relation {oids[0]} of database {oids[1]}", f"table {name}")
                return words, f"table {name}"
        kind = logged.target.partition(" ")[0]
        return logged.target or logged.mode, "a transaction" if kind == "transaction" else logged.target

    # Deadlocks.

    def _deadlock(self, logged: LoggedDeadlock, seen: DeadlockEvent | None) -> DeadlockEvent:
        began = logged.at - timedelta(seconds=max(logged.waited_s, 1.0))
        known = {} if seen is None else {member.side.pid: member for member in seen.members}
        members = []
        for member in logged.members:
            polled = known.get(member.session.pid)
            if polled is None:
                side = self._side(member.session, began, logged.at)
                target = member.target or member.mode
                members.append(DeadlockMember(side, target, target, lock_modes.in_words(member.mode)))
            else:
                statement = member.session.statement or polled.side.statement
                members.append(replace(polled, side=replace(polled.side, statement=statement)))
        victim = members[0].side
        steps = [
            f"{one.side.who} waited for {one.target} behind {other.side.who}"
            for one, other in zip(members, members[1:] + members[:1], strict=True)
        ]
        explanation = f"Deadlock: {'; '.join(steps)}. The server ended the transaction of {victim.who}."
        return DeadlockEvent(
            logged.at,
            self._server,
            tuple(members),
            victim.who,
            explanation if seen is None else seen.explanation,
            _ADVICE if seen is None else seen.advice,
            source="server log",
            victim_pid=victim.pid,
        )

    # Sessions.

    def _side(self, logged: LoggedSession, began: datetime, until: datetime) -> RecordedSide:
        if not logged.pid:
            return RecordedSide(0, _PREPARED, backend="prepared transaction")
        session = self._session(logged.pid, began, until)
        name = logged.name if logged.has_name else session.application_name if session else ""
        if not name:
            name = self._logged_name(logged.pid, began, until)
        identity = parse(name)
        test = ""
        if identity is not None:
            test = self._tests.full_id(identity) or (session.known_test if session else "") or identity.label
        return RecordedSide(
            pid=logged.pid,
            who=test or plain(name) or f"pid {logged.pid}",
            name=name,
            test=test,
            runner=identity.runner if identity else "",
            worker=identity.worker if identity else "",
            database=logged.database or (session.database or "" if session else ""),
            user=logged.user or (session.user or "" if session else ""),
            client=session.client if session else "",
            backend=session.backend_type if session else "",
            state=(session.state or "") if session else "",
            statement=logged.statement or (session.query if session else ""),
        )

    def _session(self, pid: int, began: datetime, until: datetime) -> Session | None:
        """Returns a session as samples show it: while it waited, else before and after if these agree."""
        if self._samples is None:
            return None
        last = self._samples.at(until)
        if last is not None and last.sampled_at >= began:
            return _session_in(last, pid)
        before = _near(last, pid, began)
        next_at = self._samples.after(until)
        after = _near(None if next_at is None else self._samples.at(next_at), pid, until)
        if before is None or after is None:
            return before or after
        is_same = before.backend_start == after.backend_start
        return before if is_same and before.application_name == after.application_name else None

    def _logged_name(self, pid: int, began: datetime, until: datetime) -> str:
        """Returns the name that the log has of a session at that time; empty if it doesn't surely tell."""
        told = self._messages.names.get(pid, ())
        names = [name for at, name in told if began <= at <= until]
        if names:
            return names[0] if len(set(names)) == 1 else ""
        before = [name for at, name in told if at < began and began - at <= _NEAR]
        after = [name for at, name in told if at > until and at - until <= _NEAR]
        near = {*before[-1:], *after[:1]}
        return near.pop() if len(near) == 1 else ""


_ADVICE = "Make the tests lock rows and tables in the same order, or give each test rows of its own."


def _session_in(snapshot: LockSnapshot, pid: int) -> Session | None:
    return next((one for one in snapshot.sessions if one.pid == pid), None)


def _near(snapshot: LockSnapshot | None, pid: int, moment: datetime) -> Session | None:
    if snapshot is None or abs(snapshot.sampled_at - moment) > _NEAR:
        return None
    return _session_in(snapshot, pid)


def _is_same(seen: WaitEvent, logged: LoggedWait) -> bool:
    """Whether polls saw this very wait: of the same session, begun at the same time."""
    until = seen.ended or seen.began + timedelta(seconds=seen.waited_s)
    logged_until = logged.began + timedelta(seconds=logged.waited_s)
    overlap = min(until, logged_until) - max(seen.began, logged.began)
    # A session has one wait at a time: before PostgreSQL 14 polls know its beginning as far as they came.
    return overlap > timedelta(0) or abs(seen.began - logged.began) <= _SAME_WAIT / 10


def _exact(seen: WaitEvent, logged: LoggedWait) -> WaitEvent:
    """A wait that polls saw, with the times of the log, as far as it tells them."""
    statement = logged.waiter.statement or seen.waiter.statement
    waiter = replace(seen.waiter, statement=statement)
    if logged.ended is None:
        # The log has only heard of it: polls know better how long it took.
        return replace(seen, began=min(seen.began, logged.began), waiter=waiter)
    scale = logged.waited_s / seen.waited_s if seen.waited_s > 0 else 1.0
    roots = tuple(replace(root, blocked_s=root.blocked_s * scale) for root in seen.roots)
    return replace(
        seen,
        began=logged.began,
        ended=logged.ended,
        waited_s=logged.waited_s,
        waiter=waiter,
        roots=roots,
    )


def _is_same_deadlock(seen: DeadlockEvent, logged: LoggedDeadlock, server: int) -> bool:
    pids = {member.session.pid for member in logged.members}
    return (
        seen.server == server
        and abs(seen.at - logged.at) <= _SAME_DEADLOCK
        and {member.side.pid for member in seen.members} == pids
    )


def _lock(target: str) -> str:
    """`transactionid`, `relation` …: the lock's type as pg_locks has it, from the log's words."""
    for words, kind in _LOCKS:
        if target.startswith(words):
            return kind
    return ""


# DescribeLockTag, src/backend/storage/lmgr/lmgr.c.
_LOCKS: Iterable[tuple[str, str]] = (
    ("relation", "relation"),
    ("extension of", "extend"),
    ("pg_database.datfrozenxid", "frozenid"),
    ("page", "page"),
    ("tuple", "tuple"),
    ("transaction", "transactionid"),
    ("virtual transaction", "virtualxid"),
    ("speculative token", "spectoken"),
    ("object", "object"),
    ("user lock", "userlock"),
    ("advisory lock", "advisory"),
)
