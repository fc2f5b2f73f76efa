"""Journal entries of polls: which waits are new, changed or gone since the poll before. Pure.

A wait's statement and state change often where its blocker is at work: these are written again once a second
at most, and of the first few waits only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pgwatch_tests.locks.contention.contention import responsible
from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import EdgeGroup, LockSnapshot, Party, WaitKey
from pgwatch_tests.locks.waits import lock_modes
from pgwatch_tests.locks.watch.wait_journal import Deadlock, Entry, JournalWait, Poll, Side

_MOST_BLOCKERS = 4
_MOST_ROOTS = 3
_MOST_REWRITTEN = 20
_REWRITE_AFTER_S = 1.0
_STATEMENT_CHARACTERS = 1_000


@dataclass(slots=True)
class _Known:
    """A wait that is in the journal."""

    written: JournalWait
    at: float


class JournalEntries:
    """Takes one settled snapshot after another, and gives what the journal gets of it."""

    def __init__(self) -> None:
        self._known: dict[WaitKey, _Known] = {}
        self._deadlocks: dict[frozenset[int], None] = {}
        self._last_number = 0

    def of(self, snapshot: LockSnapshot, here: float) -> Iterator[Entry]:
        """Yields the entries of a poll that was made at `here`, by this machine's clock."""
        ahead_s = here - snapshot.sampled_at.timestamp()
        graph = LockGraph(snapshot)
        waits = _by_wait(snapshot.shown_groups)
        roots = responsible(graph) if waits else {}
        diagnoses = {root: diagnose(graph, root) for root in {one for some in roots.values() for one in some}}
        present: dict[WaitKey, _Known] = {}
        seconds: dict[int, float] = {}
        rewritten = 0
        for key, groups in waits.items():
            waiter, first = groups[0].waiter, groups[0]
            wait_s = max((group.wait_s or 0.0 for group in groups), default=0.0)
            known = self._known.get(key)
            blockers = list(dict.fromkeys(party for group in groups for party in group.blockers))
            behind = roots.get(waiter, [])
            diagnosis = diagnoses[behind[0]] if behind else None
            if known is None:
                self._last_number += 1
            wait = JournalWait(
                number=self._last_number if known is None else known.written.number,
                waiter=_side(graph, waiter, ahead_s),
                blockers=tuple(_side(graph, party, ahead_s) for party in blockers[:_MOST_BLOCKERS]),
                more_blockers=max(0, len(blockers) - _MOST_BLOCKERS),
                roots=tuple(_side(graph, party, ahead_s) for party in behind[:_MOST_ROOTS]),
                lock=first.lock.type,
                mode=lock_modes.in_words(first.lock.mode) if first.lock.mode else "",
                held_mode=lock_modes.in_words(first.lock.held_mode) if first.lock.held_mode else "",
                target=first.lock.target or first.lock.type,
                object=first.lock.object or first.lock.target or first.lock.type,
                cause=diagnosis.cause if diagnosis else "",
                advice=diagnosis.advice if diagnosis else "",
                began=round(here - wait_s if known is None else known.written.began, 3),
            )
            seconds[wait.number] = wait_s
            if known is None or self._is_worth_a_line(known, wait, here, rewritten):
                rewritten += known is not None
                known = _Known(wait, here)
                yield wait
            present[key] = known
        self._known = present
        for cycle in snapshot.deadlocks:
            members = [known.written.number for key, known in present.items() if key[0] in cycle]
            if members and frozenset(members) not in self._deadlocks:
                self._deadlocks[frozenset(members)] = None
                yield Deadlock(here, tuple(members), diagnose(graph, cycle[0]).advice)
        yield Poll(here, seconds)

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
    for group in sorted(groups, key=lambda one: (one.kind == "soft", one.blockers)):
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
    )


def _side(graph: LockGraph, party: Party, ahead_s: float) -> Side:
    session = graph.sessions.get(party)
    if session is None:
        prepared = graph.prepared.get(party)
        began_s = graph.snapshot.began_s(prepared.age_s) if prepared else None
        return Side(
            party.pid,
            party.gid,
            "" if party.pid else "prepared transaction",
            in_transaction_since=None if began_s is None else round(began_s + ahead_s, 2),
            database=(prepared.database or "") if prepared else "",
        )

    def since(age_s: float | None) -> float | None:
        began_s = graph.snapshot.began_s(age_s)
        return None if began_s is None else round(began_s + ahead_s, 2)

    return Side(
        party.pid,
        session.application_name,
        session.backend_type,
        session.state or "",
        session.query[:_STATEMENT_CHARACTERS],
        since(session.xact_age_s),
        since(session.state_age_s),
        session.database or "",
    )
