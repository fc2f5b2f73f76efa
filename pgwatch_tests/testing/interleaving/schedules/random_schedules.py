"""Random schedules with known odds, for where all of them are too many. Pure.

Each actor has a priority, and whoever can go on with the highest goes on; at d - 1 random steps the one that
is on gets the lowest (probabilistic concurrency testing; Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS
2010). A fault that takes d constraints on the order, such as d - 1 preemptions, is met with a probability of
at least 1 / (n k^(d-1)), for n actors of k steps altogether.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class RandomSchedule:
    """One random schedule."""

    actors: int
    steps: int
    """How many steps a run has, altogether."""
    depth: int
    random: random.Random
    _priorities: dict[int, int] = field(init=False)
    _changes: dict[int, int] = field(init=False)

    def __post_init__(self) -> None:
        order = self.random.sample(range(self.actors), self.actors)
        self._priorities = {actor: self.depth + place for place, actor in enumerate(order)}
        points = min(self.depth - 1, max(0, self.steps - 1))
        at = self.random.sample(range(1, max(2, self.steps)), points)
        self._changes = {step: number for number, step in enumerate(at)}

    def choose(self, number: int, ready: Sequence[int], last: int | None) -> int:
        """Returns who makes the step of this number, counted from 0."""
        if number in self._changes and last is not None:
            self._priorities[last] = self._changes[number]
        return max(ready, key=lambda actor: self._priorities[actor])


def odds(actors: int, steps: int, depth: int) -> float:
    """Returns the least probability that one run meets a fault of this depth."""
    return float(1 / (actors * max(1, steps) ** (depth - 1)))
