"""Asks before something is done to a session or a prepared transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from pgwatch_tests.locks.action import Action, SessionAction
from pgwatch_tests.locks.picture import LockPicture
from pgwatch_tests.reports.action_text import advice, facts, question


class ConfirmScreen(ModalScreen[Action | None]):
    """Returns the action to be done, or None.

    What it says, and whom the action is about, stays as it was when it opened, though polls go on under it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "confirm", "Yes"),
        Binding("n,escape", "leave", "No"),
        # A modal screen hides the app's own keys.
        Binding("q", "app.quit", show=False),
        Binding("K", "terminate", show=False),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
    ]

    def __init__(self, picture: LockPicture, action: Action) -> None:
        super().__init__()
        self._picture = picture
        self._action = action

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="box") as box:
            box.border_subtitle = "y yes · n no"
            yield Static(id="question", markup=False)
            yield Static(id="facts", markup=False)
            yield Static(id="advice", markup=False)

    def on_mount(self) -> None:
        self._show()

    def action_confirm(self) -> None:
        """Has it done."""
        self.dismiss(self._action)

    def action_leave(self) -> None:
        """Leaves things as they are."""
        self.dismiss(None)

    def action_terminate(self) -> None:
        """Asks about ending the same session instead."""
        if isinstance(self._action, SessionAction):
            self._action = replace(self._action, how="terminate")
            self._show()

    def action_scroll(self, lines: int) -> None:
        """Scrolls by `lines`."""
        self.query_one("#box").scroll_relative(y=lines, animate=False)

    def _show(self) -> None:
        found = facts(self._picture, self._action)
        hints = advice(self._picture, self._action, "press K")
        self.query_one("#question", Static).update(question(self._action))
        self.query_one("#facts", Static).update("\n".join(f"{name:<12} {words}" for name, words in found))
        self.query_one("#advice", Static).update("\n".join(hints))
        self.query_one("#advice", Static).display = bool(hints)
