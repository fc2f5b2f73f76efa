"""Events of a recording, from one snapshot after another: waits, deadlocks, tests seen. Pure, no clock.

Waits begin and end as the pytest plugin's sampler has them (`locks.watch`): by the server's clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from pgwatch_tests.identity.application_name import OWN_NAME, parse
from pgwatch_tests.identity.sql_comments import commented_test
from pgwatch_tests.leaks.model import Attribution, Confidence, LeakReport
from pgwatch_tests.locks.contention.deadlocks import CaughtDeadlock, DeadlockCatcher
from pgwatch_tests.locks.diagnosis.evidence import advice_afterwards
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import LockSnapshot, Party, Session
from pgwatch_tests.locks.watch.journal_entries import JournalEntries, side_of
from pgwatch_tests.locks.watch.wait_history import OpenWaits, SeenWait
from pgwatch_tests.locks.watch.wait_journal import JournalWait, Poll, Side
from pgwatch_tests.record.model import (
    DeadlockEvent,
    DeadlockMember,
    LeakEvent,
    RecordedSide,
    Root,
    TestSighting,
    WaitEvent,
)

_MOST_ROOTS: Final = 20
_MOST_NAMES: Final = 10_000
_NO_TEST: Final = ("", "", "")
_NEVER: Final = float("-inf")


@dataclass(frozen=True, slots=True)
class Changes:
    """The events that are new or have changed since they were taken last."""

    waits: tuple[WaitEvent, ...]
    deadlocks: tuple[tuple[int, DeadlockEvent], ...]
    """Each with the number that a later change of it has as well."""
    tests: tuple[TestSighting, ...]
    """Those seen since they were taken last, with the polls and times of that alone."""


class EventTracker:
    """Takes one settled snapshot after another, each with the number of its server."""

    def __init__(self) -> None:
        self._entries = JournalEntries(all_changes=True)
        self._open = OpenWaits()
        self._servers: dict[int, int] = {}
        """The server of each open wait."""
        self._over: list[WaitEvent] = []
        self._catcher = DeadlockCatcher()
        self._caught: dict[int, tuple[CaughtDeadlock, DeadlockEvent]] = {}
        self._changed_deadlocks: dict[int, DeadlockEvent] = {}
        self._tests: dict[tuple[int, str, str, str], _Sighting] = {}
        """Those seen since they were taken last: by server, test, runner, worker."""
        self._poll = 0
        self._names: dict[tuple[str, str], tuple[str, str, str]] = {}
        self.blocked = 0
        """The sessions that the last snapshot shows waiting."""

    def begin(self, at: datetime) -> None:
        """Notes that the first snapshot is being prepared since then, by the server's clock."""
        self._entries.begin(at.timestamp())

    def add_quiet(self, at: datetime) -> None:
        """Notes a look that found nobody waiting, by the server's clock."""
        self._entries.of_nothing(at.timestamp())

    def add(self, snapshot: LockSnapshot, server: int, *, after_gap: bool = False) -> None:
        """Takes the next snapshot; `after_gap`: nobody watched since the one before it.

        A wait that was over after a gap may have ended at any time in it: it counts as far as it was seen.
        """
        self.blocked = snapshot.blocked
        for entry in self._entries.of(snapshot, snapshot.sampled_at.timestamp()):
            match entry:
                case JournalWait():
                    self._open.see(entry)
                    self._servers.setdefault(entry.number, server)
                case Poll():
                    for seen in self._open.poll(replace(entry, over={}) if after_gap else entry):
                        self._over.append(self._event(seen))
                        del self._servers[seen.wait.number]
        self._add_deadlocks(snapshot, server)
        self._add_tests(snapshot, server)

    def take(self) -> Changes:
        """Returns what has changed since the last call; the open waits are always among it."""
        changes = Changes(
            (*self._over, *map(self._event, self._open.values())),
            tuple(self._changed_deadlocks.items()),
            tuple(
                TestSighting(
                    test,
                    runner,
                    worker,
                    server,
                    one.first_seen,
                    one.last_seen,
                    one.polls,
                    None if one.active_s == _NEVER else _moment(one.active_s),
                )
                for (server, test, runner, worker), one in self._tests.items()
            ),
        )
        self._over.clear()
        self._changed_deadlocks.clear()
        self._tests.clear()
        return changes

    def _event(self, seen: SeenWait) -> WaitEvent:
        wait = seen.wait
        shares = sorted(seen.shares.values(), key=lambda share: -share.waited_s)[:_MOST_ROOTS]
        began, waited_s = _moment(wait.began), round(seen.waited_s, 6)
        return WaitEvent(
            number=wait.number,
            server=self._servers[wait.number],
            began=began,
            ended=None if seen.is_open else began + timedelta(seconds=waited_s),
            waited_s=waited_s,
            waiter=_side(wait.waiter),
            blockers=tuple(map(_side, wait.blockers)),
            more_blockers=wait.more_blockers,
            roots=tuple(Root(_side(share.root), round(share.waited_s, 6)) for share in shares),
            lock=wait.lock,
            mode=wait.mode,
            held_mode=wait.held_mode,
            target=wait.target,
            object=wait.object,
            cause=wait.cause,
            explanation=wait.explanation,
            advice=advice_afterwards(wait.advice),
            polls=seen.polls,
        )

    def _add_deadlocks(self, snapshot: LockSnapshot, server: int) -> None:
        self._catcher.look_for_victims(snapshot)
        graph = LockGraph(snapshot) if snapshot.deadlocks else None
        if graph is not None:
            self._catcher.catch(graph)
        present = {caught.number: caught for caught in self._catcher.result()}
        for number, caught in present.items():
            before, event = self._caught.get(number, (None, None))
            if caught == before:
                continue
            if event is None:
                assert graph is not None
                event = _deadlock(caught, graph, server)
            event = _with_victim(event, caught)
            self._caught[number] = caught, event
            self._changed_deadlocks[number] = event
        for number in [number for number in self._caught if number not in present]:
            del self._caught[number]

    def _add_tests(self, snapshot: LockSnapshot, server: int) -> None:
        at, seen = snapshot.sampled_at, self._tests
        at_s = at.timestamp()
        self._poll += 1
        for session in snapshot.sessions:
            name = session.application_name, session.known_test
            test = self._names.get(name)
            if test is None:
                test = self._names[name] = _named_test(session)
            if test is _NO_TEST:
                continue
            key = server, *test
            sighting = seen.get(key)
            if sighting is None:
                sighting = seen[key] = _Sighting(at, at)
            if sighting.last_poll != self._poll:
                sighting.last_poll = self._poll
                sighting.last_seen = max(at, sighting.last_seen)
                sighting.polls += 1
            state = session.state
            if state == "idle":
                if session.state_age_s is not None:
                    sighting.active_s = max(sighting.active_s, at_s - session.state_age_s)
            elif state is not None and not session.hidden:
                sighting.active_s = max(sighting.active_s, at_s)
        if len(self._names) > _MOST_NAMES:
            self._names.clear()


@dataclass(slots=True)
class _Sighting:
    first_seen: datetime
    last_seen: datetime
    polls: int = 0
    last_poll: int = 0
    active_s: float = _NEVER
    """When it was last at work, in seconds since 1970, as far as that is visible."""


def _named_test(session: Session) -> tuple[str, str, str]:
    """The test that a session names, its runner and worker; _NO_TEST if it names none, or is ours."""
    identity = None if session.application_name == OWN_NAME else session.identity
    return _NO_TEST if identity is None else (identity.label, identity.runner, identity.worker)


def recorded_side(graph: LockGraph, party: Party) -> RecordedSide:
    """Returns a session, or a prepared transaction, as events have it."""
    return _side(side_of(graph, party))


def _side(side: Side) -> RecordedSide:
    identity = (parse(side.name) or commented_test(side.statement)) if side.pid else None
    test = side.known_test or (identity.label if identity else "")
    nameless = side.backend if side.backend not in ("", "client backend") else f"pid {side.pid}"
    name = side.name or nameless if side.pid else str(Party(0, side.name)).strip()
    return RecordedSide(
        pid=side.pid,
        who=test or name,
        name=side.name,
        test=test,
        runner=identity.runner if identity else "",
        worker=identity.worker if identity else "",
        database=side.database,
        user=side.user,
        client=side.client,
        backend=side.backend,
        state=side.state,
        statement=side.statement,
        in_transaction_since=_moment_or_none(side.in_transaction_since),
        in_state_since=_moment_or_none(side.in_state_since),
    )


def _deadlock(caught: CaughtDeadlock, graph: LockGraph, server: int) -> DeadlockEvent:
    members = tuple(
        DeadlockMember(_side(side_of(graph, one.party)), one.target, one.object.object, one.object.mode)
        for one in caught.sessions
    )
    return DeadlockEvent(
        caught.seen_at, server, members, "", caught.explanation, advice_afterwards(caught.advice)
    )


def _with_victim(event: DeadlockEvent, caught: CaughtDeadlock) -> DeadlockEvent:
    victims = [
        member.side
        for member, one in zip(event.members, caught.sessions, strict=True)
        if caught.victim and one.who == caught.victim
    ]
    return replace(event, victim=victims[0].who, victim_pid=victims[0].pid) if victims else event


def _moment(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s, UTC)


def _moment_or_none(epoch_s: float | None) -> datetime | None:
    return None if epoch_s is None else _moment(epoch_s)


def leak_events(report: LeakReport) -> Iterator[LeakEvent]:
    """Yields what a check found, per table and test, or per thing left over."""
    for table in report.tables:
        name = f"{table.schema}.{table.table}"
        known = table.attribution or (Attribution("", "unknown", table.rows),)
        for one in known:
            yield LeakEvent("rows", name, one.rows, one.test, one.confidence, one.candidates, one.detail)
    for left in report.leftovers:
        confidence: Confidence = "marker" if left.test else "unknown"
        yield LeakEvent(left.kind, left.name, 1, left.test, confidence, (), left.detail)
