"""A live table and a text line, updated in place: the cursor stays on its row, the scroll where it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.coordinate import Coordinate
from textual.events import Resize
from textual.geometry import Offset
from textual.widgets import DataTable, Input, Static


@dataclass(frozen=True, slots=True)
class Column:
    """A column: `width` in characters, and its `share` of the width that all columns leave free."""

    label: str
    width: int = 0
    share: int = 0
    cut: Callable[[str, int], str] | None = None
    """How a cell that doesn't fit is shortened; at its end by default."""
    right: bool = False


@dataclass(frozen=True, slots=True)
class LiveRow:
    """One row: its key, its cells as plain text, and a style for all of it."""

    key: str
    cells: tuple[str, ...]
    style: str = ""


class LiveTable(DataTable[Text]):
    """A table of rows by key. Cells are plain text, never markup.

    With `hides`, it is hidden while it has no rows; else it keeps its head, and the focus.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        # A binding, since a table's own message arrives after keys typed in the same burst.
        Binding("enter", "app.detail", show=False),
    ]

    def __init__(self, columns: Sequence[Column], *, id: str, hides: bool = True) -> None:
        super().__init__(id=id, cursor_type="row", zebra_stripes=False)
        self._specification = tuple(columns)
        self._rows_shown: tuple[LiveRow, ...] = ()
        self._widths: tuple[int, ...] = ()
        self._place: tuple[str | None, int] = (None, 0)
        """The cursor's key and row, when there last were rows."""
        self._had_focus = False
        self._hides = hides

    def on_mount(self) -> None:
        self._lay_out()

    def on_resize(self, _: Resize) -> None:
        self._lay_out()

    @property
    def current_key(self) -> str | None:
        """The key of the row under the cursor."""
        if 0 <= self.cursor_row < len(self._rows_shown):
            return self._rows_shown[self.cursor_row].key
        return None

    def show(self, rows: Sequence[LiveRow]) -> None:
        """Replaces the rows; the cursor follows its row's key, or keeps its position if that row is gone.

        A hidden table gets its cursor and focus back with the next rows.
        """
        if tuple(rows) != self._rows_shown:
            self._fill(tuple(rows))
        if not self._hides:
            self.set_class(not rows, "without-rows")
            return
        if self.display and not rows:
            self._had_focus = self.has_focus
        elif rows and not self.display and self._had_focus and not isinstance(self.screen.focused, Input):
            self.call_after_refresh(self.focus)
        self.display = bool(rows)

    def use(self, columns: Sequence[Column]) -> None:
        """Empties the table and gives it other columns."""
        self._specification = tuple(columns)
        self._rows_shown, self._widths = (), ()
        self._lay_out()
        self.scroll_home(animate=False)

    def _fill(self, rows: tuple[LiveRow, ...]) -> None:
        scroll = Offset(round(self.scroll_x), round(self.scroll_y))
        if self._rows_shown:
            self._place = self.current_key, self.cursor_row
        key, row_number = self._place
        for number, row in enumerate(rows):
            if row.key == key:
                row_number = number
                break
        # Clearing and adding is cheaper than row-by-row differences once more than a few rows changed.
        with self.app.batch_update(), self.prevent(DataTable.RowHighlighted):
            self.clear()
            for row in rows:
                self.add_row(*self._cells(row), key=row.key)
            self._rows_shown = rows
            if rows:
                self.cursor_coordinate = Coordinate(min(row_number, len(rows) - 1), 0)
        self.scroll_to(scroll.x, scroll.y, animate=False, immediate=True)

    def _cells(self, row: LiveRow) -> list[Text]:
        cells = []
        for cell, column, width in zip(row.cells, self._specification, self._widths, strict=True):
            shown = column.cut(cell, width) if column.cut else cell
            cells.append(
                Text(
                    shown,
                    style=row.style,
                    justify="right" if column.right else "left",
                    no_wrap=True,
                    overflow="ellipsis",
                )
            )
        return cells

    def _lay_out(self) -> None:
        """Fits the columns to the present width, so that nothing is cut off at the right."""
        widths = self._fitting_widths()
        if widths == self._widths:
            return
        self._widths = widths
        rows = self._rows_shown
        self._place = (self.current_key, self.cursor_row) if rows else self._place
        self._rows_shown = ()
        with self.app.batch_update(), self.prevent(DataTable.RowHighlighted):
            self.clear(columns=True)
            for column, width in zip(self._specification, widths, strict=True):
                self.add_column(
                    Text(column.label, justify="right" if column.right else "left", no_wrap=True), width=width
                )
        self._fill(rows)

    def _fitting_widths(self) -> tuple[int, ...]:
        padding = 2 * self.cell_padding * len(self._specification)
        scrollbar = 2
        fixed = sum(column.width for column in self._specification)
        shares = sum(column.share for column in self._specification)
        free = max(0, self.size.width - padding - scrollbar - fixed)
        return tuple(
            column.width + (free * column.share // shares if shares else 0) for column in self._specification
        )


class StillText(Static):
    """Text without markup, updated only if it changed: an update lays out the whole screen."""

    def __init__(self, content: str = "", *, id: str, classes: str | None = None) -> None:
        super().__init__(content, id=id, classes=classes, markup=False)

    def say(self, text: str) -> None:
        """Shows `text`."""
        if text != self.content:
            self.update(text)
