"""The token in a test's value: when the value was made, for which test, in which run. Pure.

    user-1717171717171-t1a2b3c4d-r5e6f7a8b-x7f3@test.example.com
    booking_1717171717171_t1a2b3c4d_r5e6f7a8b_x7f3

    token = separator milliseconds [ separator test ] [ separator run ]
    separator = "-" | "_"
    milliseconds = "1" and 12 digits: since 1970, by the clock of whoever made the value
    test = "t" and 8 hex digits: the test's hash (`token`)
    run = "r" and 8 hex digits: the run's id (`testing.run`)

Letters in any case. Neither a letter nor a digit follows. `t` and `r` keep a hash from being taken for what
mostly comes next, something random: no random hex and no UUID begins so right after milliseconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pgwatch_tests.identity.application_name import digest

RUN_VARIABLE = "PGWATCH_RUN"
"""The environment variable that hands the id of a run to its workers and to the programs they start."""

TOKEN = r"[_-](1[0-9]{12}([_-]t[0-9a-f]{8})?)(?![0-9A-Za-z])"
"""Milliseconds and test: a regular expression of PostgreSQL and Python. Its first group is both."""
RUN_TOKEN = r"[_-](1[0-9]{12}([_-]t[0-9a-f]{8})?([_-]r[0-9a-f]{8})?)(?![0-9A-Za-z])"
"""Milliseconds, test and run: a regular expression. Its first group is all three."""
RUN_ID = r"[_-]1[0-9]{12}(?:[_-]t[0-9a-f]{8})?[_-]r([0-9a-f]{8})(?![0-9A-Za-z])"
"""A token that has a run: a regular expression. Its first group is the run's id."""
_PARTS = re.compile(r"(1[0-9]{12})(?:[_-]t([0-9a-f]{8}))?(?:[_-]r([0-9a-f]{8}))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ValueToken:
    """The parts of one token. Hashes and ids are in lower case, None where there is none."""

    milliseconds: int
    test: str | None
    run: str | None


def token(test: str) -> str:
    """`t1a2b3c4d`: what a value carries right after its milliseconds, to be known as the test's."""
    return f"t{digest(test)}"


def parse(found: str) -> ValueToken | None:
    """Parses what the first group of TOKEN or RUN_TOKEN matched; None for anything else."""
    match = _PARTS.fullmatch(found)
    if match is None:
        return None
    test, run = (part and part.lower() for part in (match[2], match[3]))
    return ValueToken(int(match[1]), test, run)
