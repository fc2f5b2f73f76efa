"""Asks before something is done to a session or a prepared transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual.binding import Binding, BindingType

from pgwatch_tests.errors import RefusedError
from pgwatch_tests.locks.actions.action import Action, SessionAction, action_on
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.reports.locks.action_text import advice, facts, question
from pgwatch_tests.tui.screens.question import Question, QuestionScreen


class ConfirmScreen(QuestionScreen[Action | None]):
    """Returns the action to be done, or None.

    What it says, and whom the action is about, stays as it was when it opened, though polls go on under it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("K", "terminate", show=False),
        Binding("b", "root", show=False),
    ]

    def __init__(self, graph: LockGraph, action: Action) -> None:
        self._graph = graph
        self._action = action
        super().__init__(self._about(), yes=action, no=None)

    def action_terminate(self) -> None:
        """Asks about ending the same session instead."""
        if isinstance(self._action, SessionAction):
            self._ask_about(replace(self._action, how="terminate"))

    def action_root(self) -> None:
        """Asks about the root blocker instead."""
        if self._about_root is not None:
            self._ask_about(self._about_root)

    @property
    def _about_root(self) -> Action | None:
        """The same for the root blocker that it waits behind; None where nothing can be done about one."""
        root = self._graph.root_of(self._action.party)
        if root is None or not isinstance(self._action, SessionAction):
            return None
        try:
            return action_on(self._graph, root, self._action.how)
        except RefusedError:
            return None

    def _ask_about(self, action: Action) -> None:
        self._action = action
        self.ask(self._about(), action)

    def _about(self) -> Question:
        graph, action = self._graph, self._action
        root_instead = "" if self._about_root is None else "press b to ask about that instead"
        return Question(
            question(action),
            tuple(f"{name:<12} {words}" for name, words in facts(graph, action)),
            "\n".join(advice(graph, action, "press K", root_instead)),
        )
