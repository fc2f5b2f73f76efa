"""The question about an advice, and after each step the question about the next one."""

from __future__ import annotations

from collections.abc import Callable

from pgwatch_tests.locks.actions.action import Action
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.reports.locks.action_text import (
    advice,
    brief_consequence,
    brief_question,
    refused,
    under_way,
)
from pgwatch_tests.tui.screens.confirm import NAMES, ConfirmScreen, details
from pgwatch_tests.tui.screens.question import READING_S, Question


class AdviceScreen(ConfirmScreen):
    """Stays open while a step is done, until it is told what follows; returns None, also where it is closed.

    `confirmed` begins a step. It is asked about each by itself, and each as it was seen after the one before.
    """

    def __init__(
        self,
        graph: LockGraph,
        action: Action,
        confirmed: Callable[[AdviceScreen, Action], None],
        refusal: Callable[[LockGraph, Action], str],
    ) -> None:
        self._confirmed = confirmed
        self._refusal_in = refusal
        self._remark = ""
        super().__init__(graph, (action,))

    def ask_next(self, graph: LockGraph, action: Action, note: str, remark: str) -> None:
        """Asks about the next step, which `graph` tells of.

        `note` says what the last one left, `remark` what else to think of; either may be empty.
        """
        self._graph, self._actions, self._note, self._remark = graph, (action,), note, remark
        self.ask(self._about(), self._actions, READING_S)

    def say(self, words: str) -> None:
        """Says what is being done or waited for, and asks nothing meanwhile."""
        self.ask(Question(words, asks=False), None)

    def action_terminate(self) -> None:
        """Asks about ending the session instead."""
        if self._question.asks:
            super().action_terminate()

    def confirm(self, yes: tuple[Action, ...] | None) -> None:
        """Begins the step, and says so."""
        [action] = self._actions
        self.say(under_way(self._graph, action))
        self._confirmed(self, action)

    def _about_one(self, action: Action) -> Question:
        """Whom it frees and what it costs, in few words; who it is, quietly below that."""
        graph = self._graph
        lines = [
            brief_consequence(graph, action),
            *filter(None, [self._remark]),
            *refused(self._refusal_in(graph, action)),
            *advice(graph, action, "press K"),
        ]
        return Question(
            brief_question(graph, action),
            advice="\n".join(lines),
            details=details(graph, action),
            hanging=NAMES,
            note=self._note,
        )
