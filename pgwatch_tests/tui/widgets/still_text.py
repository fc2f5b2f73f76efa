"""A line of plain text that is drawn anew only when it changed."""

from __future__ import annotations

from textual.widgets import Static


class StillText(Static):
    """Text without markup. Saying the same again costs nothing: an update lays the whole screen out."""

    def __init__(self, content: str = "", *, id: str, classes: str | None = None) -> None:
        super().__init__(content, id=id, classes=classes, markup=False)

    def say(self, text: str) -> None:
        """Shows `text`."""
        if text != self.content:
            self.update(text)
