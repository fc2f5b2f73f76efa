"""Rows of a table, and how wide their cells are. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.cells import cell_len

from pgwatch_tests.text.toned_text import Cell, Tone, text_of

PADDING = 1
"""Cells at both sides of each column."""
SCROLLBAR = 2
"""Cells at the right of a table that no column takes."""


@dataclass(frozen=True, slots=True)
class LiveRow:
    """One row: its key, its cells, and a tone for those parts of them that have none."""

    key: str
    cells: tuple[Cell, ...]
    tone: Tone = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """The text of each cell."""
        return tuple(map(text_of, self.cells))


def longest_cells(rows: Iterable[tuple[Cell, ...]], columns: int) -> tuple[int, ...]:
    """The length of each column's longest cell, in cells of the terminal."""
    longest = [0] * columns
    for cells in rows:
        for position, cell in enumerate(cells):
            if not cell:
                continue
            length = _length(cell) if isinstance(cell, str) else sum([_length(part.text) for part in cell])
            if length > longest[position]:
                longest[position] = length
    return tuple(longest)


def _length(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)
