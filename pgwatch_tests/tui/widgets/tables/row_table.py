"""A table that draws only the rows on the screen, and of these only the cells that changed.

Textual's own DataTable keeps and lays out all rows: of a list whose durations tick, each tick drew it anew.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.events import Click, Leave, MouseMove, Resize
from textual.geometry import Region, Size, Spacing
from textual.message import Message
from textual.reactive import Reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from pgwatch_tests.text.toned_text import Cell, Tone, Toned, marked, shortened, told_by_marks
from pgwatch_tests.tui.widgets.tables.column_widths import Column
from pgwatch_tests.tui.widgets.tables.table_rows import PADDING, LiveRow
from pgwatch_tests.tui.widgets.themes import tone_styles

HEAD = 1
"""Lines of the head, which stays when the rows are scrolled."""

_ToneStyles = Mapping[Tone, Style]


class RowTable(ScrollView, can_focus=True):
    """Draws `rows` in columns of `column_widths`, a cursor on one row. A width of 0 hides a column."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"row-table--header", "row-table--cursor", "row-table--hover"}
    DEFAULT_CSS = """
    RowTable {
        background: $surface; color: $foreground; height: auto; max-height: 100%;
        & > .row-table--header { text-style: bold; background: $panel; color: $foreground; }
        &:focus > .row-table--header { background-tint: $foreground 5%; }
        &:ansi > .row-table--header { background: ansi_bright_blue; color: ansi_default; }
        & > .row-table--cursor {
            background: $block-cursor-blurred-background; color: $block-cursor-blurred-foreground;
            text-style: $block-cursor-blurred-text-style;
        }
        &:focus > .row-table--cursor {
            background: $block-cursor-background; color: $block-cursor-foreground;
            text-style: $block-cursor-text-style;
        }
        & > .row-table--hover { background: $block-hover-background; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "cursor_up", "Cursor up", show=False),
        Binding("down", "cursor_down", "Cursor down", show=False),
        Binding("pageup", "page_up", "Page up", show=False),
        Binding("pagedown", "page_down", "Page down", show=False),
        Binding("ctrl+home", "scroll_top", "Top", show=False),
        Binding("ctrl+end", "scroll_bottom", "Bottom", show=False),
    ]

    cursor_row: Reactive[int] = Reactive(0, repaint=False)
    """The number of the row under the cursor."""
    show_cursor: Reactive[bool] = Reactive(True, repaint=False)

    class RowHighlighted(Message):
        """The cursor has come to another row."""

    class RowSelected(Message):
        """The row under the cursor was clicked."""

    class HeadClicked(Message):
        """The head of a column was clicked."""

        def __init__(self, head: str) -> None:
            super().__init__()
            self.head = head

    def __init__(self, columns: Sequence[Column], *, id: str) -> None:
        super().__init__(id=id)
        self.sorted_head = ""
        """The head of the column that the rows are sorted by; empty if that isn't one of them."""
        self._order_sign = ""
        self._columns = tuple(columns)
        self._widths: tuple[int, ...] = (0,) * len(self._columns)
        self._rows: tuple[LiveRow, ...] = ()
        self._marked: frozenset[str] = frozenset()
        self._hovered: int | None = None
        self._last_page = 0
        """How many rows there was room for before the last change of size."""
        self._styles: dict[str, tuple[Style, _ToneStyles]] = {}
        """The ground of a row and the styles of its tones, by the kind of row."""

    # What is drawn.

    @property
    def rows(self) -> tuple[LiveRow, ...]:
        """All rows, on the screen or not."""
        return self._rows

    @property
    def row_count(self) -> int:
        """The number of rows."""
        return len(self._rows)

    @property
    def drawn_heads(self) -> list[str]:
        """The heads of the columns that are drawn."""
        return [one.label for one, width in zip(self._columns, self._widths, strict=True) if width]

    def get_row_at(self, number: int) -> list[Text]:
        """The cells of a row as they are shown, without their styles."""
        return [
            Text("".join(part.text for part in parts))
            for parts, width in zip(self._parts(self._rows[number]), self._widths, strict=True)
            if width
        ]

    def head_of(self, column: Column, width: int | None = None) -> str:
        """The head of a column, in `width` characters; with a sign where the rows are sorted by it."""
        label = column.label if width is None else column.label_in(width)
        return label + (self._order_sign if column.label == self.sorted_head else "")

    def set_rows(self, rows: tuple[LiveRow, ...]) -> None:
        """Replaces the rows; the cursor's number stays. Draws only what differs on the screen."""
        before, self._rows = self._rows, rows
        if len(rows) != len(before):
            self.virtual_size = Size(1, len(rows) + HEAD)
        first = self.scroll_offset.y
        for number in range(first, min(first + self._page, max(len(rows), len(before)))):
            if number >= min(len(rows), len(before)):
                self._refresh_row(number)
            elif rows[number] != before[number]:
                self._refresh_cells(number, before[number], rows[number])

    def change(self, changed: Mapping[int, LiveRow]) -> None:
        """Replaces rows, by their numbers, with others of the same key and as long cells."""
        rows = list(self._rows)
        for number, row in changed.items():
            rows[number] = row
        self.set_rows(tuple(rows))

    def set_widths(self, widths: tuple[int, ...]) -> None:
        """Gives the columns other widths."""
        self._widths = widths
        self.refresh()

    def notify_style_update(self) -> None:
        """Forgets the styles that were computed."""
        super().notify_style_update()
        self._styles = {}

    @property
    def _page(self) -> int:
        """How many rows are on the screen at most."""
        return max(1, self.scrollable_content_region.height - HEAD)

    def _refresh_row(self, number: int) -> None:
        line = number + HEAD - self.scroll_offset.y
        if line >= HEAD:
            self.refresh(Region(0, line, self.size.width, 1))

    def _refresh_cells(self, number: int, before: LiveRow, now: LiveRow) -> None:
        if (before.key, before.tone) != (now.key, now.tone):
            self._refresh_row(number)
            return
        changed = [place for place, cell in enumerate(now.cells) if cell != before.cells[place]]
        ends = list(itertools.accumulate(width and width + 2 * PADDING for width in self._widths))
        left = ends[changed[0] - 1] if changed[0] else 0
        line = number + HEAD - self.scroll_offset.y
        self.refresh(Region(left, line, ends[changed[-1]] - left, 1))

    def _parts(self, row: LiveRow) -> list[tuple[Toned, ...]]:
        """The cells as far as there is room for them; empty where the column is hidden."""
        return [
            shortened(cell, width, column.cut) if width else ()
            for cell, column, width in zip(self._marked_cells(row), self._columns, self._widths, strict=True)
        ]

    def _marked_cells(self, row: LiveRow) -> tuple[Cell, ...]:
        cells = row.cells
        if self.app.no_color:
            cells = told_by_marks(cells, row.tone, [column.right for column in self._columns])
        return (marked(cells[0]), *cells[1:]) if row.key in self._marked else cells

    def render_line(self, y: int) -> Strip:
        """The line `y` of what is on the screen."""
        number = y - HEAD + self.scroll_offset.y
        if y < HEAD:
            ground = self.get_component_rich_style("row-table--header")
            heads = [
                (Toned(self.head_of(column, width)),)
                for column, width in zip(self._columns, self._widths, strict=True)
            ]
            return self._strip(heads, ground, {"": ground}, "")
        if number >= len(self._rows):
            return Strip.blank(self.size.width, self.rich_style)
        row = self._rows[number]
        ground, styles = self._row_styles(number)
        return self._strip(self._parts(row), ground, styles, row.tone)

    def _strip(
        self, cells: Sequence[tuple[Toned, ...]], ground: Style, styles: _ToneStyles, tone: Tone
    ) -> Strip:
        segments = []
        for parts, column, width in zip(cells, self._columns, self._widths, strict=True):
            if not width:
                continue
            room = width
            toned = []
            for part in parts:
                text = part.text
                length = len(text) if text.isascii() else cell_len(text)
                if length > room:
                    text, length = set_cell_size(text, room), room
                room -= length
                toned.append(Segment(text, styles[part.tone or tone]))
            left, right = (room, 0) if column.right else (0, room)
            segments.append(Segment(" " * (PADDING + left), ground))
            segments += toned
            segments.append(Segment(" " * (PADDING + right), ground))
        return Strip(segments).adjust_cell_length(self.size.width, ground).simplify()

    def _row_styles(self, number: int) -> tuple[Style, _ToneStyles]:
        kind = "cursor" if self._is_under_cursor(number) else "hover" if number == self._hovered else ""
        if kind not in self._styles:
            ground = self.get_component_rich_style(f"row-table--{kind}") if kind else self.rich_style
            # Tones have colours of their own under the cursor, that can be read there.
            tones = tone_styles(self.app.get_css_variables(), "cursor" if kind == "cursor" else "background")
            self._styles[kind] = ground, {tone: ground + style for tone, style in tones.items()}
        return self._styles[kind]

    def _is_under_cursor(self, number: int) -> bool:
        return self.show_cursor and number == self.cursor_row

    # The cursor.

    def put_cursor(self, number: int, *, shown: bool) -> None:
        """Puts the cursor on a row, or hides it, without telling anybody."""
        before = self.cursor_row
        if (number, shown) != (before, self.show_cursor):
            self.set_reactive(RowTable.cursor_row, number)
            self.set_reactive(RowTable.show_cursor, shown)
            self._refresh_row(before)
            self._refresh_row(number)

    def move_cursor(self, *, row: int) -> None:
        """Moves the cursor to a row, and scrolls it into view."""
        self.cursor_row = row
        self._scroll_to_cursor()

    def validate_cursor_row(self, number: int) -> int:
        return max(0, min(number, len(self._rows) - 1))

    def watch_cursor_row(self, before: int, now: int) -> None:
        self._refresh_row(before)
        self._tell_cursor(now)

    def watch_show_cursor(self, shown: bool) -> None:
        if shown:
            self._tell_cursor(self.cursor_row)
        else:
            self._refresh_row(self.cursor_row)

    def _tell_cursor(self, number: int) -> None:
        self._refresh_row(number)
        if self._rows:
            self.post_message(self.RowHighlighted())
        self._scroll_to_cursor()

    def _scroll_to_cursor(self, below: int = 0) -> None:
        """Scrolls to the cursor's row, and to as many `below` it as fit."""
        region = Region(0, self.cursor_row + HEAD, 1, min(1 + below, self._page))
        self.scroll_to_region(region, animate=False, spacing=Spacing(HEAD, 0, 0, 0), force=True)

    def on_resize(self, _: Resize) -> None:
        # What is below the table grows and shrinks with the row that it tells of.
        before, self._last_page = self._last_page, self._page
        if self.show_cursor and 0 <= self.cursor_row - self.scroll_offset.y < before:
            self._scroll_to_cursor()

    def action_cursor_up(self) -> None:
        """Moves the cursor up."""
        self._move_by_key(self.cursor_row - 1)

    def action_cursor_down(self) -> None:
        """Moves the cursor down."""
        self._move_by_key(self.cursor_row + 1)

    def action_page_up(self) -> None:
        """Moves the cursor a page up."""
        self.scroll_relative(y=-self._page, animate=False, force=True)
        self._move_by_key(self.cursor_row - self._page)

    def action_page_down(self) -> None:
        """Moves the cursor a page down."""
        self.scroll_relative(y=self._page, animate=False, force=True)
        self._move_by_key(self.cursor_row + self._page)

    def action_scroll_top(self) -> None:
        """Moves the cursor to the first row."""
        self._move_by_key(0)

    def action_scroll_bottom(self) -> None:
        """Moves the cursor to the last row."""
        self._move_by_key(len(self._rows) - 1)

    def _move_by_key(self, number: int) -> None:
        self._hover(None)
        self.cursor_row = number

    # The mouse.

    def _row_under(self, y: int) -> int | None:
        number = y - HEAD + self.scroll_offset.y
        return number if y >= HEAD and number < len(self._rows) else None

    def _hover(self, number: int | None) -> None:
        if number != self._hovered:
            for one in (self._hovered, number):
                if one is not None:
                    self._refresh_row(one)
            self._hovered = number

    def on_mouse_move(self, event: MouseMove) -> None:
        self._hover(self._row_under(event.y))

    def on_leave(self, _: Leave) -> None:
        self._hover(None)

    def _column_under(self, x: int) -> Column | None:
        ends = itertools.accumulate(width and width + 2 * PADDING for width in self._widths)
        return next((one for one, end in zip(self._columns, ends, strict=True) if x < end), None)

    def on_click(self, event: Click) -> None:
        column = self._column_under(event.x) if event.y < HEAD else None
        if column is not None:
            event.stop()
            self.post_message(self.HeadClicked(column.label))
        number = self._row_under(event.y)
        if number is None or not self.show_cursor:
            return
        event.stop()
        if number == self.cursor_row:
            self.post_message(self.RowSelected())
        self.move_cursor(row=number)
