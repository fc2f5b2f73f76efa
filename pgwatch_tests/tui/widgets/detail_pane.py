"""The detail pane: what is known of the selected row, and what to do, below a tab's table."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget

from pgwatch_tests.reports.render.detail_text import Detail, detail_lines, joined
from pgwatch_tests.tui.widgets.still_text import StillText

_SHARE = 0.45
"""How much of its tab it takes, at most, unless the table leaves more."""
TALL = 30
"""Lines of a screen from which a statement is shown with its own line breaks."""
_BORDER, _SIDES = 1, 4
_LEAST_TABLE = 4


class DetailPane(VerticalScroll):
    """Shows a Detail; hidden without one. What is in its upper border is said by
    `say_in_border`."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, can_focus=False)
        self._detail: Detail | None = None
        self._rows = 0
        self._drawn: tuple[object, ...] = ()
        self._in_border = ""
        self._in_marks = ""
        self._opens = "⏎"

    def compose(self) -> ComposeResult:
        yield StillText(id=f"{self.id}-text")

    def show(self, detail: Detail | None, rows: int, opens: str = "⏎") -> None:
        """Shows `detail` below a table of so many rows. Where it is cut, the key that `opens` all is told."""
        if detail is None or self._detail is None or detail.title != self._detail.title:
            self.scroll_home(animate=False)
        self._detail, self._rows, self._opens = detail, rows, opens
        self.display = detail is not None
        self.fit()

    def say_in_border(self, text: str) -> None:
        """Says `text` in the upper border, drawn only if it changed."""
        if text != self._in_border:
            self._in_border = text
            self._show_border()

    def say_marked(self, text: str) -> None:
        """Says in the upper border, before all else, how many rows are marked; empty for none."""
        if text != self._in_marks:
            self._in_marks = text
            self._show_border()

    def _show_border(self) -> None:
        # Not a string: brackets in the name of a test would be markup.
        self.border_title = Content(" · ".join(filter(None, (self._in_marks, self._in_border))))

    def fit(self) -> None:
        """Draws the detail for the present room: of the tab that it is in."""
        tab = self.parent
        if self._detail is None or not isinstance(tab, Widget) or not tab.size.width:
            return
        height = tab.size.height
        # The table has a head, too, and is never lower than app.tcss says.
        room = max(1, int(height * _SHARE) - _BORDER, height - max(self._rows + 1, _LEAST_TABLE) - _BORDER)
        drawn = self._detail, tab.size.width, room
        if drawn != self._drawn:
            self._drawn = drawn
            lines = detail_lines(self._detail, tab.size.width - _SIDES, room, self._opens)
            self.styles.max_height = room + _BORDER
            self.query_one(StillText).say(joined(lines))
