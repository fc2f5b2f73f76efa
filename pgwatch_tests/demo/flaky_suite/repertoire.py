"""All scenarios of the flaky suite, and the order in which they are played."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from pgwatch_tests.demo.flaky_suite import bookings, cleanups, sign_ups
from pgwatch_tests.demo.flaky_suite.stage import Scenario

SCENARIOS = {
    scenario.name: scenario
    for scenario in (*bookings.SCENARIOS, *cleanups.SCENARIOS, *sign_ups.SCENARIOS, cleanups.BEGIN_RUN)
}


def runs(seed: int) -> Iterator[list[Scenario]]:
    """Run after run: each begins with a clean-up and a leak, then come all others in random order."""
    chance = Random(seed)
    opening = [cleanups.BEGIN_RUN, sign_ups.FORGOTTEN_FAMILY]
    others = [scenario for scenario in SCENARIOS.values() if scenario not in opening]
    while True:
        yield opening + chance.sample(others, len(others))


def repeated(names: list[str]) -> Iterator[list[Scenario]]:
    """Only these scenarios, over and over."""
    while True:
        yield [SCENARIOS[name] for name in names]
