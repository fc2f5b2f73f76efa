"""Sections of a report before they have a format: a heading, columns, and rows of cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

REASON = "Reason"
"""The column of sentences that say why."""


@dataclass(frozen=True, slots=True)
class Section:
    """A table of a report. Its cells are strings that the format in question can take as they are."""

    columns: tuple[str, ...]
    alignment: str
    """An `l` or `r` for each column."""
    rows: Sequence[Sequence[str]]
    heading: str = ""
    """Stands above a Markdown table, and in text in place of the first column's name."""
