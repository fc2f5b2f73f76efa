"""A live table, updated in place: its columns fit their content, the cursor stays on its row."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from typing import ClassVar

from rich.console import JustifyMethod
from rich.style import Style
from rich.text import Text
from textual.binding import BindingType
from textual.coordinate import Coordinate
from textual.events import Resize
from textual.geometry import Offset
from textual.theme import Theme
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import DataTable, Input
from textual.widgets.data_table import RowKey

from pgwatch_tests.text.toned_text import Cell, Tone, marked, shortened
from pgwatch_tests.tui.keys.tab_keys import TABLE_KEYS
from pgwatch_tests.tui.widgets.column_widths import Column, widths
from pgwatch_tests.tui.widgets.detail_pane import DetailPane
from pgwatch_tests.tui.widgets.table_rows import LiveRow, longest_cells
from pgwatch_tests.tui.widgets.themes import styled_text, tone_styles

_SCROLLBAR = 2
_LOST_S = 3.0
"""Seconds without a selected row, after its row has gone: a key that was meant for it must hit no other."""
_SLACK = 12
"""Characters that a column may be wider than its content is now."""
_FEW = 8
"""So many rows are cheaper to change one by one than to clear and to add with all others."""


Heir = Callable[[str], str | None]
"""Returns the key of the row that the cursor goes to when the row of that key is gone; None for no row."""


class LiveTable(DataTable[Text]):
    """A table of rows by key. Cells are plain text, never markup; a tone has its colour in the theme.

    With `hides`, it is hidden while it has no rows; else it keeps its head, and the focus. A cursor that
    lost the row that somebody chose, without an heir, is hidden until a key or the mouse moves it; one that
    nobody has moved goes to the first row.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*TABLE_KEYS]

    def __init__(self, columns: Sequence[Column], *, id: str, hides: bool = True) -> None:
        # Tones have colours of their own under the cursor: `_tone_row`.
        super().__init__(
            id=id, cursor_type="row", zebra_stripes=False, cursor_foreground_priority="renderable"
        )
        self._specification = tuple(columns)
        self._rows_shown: tuple[LiveRow, ...] = ()
        self._widths: tuple[int, ...] = ()
        self._contents: tuple[int, ...] = ()
        """The lengths of the longest cells that the widths were made for."""
        self._styles: dict[Tone, Style] = {}
        self._marked: frozenset[str] = frozenset()
        self._cursor_styles: dict[Tone, Style] = {}
        self._place: tuple[str | None, int] = (None, 0)
        """The cursor's key and row, when there last were rows."""
        self._had_focus = False
        self._without_row: Timer | None = None
        """Runs while the cursor has lost its row."""
        self._hides = hides
        self._is_chosen = False
        """Whether somebody moved the cursor, or did something with its row."""
        self._wanted_heads: frozenset[str] = frozenset()

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, self._use_theme)
        self._use_theme()
        self._lay_out()

    def on_resize(self, _: Resize) -> None:
        self._contents = self._lengths(self._rows_shown)
        self._lay_out()

    def _use_theme(self, _: Theme | None = None) -> None:
        variables = self.app.get_css_variables()
        self._styles, self._cursor_styles = tone_styles(variables), tone_styles(variables, "cursor")
        rows, self._rows_shown = self._rows_shown, ()
        self._fill(rows)

    @property
    def current_key(self) -> str | None:
        """The key of the row under the cursor; None without rows, or if the cursor has lost its row."""
        if self.show_cursor and 0 <= self.cursor_row < len(self._rows_shown):
            return self._rows_shown[self.cursor_row].key
        return None

    def show(self, rows: Sequence[LiveRow], heir: Heir | None = None) -> None:
        """Replaces the rows; the cursor follows its row's key. If that row is gone, the cursor goes to its
        heir; without `heir` it keeps its position.

        A hidden table gets its cursor and focus back with the next rows.
        """
        if tuple(rows) != self._rows_shown:
            self._fit(self._lengths(rows))
            if not self._change_a_few(tuple(rows)):
                self._fill(tuple(rows), heir)
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
        self._rows_shown, self._widths, self._contents = (), (), ()
        self._lay_out()
        self.scroll_home(animate=False)

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads of all columns, shown or not."""
        return tuple(column.label for column in self._specification)

    @property
    def shown_heads(self) -> tuple[str, ...]:
        """The heads of the columns that somebody wants to see."""
        wanted = tuple(head for head in self.heads if head in self._wanted_heads)
        return wanted or self.heads

    def show_only(self, heads: Collection[str]) -> None:
        """Shows only columns with these heads; all if there is none such."""
        self._wanted_heads = frozenset(heads)
        self._lay_out()

    def _fit(self, contents: tuple[int, ...]) -> None:
        """Widens columns at once, and narrows them only where much is gained: a table mustn't jump."""
        before = self._contents or (0,) * len(contents)
        self._contents = tuple(
            now if now > kept or kept - now > _SLACK else kept
            for now, kept in zip(contents, before, strict=True)
        )
        self._lay_out()

    @property
    def marked(self) -> list[str]:
        """The keys of the marked rows that are shown, from above."""
        return [row.key for row in self._rows_shown if row.key in self._marked]

    def toggle_mark(self) -> None:
        """Marks the row under the cursor, or takes its mark away; the cursor goes to the next row."""
        key = self.current_key
        if key is not None:
            self._marked ^= {key}
            self._draw_anew()
            self.action_cursor_down()

    def clear_marks(self) -> None:
        """Takes all marks away."""
        if self._marked:
            self._marked = frozenset()
            self._draw_anew()

    def _draw_anew(self) -> None:
        rows = self._rows_shown
        self._place = (rows[self.cursor_row].key if rows else None), self.cursor_row
        self._fit(self._lengths(rows))
        self._rows_shown = ()
        self._fill(rows)

    def select(self, key: str) -> None:
        """Moves the cursor to the row of `key`, if it is there, and scrolls it into view."""
        number = _position(self._rows_shown, key)
        if number is not None:
            self._regain_cursor()
            self.move_cursor(row=number)

    def choose(self) -> None:
        """Takes the selected row for chosen, as if the cursor had been moved there."""
        self._is_chosen = True

    def let_go(self) -> None:
        """Takes the selected row for not chosen: what removes it was confirmed, so the first row is next."""
        self._is_chosen = False
        self._take_first()

    def _change_a_few(self, rows: tuple[LiveRow, ...]) -> bool:
        """Changes the cells of the rows that differ, if these are few and their keys have stayed."""
        before = self._rows_shown
        if len(rows) != len(before) or any(one.key != old.key for one, old in zip(rows, before, strict=True)):
            return False
        changed = [number for number, row in enumerate(rows) if row != before[number]]
        if len(changed) > _FEW:
            return False
        self._rows_shown = rows
        for number in changed:
            cells = self._cells(rows[number], under_cursor=self._is_under_cursor(number))
            for column, cell in enumerate(cells):
                if cell != self.get_cell_at(Coordinate(number, column)):
                    self.update_cell_at(Coordinate(number, column), cell)
        return True

    def _fill(self, rows: tuple[LiveRow, ...], heir: Heir | None = None) -> None:
        scroll = Offset(round(self.scroll_x), round(self.scroll_y))
        if self._rows_shown:
            self._place = self.current_key, self.cursor_row
        key, kept = self._place
        number = None if key is None else _position(rows, key)
        if number is None and key is not None and heir is not None and rows:
            successor = heir(key)
            number = None if successor is None else _position(rows, successor)
            if number is None and not self._is_chosen:
                number = 0
            self.show_cursor = number is not None
            if number is None:
                self._take_first_later()
            if number is not None:
                scroll = Offset(scroll.x, self._scroll_that_shows(number, scroll.y))
        row_number = kept if number is None else number
        # Clearing and adding is cheaper than row-by-row differences once more than a few rows changed.
        with self.app.batch_update(), self.prevent(DataTable.RowHighlighted):
            self.clear()
            for row in rows:
                self.add_row(*self._cells(row), key=row.key)
            self._rows_shown = rows
            if rows:
                self.cursor_coordinate = Coordinate(min(row_number, len(rows) - 1), 0)
                self._tone_row(self.cursor_row)
        self.scroll_to(scroll.x, scroll.y, animate=False, immediate=True)

    def _scroll_that_shows(self, number: int, scroll: int) -> int:
        room = max(1, self.scrollable_content_region.height - self.header_height)
        return min(max(scroll, number - room + 1), number)

    def watch_cursor_coordinate(self, old_coordinate: Coordinate, new_coordinate: Coordinate) -> None:
        """Tones both rows anew: the cursor has a ground of its own."""
        self._tone_row(old_coordinate.row)
        self._tone_row(new_coordinate.row)
        super().watch_cursor_coordinate(old_coordinate, new_coordinate)

    def _is_under_cursor(self, number: int) -> bool:
        return self.show_cursor and number == self.cursor_row

    def _tone_row(self, number: int) -> None:
        # In place: what is drawn of the cells is kept apart for rows under the cursor and beside it.
        if 0 <= number < min(len(self._rows_shown), self.row_count):
            row = self._rows_shown[number]
            cells = self._cells(row, under_cursor=self._is_under_cursor(number))
            for cell, toned in zip(self.get_row_at(number), cells, strict=False):
                cell.spans = toned.spans

    def _cells(self, row: LiveRow, *, under_cursor: bool = False) -> list[Text]:
        styles = self._cursor_styles if under_cursor else self._styles
        return [
            styled_text(shortened(cell, width, column.cut), styles, row.tone, right=column.right)
            for cell, column, width in zip(
                self._marked_cells(row), self._specification, self._widths, strict=True
            )
            if width
        ]

    def action_scroll_detail(self, lines: int) -> None:
        """Scrolls the detail of the selected row, in tabs that have one below their table."""
        if self.parent is not None:
            for pane in self.parent.query_children(DetailPane):
                pane.scroll_relative(y=lines, animate=False)

    # A cursor that lost its row comes back where it was, before it moves; or to the first row after a while.

    def _take_first_later(self) -> None:
        """Selects the first row once nobody can still mean the lost one: what to do must stay in sight."""
        if self._without_row is not None:
            self._without_row.stop()
        self._without_row = self.set_timer(_LOST_S, self._take_first)

    def _take_first(self) -> None:
        if not self.show_cursor and self._rows_shown:
            self.show_cursor = True
            self.move_cursor(row=0)
            self._tone_row(0)
            # The row number may be the one that it had, which tells nobody.
            self.post_message(DataTable.RowHighlighted(self, 0, RowKey(self._rows_shown[0].key)))

    def _regain_cursor(self) -> bool:
        """Shows a hidden cursor; returns whether it was hidden."""
        self._is_chosen = True
        hidden = not self.show_cursor
        if hidden:
            self.show_cursor = True
            self._tone_row(self.cursor_row)
        return hidden

    def on_mouse_down(self) -> None:
        self._regain_cursor()

    def action_cursor_up(self) -> None:
        """Moves the cursor up."""
        if not self._regain_cursor():
            super().action_cursor_up()

    def action_cursor_down(self) -> None:
        """Moves the cursor down."""
        if not self._regain_cursor():
            super().action_cursor_down()

    def action_page_up(self) -> None:
        """Moves the cursor a page up."""
        self._regain_cursor()
        super().action_page_up()

    def action_page_down(self) -> None:
        """Moves the cursor a page down."""
        self._regain_cursor()
        super().action_page_down()

    def action_scroll_top(self) -> None:
        """Moves the cursor to the first row."""
        self._regain_cursor()
        super().action_scroll_top()

    def action_scroll_bottom(self) -> None:
        """Moves the cursor to the last row."""
        self._regain_cursor()
        super().action_scroll_bottom()

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

    def _lengths(self, rows: Sequence[LiveRow]) -> tuple[int, ...]:
        """The length of each column's longest cell."""
        return longest_cells(map(self._marked_cells, rows), len(self._specification))

    def _marked_cells(self, row: LiveRow) -> tuple[Cell, ...]:
        return (marked(row.cells[0]), *row.cells[1:]) if row.key in self._marked else row.cells

    def _fitting_widths(self) -> tuple[int, ...]:
        contents = self._contents or (0,) * len(self._specification)
        shown = [column.label in self.shown_heads for column in self._specification]
        columns = tuple(itertools.compress(self._specification, shown))
        lengths = tuple(itertools.compress(contents, shown))
        found = widths(columns, lengths, self._room, 2 * self.cell_padding)
        given = iter(found)
        return tuple(next(given) if is_shown else 0 for is_shown in shown)

    @property
    def _room(self) -> int:
        """Characters for the columns.

        A table that was hidden has no size before the next layout: its first picture is made for what is
        around it, or names would be cut to nothing until then.
        """
        around = (node.size.width for node in self.ancestors if isinstance(node, Widget))
        width = self.size.width or next(filter(None, around), 0)
        return width - _SCROLLBAR


def _position(rows: Sequence[LiveRow], key: str) -> int | None:
    return next((number for number, row in enumerate(rows) if row.key == key), None)
