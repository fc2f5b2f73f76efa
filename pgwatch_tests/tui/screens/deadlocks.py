"""The deadlocks that polls caught, one after the other, which `D` opens where none lasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content

from pgwatch_tests.reports.contention.deadlock_detail import (
    RecurringDeadlock,
    deadlock_lines,
    deadlock_title,
)
from pgwatch_tests.tui.screens.text import TextScreen


class DeadlocksScreen(TextScreen):
    """Shows the first one; `next_key` goes on to the next, and from the last to the first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("D,n", "next(1)", "Next", id="next-deadlock"),
        Binding("N", "next(-1)", "Previous", show=False),
    ]

    def __init__(self, deadlocks: Sequence[RecurringDeadlock], next_key: str) -> None:
        super().__init__("", [])
        self._deadlocks = deadlocks
        self._next_key = next_key
        self._number = 0
        self._tell()

    def action_next(self, step: int) -> None:
        """Shows the next deadlock (1), or the previous one (-1)."""
        self._number = (self._number + step) % len(self._deadlocks)
        self._tell()
        box = self.query_one("#box")
        box.border_title = Content(self._title)
        box.scroll_home(animate=False)
        self.show(self._lines)

    def _tell(self) -> None:
        one = self._deadlocks[self._number]
        self._title, self._lines = deadlock_title(one), deadlock_lines(one)
        if len(self._deadlocks) > 1:
            place = f"{self._number + 1} of {len(self._deadlocks)}"
            self._lines = [f"{place}: {self._next_key} goes on", "", *self._lines]
