"""Filters: the input line that `/` opens, and which rows a filter keeps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input

from pgwatch_tests.text.plain_text import plain


class FilterLine(Input):
    """A filter per tab; hidden in tabs without one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # A binding, since an Input's own message arrives after keys typed in the same burst.
        Binding("enter", "app.leave_filter", show=False),
    ]

    def __init__(self) -> None:
        # Focus arrives late: selecting all then would let the next key replace what is typed already.
        super().__init__(id="filter", placeholder="show only rows that contain …", select_on_focus=False)
        self._tab = ""
        self._texts: dict[str, str] = {}

    def watch_value(self, value: str) -> None:
        self._texts[self._tab] = value

    def of(self, tab: str) -> str:
        """Returns the filter of `tab`; empty without one."""
        return self._texts.get(tab, "")

    def is_open_for(self, tab: str) -> bool:
        """Whether keys go into the filter of `tab`."""
        return self._tab == tab and self.screen.focused is self

    def open(self, tab: str) -> None:
        """Opens the filter of `tab`; has the focus before the next key."""
        self.show(tab)
        self.add_class("open")
        self.screen.set_focus(self)
        self.select_all()

    def show(self, tab: str) -> None:
        """Shows the filter of `tab`."""
        self._tab = tab
        self.value = self.of(tab)
        self.set_class(bool(self.value), "open")

    def clear_filter(self, tab: str) -> None:
        """Clears the filter of `tab`."""
        self._texts.pop(tab, None)
        self.show(tab)


@dataclass(frozen=True, slots=True)
class RowFilter:
    """A filter as typed, case-insensitive; the empty one fits every row."""

    typed: str = ""

    def __bool__(self) -> bool:
        return bool(self.typed)

    def fits(self, cells: Iterable[str]) -> bool:
        """Whether one of a row's cells, joined by spaces, contains the filter."""
        return self.typed.casefold() in " ".join(cells).casefold()

    def no_match(self, what: str) -> str:
        """The text where no row fits: `No session matches 'Kyoto'. esc clears the filter.`"""
        return f"No {what} matches {plain(self.typed)!r}. esc clears the filter."
