"""How many random examples tests draw: fewer in the runs after each edit (tests/without_server.py)."""

from __future__ import annotations

import hypothesis
from hypothesis import HealthCheck

ALL, SOME, FEW = "all examples", "some examples", "few examples"
"""Hypothesis' profiles: the suite's, that of another PostgreSQL, that of `--without-server` and the like."""
_IN_FULL = 100

# How fast input is made says more of the machine than of a strategy.
hypothesis.settings.register_profile(
    ALL, max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None
)
hypothesis.settings.register_profile(SOME, hypothesis.settings.get_profile(ALL), max_examples=20)
hypothesis.settings.register_profile(FEW, hypothesis.settings.get_profile(ALL), max_examples=3)


def examples(in_the_suite: int) -> int:
    """The share of so many examples that the profile draws, by its `max_examples` of 100; at least one."""
    return max(1, in_the_suite * hypothesis.settings().max_examples // _IN_FULL)
