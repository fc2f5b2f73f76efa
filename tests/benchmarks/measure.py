"""Interleaved measurements: A B A B …, so that what else the machine does hits all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Samples:
    """One list of figures a case, in the order of the rounds."""

    figures: Mapping[str, Sequence[float]]

    def median(self, case: str) -> float:
        """The middle figure of a case."""
        return statistics.median(self.figures[case])

    def ratio(self, case: str, peer: str) -> Ratio:
        """How `case` compares with `peer`, round by round."""
        pairs = zip(self.figures[case], self.figures[peer], strict=True)
        return Ratio.of([one / other for one, other in pairs if other])


@dataclass(frozen=True, slots=True)
class Ratio:
    """The median of paired ratios and their quartiles."""

    median: float
    low: float
    high: float
    pairs: int

    @classmethod
    def of(cls, ratios: Sequence[float]) -> Ratio:
        """Raises ValueError if there are none."""
        if not ratios:
            raise ValueError("no pair to compare: the peer's figures are all 0")
        if len(ratios) == 1:
            return cls(ratios[0], ratios[0], ratios[0], 1)
        low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return cls(statistics.median(ratios), low, high, len(ratios))

    def __str__(self) -> str:
        return f"{self.median:.3g}x (quartiles {self.low:.3g} to {self.high:.3g}, {self.pairs} pairs)"


def interleave(cases: Mapping[str, Callable[[], float]], rounds: int, warm_ups: int = 1) -> Samples:
    """Asks each case for its figure, one after the other, `rounds` times; warm-ups don't count.

    Every other round goes backwards, so that no case always follows the same one.
    """
    figures: dict[str, list[float]] = {name: [] for name in cases}
    order = list(cases.items())
    for number in range(-warm_ups, rounds):
        for name, measure in order if number % 2 == 0 else reversed(order):
            figure = measure()
            if number >= 0:
                figures[name].append(figure)
    return Samples(figures)


def timed(work: Callable[[], object]) -> Callable[[], float]:
    """A case whose figure is how long `work` takes, in milliseconds."""

    def measure() -> float:
        began = time.perf_counter()
        work()
        return (time.perf_counter() - began) * 1000

    return measure


def table(samples: Samples, unit: str, peer: str) -> str:
    """A line a case: its median, and its ratio to `peer`."""
    width = max(map(len, samples.figures))
    lines = []
    for case in samples.figures:
        line = f"  {case:<{width}}  {samples.median(case):>9.2f} {unit}"
        if case != peer:
            line += f"  {samples.ratio(case, peer)} of {peer}"
        lines.append(line)
    return "\n".join(lines)


def verdict(what: str, figure: float, budget: float) -> str:
    """Whether a budget is met, in a line."""
    return f"  budget: {what} {figure:.3g}, at most {budget:.3g}: {'met' if figure <= budget else 'NOT MET'}"
