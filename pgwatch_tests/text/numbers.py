"""Numbers and plurals, as people read them: `12,345 rows`. Pure."""

from __future__ import annotations

from collections.abc import Sequence

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def plural(number: int, noun: str, nouns: str = "") -> str:
    """`1 row`, `12,345 rows`; `2 indices` where `nouns` isn't the noun with an s."""
    return f"{number:,} {noun if number == 1 else nouns or f'{noun}s'}"


def share_of(number: int, total: int, noun: str) -> str:
    """`2 of 7 databases`; `7 databases` if it is all of them, or none."""
    return plural(total, noun) if number in (0, total) else f"{number:,} of {plural(total, noun)}"


def named(names: Sequence[str], most: int = 3) -> str:
    """`a, b, c and 12 more`: the first names, and how many there are more."""
    more = len(names) - most
    return f"{', '.join(names[:most])}{f' and {more:,} more' if more > 0 else ''}"


def at_least(number: int, is_all: bool) -> str:
    """`7`; `7+` if there may be more, and `?` if none is known but there may be some."""
    if is_all:
        return f"{number:,}"
    return f"{number:,}+" if number else "?"


def byte_size(number: float) -> str:
    """`16 kB`, `1.2 GB`."""
    for unit in _UNITS:
        if number < 1024 or unit == _UNITS[-1]:
            break
        number /= 1024
    return f"{number:.1f} {unit}" if number < 9.95 and unit != "bytes" else f"{number:.0f} {unit}"
