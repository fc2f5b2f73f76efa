"""A screen of plain text over the dashboard: the base of help and detail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen

from pgwatch_tests.reports.render.detail_text import Labelled, Line, joined, wrapped
from pgwatch_tests.text.toned_text import Cell, Toned
from pgwatch_tests.tui.widgets.still_text import StillText

_LABEL = 13
"""Characters for a label."""
_SIDES = 6
"""Characters beside the text: the border, its padding, and a scroll bar, which may come once it is drawn,
with a gap before it."""


class TextScreen(ModalScreen[None]):
    """Lines of plain text, toned where that tells something, in a scrollable box.

    A labelled text is wrapped beside its label.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,question_mark", "dismiss", "Close"),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
    ]

    def __init__(self, title: str, lines: Sequence[Cell | Labelled]) -> None:
        super().__init__()
        self._title = title
        self._lines = lines

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="box") as box:
            box.border_title = self._title
            yield StillText(id="text", ground="surface")

    @property
    def room(self) -> int:
        """Characters for a line; none before the first layout."""
        return self.query_one("#box").outer_size.width - _SIDES

    def show(self, lines: Sequence[Cell | Labelled]) -> None:
        """Replaces the text."""
        self._lines = lines
        self.query_one(StillText).say(joined([line for one in lines for line in _lines(one, self.room)]))
        self.call_after_refresh(self._show_more)

    def on_mount(self) -> None:
        self.watch(self.query_one("#box"), "scroll_y", self._show_more)
        self.show(self._lines)

    def on_resize(self) -> None:
        self.show(self._lines)

    def _show_more(self) -> None:
        """Says below the box whether there is more below."""
        box = self.query_one("#box")
        more = "↓ more below · " if box.scroll_y < box.max_scroll_y else ""
        box.border_subtitle = f"{more}escape closes"

    async def action_dismiss(self, result: None = None) -> None:
        self.dismiss(result)

    def action_scroll(self, lines: int) -> None:
        """Scrolls by `lines`."""
        self.query_one("#box").scroll_relative(y=lines, animate=False)


def _lines(one: Cell | Labelled, width: int) -> list[Line]:
    if isinstance(one, Labelled):
        # Before the first layout there is no width.
        return list(wrapped(one, width if width > 0 else 10 * _LABEL, _LABEL))
    return [(Toned(one),) if isinstance(one, str) else one]
