"""Giving way in words and JSON: how often a scan left its database to whoever wanted it alone."""

from __future__ import annotations

from collections.abc import Sequence

from pgwatch_tests.text import durations


def lines(away_s: Sequence[float]) -> list[str]:
    """`Left the database once, 1.2 s in all, …`; nothing if it wasn't left. `away_s`: how long each time."""
    if not away_s:
        return []
    often = "once" if len(away_s) == 1 else f"{len(away_s):,} times"
    return [
        f"Left the database {often}, {durations.in_words(sum(away_s))} in all, while others dropped, altered "
        "or copied it, and then went on"
    ]


def hindrance(in_the_way_s: float) -> list[str]:
    """What to say of a statement that ran so long without giving way, in seconds; nothing if that is 0."""
    if not in_the_way_s:
        return []
    return [
        f"A statement ran for {durations.in_words(in_the_way_s)} without giving way, for want of a second "
        "connection or behind a pooler: whoever dropped, altered or copied the database meanwhile may have "
        "failed"
    ]


def fields(away_s: Sequence[float]) -> dict[str, object]:
    """The same as JSON documents have it, in seconds."""
    return {"times": len(away_s), "away_s": round(sum(away_s, 0.0), 3)}
