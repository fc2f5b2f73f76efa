"""What a tab of the dashboard is made of."""

from __future__ import annotations

from textual.containers import Vertical

from pgwatch_tests.locks.model import Party

OFFERED_BY_VIEWS = ("act", "copy", "detail", "reset", "sort")
"""Actions of the dashboard that only some tabs have, and only for some rows."""


class View(Vertical):
    """The content of one tab."""

    @property
    def selected(self) -> Party | None:
        """The session or prepared transaction under the cursor, where the tab has such."""
        return None

    def offers(self, action: str) -> bool:
        """Whether one of OFFERED_BY_VIEWS would do anything now."""
        return False

    def sort_next(self) -> str:
        """Goes on to another order, or to sums by something else; returns what to tell of it, if anything."""
        return ""

    def open_detail(self) -> None:
        """Shows all about the row under the cursor, where that isn't a session."""
