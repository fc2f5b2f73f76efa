"""A screen of plain text over the dashboard: the base of help and detail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static


class TextScreen(ModalScreen[None]):
    """Lines of plain text in a scrollable box."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,question_mark", "dismiss", "Close"),
        # A modal screen hides the app's own keys.
        Binding("q", "app.quit", "Quit"),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
    ]

    def __init__(self, title: str, lines: Sequence[str]) -> None:
        super().__init__()
        self._title = title
        self._lines = lines

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="box") as box:
            box.border_title = self._title
            box.border_subtitle = "escape closes"
            yield Static("\n".join(self._lines), markup=False, id="text")

    def show(self, lines: Sequence[str]) -> None:
        """Replaces the text."""
        self.query_one("#text", Static).update("\n".join(lines))

    async def action_dismiss(self, result: None = None) -> None:
        self.dismiss(result)

    def action_scroll(self, lines: int) -> None:
        """Scrolls by `lines`."""
        self.query_one("#box").scroll_relative(y=lines, animate=False)
