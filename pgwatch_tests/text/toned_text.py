"""Toned text: plain text in parts, each with a tone that says what it means; the screen picks its colour."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Tone = Literal["", "quiet", "lit", "good", "notice", "warning", "trouble", "root", "keyword", "literal"]
"""Plain; beside the point; of the selected chain; all is well; worth a look; soon a trouble; a trouble; where
the trouble comes from. Of SQL: a keyword; a string or number."""


@dataclass(frozen=True, slots=True)
class Toned:
    """A part of a text, already plain."""

    text: str
    tone: Tone = ""
    is_whole: bool = False
    """Whether it goes as a whole where there is no room for all of it: a part of a hash tells nothing."""
    cut: Cut | None = None
    """How it is shortened; None: as its column says."""


MARKS: Mapping[Tone, str] = {"root": "!", "trouble": "!", "warning": "*", "notice": "?", "good": "✓"}
"""Stand for the tones that tell something, where there are no colours."""
_MARK = Toned("✓ ", "lit")

Cell = str | tuple[Toned, ...]
"""A cell of a table: plain text, or parts of it in the order of their weight, the most telling one first."""

_GAP = 2
_TELLING = 5
"""Characters of a part that may still tell something, with the ellipsis."""

Cut = Callable[[str, int], str]
"""Shortens a text to a number of characters."""


def text_of(cell: Cell) -> str:
    """The text of a cell without its tones."""
    return cell if isinstance(cell, str) else "".join(part.text for part in cell)


def cut_end(text: str, width: int) -> str:
    """`text` in at most `width` characters, cut at its end."""
    return text if len(text) <= width else f"{text[: max(0, width - 1)]}…"[:width]


def shortened(cell: Cell, width: int, cut: Cut = cut_end) -> tuple[Toned, ...]:
    """A cell in at most `width` characters.

    Space between parts gives way first, then the last part; a part of which only a few characters would be
    left goes as a whole.
    """
    parts = (Toned(cell),) if isinstance(cell, str) else cell
    excess = sum(len(part.text) for part in parts) - width
    kept = list(parts)
    for position, part in enumerate(parts):
        if excess > 0 and part.text.isspace():
            fewer = min(excess, max(0, len(part.text) - _GAP))
            kept[position] = Toned(part.text[fewer:], part.tone)
            excess -= fewer
    for position in range(len(parts) - 1, -1, -1):
        if excess <= 0:
            break
        part = kept[position]
        room = len(part.text) - excess
        if position and (part.is_whole or room < min(_TELLING, len(part.text))):
            kept.pop(position)
            excess -= len(part.text)
            continue
        text = (part.cut or cut)(part.text, max(0, room))
        kept[position] = Toned(text, part.tone)
        excess = 0
    return tuple(kept)


def marked(cell: Cell) -> Cell:
    """The cell with a mark, for which a gap in it gives way: what is below each other stays so."""
    parts = [Toned(cell)] if isinstance(cell, str) else list(cell)
    for position, part in enumerate(parts):
        if part.text.isspace() and len(part.text) > len(_MARK.text):
            parts[position] = Toned(part.text[len(_MARK.text) :], part.tone)
            break
    return (_MARK, *parts)


def told_by_marks(cells: Sequence[Cell], tone: Tone = "", right: Sequence[bool] = ()) -> tuple[Cell, ...]:
    """The cells of a row with marks for what colours would tell: once each, before the part that is toned.

    Parts without a tone have that of the row. In a cell for the `right`, nothing is between mark and figure.
    """
    told: set[str] = set()
    found: list[Cell] = []
    for number, cell in enumerate(cells):
        parts = (Toned(cell),) if isinstance(cell, str) else cell
        line: list[Toned] = []
        for part in parts:
            mark = MARKS.get(part.tone or tone, "")
            if mark and mark not in told and part.text.strip():
                told.add(mark)
                gap = "" if number < len(right) and right[number] else " "
                line += [] if part.text.startswith(mark) else [Toned(mark + gap, part.tone or tone)]
            line.append(part)
        found.append(cell if len(line) == len(parts) else tuple(line))
    return tuple(found)
