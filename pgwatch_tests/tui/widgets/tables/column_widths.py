"""Widths of a table's columns: by their content, in the room that there is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pgwatch_tests.text.toned_text import Cut, cut_end

_NARROWEST = 6
"""A name of fewer characters says nothing."""
_TELLING = 10
"""A name of so many tells most tests apart."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column as wide as its content, as long as there is room.

    Where room is short, it shrinks to `least` characters; it wants `enough` of them before another column is
    shown at all. A column of `rank` 0 is always shown, and whole before others; these, unless they are
    empty, in the order of their rank.
    """

    label: str
    least: int = 0
    """0 is its whole content: such a column never shrinks."""
    enough: int = 0
    """0 is its whole content."""
    most: int = 0
    """0 is its whole content."""
    cut: Cut = cut_end
    """How a part of a cell that doesn't fit is shortened."""
    right: bool = False
    rank: int = 0
    short: str = ""
    """A shorter label, for where the column is narrower than its own; empty for none."""
    gives_way: bool = False
    """Whether it isn't shown, whatever its rank, where others would be cut to what says nothing."""

    def label_in(self, width: int) -> str:
        """The label for a column of `width` characters."""
        return self.short if self.short and len(self.label) > width else self.label


def widths(columns: Sequence[Column], contents: Sequence[int], room: int, gap: int) -> tuple[int, ...]:
    """The width of each column in characters, 0 for one that isn't shown.

    `contents` are the lengths of their longest cells, `gap` is what a shown column takes besides its text.
    The sum of the shown ones and their gaps is at most `room`, if the columns of rank 0 can shrink so far:
    where even their least is too much, those that can shrink do further, the widest first.
    """
    whole = [
        max(len(column.label), min(length, column.most) if column.most else length)
        for column, length in zip(columns, contents, strict=True)
    ]
    least = [
        min(wanted, max(column.least, len(column.label))) if column.least else wanted
        for column, wanted in zip(columns, whole, strict=True)
    ]
    enough = [
        max(minimum, min(wanted, column.enough) if column.enough else wanted)
        for column, wanted, minimum in zip(columns, whole, least, strict=True)
    ]
    shown = [number for number, column in enumerate(columns) if not column.rank]
    filled = {number for number, length in enumerate(contents) if length}
    for number in sorted(filled - set(shown), key=lambda one: (columns[one].rank, one)):
        if sum(enough[one] + gap for one in (*shown, number)) > room:
            break
        shown.append(number)
    free = room - sum(least[one] + gap for one in shown)
    for number in (one for one in tuple(shown) if columns[one].gives_way):
        if free + sum(max(0, least[one] - _TELLING) for one in shown if columns[one].least) < 0:
            shown.remove(number)
            free += least[number] + gap
    while free < 0 and (wide := [one for one in shown if columns[one].least and least[one] > _NARROWEST]):
        least[max(wide, key=lambda one: least[one])] -= 1
        free += 1
    given = dict.fromkeys(range(len(columns)), 0) | {one: least[one] for one in shown}
    always = [one for one in shown if not columns[one].rank]
    for goal, wider in ((enough, shown), (whole, always), (whole, shown)):
        free = _share(given, {one: goal[one] for one in wider}, free)
    return tuple(given[one] for one in range(len(columns)))


def _share(given: dict[int, int], goals: dict[int, int], free: int) -> int:
    """Widens the columns towards their goals, the narrowest need first; returns what is left of `free`."""
    wanting = sorted(
        (one for one in goals if goals[one] > given[one]), key=lambda one: goals[one] - given[one]
    )
    for position, one in enumerate(wanting):
        more = min(goals[one] - given[one], max(0, free) // (len(wanting) - position))
        given[one] += more
        free -= more
    return free
