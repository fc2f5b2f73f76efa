"""Journal entries of polls: which waits are new, changed or gone since the poll before. Pure.

A wait's statement and state change often where its blocker is at work: these are written again once a second
at most, and of the first few waits only.

A wait counts from its true beginning, which the server tells (pg_locks.waitstart, since 14; before, the
statement's beginning, if that came after the last look had begun, or the watch itself). It ended by the
moment when its session, by the next poll, had gone on: ended its statement, begun another one, waited for
something else. A poll on a busy machine takes a while, in which a session may go on that it shows waiting.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import chain, islice

from pgwatch_tests.locks.contention.contention import responsible
from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import SAME_MOMENT_S, EdgeGroup, LockSnapshot, Party, WaitKey
from pgwatch_tests.locks.waits import lock_modes
from pgwatch_tests.locks.watch.wait_journal import Deadlock, Entry, JournalWait, Poll, Side

_MOST_BLOCKERS = 4
_MOST_ROOTS = 3
_MOST_REWRITTEN = 20
_REWRITE_AFTER_S = 1.0
_STATEMENT_CHARACTERS = 1_000
_LONGEST_UNSEEN_S = 1.0
"""A wait that is gone is counted up to the poll that missed it only if that came as soon as this."""
_ONE_STATEMENT_S = 0.05
"""How long one poll takes at least: it reads the lock table first, then the sessions, then the time."""
_LOOKS_COMPARED = 64


@dataclass(slots=True)
class _Known:
    """A wait that is in the journal. Its beginning and its last sight are times of the server's clock."""

    written: JournalWait
    at: float
    began: float
    seen_at: float
    looked_at: float
    """When the poll began that saw it last."""


class JournalEntries:
    """Takes one settled snapshot after another, and gives what the journal gets of it.

    With `all_changes` it gives each present wait at each poll: for who keeps the last one in memory.
    """

    def __init__(self, *, all_changes: bool = False) -> None:
        self._all_changes = all_changes
        self._known: dict[WaitKey, _Known] = {}
        self._began: dict[WaitKey, float] = {}
        """When each wait of the last poll began, sure or not, by the server's clock."""
        self._looked_at = float("inf")
        """When the last look began, by this machine's clock."""
        self._delays_s: deque[float] = deque(maxlen=_LOOKS_COMPARED)
        self._deadlocks: dict[frozenset[int], None] = {}
        self._last_number = 0

    def begin(self, here: float) -> None:
        """Notes that the first look is being prepared since `here`, by this machine's clock.

        A program that watches a suite from its beginning may need a second to load and connect.
        """
        self._looked_at = here

    def of_nothing(self, here: float) -> Poll:
        """Returns the entry of a look at `here`, by this machine's clock, that found that nobody waits."""
        self._looked_at = here
        return Poll(here, {})

    def of(self, snapshot: LockSnapshot, here: float) -> Iterator[Entry]:
        """Yields the entries of a poll that this machine had by `here`, by its own clock."""
        sampled_at = snapshot.sampled_at.timestamp()
        # What is between the two clocks is what was least between a poll and its arrival.
        self._delays_s.append(here - sampled_at)
        ahead_s = min(self._delays_s)
        here = sampled_at + ahead_s
        graph = LockGraph(snapshot)
        self._began = {group.wait_key: self._beginning(graph, group, ahead_s) for group in snapshot.groups}
        self._looked_at = here - snapshot.spent_s
        looked_at = sampled_at - max(snapshot.spent_s, _ONE_STATEMENT_S)
        waits = _by_wait(snapshot.shown_groups)
        roots = responsible(graph) if waits else {}
        diagnoses = {root: diagnose(graph, root) for root in {one for some in roots.values() for one in some}}
        # After a reconnect, those that are known come back as not sure.
        present = {
            key: known for key, known in self._known.items() if key in self._began and key not in waits
        }
        rewritten = 0
        # Once for each: thousands in a queue have the same roots.
        side = cache(partial(side_of, graph, ahead_s=ahead_s))
        for key, groups in waits.items():
            waiter, first = groups[0].waiter, groups[0]
            known = self._known.get(key)
            # Each once: those whom one wait is for are either holders or queued ahead.
            blockers = list(islice(chain.from_iterable(one.blockers for one in groups), _MOST_BLOCKERS))
            behind = roots.get(waiter, [])
            diagnosis = diagnoses[behind[0]] if behind else None
            if known is None:
                self._last_number += 1
            began = self._began[key]
            wait = JournalWait(
                number=self._last_number if known is None else known.written.number,
                waiter=side(waiter),
                blockers=tuple(map(side, blockers)),
                more_blockers=sum(len(one.blockers) for one in groups) - len(blockers),
                roots=tuple(map(side, behind[:_MOST_ROOTS])),
                lock=first.lock.type,
                mode=lock_modes.in_words(first.lock.mode) if first.lock.mode else "",
                held_mode=lock_modes.in_words(first.lock.held_mode) if first.lock.held_mode else "",
                target=first.lock.target or first.lock.type,
                object=first.lock.object or first.lock.target or first.lock.type,
                cause=diagnosis.cause if diagnosis else "",
                advice=diagnosis.advice if diagnosis else "",
                began=round(began + ahead_s if known is None else known.written.began, 6),
                explanation=diagnosis.explanation if diagnosis else "",
            )
            if known is None or self._all_changes or self._is_worth_a_line(known, wait, here, rewritten):
                rewritten += known is not None
                known = _Known(wait, here, began, sampled_at, looked_at)
                yield wait
            present[key] = known
        over = {
            known.written.number: max(0.0, self._end(graph, key, known) - known.began)
            for key, known in self._known.items()
            if key not in present
        }
        self._known = present
        for cycle in snapshot.deadlocks:
            members = [known.written.number for key, known in present.items() if key[0] in cycle]
            if members and frozenset(members) not in self._deadlocks:
                self._deadlocks[frozenset(members)] = None
                yield Deadlock(here, tuple(members), diagnose(graph, cycle[0]).advice)
        for key, known in present.items():
            known.began, known.seen_at, known.looked_at = self._began[key], sampled_at, looked_at
        lasted = {known.written.number: max(0.0, sampled_at - known.began) for known in present.values()}
        yield Poll(here, lasted, over)

    def _beginning(self, graph: LockGraph, group: EdgeGroup, ahead_s: float) -> float:
        """When a wait began, by the server's clock."""
        snapshot = graph.snapshot
        sampled_at = snapshot.sampled_at.timestamp()
        known = self._began.get(group.wait_key)
        if known is not None and group.wait is not None:
            return known
        if group.wait is None:
            return sampled_at - (group.wait_s or 0.0)
        if group.wait.started is not None:
            return group.wait.started.timestamp()
        session = graph.sessions.get(group.waiter)
        statement_began = snapshot.began_s(session.query_age_s) if session else None
        if statement_began is not None and statement_began + ahead_s > self._looked_at:
            return statement_began
        return sampled_at

    def _end(self, graph: LockGraph, key: WaitKey, known: _Known) -> float:
        """The first moment, by the server's clock, by which a wait that is gone was surely over."""
        snapshot, waiter = graph.snapshot, key[0]
        went_on = [self._began[group.wait_key] for group in snapshot.groups if group.waiter == waiter]
        session = graph.sessions.get(waiter)
        if session is not None:
            ages_s = session.state_age_s, session.query_age_s, session.xact_age_s
            went_on += [began for began in map(snapshot.began_s, ages_s) if began is not None]
        # Its own statement began before it, or with it.
        since = max(known.looked_at, known.began + SAME_MOMENT_S)
        after = [began for began in went_on if began > since]
        if after:
            return max(known.seen_at, min(after))
        sampled_at = snapshot.sampled_at.timestamp()
        return sampled_at if sampled_at - known.seen_at <= _LONGEST_UNSEEN_S else known.seen_at

    def _is_worth_a_line(self, known: _Known, wait: JournalWait, here: float, rewritten: int) -> bool:
        before = known.written
        if (wait.target, wait.cause) != (before.target, before.cause) or _parties(wait) != _parties(before):
            return True
        if rewritten >= _MOST_REWRITTEN or here - known.at < _REWRITE_AFTER_S:
            return False
        return _without_times(wait) != _without_times(before)


def _by_wait(groups: Sequence[EdgeGroup]) -> dict[WaitKey, list[EdgeGroup]]:
    """The edges of each wait: those whose blocker holds the lock before those merely queued ahead."""
    waits: dict[WaitKey, list[EdgeGroup]] = {}
    for group in sorted(groups, key=lambda one: (one.kind == "soft", one.blockers[:1])):
        waits.setdefault(group.wait_key, []).append(group)
    return waits


def _parties(wait: JournalWait) -> tuple[tuple[int, str], ...]:
    return tuple((side.pid, side.name) for side in (wait.waiter, *wait.blockers, *wait.roots))


def _without_times(wait: JournalWait) -> JournalWait:
    def timeless(side: Side) -> Side:
        return replace(side, in_transaction_since=None, in_state_since=None)

    return replace(
        wait,
        waiter=timeless(wait.waiter),
        blockers=tuple(map(timeless, wait.blockers)),
        roots=tuple(map(timeless, wait.roots)),
        advice="",
        explanation="",
    )


def side_of(graph: LockGraph, party: Party, ahead_s: float = 0.0) -> Side:
    """Returns a party as a journal keeps it; `ahead_s` is what this machine's clock is ahead."""
    session = graph.sessions.get(party)
    if session is None:
        prepared = graph.prepared.get(party)
        began_s = graph.snapshot.began_s(prepared.age_s) if prepared else None
        return Side(
            party.pid,
            party.gid,
            "" if party.pid else "prepared transaction",
            in_transaction_since=None if began_s is None else round(began_s + ahead_s, 3),
            database=(prepared.database or "") if prepared else "",
            user=(prepared.user or "") if prepared else "",
        )

    def since(age_s: float | None) -> float | None:
        began_s = graph.snapshot.began_s(age_s)
        return None if began_s is None else round(began_s + ahead_s, 3)

    return Side(
        party.pid,
        session.application_name,
        session.backend_type,
        session.state or "",
        session.query[:_STATEMENT_CHARACTERS],
        since(session.xact_age_s),
        since(session.state_age_s),
        session.database or "",
        session.user or "",
        session.client,
        session.known_test,
    )
