"""The last troubles: who blocked whom for how long, for those who look a minute late. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pgwatch_tests.identity.test_names import split
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import Party

_KEPT = 50
_NAMED = 2
_WORTH_TELLING_S = 1.0
"""The default of deadlock_timeout: tests that share a server wait for less all the time."""
_APART_S = 1.0
"""So much later a blocker may be seen again for it to be the same trouble: a poll at the usual pace."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A root blocker, or a deadlock, from its first waiter to its last."""

    began: datetime
    who: str
    """`test_import (gw3, pid 15611)`: the root blocker, or the first two of a deadlock. Foreign."""
    target: str
    """What the longest waiter waited for. Foreign text as it is."""
    blocked: int
    """The most sessions that were blocked at once."""
    longest_s: float
    """The longest wait."""
    is_deadlock: bool = False
    names: tuple[str, ...] = ()
    """The tests of those that `who` names, without worker and pid. Foreign."""


class LastTroubles:
    """The troubles of the last polls that lasted a second, or were deadlocks; a bounded number of them."""

    def __init__(self) -> None:
        self._open: dict[Party, Trouble] = {}
        self._over: deque[Trouble] = deque(maxlen=_KEPT)

    def add(self, graph: LockGraph) -> None:
        """Takes a poll."""
        seen = dict(_troubles(graph))
        for party, trouble in self._open.items():
            if party not in seen:
                self._keep(trouble)
        self._open = {party: self._grown(self._open.get(party), trouble) for party, trouble in seen.items()}

    @property
    def over(self) -> tuple[Trouble, ...]:
        """Those that are over, the last one first."""
        return tuple(reversed(self._over))

    def _keep(self, trouble: Trouble) -> None:
        if trouble.longest_s < _WORTH_TELLING_S and not trouble.is_deadlock:
            return
        same = next((one for one in reversed(self._over) if _is_same(one, trouble)), None)
        if same is not None:
            self._over.remove(same)
            trouble = _grown(same, trouble)
        self._over.append(trouble)

    def _grown(self, before: Trouble | None, now: Trouble) -> Trouble:
        if before is None or before.is_deadlock != now.is_deadlock:
            if before is not None:
                self._keep(before)
            return now
        return _grown(before, now)


def _grown(before: Trouble, now: Trouble) -> Trouble:
    longer = now if now.longest_s >= before.longest_s else before
    return replace(longer, began=min(before.began, now.began), blocked=max(before.blocked, now.blocked))


def _is_same(before: Trouble, now: Trouble) -> bool:
    """Whether one goes on with the other: a poll in between didn't see it, or saw another root."""
    ended = before.began + timedelta(seconds=before.longest_s + _APART_S)
    # Deadlocks that come again are counted.
    is_alike = before.who == now.who and not before.is_deadlock and not now.is_deadlock
    return is_alike and before.began - timedelta(seconds=_APART_S) <= now.began <= ended


def _troubles(graph: LockGraph) -> Iterator[tuple[Party, Trouble]]:
    at = graph.snapshot.sampled_at
    cycles = graph.snapshot.deadlocks
    tops = [(cycle[:_NAMED], True) for cycle in cycles] + [((root,), False) for root in graph.root_blockers]
    for named, is_deadlock in tops:
        party = named[0]
        behind = graph.blocked_by(party)
        longest = max(behind, key=lambda waiter: (graph.wait_s(waiter) or 0.0, waiter))
        wait_s = graph.wait_s(longest) or 0.0
        edge = graph.edge(longest)
        yield (
            party,
            Trouble(
                at - timedelta(seconds=wait_s),
                " and ".join(graph.who(one) for one in named),
                edge.lock.target or edge.lock.type if edge else "",
                len(behind),
                wait_s,
                is_deadlock,
                tuple(_name(graph, one) for one in named),
            ),
        )


def _name(graph: LockGraph, party: Party) -> str:
    session = graph.sessions.get(party)
    identity = None if session is None else session.identity
    return graph.who(party) if identity is None else split(identity.label).name
