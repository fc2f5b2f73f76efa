"""Young rows: when they were written, as bits of their flags, and the youngest of those that stay. Pure.

Of a row that is too young the flags say the time that counts for its age, and what that is known by. There is
no room for a whole time: it is told in steps, on a circle that is longer than any row is young.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import get_args

from pgwatch_tests.sweep.model import AgeKnownBy, YoungestRow

WAYS: tuple[AgeKnownBy, ...] = get_args(AgeKnownBy)
STEPS = 1 << 19
SHIFT = len(WAYS)
# A time without a zone may be that far ahead, and a sweep may take a while.
_AHEAD = timedelta(hours=27)
_SLACK_S = 30 * 3600.0


def step_s(min_age_s: float) -> int:
    """The length of a step: a second, unless rows are young for days."""
    return math.ceil((min_age_s + _SLACK_S) / STEPS)


def youngest(
    young: Iterable[tuple[tuple[str, str], int]], min_age_s: float, now: datetime, held_back: int
) -> YoungestRow | None:
    """The youngest of rows, each told by its table (schema, name) and its bits; None without any."""
    latest = now + _AHEAD
    found = [(_time(bits // SHIFT, min_age_s, latest), table, bits % SHIFT) for table, bits in young]
    if not found:
        return None
    at, (schema, table), way = max(found)
    return YoungestRow(schema, table, at, WAYS[way], held_back)


def _time(step: int, min_age_s: float, latest: datetime) -> datetime:
    """Returns the last time by then that such a step is of."""
    length_s = step_s(min_age_s)
    last = int(latest.timestamp()) // length_s
    return datetime.fromtimestamp((last - (last - step) % STEPS) * length_s, UTC)
