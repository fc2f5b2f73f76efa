"""Findings that a file can accept: root blockers by cause, waited-for object, and test. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Set

from pgwatch_tests.accepted_findings import Finding, stable
from pgwatch_tests.identity.application_name import OWN_NAME
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import Edge, Party

DEADLOCK = "deadlock"
TAKING_TURNS = "named_lock"


def findings(graph: LockGraph, party: Party, cause: str) -> Mapping[Finding, float]:
    """Returns the findings on a root blocker or a deadlock, each with the longest wait behind it in seconds.

    One for each thing that is waited for; of a deadlock one for each member, whichever comes first in it, and
    endless (inf). Waits of pgwatch-tests itself don't count, nor those for a test's turn by a named lock.
    `cause` is Diagnosis.cause.
    """
    cycle = graph.deadlock_of(party)
    if cycle:
        present: set[Finding] = set()
        for waiter, blocker in zip(cycle, cycle[1:] + cycle[:1], strict=True):
            edge = graph.edge(waiter, blocker)
            if edge is not None:
                present.add(Finding("locks", DEADLOCK, _place(graph, edge), _test(graph, waiter)))
        return dict.fromkeys(present, math.inf)
    if cause == TAKING_TURNS:
        return {}
    by_place: dict[str, set[Party]] = {}
    for waiter in graph.waiters(party):
        edge = graph.edge(waiter, party)
        if edge is not None:
            by_place.setdefault(_place(graph, edge), set()).add(waiter)
    test = _test(graph, party)
    return {
        Finding("locks", cause, place, test): longest_s
        for place, behind in _with_those_behind(graph, party, by_place).items()
        if (longest_s := longest_wait_s(graph, behind)) is not None
    }


def longest_wait_s(graph: LockGraph, waiters: Iterable[Party]) -> float | None:
    """The longest wait among them, ours left out; None if nobody waits of whom that is known."""
    waits_s = [graph.wait_s(waiter) for waiter in waiters if not is_ours(graph, waiter)]
    return max((wait_s for wait_s in waits_s if wait_s is not None), default=None)


def is_ours(graph: LockGraph, waiter: Party) -> bool:
    """Whether it is, or may be, a session of pgwatch-tests: one that a locked catalog doesn't let in."""
    session = graph.sessions.get(waiter)
    if session is None:
        return False
    at_the_door = all(group.lock.type == "relation" for group in graph.groups.get(waiter, ()))
    return session.application_name == OWN_NAME or (session.is_connecting and at_the_door)


def _with_those_behind(
    graph: LockGraph, root: Party, by_place: Mapping[str, Set[Party]]
) -> Mapping[str, Set[Party]]:
    """The direct waiters of each place, and those who wait behind them."""
    behind = graph.blocked_by(root)
    if len(by_place) == 1:
        return dict.fromkeys(by_place, behind)
    if sum(map(len, by_place.values())) == len(behind):
        return by_place
    return {
        place: set(waiters).union(*(graph.blocked_by(waiter) for waiter in waiters))
        for place, waiters in by_place.items()
    }


def _place(graph: LockGraph, edge: Edge) -> str:
    """`accounts`, `advisory lock *`, `accounts (database test_gw*)`: what is the same in the next run."""
    what = edge.lock.object or edge.lock.target or edge.lock.type
    database = graph.other_database(edge.waiter)
    return stable(f"{what} (database {database})" if database else what, numbers=True)


def _test(graph: LockGraph, party: Party) -> str:
    session = graph.sessions.get(party)
    identity = session.identity if session else None
    return identity.label if identity else ""
