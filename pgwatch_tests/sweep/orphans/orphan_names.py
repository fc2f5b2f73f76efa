"""Orphan names of schemas and databases: their form, and the age that they tell. Pure."""

from __future__ import annotations

import os
import re
import secrets
from typing import TYPE_CHECKING

from pgwatch_tests.identity.real_clock import real_time_ms
from pgwatch_tests.text.durations import in_words

if TYPE_CHECKING:
    from pgwatch_tests.sweep.model import KeptReason

CLOCKS_APART_S = 60.0
"""The tolerated difference of two clocks, in seconds: a time that is later by less counts as now."""

NOT_LEASED = "its name isn't test_<milliseconds>_<pid>_<random>"
"""The detail of a schema or database that stays for its name."""

_ORPHAN = re.compile(r"test_1[0-9]{12}_[0-9]{1,10}_[0-9A-Za-z]{1,32}")


def is_orphan_name(name: str) -> bool:
    """Whether a name is `test_<ms>_<pid>_<random>`: 13 digits, digits, letters and digits; nothing else."""
    return _ORPHAN.fullmatch(name) is not None


def orphan_name() -> str:
    """`test_1717171717171_4711_5e6f7a8b`: a new name of that form, which nobody else has."""
    return f"test_{real_time_ms()}_{os.getpid()}_{secrets.token_hex(4)}"


def kept_for_age(age_s: float, min_age_s: float) -> tuple[KeptReason, str] | None:
    """Returns why something of that age stays (reason, detail); None if it may go.

    A minimum of 0 is any age.
    """
    if age_s < -CLOCKS_APART_S:
        return "in_future", "its name has a time in the future: a clock is wrong"
    if min_age_s > 0 and age_s < min_age_s:
        return "too_young", f"{in_words(max(0.0, age_s))} old"
    return None
