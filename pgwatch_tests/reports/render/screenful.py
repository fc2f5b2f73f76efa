"""Text for one screen of 80 columns and 24 lines: sections that say how much they don't show. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

WIDTH = 80
LINES = 23
"""One fewer than a screen has: the prompt takes the last."""

# A name in quotes stays whole: statements are pasted with their line breaks.
_WORD = re.compile(r'(?:"[^"\n]*"|\S)+')


class ScreenSection(Protocol):
    """A part of a report that can show any number of its items."""

    @property
    def weight(self) -> float:
        """How many items it gets for one of a section with weight 1; with 0, what others leave.

        With infinity, it gets all there is room for before those behind it get one.
        """

    @property
    def items(self) -> int:
        """How many there are."""

    def lines(self, shown: int) -> list[str]:
        """The section with its first `shown` items; with none, the line that stands for all of it.

        More items never make fewer lines.
        """


@dataclass(frozen=True, slots=True)
class Listed:
    """Sentences, under a head if there is one, wrapped."""

    head: str
    sentences: Sequence[str | Sequence[str]]
    """An item each; those of an item that has several are indented below its first. What fits on a line
    keeps its spaces."""
    rest: Callable[[int], str]
    """Says what isn't shown; told how many are."""
    in_all: str
    """What stands for all of them; may be empty."""
    weight: int = 1

    @property
    def items(self) -> int:
        """How many there are."""
        return len(self.sentences)

    def lines(self, shown: int) -> list[str]:
        """The head, the first `shown` items, and the line on the rest."""
        if not shown:
            return wrapped(self.in_all, rest="  ") if self.in_all else []
        indent = "  " if self.head else ""
        written = [self.head] if self.head else []
        for item in self.sentences[:shown]:
            first, *below = (item,) if isinstance(item, str) else item
            written += wrapped(first, indent, f"{indent}  ")
            for line in below:
                whole = f"{indent}  {line}"
                written += [whole] if len(whole) <= WIDTH else wrapped(line, f"{indent}  ", f"{indent}    ")
        return written if shown == self.items else [*written, f"{indent}{self.rest(shown)}"]


def fitted(sections: Sequence[ScreenSection], room: int) -> list[list[str]]:
    """The lines of each section, together at most `room` if that can be.

    Room is shared out by weight: the section that shows fewest items for its own gets the next one.
    """
    shown = [0] * len(sections)
    blocks = [section.lines(0) for section in sections]
    growing = {number for number, section in enumerate(sections) if section.items}
    while growing:
        number = min(growing, key=lambda one: _turn(sections[one], shown[one]))
        grown = sections[number].lines(shown[number] + 1)
        if sum(map(len, blocks)) - len(blocks[number]) + len(grown) > room:
            growing.remove(number)
            continue
        shown[number] += 1
        blocks[number] = grown
        if shown[number] == sections[number].items:
            growing.remove(number)
    return blocks


def _turn(section: ScreenSection, shown: int) -> tuple[bool, float]:
    return (False, shown / section.weight) if section.weight else (True, shown)


def wrapped(text: str, first: str = "", rest: str = "", width: int = WIDTH) -> list[str]:
    """`text` in lines of at most `width`, indented by `first` and `rest`; longer words stay whole."""
    lines: list[str] = []
    line, is_empty = first, True
    for word in _WORD.findall(text):
        if not is_empty and len(line) + 1 + len(word) > width:
            lines.append(line)
            line, is_empty = rest, True
        line, is_empty = f"{line}{'' if is_empty else ' '}{word}", False
    return [*lines, line]
