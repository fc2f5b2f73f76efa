"""A live table, updated in place: its columns fit their content, the cursor stays on its row."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import ClassVar

from textual.binding import BindingType
from textual.events import Resize
from textual.theme import Theme
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input

from pgwatch_tests.tui.keys.tab_keys import TABLE_KEYS
from pgwatch_tests.tui.widgets.detail_pane import DetailPane
from pgwatch_tests.tui.widgets.tables.column_widths import Column, widths
from pgwatch_tests.tui.widgets.tables.row_table import RowTable
from pgwatch_tests.tui.widgets.tables.table_rows import PADDING, SCROLLBAR, LiveRow, longest_cells

_LOST_S = 3.0
"""Seconds without a selected row, after its row has gone: a key that was meant for it must hit no other."""
_SLACK = 12
"""Characters that a column may be wider than its content is now."""

Heir = Callable[[str], str | None]
"""Returns the key of the row that the cursor goes to when the row of that key is gone; None for no row."""


class LiveTable(RowTable):
    """A table of rows by key. Cells are plain text, never markup; a tone has its colour in the theme.

    With `hides`, it is hidden while it has no rows; else it keeps its head, and the focus. A cursor whose row
    is gone never goes to a neighbour by itself, which a key that was meant for that row would hit: it is
    hidden, if somebody chose the row or acted on it, until it is moved or the row is back. Where rows have
    heirs, it goes to its heir, or after a while to the first row. One that nobody has moved goes there at
    once. From a row that was given up it goes to the next one.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*TABLE_KEYS]

    follows_first = False
    """Whether the cursor stays on the first row, whichever that is, until somebody moves it."""

    def __init__(self, columns: Sequence[Column], *, id: str, hides: bool = True) -> None:
        super().__init__(columns, id=id)
        self._contents: tuple[int, ...] = ()
        """The lengths of the longest cells that the widths were made for."""
        self._place: tuple[str | None, int] = (None, 0)
        """The cursor's key and row, when there last were rows."""
        self._had_focus = False
        self._without_row: Timer | None = None
        """Runs while the cursor has lost its row."""
        self._hides = hides
        self._is_chosen = False
        """Whether somebody moved the cursor, or did something with its row."""
        self._stays = False
        """Whether the cursor, chosen by nobody any more, keeps to its row or an heir while there is one."""
        self._given_up: str | None = None
        """The key of the row that is about to go as somebody confirmed, and from which the cursor goes on."""
        self._heir: Heir | None = None
        self._wanted_heads: frozenset[str] = frozenset()

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, self._use_theme)
        self._lay_out()

    def on_resize(self, _: Resize) -> None:
        self._contents = self._lengths(self._rows)
        self._lay_out()

    def _use_theme(self, _: Theme) -> None:
        self.notify_style_update()

    @property
    def current_key(self) -> str | None:
        """The key of the row under the cursor; None without rows, or if the cursor has lost its row."""
        if self.show_cursor and self.cursor_row < len(self._rows):
            return self._rows[self.cursor_row].key
        return None

    def show(self, rows: Sequence[LiveRow], heir: Heir | None = None) -> None:
        """Replaces the rows; the cursor follows its row's key. If that row is gone, it goes to its heir.

        A hidden table gets its cursor and focus back with the next rows.
        """
        self._heir = heir
        if tuple(rows) != self._rows:
            self._fit(self._lengths(rows))
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
        if self._rows and self.show_cursor:
            self._place = self.current_key, self.cursor_row
        self._columns, self._contents = tuple(columns), ()
        self.set_rows(())
        self._lay_out()
        self.scroll_home(animate=False)

    @property
    def keys(self) -> list[str]:
        """The keys of all rows, from above."""
        return [row.key for row in self._rows]

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads of all columns, shown or not."""
        return tuple(column.label for column in self._columns)

    @property
    def shown_heads(self) -> tuple[str, ...]:
        """The heads of the columns that somebody wants to see."""
        wanted = tuple(head for head in self.heads if head in self._wanted_heads)
        return wanted or self.heads

    def is_asked_for(self, head: str) -> bool:
        """Whether somebody has asked for the column with that head."""
        return head in self._wanted_heads

    def show_order(self, head: str, sign: str) -> None:
        """Shows a sign at the head of the column that the rows are sorted by."""
        if (head, sign) != (self.sorted_head, self._order_sign):
            self.sorted_head, self._order_sign = head, sign
            self._lay_out()
            self.refresh()

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
        return [row.key for row in self._rows if row.key in self._marked] if self._marked else []

    def toggle_mark(self) -> None:
        """Marks the row under the cursor, or takes its mark away; the cursor goes to the next row."""
        key = self.current_key
        if key is not None:
            self._mark(self._marked ^ {key})
            self.action_cursor_down()

    def clear_marks(self) -> None:
        """Takes all marks away."""
        if self._marked:
            self._mark(frozenset())

    def _mark(self, keys: frozenset[str]) -> None:
        self._marked = keys
        self._fit(self._lengths(self._rows))
        self.refresh()

    def select(self, key: str, below: int = 0) -> None:
        """Moves the cursor to the row of `key`, if it is there, and scrolls to it and so many rows below."""
        number = _position(self._rows, key)
        if number is not None:
            self._regain_cursor()
            self.move_cursor(row=number)
            if below:
                self._scroll_to_cursor(below)

    def choose(self) -> None:
        """Takes the selected row for chosen, as if the cursor had been moved there."""
        self._is_chosen = True

    def let_go(self) -> None:
        """Takes the selected row for not chosen: what removes it was confirmed.

        The cursor keeps to what is left of its group, about which the next question will be; then the first
        row is next. Where rows have no heirs, it stays until somebody moves it.
        """
        self._is_chosen, self._stays = False, True
        if self.takes_first:
            self.take_first()

    def give_up(self) -> None:
        """Takes the selected row for one that goes as was confirmed here: then the next one is selected.

        Only where each key asks before it does anything: it may come before its row has gone.
        """
        self._given_up = self.current_key

    @property
    def takes_first(self) -> bool:
        """Whether a cursor that lost its row goes to the first one by itself, after a while."""
        return self._heir is not None

    def _fill(self, rows: tuple[LiveRow, ...], heir: Heir | None) -> None:
        # A lost row without heirs may come back: it is still the one that was chosen.
        if self._rows and (self.show_cursor or heir is not None):
            self._place = self.current_key, self.cursor_row
        key, kept = self._place
        number = None if key is None else self._position(rows, key)
        has_moved = number is not None and not self.show_cursor
        shown = self.show_cursor or has_moved
        if number is None and key is not None and rows:
            number = self._after_loss(rows) if heir is None else self._successor(rows, heir(key))
            shown = has_moved = number is not None
        if self.follows_first and rows and number and not (self._is_chosen or self._stays):
            number, shown, has_moved = 0, True, True
        self.set_rows(rows)
        if rows:
            self.put_cursor(min(kept if number is None else number, len(rows) - 1), shown=shown)
        if has_moved:
            self._scroll_to_cursor()
        elif self.scroll_offset.y > self.max_scroll_y:
            self.scroll_to(y=self.max_scroll_y, animate=False)

    def _successor(self, rows: Sequence[LiveRow], heir: str | None) -> int | None:
        """The number of the row after a lost one with that heir; None for no row yet."""
        number = None if heir is None else _position(rows, heir)
        self._stays = self._stays and number is not None
        if number is None and not self._is_chosen:
            return 0
        if number is None:
            self._take_first_later()
        return number

    def _after_loss(self, rows: Sequence[LiveRow]) -> int | None:
        """The number of the row after a lost one without heirs; None for no row until somebody moves."""
        key, number = self._place
        if key == self._given_up:
            self._given_up = None
            return min(number, len(rows) - 1)
        is_meant = (self._is_chosen or self._stays) and bool(self._rows)
        # Whoever types a filter looks at what is left.
        return None if is_meant and not isinstance(self.screen.focused, Input) else 0

    def _position(self, rows: Sequence[LiveRow], key: str) -> int | None:
        """The number of the row of a key: nearly always that of the cursor."""
        here = self.cursor_row
        return here if here < len(rows) and rows[here].key == key else _position(rows, key)

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
        self._without_row = self.set_timer(_LOST_S, self.take_first)

    def take_first(self) -> None:
        """Selects the first row, unless one is selected."""
        if not self.show_cursor and self._rows:
            self.put_cursor(0, shown=False)
            self.show_cursor = True

    def _regain_cursor(self) -> bool:
        """Shows a hidden cursor; returns whether it was hidden."""
        self._is_chosen, self._given_up = True, None
        hidden = not self.show_cursor
        self.show_cursor = True
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
        if widths != self._widths:
            self.set_widths(widths)

    def _lengths(self, rows: Sequence[LiveRow]) -> tuple[int, ...]:
        """The length of each column's longest cell."""
        return longest_cells(map(self._marked_cells, rows), len(self._columns))

    def _fitting_widths(self) -> tuple[int, ...]:
        contents = self._contents or (0,) * len(self._columns)
        shown = [column.label in self.shown_heads for column in self._columns]
        labelled = (replace(column, label=self.head_of(column)) for column in self._columns)
        columns = tuple(itertools.compress(labelled, shown))
        lengths = tuple(itertools.compress(contents, shown))
        found = widths(columns, lengths, self._room, 2 * PADDING)
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
        return width - SCROLLBAR


def _position(rows: Sequence[LiveRow], key: str) -> int | None:
    return next((number for number, row in enumerate(rows) if row.key == key), None)
