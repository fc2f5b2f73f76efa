"""Minimum age of swept test data: the dialog that asks for it."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from pgwatch_tests.text import durations

_HINT = "0 sweeps data of any age, except that of live runs."


class MinAgeScreen(ModalScreen[float | None]):
    """Returns the age in seconds, or None to keep it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Cancel")]

    def __init__(self, min_age_s: float) -> None:
        super().__init__()
        self._min_age_s = min_age_s

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="box") as box:
            box.border_title = "Minimum age"
            box.border_subtitle = "enter previews · escape cancels"
            yield Static("Minimum age of test data to sweep, such as 0, 90s, 10m, 2h, 1d:", markup=False)
            yield _AgeLine(durations.as_written(self._min_age_s))
            yield Static(_HINT, id="hint", markup=False)

    def on_mount(self) -> None:
        line = self.query_one(_AgeLine)
        self.set_focus(line)
        line.select_all()

    def action_accept(self) -> None:
        """Returns the typed age, or says why it isn't one."""
        try:
            self.dismiss(durations.parse(self.query_one(_AgeLine).value))
        except ValueError as error:
            self.query_one("#hint", Static).update(str(error))

    def action_leave(self) -> None:
        """Returns None."""
        self.dismiss(None)


class _AgeLine(Input):
    BINDINGS: ClassVar[list[BindingType]] = [
        # A binding, since an Input's own message arrives after keys typed in the same burst.
        Binding("enter", "screen.accept", show=False),
    ]

    def __init__(self, value: str) -> None:
        super().__init__(value, id="min-age", select_on_focus=False)
