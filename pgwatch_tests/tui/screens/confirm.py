"""Confirmation questions: before a session is cancelled or ended, a sweep deletes, or a job runs."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual.binding import Binding, BindingType

from pgwatch_tests.errors import RefusedError
from pgwatch_tests.history.model import JobState
from pgwatch_tests.locks.actions.action import Action, SessionAction, action_on
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.reports.locks.action_text import advice, facts, question
from pgwatch_tests.reports.sweeps import sweep_lines, sweep_remarks, sweep_words
from pgwatch_tests.sweep.model import SweepReport
from pgwatch_tests.text import durations
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.tui.screens.question import Question, QuestionScreen

_MOST_TABLES = 12
_MOST_CHANGES = 3


class ConfirmScreen(QuestionScreen[Action | None]):
    """Returns the confirmed action, or None.

    Its text and target stay those of the moment it opened, though polls go on below it.
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
        """Returns the same action on the root blocker; None if there is none or it can't be acted on."""
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
        root_instead = "" if self._about_root is None else "press b to select it instead"
        return Question(
            question(action),
            tuple(f"{name:<12} {words}" for name, words in facts(graph, action)),
            "\n".join(advice(graph, action, "press K", root_instead)),
        )


class ConfirmSweepScreen(QuestionScreen[bool]):
    """Returns whether to go on."""

    def __init__(self, question: Question) -> None:
        super().__init__(question, yes=True, no=False)


def about_plan(plan: SweepReport, age_s: float) -> Question:
    """The question whether to sweep as previewed in `plan`, `age_s` seconds ago."""
    tables = sweep_lines.removed(plan.planned)
    more = [f"and {len(tables) - _MOST_TABLES:,} more tables"] if len(tables) > _MOST_TABLES else []
    others = [
        f"{sweep_words.kind(orphan.kind)} {plain(orphan.name)}" for orphan in plan.orphans if orphan.removed
    ]
    rest = [f"and {len(others) - _MOST_TABLES:,} more"] if len(others) > _MOST_TABLES else []
    lines = (f"  {line}" for line in (*tables[:_MOST_TABLES], *more, *others[:_MOST_TABLES], *rest))
    changes = [sentence for sentence, _ in sweep_remarks.beside(plan, plain)]
    more_changes = [f"and {len(changes) - _MOST_CHANGES:,} more such"] if len(changes) > _MOST_CHANGES else []
    notes = (*sweep_remarks.notes(plan, plain), *changes[:_MOST_CHANGES], *more_changes)
    return Question(
        f"Sweep {plain(plan.database)}?",
        (sweep_words.summary(plan), *notes, "", *lines),
        f"Preview is {durations.in_words(age_s)} old; the sweep checks again before deleting.",
    )


def about_job(job: JobState) -> Question:
    """The question whether to run a job now that deletes something."""
    return Question(
        f"Run job {plain(job.name)} now?",
        (f"Runs its action ({job.action}) now instead of at its next time: {plain(job.when)}.",),
        "It deletes without showing a preview first.",
    )
