"""Release: who can continue once a session ends or is cancelled, and who blocks the others then. Pure."""

from __future__ import annotations

from collections.abc import Iterator
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
    after = _After(graph, party, freed)
    following: Party | None = None
    behind: set[Party] = set()
    for candidate in after.candidates():
        if behind := after.behind(candidate):
            following = candidate
            break
    return Release(freed, graph.blocks(party), following, len(behind), len(graph.groups.keys() - after.gone))


class _After:
    """Who waits for whom once `party` has released all, and those in `freed` have what they waited for."""

    def __init__(self, graph: LockGraph, party: Party, freed: frozenset[Party]) -> None:
        self._graph = graph
        self._party = party
        self._freed = freed
        self.gone = {party, *freed}
        """Those that wait no more."""
        self._heirs: dict[Party, set[Party]] = {}
        """Who goes on waiting for whom it isn't seen to wait for yet, by that blocker."""
        self._is_shared = False
        """Whether one of these blockers has locked a row that `party` has locked, too."""
        for waiter in graph.waiters(party) - freed:
            self._add_heirs(waiter)

    def _add_heirs(self, waiter: Party) -> None:
        for group in self._graph.groups[waiter]:
            if self._party not in group.blockers:
                continue
            if group.lock.type == "tuple":
                # It is queued for the turn at a row behind `party`, which waits for the row's holder.
                for holder in self._graph.blockers(self._party):
                    self._heirs.setdefault(holder, set()).add(waiter)
            elif group.lock.also_held_by:
                self._is_shared = True
                self._heirs.setdefault(group.lock.also_held_by[0], set()).add(waiter)

    def candidates(self) -> Iterator[Party]:
        """Yields who may block others then: the party's root blocker, those that are freed, other roots."""
        graph = self._graph
        root = graph.root_of(self._party)
        if root is None:  # or, in a deadlock, the one that it waits for
            waited_for = (one for group in graph.groups.get(self._party, ()) for one in group.blockers)
            root = next((one for one in waited_for if one in self._freed), None)
        yield from () if root is None else (root,)
        yield from sorted(self._freed, key=lambda one: (-graph.blocks(one), one))
        holders = (one for one in sorted(self._heirs) if one not in graph.groups)
        yield from (one for one in dict.fromkeys((*holders, *graph.root_blockers)) if one not in self.gone)

    def behind(self, blocker: Party) -> set[Party]:
        """Returns those that wait for `blocker` then, directly or through others."""
        graph, gone = self._graph, self.gone
        all_that_can_be = len(graph.blocked_by(blocker).difference(gone))
        todo = self._waiters(blocker)
        found = set(todo)
        # Each in a queue of thousands has all after it behind it: the first ones lead to everybody.
        while todo and (self._is_shared or len(found) < all_that_can_be):
            further = self._waiters(todo.pop()) - found
            found |= further
            todo |= further
        return found

    def _waiters(self, blocker: Party) -> set[Party]:
        return self._graph.waiters(blocker).union(self._heirs.get(blocker, ())).difference(self.gone)
