"""The screen of a row, which `enter` opens: all of its detail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from textual.app import ComposeResult
from textual.containers import VerticalScroll

from pgwatch_tests.reports.render.detail_text import NOW, Detail, Line, detail_lines
from pgwatch_tests.text.toned_text import text_of
from pgwatch_tests.tui.screens.text import TextScreen
from pgwatch_tests.tui.widgets.still_text import StillText

_LEAST = 20
"""Characters for a line, before the first layout too."""


class RowScreen(TextScreen):
    """A detail in full, as it was when it was opened."""

    def __init__(self, detail: Detail) -> None:
        super().__init__(text_of(detail.title), [])
        # What keys do with the row, they don't do here.
        self._detail = replace(detail, texts=tuple(one for one in detail.texts if one.label != NOW))

    def compose(self) -> ComposeResult:
        # The title is the first line of the detail, where it can be wrapped.
        with VerticalScroll(id="box"):
            yield StillText(id="text", ground="surface")

    def on_mount(self) -> None:
        super().on_mount()
        self.draw_detail()

    def on_resize(self) -> None:
        self.draw_detail()

    def draw_detail(self) -> None:
        """Draws the detail, and what follows it, for the present width."""
        more = self.following()
        self.show([*detail_lines(self._detail, max(_LEAST, self.room)), *([(), *more] if more else [])])

    def following(self) -> Sequence[Line]:
        """What there is to show below the detail."""
        return ()
