"""A live table, updated in place: its columns fit their content, the cursor stays on its row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.console import JustifyMethod
from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.coordinate import Coordinate
from textual.events import Resize
from textual.geometry import Offset
from textual.theme import Theme
from textual.widget import Widget
from textual.widgets import DataTable, Input

from pgwatch_tests.text.toned_text import Cell, Tone, shortened, text_of
from pgwatch_tests.tui.widgets.column_widths import Column, widths
from pgwatch_tests.tui.widgets.themes import tone_styles

_SCROLLBAR = 2
_SLACK = 12
"""Characters that a column may be wider than its content is now."""


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


class LiveTable(DataTable[Text]):
    """A table of rows by key. Cells are plain text, never markup; a tone has its colour in the theme.

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
        self._contents: tuple[int, ...] = ()
        """The lengths of the longest cells that the widths were made for."""
        self._styles: dict[Tone, Style] = {}
        self._place: tuple[str | None, int] = (None, 0)
        """The cursor's key and row, when there last were rows."""
        self._had_focus = False
        self._hides = hides

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, self._use_theme)
        self._use_theme()
        self._lay_out()

    def on_resize(self, _: Resize) -> None:
        self._contents = _lengths(self._rows_shown, self._specification)
        self._lay_out()

    def _use_theme(self, _: Theme | None = None) -> None:
        self._styles = tone_styles(self.app.get_css_variables())
        rows, self._rows_shown = self._rows_shown, ()
        self._fill(rows)

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
            self._fit(_lengths(rows, self._specification))
            self._fill(tuple(rows))
        if not self._hides:
            self.set_class(not rows, "without-rows")
            return
        if self.display and not rows:
            self._had_focus = self.has_focus
        elif rows and not self.display and self._had_focus and not isinstance(self.screen.focused, Input):
            self.call_after_refresh(self.focus)
        self.display = bool(rows)

    def select(self, key: str) -> None:
        """Moves the cursor to the row of that key, if it is there."""
        for number, row in enumerate(self._rows_shown):
            if row.key == key:
                self.move_cursor(row=number)
                return

    def use(self, columns: Sequence[Column]) -> None:
        """Empties the table and gives it other columns."""
        self._specification = tuple(columns)
        self._rows_shown, self._widths, self._contents = (), (), ()
        self._lay_out()
        self.scroll_home(animate=False)

    def _fit(self, contents: tuple[int, ...]) -> None:
        """Widens columns at once, and narrows them only where much is gained: a table mustn't jump."""
        before = self._contents or (0,) * len(contents)
        self._contents = tuple(
            now if now > kept or kept - now > _SLACK else kept
            for now, kept in zip(contents, before, strict=True)
        )
        self._lay_out()

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
        return [
            self._text(cell, column, width, row.tone)
            for cell, column, width in zip(row.cells, self._specification, self._widths, strict=True)
            if width
        ]

    def _text(self, cell: Cell, column: Column, width: int, tone: Tone) -> Text:
        text = Text(justify="right" if column.right else "left", no_wrap=True, overflow="ellipsis")
        for part in shortened(cell, width, column.cut):
            text.append(part.text, self._styles[part.tone or tone])
        return text

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
                if width:
                    justify: JustifyMethod = "right" if column.right else "left"
                    self.add_column(Text(column.label, justify=justify, no_wrap=True), width=width)
        self._fill(rows)

    def _fitting_widths(self) -> tuple[int, ...]:
        contents = self._contents or (0,) * len(self._specification)
        return widths(self._specification, contents, self._room, 2 * self.cell_padding)

    @property
    def _room(self) -> int:
        """Characters for the columns.

        A table that was hidden has no size before the next layout: its first picture is made for what is
        around it, or names would be cut to nothing until then.
        """
        around = (node.size.width for node in self.ancestors if isinstance(node, Widget))
        width = self.size.width or next(filter(None, around), 0)
        return width - _SCROLLBAR


def _lengths(rows: Sequence[LiveRow], columns: Sequence[Column]) -> tuple[int, ...]:
    """The length of each column's longest cell."""
    longest = [0] * len(columns)
    for row in rows:
        for position, cell in enumerate(row.cells):
            longest[position] = max(longest[position], cell_len(text_of(cell)))
    return tuple(longest)
