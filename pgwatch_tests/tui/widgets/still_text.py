"""Text without markup, toned where that tells something, updated only if it changed."""

from __future__ import annotations

from collections.abc import Mapping

from rich.cells import cell_len
from textual.content import Content, Span
from textual.style import Style
from textual.theme import Theme
from textual.widgets import Static

from pgwatch_tests.text.toned_text import Cell, Tone, Toned, text_of
from pgwatch_tests.tui.widgets.themes import tone_styles


class StillText(Static):
    """Says a text, updated only if it changed; the screen is laid out anew only if its height may have.

    `ground` is the theme's colour below it, which tones are made readable on.
    """

    def __init__(
        self, content: str = "", *, id: str, classes: str | None = None, ground: str = "background"
    ) -> None:
        super().__init__(content, id=id, classes=classes, markup=False)
        self._ground = ground
        self._said: Cell = content
        self._styles: Mapping[Tone, Style] = {}
        """Those of the present theme, once they were needed."""

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, self._use_theme)

    def say(self, text: Cell) -> None:
        """Shows `text`."""
        if text != self._said:
            before, self._said = self._said, text
            self._draw(layout=self._may_be_higher_or_lower(before, text))

    @property
    def text(self) -> str:
        """What it says, without tones."""
        return text_of(self._said)

    def _use_theme(self, _: Theme) -> None:
        self._styles = {}
        if not isinstance(self._said, str):
            self._draw(layout=False)

    def _may_be_higher_or_lower(self, before: Cell, now: Cell) -> bool:
        """Whether a change may change the height: where no line is wrapped, their number tells."""
        if not self.styles.auto_dimensions:
            return False
        room = self.content_size.width
        lines = [text_of(one).split("\n") for one in (before, now)]
        return len(lines[0]) != len(lines[1]) or any(cell_len(one) > room for some in lines for one in some)

    def _draw(self, *, layout: bool) -> None:
        if isinstance(self._said, str):
            self.update(self._said, layout=layout)
        else:
            self.update(self._coloured(self._said), layout=layout)

    def _coloured(self, parts: tuple[Toned, ...]) -> Content:
        if not self._styles:
            styles = tone_styles(self.app.get_css_variables(), self._ground)
            self._styles = {
                tone: Style.from_rich_style(style, self.app.ansi_theme) for tone, style in styles.items()
            }
        spans, end = [], 0
        for part in parts:
            begin, end = end, end + len(part.text)
            if part.tone:
                spans.append(Span(begin, end, self._styles[part.tone]))
        return Content("".join(part.text for part in parts), spans)
