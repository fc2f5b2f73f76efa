"""Text without markup, toned where that tells something, updated only if it changed."""

from __future__ import annotations

from textual.content import Content
from textual.theme import Theme
from textual.widgets import Static

from pgwatch_tests.text.toned_text import Cell, Toned, text_of
from pgwatch_tests.tui.widgets.themes import styled_text, tone_styles


class StillText(Static):
    """Says a text, updated only if it changed: an update lays out the whole screen.

    `ground` is the theme's colour below it, which tones are made readable on.
    """

    def __init__(
        self, content: str = "", *, id: str, classes: str | None = None, ground: str = "background"
    ) -> None:
        super().__init__(content, id=id, classes=classes, markup=False)
        self._ground = ground
        self._said: Cell = content

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, self._use_theme)

    def say(self, text: Cell) -> None:
        """Shows `text`."""
        if text != self._said:
            self._said = text
            self._draw()

    @property
    def text(self) -> str:
        """What it says, without tones."""
        return text_of(self._said)

    def _use_theme(self, _: Theme) -> None:
        if not isinstance(self._said, str):
            self._draw()

    def _draw(self) -> None:
        if isinstance(self._said, str):
            self.update(self._said)
        else:
            self.update(self._coloured(self._said))

    def _coloured(self, parts: tuple[Toned, ...]) -> Content:
        styles = tone_styles(self.app.get_css_variables(), self._ground)
        return Content.from_rich_text(styled_text(parts, styles))
