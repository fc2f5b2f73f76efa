"""Tables that fit on a screen: the first rows, with cells cut, and how many rows there are more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pgwatch_tests.reports.render import text_table
from pgwatch_tests.reports.render.screenful import LINES, WIDTH, fitted
from pgwatch_tests.reports.sections import REASON, Section
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain, shortened_middle

_GAP = 2
_PADDING = 2
"""Columns that tabulate gives a head beyond its width."""
_NARROWEST = 12


@dataclass(frozen=True, slots=True)
class ScreenTable:
    """A section as a table of at most 80 columns: a `reports.render.screenful.ScreenSection`.

    Its cells are plain text. `total` is a row that ends the table whatever isn't shown; empty: none does.
    """

    section: Section
    noun: tuple[str, str]
    """What a row is: one, several."""
    total: Sequence[str] = ()
    weight: float = 1

    @property
    def items(self) -> int:
        """The number of rows."""
        return len(self.section.rows)

    def whole(self) -> str:
        """All rows, however wide they are."""
        rows = [*self.section.rows, *([self.total] if self.total else [])]
        return text_table.written(replace(self.section, rows=rows))

    def lines(self, shown: int) -> list[str]:
        """The head and the first `shown` rows; with none, how many there are."""
        section = self.section
        if not shown:
            return [f"{section.heading or section.columns[0]}: {plural(self.items, *self.noun)}"]
        rows = [*section.rows[:shown], *([self.total] if self.total else [])]
        first, *others = section.columns
        heads = (section.heading or first, *others)
        lines = text_table.table(heads, section.alignment, fitting(heads, section.alignment, rows)).split(
            "\n"
        )
        more = self.items - shown
        return (
            [*lines, f"… and {plural(more, f'more {self.noun[0]}', f'more {self.noun[1]}')}"]
            if more
            else lines
        )


def screen(tables: Sequence[ScreenTable], end: Sequence[str]) -> str:
    """The tables with as many rows as fit on a screen together with the lines of `end`, which stand below.

    Those that there is no room for are a line each.
    """
    text = ""
    for kept in range(len(tables) + 2):
        # Before each part there is an empty line, but how many parts there are depends on what fits.
        blocks = fitted(tables, LINES - len(end) - kept)
        in_short = [line for block in blocks if len(block) == 1 for line in block]
        parts = [block for block in (*(block for block in blocks if len(block) > 1), in_short, end) if block]
        text = "\n\n".join("\n".join(part) for part in parts)
        if text.count("\n") < LINES:
            break
    return text


def fitting(
    heads: Sequence[str], alignment: str, rows: Sequence[Sequence[str]], width: int = WIDTH
) -> list[list[str]]:
    """The rows with the widest columns of text cut, so that a line has at most `width` characters if it can.

    Names are cut in their middle, reasons at their end.
    """
    least = [len(head) + _PADDING for head in heads]
    limits = [max(least[n], *(len(row[n]) for row in rows)) for n in range(len(heads))]
    floors = [max(_NARROWEST, width) for width in least]
    while (excess := sum(limits) + _GAP * (len(limits) - 1) - width) > 0:
        cut = [n for n, side in enumerate(alignment) if side == "l" and limits[n] > floors[n]]
        if not cut:
            break
        widest = max(cut, key=lambda n: limits[n])
        # Down to the next widest at most, so that columns of names share the room.
        next_widest = max((limits[n] for n in cut if n != widest), default=0)
        limits[widest] = max(
            floors[widest], min(limits[widest] - 1, max(limits[widest] - excess, next_widest))
        )
    cuts = [plain if head == REASON else shortened_middle for head in heads]
    return [[cut(cell, limit) for cut, cell, limit in zip(cuts, row, limits, strict=True)] for row in rows]
