"""Asks before something is done to a session or a prepared transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual.binding import Binding, BindingType

from pgwatch_tests.locks.action import Action, SessionAction
from pgwatch_tests.locks.picture import LockPicture
from pgwatch_tests.reports.action_text import advice, facts, question
from pgwatch_tests.tui.screens.question import Question, QuestionScreen


class ConfirmScreen(QuestionScreen[Action | None]):
    """Returns the action to be done, or None.

    What it says, and whom the action is about, stays as it was when it opened, though polls go on under it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("K", "terminate", show=False),
    ]

    def __init__(self, picture: LockPicture, action: Action) -> None:
        super().__init__(_about(picture, action), yes=action, no=None)
        self._picture = picture
        self._action = action

    def action_terminate(self) -> None:
        """Asks about ending the same session instead."""
        if isinstance(self._action, SessionAction):
            self._ask_about(replace(self._action, how="terminate"))

    def _ask_about(self, action: Action) -> None:
        self._action = action
        self.ask(_about(self._picture, action), action)


def _about(picture: LockPicture, action: Action) -> Question:
    return Question(
        question(action),
        tuple(f"{name:<12} {words}" for name, words in facts(picture, action)),
        "\n".join(advice(picture, action, "press K")),
    )
