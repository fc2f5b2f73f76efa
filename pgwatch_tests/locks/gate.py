"""Gate on locks: fails on waits that last, and on deadlocks that aren't accepted. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pgwatch_tests.accepted_findings import Acceptance, Finding
from pgwatch_tests.locks.contention.contention import Contention
from pgwatch_tests.locks.diagnosis.evidence import Diagnosis
from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.findings import findings, is_ours, longest_wait_s
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.graph.wait_graph import Branch
from pgwatch_tests.locks.model import EdgeGroup, LockSnapshot, Party
from pgwatch_tests.locks.snapshot.poll_interval import pause_s

RootVerdict = Literal["finding", "accepted", "shorter", "undecided"]

_SHORTEST_PAUSE_S = 0.01


@dataclass(frozen=True, slots=True)
class JudgedRoot:
    """A root blocker, or a deadlock that no root leads to, and what a gate says about it."""

    party: Party
    tree: Branch[Party] | None
    """Its branch to show; None for a deadlock below a root, which is shown there."""
    diagnosis: Diagnosis
    blocks: int
    longest_wait_s: float
    """The longest wait behind it, in seconds; waits of pgwatch-tests itself don't count."""
    verdict: RootVerdict
    """`undecided`: a deadlock ended the look before it was known how long others had waited."""
    new: tuple[Finding, ...] = ()
    """The new findings, which fail a gate; sorted."""
    accepted: tuple[Finding, ...] = ()
    """The entries that let the rest pass, sorted."""


@dataclass(frozen=True, slots=True)
class AcceptanceUse:
    """The use of a file of accepted findings. All sorted."""

    new: tuple[Finding, ...]
    accepted: tuple[Finding, ...]
    """Entries that a finding fitted."""
    gone: tuple[Finding, ...] = ()
    """Entries that no finding of the watch fitted."""


def judge(graph: LockGraph, min_wait_s: float, known: Acceptance | None = None) -> tuple[JudgedRoot, ...]:
    """Everything that blocks, in the order of the tree. A finding lasts `min_wait_s`, or is a deadlock.

    What lasts as long and is known to the acceptance, whatever it blocks, is `accepted`.
    """
    tops = {tree.node: tree for tree in graph.trees}
    below = [cycle[0] for cycle in graph.snapshot.deadlocks if not tops.keys() & set(cycle)]
    return tuple(
        _judged(graph, party, tops.get(party), min_wait_s, known or Acceptance()) for party in (*tops, *below)
    )


def has_finding(snapshot: LockSnapshot, min_wait_s: float, known: Acceptance | None = None) -> bool:
    """Whether a gate fails: something new was blocked for `min_wait_s`, or a new deadlock was seen."""
    return any(root.verdict == "finding" for root in judge(LockGraph(snapshot), min_wait_s, known))


def new_findings(snapshot: LockSnapshot, min_wait_s: float) -> tuple[Finding, ...]:
    """Returns all findings that fail a gate without accepted ones, sorted."""
    return use_of(judge(LockGraph(snapshot), min_wait_s)).new


def use_of(judged: Iterable[JudgedRoot]) -> AcceptanceUse:
    """Returns the new findings of one look, and the entries that let the rest pass.

    No look proves that an entry is gone.
    """
    roots = list(judged)
    return AcceptanceUse(
        tuple(sorted({finding for root in roots for finding in root.new})),
        tuple(sorted({entry for root in roots for entry in root.accepted})),
    )


def use_of_watch(seen: Contention, min_wait_s: float, known: Acceptance) -> AcceptanceUse:
    """Returns the use over a watch, with the entries that it saw nothing of, however short it was."""
    entries = {known.entry_for(finding) for finding in seen.findings}
    new, accepted = _sorted_out(_lasting(seen.findings.items(), min_wait_s), known)
    return AcceptanceUse(new, accepted, tuple(entry for entry in known.of("locks") if entry not in entries))


def watch_has_finding(seen: Contention, min_wait_s: float, known: Acceptance | None = None) -> bool:
    """Whether a gate fails on a watch; deadlocks that only the server counted are included."""
    counted = seen.deadlocks_counted.total if seen.deadlocks_counted else 0
    if use_of_watch(seen, min_wait_s, known or Acceptance()).new or counted > seen.deadlocks_caught:
        return True
    return seen.more_findings_s is not None and seen.more_findings_s >= min_wait_s


def _lasting(durations_s: Iterable[tuple[Finding, float]], min_wait_s: float) -> list[Finding]:
    return [finding for finding, wait_s in durations_s if wait_s >= min_wait_s]


def _sorted_out(
    lasting: Iterable[Finding], known: Acceptance
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Returns the new findings, and the entries that fit the other ones."""
    entries = {finding: known.entry_for(finding) for finding in lasting}
    new = sorted(finding for finding, entry in entries.items() if entry is None)
    return tuple(new), tuple(sorted({entry for entry in entries.values() if entry is not None}))


def look_again_in_s(first: LockSnapshot, last: LockSnapshot, min_wait_s: float) -> float | None:
    """Seconds until another look is worth it; None once every wait of the first look is decided.

    Before PostgreSQL 14 the server doesn't tell when a wait began, so one that was there at the first look
    may be of any age until it has been watched for `min_wait_s`, or is over. What came later is younger.
    """
    if last.deadlocks:
        return None
    there_at_first = {group.wait_key for group in first.groups}
    open_s = [
        group.wait_s or 0.0
        for group in _of_unknown_age(last)
        if group.wait_key in there_at_first and (group.wait_s or 0.0) < min_wait_s
    ]
    if not open_s:
        return None
    rest_s = min_wait_s - min(open_s)
    return max(_SHORTEST_PAUSE_S, min(rest_s, pause_s(last.blocked or 1, 0.0, rest_s)))


def _judged(
    graph: LockGraph, party: Party, tree: Branch[Party] | None, min_wait_s: float, known: Acceptance
) -> JudgedRoot:
    behind = graph.blocked_by(party) | {party}
    diagnosis = diagnose(graph, party)
    lasting = _lasting(findings(graph, party, diagnosis.cause).items(), min_wait_s)
    new, accepted = _sorted_out(lasting, known)
    verdict: RootVerdict = "finding" if new else "accepted" if accepted else "shorter"
    if (
        not lasting
        and graph.snapshot.deadlocks
        and any(
            group.waiter in behind and not is_ours(graph, group.waiter)
            for group in _of_unknown_age(graph.snapshot)
            if group.confirmed
        )
    ):
        verdict = "undecided"
    longest_s = longest_wait_s(graph, behind) or 0.0
    return JudgedRoot(party, tree, diagnosis, graph.blocks(party), longest_s, verdict, new, accepted)


def _of_unknown_age(snapshot: LockSnapshot) -> list[EdgeGroup]:
    """The waits whose beginning the server didn't tell, which count from when they were first seen."""
    return [group for group in snapshot.groups if group.wait is not None and group.wait.started is None]
