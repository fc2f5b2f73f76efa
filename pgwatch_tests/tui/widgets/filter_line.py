"""Filters: the input line that `/` opens, and which rows a filter keeps."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from glob import escape
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input

from pgwatch_tests.text.plain_text import plain

_TYPED = {"slash": "/", "plus": "+", "minus": "-"}
"""What keys type whose names aren't those of Unicode: Textual knows no character of them beforehand."""


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

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Whether a key goes into the filter: then it isn't offered as a key of the dashboard."""
        return super().check_consume_key(key, character or _TYPED.get(key))

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
        self._open(True)
        self.screen.set_focus(self)
        self.select_all()

    def show(self, tab: str) -> None:
        """Shows the filter of `tab`."""
        self._tab = tab
        self.value = self.of(tab)
        self._open(bool(self.value))

    def _open(self, is_open: bool) -> None:
        """Shows the line with its label, or hides both."""
        if self.parent is not None:
            self.parent.set_class(is_open, "open")

    def set_filter(self, tab: str, text: str) -> None:
        """Gives `tab` a filter without the focus."""
        self._texts[tab] = text
        if tab == self._tab:
            self.show(tab)

    def clear_filter(self, tab: str) -> None:
        """Clears the filter of `tab`."""
        self._texts.pop(tab, None)
        self.show(tab)


_DATABASE = re.compile(r'\bdatabase:(?:"(?P<quoted>[^"]*)"|(?P<name>[^\s"]+))')


def of_database(name: str) -> str:
    """The filter that keeps the rows of that database only."""
    glob = escape(name).replace('"', "?")
    return f'database:"{glob}"' if re.search(r"\s", glob) else f"database:{glob}"


@dataclass(frozen=True, slots=True)
class RowFilter:
    """A filter as typed, case-insensitive; the empty one fits every row.

    `database:NAME` in it, a glob, fits rows with a cell that is the name of that database.
    """

    typed: str = ""

    def __bool__(self) -> bool:
        return bool(self.typed)

    def fits(self, cells: Iterable[str]) -> bool:
        """Whether one of a row's cells, joined by spaces, contains the filter."""
        texts = tuple(cells)
        globs = [match["quoted"] or match["name"] or "" for match in _DATABASE.finditer(self.typed)]
        if not all(any(fnmatchcase(text, glob) for text in texts) for glob in globs):
            return False
        text = _DATABASE.sub("", self.typed).strip() if globs else self.typed
        return text.casefold() in " ".join(texts).casefold()

    def no_match(self, what: str, clears: str) -> str:
        """The text where no row fits: `No session matches 'Kyoto'. escape clears the filter.`

        `clears` is the key that does.
        """
        return f"No {what} matches {plain(self.typed)!r}. {clears} clears the filter."
