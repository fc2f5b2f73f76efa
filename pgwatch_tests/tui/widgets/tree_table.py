"""A table whose rows fold, by its own keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.binding import BindingType

from pgwatch_tests.tui.keys.tab_keys import FOLD_KEYS
from pgwatch_tests.tui.widgets.tables.column_widths import Column
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable


class TreeTable(LiveTable):
    """A table of rows that fold: `fold` closes the selected row (True) or opens it.

    `why_not` says why neither does anything now; empty if it does.
    """

    BINDINGS: ClassVar[list[BindingType]] = FOLD_KEYS

    def __init__(
        self,
        columns: Sequence[Column],
        fold: Callable[[bool], None],
        *,
        id: str,
        why_not: Callable[[], str] = str,
        follows_first: bool = False,
    ) -> None:
        super().__init__(columns, id=id)
        self.follows_first = follows_first
        self._fold = fold
        self._why_not = why_not

    def action_fold(self, close: bool) -> None:
        """Closes the selected row, or opens it."""
        self._fold(close)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key does anything now; None: it doesn't, and `why_not` says why."""
        if action == "fold" and self._why_not():
            return None
        return super().check_action(action, parameters)
