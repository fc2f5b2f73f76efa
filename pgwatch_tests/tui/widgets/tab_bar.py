"""The bar of tabs: one line with a label each, and below it a rule that marks the open one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, count
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

_PADDING = 1
"""Cells on each side of a label."""
_LONG, _SHORT = 6, 4
"""A title of more letters than this is shortened first, to so many."""


def tab_labels(titles: Sequence[str], numbers: Sequence[str], width: int) -> list[str]:
    """`1 Locks 4`, `2 Sess 31` …: what a tab is called, in `width` columns for all of them.

    Titles are shortened where there is no room, the long ones first; the key before a title, and what it
    counts, are never.
    """
    ways = [
        titles,
        [title if len(title) <= _LONG else title[:_SHORT] for title in titles],
        *([title[:letters] for title in titles] for letters in (_SHORT, 3, 2, 1)),
    ]
    for shown in ways:
        parts = zip(count(1), shown, numbers, strict=False)
        labels = [f"{key} {title} {number}".rstrip() for key, title, number in parts]
        if sum(cell_len(label) + 2 * _PADDING for label in labels) <= width:
            break
    return labels


class TabBar(Widget):
    """Shows the labels of tabs, drawn only if they change; a click on one posts `Chosen`.

    Textual's own tabs are a widget each, in three others: to style and to place these takes longer than a
    poll's rows, with each key that opens another tab.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "tab-bar--closed",
        "tab-bar--open",
        "tab-bar--rule",
        "tab-bar--mark",
    }
    DEFAULT_CSS = """
    TabBar {
        height: 2;
        & > .tab-bar--closed { color: $foreground 80%; }
        & > .tab-bar--open { color: $foreground; text-style: bold; }
        & > .tab-bar--rule { color: $foreground 10%; }
        & > .tab-bar--mark { color: $block-cursor-background; }
    }
    """
    ALLOW_SELECT = False

    @dataclass
    class Chosen(Message):
        """A click on the label of that pane's tab."""

        pane_id: str

    def __init__(self, titles: Mapping[str, str], opened: str) -> None:
        super().__init__()
        self._ids, self._titles = tuple(titles), tuple(titles.values())
        self._numbers: tuple[str, ...] = ("",) * len(titles)
        self._opened = self._ids.index(opened)
        self._hovered = -1
        self._fitted = _Fitted()

    @property
    def opened(self) -> str:
        """The id of the pane whose tab is marked as open."""
        return self._ids[self._opened]

    def open(self, pane_id: str) -> None:
        """Marks a tab as open."""
        self._opened = self._ids.index(pane_id)
        self.refresh()

    def say(self, numbers: Mapping[str, str]) -> None:
        """Says how much there is in each tab, by the ids of their panes."""
        said = tuple(numbers.get(one, "") for one in self._ids)
        if said != self._numbers:
            self._numbers = said
            self.refresh()

    @property
    def labels(self) -> list[str]:
        """The labels in the room that there is."""
        return list(self._fit().labels)

    def column_of(self, pane_id: str) -> int:
        """The first cell of a tab's label."""
        return self._fit().begins[self._ids.index(pane_id)] + _PADDING

    def _fit(self) -> _Fitted:
        made_of = *self._numbers, self.size.width
        if self._fitted.made_of != made_of:
            labels = tab_labels(self._titles, self._numbers, self.size.width)
            ends = accumulate(cell_len(label) + 2 * _PADDING for label in labels)
            self._fitted = _Fitted(made_of, labels, [0, *ends])
        return self._fitted

    def render_line(self, y: int) -> Strip:
        """Draws the labels, or the rule below them."""
        fitted, width = self._fit(), self.size.width
        if y == 0:
            bold, quiet = self._style("open"), self._style("closed")
            segments = [
                Segment(f" {label} ", bold if place in (self._opened, self._hovered) else quiet)
                for place, label in enumerate(fitted.labels)
            ]
        else:
            rule, mark = self._style("rule"), self._style("mark")
            begin, end = fitted.begins[self._opened : self._opened + 2]
            segments = [
                Segment("━" * begin + "╸", rule),
                Segment("━" * (end - begin - 2 * _PADDING), mark),
                Segment("╺" + "━" * max(0, width - end), rule),
            ]
        return Strip(segments).adjust_cell_length(width, self.rich_style)

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"tab-bar--{name}")

    # The mouse.

    def on_click(self, event: events.Click) -> None:
        """Opens the tab that was clicked at."""
        place = self._fit().at(event.x)
        if place is not None:
            self.post_message(self.Chosen(self._ids[place]))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        place = self._fit().at(event.x)
        self._hover(-1 if place is None else place)

    def on_leave(self) -> None:
        self._hover(-1)

    def _hover(self, place: int) -> None:
        if place != self._hovered:
            self._hovered = place
            self.refresh()


@dataclass(frozen=True, slots=True)
class _Fitted:
    """The labels as they fit, and what they were made of."""

    made_of: tuple[object, ...] = ()
    labels: Sequence[str] = ()
    begins: Sequence[int] = field(default=(0,))
    """The first cell of each label with its padding, and the one behind the last label."""

    def at(self, x: int) -> int | None:
        """The place of the label that has that cell; None if none has."""
        places = enumerate(zip(self.begins, self.begins[1:], strict=False))
        return next((place for place, (begin, end) in places if begin <= x < end), None)
