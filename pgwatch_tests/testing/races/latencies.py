"""Latencies of many calls: percentiles, and a histogram in text. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

_BAR = 40


def percentile(durations_s: Sequence[float], share: float) -> float:
    """Returns the duration that this share (0 to 1) don't exceed. Raises ValueError if there are none."""
    if not durations_s:
        raise ValueError("no call was made")
    ordered = sorted(durations_s)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def in_milliseconds(seconds: float) -> str:
    """Returns `3.2 ms`."""
    milliseconds = seconds * 1000
    return f"{milliseconds:.0f} ms" if milliseconds >= 100 else f"{milliseconds:.3g} ms"


def histogram(durations_s: Sequence[float], lines: int = 8) -> str:
    """Returns a bar per range of durations, the ranges growing by a constant factor."""
    if not durations_s:
        return ""
    low, high = max(min(durations_s), 1e-6), max(*durations_s, 1e-6)
    factor = (high / low) ** (1 / lines) if high > low else 1.0
    counts = [0] * lines
    for duration in durations_s:
        place = int(math.log(max(duration, low) / low, factor)) if factor > 1 else 0
        counts[min(place, lines - 1)] += 1
    most = max(counts)
    rows = []
    for place, count in enumerate(counts):
        limit = low * factor ** (place + 1)
        bar = "#" * math.ceil(count / most * _BAR)
        rows.append(f"  up to {in_milliseconds(limit):>8}  {count:>6}  {bar}".rstrip())
        if factor == 1.0:
            break
    return "\n".join(rows)
