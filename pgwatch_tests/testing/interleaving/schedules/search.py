"""Search over schedules: which one to run next, so that each order that matters is run once. Pure.

Two schedules that differ only in the order of steps which can't conflict are one (Mazurkiewicz 1977), so a
state of the search is the set of steps made so far, each with all that had to come before it. A run shows
more than its own schedule: all orders of its steps that keep conflicting ones in place. What they have in
common with other runs is found again, and only a choice that no run has shown is run (dynamic partial-order
reduction; Flanagan and Godefroid, POPL 2005; optimal in the sense of Abdulla et al., POPL 2014: no two runs
are equivalent). The cost of a state is the fewest preemptions that it can be reached with (Musuvathi and
Qadeer, PLDI 2007), over all these orders: the bound doesn't lose what a reduction would have put aside.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

from pgwatch_tests.testing.interleaving.schedules.touch import Touch, conflict

Status = Literal["ready", "blocked", "done"]

_UNREACHED = 1 << 30


@dataclass(frozen=True, slots=True)
class Event:
    """A step as the search sees it: a choice of an actor, and all that happened until every actor stood."""

    actor: int
    touch: Touch
    after: tuple[tuple[int, Status], ...]
    """Actors that moved, and how they stand now: the chosen one, and those that waited for it."""
    label: str = ""
    """The text of the step, without what differs from run to run."""


@dataclass(slots=True)
class _State:
    """A set of steps that have been made, and the cheapest way to it for each actor that can be last."""

    events: frozenset[int]
    statuses: tuple[Status, ...]
    costs: dict[int, int]
    before: dict[int, tuple[int, int]]
    """By last actor: the state before, and its last actor."""
    following: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By actor: the state that its next step leads to, and that step."""


_ROOT_LAST = -1


class Search:
    """The search of one exploration."""

    def __init__(
        self, max_preemptions: int | None = None, *, conflicts: Callable[[Touch, Touch], bool] = conflict
    ) -> None:
        """Schedules of more than `max_preemptions` are left out; None: none are."""
        self._bound = _UNREACHED - 1 if max_preemptions is None else max_preemptions
        self._conflicts = conflicts
        self._states: list[_State] = []
        self._ids: dict[frozenset[int], int] = {}
        self._events: dict[tuple[int, str, tuple[tuple[int, Status], ...], frozenset[int]], int] = {}
        self._candidates: list[tuple[int, int, int, int, int]] = []
        self._order = count()
        self.is_cut = False
        """Whether a schedule was left out because of the bound."""
        self.divergences: list[str] = []
        """Steps that were others after the same steps: the actors aren't deterministic."""

    def next(self) -> tuple[int, ...] | None:
        """Returns actors to choose, in order, for a run that shows something new; None: there is none."""
        if not self._states:
            return ()
        while self._candidates:
            _, _, _, state, actor = self._candidates[0]
            if actor not in self._states[state].following:
                return (*self._way_to(state, actor), actor)
            heapq.heappop(self._candidates)
        return None

    def give_up(self, prefix: Sequence[int]) -> None:
        """Drops the choice that `next` returned last, `prefix`: the actors didn't come to where it is."""
        if self._candidates:
            heapq.heappop(self._candidates)
        self.divergences.append(f"the schedule {list(prefix)} couldn't be run again")

    @property
    def left(self) -> int:
        """How many schedules are known to be left; each may lead to more."""
        waiting = {(state, actor) for *_, state, actor in self._candidates}
        return sum(actor not in self._states[state].following for state, actor in waiting)

    def add(self, initial: Sequence[Status], events: Sequence[Event]) -> None:
        """Takes in a run: how its actors stood at the beginning, and its steps in order."""
        if not self._states:
            self._states.append(_State(frozenset(), tuple(initial), {_ROOT_LAST: 0}, {}))
            self._ids[frozenset()] = 0
            self._offer(0)
        pasts = self._pasts(events)
        ids: list[int] = []
        for event, past in zip(events, pasts, strict=True):
            known = frozenset(ids[place] for place in _places(past))
            key = (event.actor, event.label, event.after, known)
            ids.append(self._events.setdefault(key, len(self._events)))
        by_actor: dict[int, list[int]] = {}
        for place, event in enumerate(events):
            by_actor.setdefault(event.actor, []).append(place)
        level = {0: 0}
        while level:
            level = self._next_level(level, events, pasts, ids, by_actor)

    def _pasts(self, events: Sequence[Event]) -> list[int]:
        """Returns for each step the set of steps, as bits, that come before it in each equivalent order."""
        pasts: list[int] = []
        moved = [frozenset(actor for actor, _ in event.after) | {event.actor} for event in events]
        for place, event in enumerate(events):
            past = 0
            for earlier in range(place - 1, -1, -1):
                if past >> earlier & 1:
                    continue
                if moved[place] & moved[earlier] or self._conflicts(events[earlier].touch, event.touch):
                    past |= 1 << earlier | pasts[earlier]
            pasts.append(past)
        return pasts

    def _next_level(
        self,
        level: dict[int, int],
        events: Sequence[Event],
        pasts: Sequence[int],
        ids: Sequence[int],
        by_actor: dict[int, list[int]],
    ) -> dict[int, int]:
        """Enters the states one step further. `level`: sets of the run's steps, as bits, and their states."""
        found: dict[int, int] = {}
        fresh: list[int] = []
        too_costly: list[int] = []
        for made, number in level.items():
            state = self._states[number]
            for actor, places in by_actor.items():
                place = next((place for place in places if not made >> place & 1), None)
                if place is None or pasts[place] & ~made:
                    continue
                cost, last = self._cheapest(state, actor)
                if cost > self._bound:
                    too_costly.append(made | 1 << place)
                    continue
                events_after = state.events | {ids[place]}
                after = self._ids.get(events_after)
                if after is None:
                    after = self._ids[events_after] = len(self._states)
                    statuses = list(state.statuses)
                    for moved, status in events[place].after:
                        statuses[moved] = status
                    self._states.append(_State(events_after, tuple(statuses), {}, {}))
                    fresh.append(after)
                self._follow(number, actor, after, ids[place], events[place])
                reached = self._states[after]
                if cost < reached.costs.get(actor, _UNREACHED):
                    reached.costs[actor] = cost
                    reached.before[actor] = (number, last)
                found[made | 1 << place] = after
        for number in fresh:
            self._offer(number)
        self.is_cut |= any(made not in found for made in too_costly)
        return found

    def _follow(self, number: int, actor: int, after: int, id_: int, event: Event) -> None:
        following = self._states[number].following
        if actor not in following:
            following[actor] = (after, id_)
        elif following[actor][1] != id_:
            self.divergences.append(event.label)

    def _cheapest(self, state: _State, actor: int) -> tuple[int, int]:
        """Returns the fewest preemptions with which an actor can be next, and who is last before it then."""
        return min(
            (cost + (last not in (actor, _ROOT_LAST) and state.statuses[last] == "ready"), last)
            for last, cost in state.costs.items()
        )

    def _offer(self, number: int) -> None:
        state = self._states[number]
        for actor, status in enumerate(state.statuses):
            if status != "ready":
                continue
            cost, _ = self._cheapest(state, actor)
            if cost > self._bound:
                self.is_cut = True
                continue
            heapq.heappush(self._candidates, (cost, len(state.events), next(self._order), number, actor))

    def _way_to(self, number: int, actor: int) -> list[int]:
        """Returns the cheapest order of a state's steps before the next one of `actor`."""
        _, last = self._cheapest(self._states[number], actor)
        way: list[int] = []
        while last != _ROOT_LAST:
            way.append(last)
            number, last = self._states[number].before[last]
        return way[::-1]


def _places(bits: int) -> list[int]:
    return [place for place in range(bits.bit_length()) if bits >> place & 1]


def preemptions(chosen: Sequence[int], ready: Sequence[Sequence[int]]) -> int:
    """Returns how often an actor had to stop though it could have gone on. `ready`: who could, per choice."""
    return sum(
        one != next_ and one in could
        for one, next_, could in zip(chosen, chosen[1:], ready[1:], strict=False)
    )
