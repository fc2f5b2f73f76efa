"""Release: who can continue once a session ends or is cancelled, and who blocks the others then. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import Party


@dataclass(frozen=True, slots=True)
class Release:
    """What is known beforehand of a release of all that one party holds and waits for."""

    freed: frozenset[Party]
    """Those that wait for it alone, and so can continue."""
    blocked: int
    """How many wait for it, directly or through others."""
    next: Party | None
    """Who blocks those that go on waiting: its root blocker, else one of the freed, else another root
    blocker."""
    blocks: int
    """How many wait for `next` then."""
    waiting: int
    """How many sessions still wait, for whomever."""

    @property
    def next_is_freed(self) -> bool:
        """Whether `next` can continue, and so may end its transaction by itself."""
        return self.next in self.freed


def release(graph: LockGraph, party: Party) -> Release:
    """Returns what a release by `party` leads to, if nobody else does anything."""
    freed = frozenset(graph.wait_for_alone(party))
    gone = {party, *freed}
    # Who queued for a row's turn behind it isn't seen to wait for the row's holder, for which it waits.
    staying = {one for one in graph.waiters(party) - freed if _queues_behind(graph, one, party)}
    root = graph.root_of(party)
    if root is None:  # or, in a deadlock, the one that it waits for
        waited_for = (one for group in graph.groups.get(party, ()) for one in group.blockers)
        root = next((one for one in waited_for if one in freed), None)
    following: Party | None = None
    behind: set[Party] = set()
    if root is not None:
        following, behind = root, _behind(graph, root, gone, staying)
    if not behind and freed:
        following = min(freed, key=lambda one: (-graph.blocks(one), one))
        behind = _behind(graph, following, gone)
    others = iter(graph.root_blockers)
    while not behind and (following := next(others, None)) is not None:
        behind = set() if following in gone else _behind(graph, following, gone)
    return Release(
        freed,
        graph.blocks(party),
        following if behind else None,
        len(behind),
        len(graph.groups.keys() - gone),
    )


def _queues_behind(graph: LockGraph, waiter: Party, party: Party) -> bool:
    return any(group.lock.type == "tuple" and party in group.blockers for group in graph.groups[waiter])


def _behind(
    graph: LockGraph, blocker: Party, gone: Collection[Party], more: Collection[Party] = ()
) -> set[Party]:
    """Those behind `blocker`, and those in `more` with all behind them: without whoever is `gone`, and
    without those that only wait for these."""
    all_that_can_be = len(graph.blocked_by(blocker).difference(gone))
    todo = graph.waiters(blocker).union(more).difference(gone)
    found = set(todo)
    # Each in a queue of thousands has all after it behind it: the first ones lead to everybody.
    while todo and len(found) < all_that_can_be:
        further = graph.waiters(todo.pop()).difference(gone, found)
        found |= further
        todo |= further
    return found
