"""Sections of a report before they have a format: a heading, columns, and rows of cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

REASON = "Reason"
"""The column of sentences that say why."""
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Section:
    """A table of a report. Its cells are strings that the format in question can take as they are."""

    columns: tuple[str, ...]
    alignment: str
    """An `l` or `r` for each column."""
    rows: Sequence[Sequence[str]]
    heading: str = ""
    """Stands above a Markdown table, and in text in place of the first column's name."""


def named_places(names: Sequence[str]) -> str:
    """`a, b, c and 12 more`: databases and servers of a report."""
    more = len(names) - _MOST_NAMED
    return f"{', '.join(names[:_MOST_NAMED])}{f' and {more:,} more' if more > 0 else ''}"
