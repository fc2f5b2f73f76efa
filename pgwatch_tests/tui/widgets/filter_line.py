"""The line that a filter is typed into."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input


class FilterLine(Input):
    """Keeps a filter for each tab; out of the way where there is none."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # At once: an Input's own message comes after keys that were typed in one go with it.
        Binding("enter", "app.leave_filter", show=False),
    ]

    def __init__(self) -> None:
        # Focus is told late: to select all then would have the next key replace what was typed already.
        super().__init__(id="filter", placeholder="show only what contains …", select_on_focus=False)
        self._tab = ""
        self._texts: dict[str, str] = {}

    def watch_value(self, value: str) -> None:
        self._texts[self._tab] = value

    def of(self, tab: str) -> str:
        """What `tab` is filtered by; empty if by nothing."""
        return self._texts.get(tab, "")

    def is_open_for(self, tab: str) -> bool:
        """Whether keys go into the filter of `tab`."""
        return self._tab == tab and self.screen.focused is self

    def open(self, tab: str) -> None:
        """Has the filter of `tab` typed: takes the focus before the next key."""
        self.show(tab)
        self.add_class("open")
        self.screen.set_focus(self)
        self.select_all()

    def show(self, tab: str) -> None:
        """Shows what `tab` is filtered by."""
        self._tab = tab
        self.value = self.of(tab)
        self.set_class(bool(self.value), "open")

    def clear_filter(self, tab: str) -> None:
        """Ends the filter of `tab`."""
        self._texts.pop(tab, None)
        self.show(tab)
