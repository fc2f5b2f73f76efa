"""A screen of plain text over the dashboard: the base of help and detail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen

from pgwatch_tests.text.toned_text import Cell, Toned
from pgwatch_tests.tui.widgets.still_text import StillText


class TextScreen(ModalScreen[None]):
    """Lines of plain text, toned where that tells something, in a scrollable box."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,question_mark", "dismiss", "Close"),
        # A modal screen hides the app's own keys.
        Binding("q", "app.quit", "Quit"),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
    ]

    def __init__(self, title: str, lines: Sequence[Cell]) -> None:
        super().__init__()
        self._title = title
        self._lines = lines

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="box") as box:
            box.border_title = self._title
            yield StillText(id="text", ground="surface")

    def show(self, lines: Sequence[Cell]) -> None:
        """Replaces the text."""
        self.query_one(StillText).say(_joined(lines))
        self.call_after_refresh(self._show_more)

    def on_mount(self) -> None:
        self.watch(self.query_one("#box"), "scroll_y", self._show_more)
        self.show(self._lines)

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_more)

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


def _joined(lines: Sequence[Cell]) -> tuple[Toned, ...]:
    parts: list[Toned] = []
    for number, line in enumerate(lines):
        parts += [Toned("\n")] if number else []
        parts += [Toned(line)] if isinstance(line, str) else line
    return tuple(parts)
