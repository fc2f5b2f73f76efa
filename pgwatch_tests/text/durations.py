"""Durations, in seconds, as people read and write them."""

from __future__ import annotations

import re

_WRITTEN = re.compile(r"(?P<number>[0-9]{1,9}(\.[0-9]{1,9})?|\.[0-9]{1,9}) *(?P<unit>ms|s|m|min|h|d|)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def parse(text: str) -> float:
    """`500ms`, `2s`, `1.5` (seconds), `2m` or `2min`, `1h`, `1d` as seconds. Raises ValueError for others."""
    match = _WRITTEN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} isn't a duration such as 500ms, 2s, 1.5 or 2m")
    return float(match["number"]) * _UNIT_S[match["unit"]]


def as_written(value_s: float) -> str:
    """`10m`, `90s`, `2h`: what `parse` reads as that."""
    for unit in ("d", "h", "m"):
        if value_s and value_s % _UNIT_S[unit] == 0:
            return f"{value_s / _UNIT_S[unit]:.0f}{unit}"
    return f"{value_s:.9g}s" if value_s else "0"


def in_words(value_s: float | None) -> str:
    """`0.2 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `12 d 3 h`; `?` if unknown."""
    if value_s is None:
        return "?"
    if value_s < 9.95:
        return f"{max(0.0, value_s):.1f} s"
    parts = [f"{number} {unit}" for number, unit in _units(value_s) if number]
    return " ".join(parts)


def short(value_s: float | None) -> str:
    """Returns at most six characters, for narrow columns: `0.2s`, `12s`, `3m20s`, `2h05m`, `12d03h`."""
    if value_s is None:
        return ""
    if value_s < 9.95:
        return f"{max(0.0, value_s):.1f}s"
    (large, large_unit), (small, small_unit) = _units(value_s)
    return f"{large}{large_unit[0]}{small:02}{small_unit[0]}" if large else f"{small}{small_unit[0]}"


def _units(value_s: float) -> tuple[tuple[int, str], tuple[int, str]]:
    """The two largest units that tell something, rounded to the smaller one."""
    whole = round(value_s)
    if whole < 3600:
        return (whole // 60, "min"), (whole % 60, "s")
    minutes = round(value_s / 60)
    if minutes < 48 * 60:
        return (minutes // 60, "h"), (minutes % 60, "min")
    hours = round(value_s / 3600)
    return (hours // 24, "d"), (hours % 24, "h")
