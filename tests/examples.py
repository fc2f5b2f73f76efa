"""How many random examples tests draw: fewer in the runs after each edit (tests/without_server.py)."""

from __future__ import annotations

import hypothesis
from hypothesis import HealthCheck

ALL, FEW = "all examples", "few examples"
"""Hypothesis' profiles: the suite's, and that of `--without-server` and `--without-processes`."""
_OF_THE_SUITE = 100

# How fast input is made says more of the machine than of a strategy.
hypothesis.settings.register_profile(
    ALL, max_examples=_OF_THE_SUITE, suppress_health_check=[HealthCheck.too_slow], deadline=None
)
hypothesis.settings.register_profile(FEW, hypothesis.settings.get_profile(ALL), max_examples=3)


def examples(in_the_suite: int) -> int:
    """As many examples as the suite draws, or 3 % of them under `--without-server`; at least one."""
    return max(1, in_the_suite * hypothesis.settings().max_examples // _OF_THE_SUITE)
