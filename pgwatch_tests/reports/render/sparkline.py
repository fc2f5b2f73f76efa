"""Numbers over time as one line of text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

NOT_WATCHED = " "
_NONE = "▁"
_LEVELS = "▂▃▄▅▆▇█"


def sparkline(values: Sequence[int | None], width: int) -> str:
    """`▁▁▃█▂ ▁` in at most `width` characters: the largest of several values, a gap where all are None.

    Only 0 has the lowest level, so that the least of something isn't taken for nothing.
    """
    shown = values if len(values) <= width else _resampled(values, width)
    highest = max((value for value in shown if value is not None), default=0)
    return "".join(_character(value, highest) for value in shown)


def _resampled(values: Sequence[int | None], width: int) -> list[int | None]:
    edges = [place * len(values) // width for place in range(max(0, width) + 1)] if width > 0 else [0]
    return [
        max((one for one in values[start:end] if one is not None), default=None)
        for start, end in pairwise(edges)
    ]


def _character(value: int | None, highest: int) -> str:
    if value is None:
        return NOT_WATCHED
    return _LEVELS[-(-value * len(_LEVELS) // highest) - 1] if value > 0 else _NONE
