"""Confirmation questions: before a session is cancelled or ended, a sweep deletes, or a job runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from textual.binding import Binding, BindingType

from pgwatch_tests.history.model import JobState
from pgwatch_tests.locks.actions.action import Action, SessionAction
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.reports.locks.action_text import (
    advice,
    advice_of_all,
    consequence,
    cost,
    cost_of_all,
    facts,
    in_short,
    instead,
    key_of_waiter,
    question_about,
    question_of_all,
    refused,
    refused_of_all,
)
from pgwatch_tests.reports.locks.test_labels import name_of
from pgwatch_tests.reports.sweeps import orphan_question, sweep_lines, sweep_remarks, sweep_words
from pgwatch_tests.sweep.model import SweepReport
from pgwatch_tests.sweep.orphans.orphan_facts import OrphanFacts
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import named, plural
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.toned_text import Cell, Toned
from pgwatch_tests.tui.screens.question import Question, QuestionScreen

NAMES = 13
"""Characters before what a fact says."""
_MOST_TABLES = 12
_MOST_CHANGES = 3
_UNMARKED = re.compile(r"of these ([0-9,]+ without a marker)")


class ConfirmScreen(QuestionScreen[tuple[Action, ...] | None]):
    """Returns the confirmed actions, or None.

    `other` is what was asked for, where the question is about its root blocker: a key swaps them. Text and
    targets stay those of the moment it opened, though polls go on below it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("K", "terminate", show=False),
        Binding("b", "swap", show=False),
    ]

    def __init__(
        self,
        graph: LockGraph,
        actions: tuple[Action, ...],
        other: Action | None = None,
        refusal: Callable[[Action], str] = lambda _: "",
        note: str = "",
        again: str = "",
    ) -> None:
        """`refusal` says why the server will refuse an action; empty if it won't. `note` is a sentence on why
        the question isn't about what was asked for. `again` is the key that asks about the next blocker."""
        self._graph = graph
        self._actions = actions
        self._other = other
        self._refusal = refusal
        self._note = note
        self._again = again
        super().__init__(self._about(), yes=actions, no=None)

    def action_terminate(self) -> None:
        """Asks about ending the same sessions instead."""
        self._ask_about(
            tuple(
                replace(one, how="terminate") if isinstance(one, SessionAction) else one
                for one in self._actions
            )
        )

    def action_swap(self) -> None:
        """Asks about the waiter instead of its root blocker, or the other way round."""
        if self._other is not None:
            other, self._other = self._other, self._actions[0]
            self._ask_about((other,))

    def _ask_about(self, actions: tuple[Action, ...]) -> None:
        self._actions = actions
        self.ask(self._about(), actions, self._quiet_for_s)

    def _about(self) -> Question:
        graph, actions = self._graph, self._actions
        if len(actions) == 1:
            return self._about_one(actions[0])
        refusals = [self._refusal(one) for one in actions]
        facts_of_all = [in_short(graph, one, why) for one, why in zip(actions, refusals, strict=True)]
        lines = [
            *filter(None, [self._note]),
            *refused_of_all(refusals),
            *filter(None, [cost_of_all(graph, actions)]),
            *advice_of_all(graph, actions, "press K"),
        ]
        return Question(question_of_all(actions), tuple(facts_of_all), "\n".join(lines), hanging=NAMES)

    def _about_one(self, action: Action) -> Question:
        """What happens, whom it frees and what comes next; who it is, quietly below that."""
        graph, other = self._graph, self._other
        waiter = other if other is not None and graph.root_of(other.party) == action.party else None
        lines = [
            *filter(None, [self._note]),
            *refused(self._refusal(action)),
            " ".join(filter(None, (consequence(graph, action, self._again), cost(graph, action)))),
            *advice(graph, action, "press K"),
        ]
        if waiter is not None:
            lines.append(instead(graph, waiter, "press b"))
        return Question(
            question_about(graph, action, waiter),
            advice="\n".join(lines),
            details=details(graph, action),
            hanging=NAMES,
            keys="" if other is None else f"b {key_of_waiter(other)}",
        )


def details(graph: LockGraph, action: Action) -> tuple[str, ...]:
    """Lines on whom an action is about, each with its name in front."""
    return tuple(f"{name:<{NAMES - 1}} {fact}" for name, fact in facts(graph, action))


class ConfirmSweepScreen(QuestionScreen[bool]):
    """Returns whether to go on."""

    def __init__(self, question: Question) -> None:
        super().__init__(question, yes=True, no=False)


def about_orphan(found: OrphanFacts, server: str = "") -> Question:
    """The question whether a schema or prepared transaction on `server` (host:port) goes."""
    told = tuple(f"{name:<{NAMES - 1}} {fact}" for name, fact in orphan_question.facts(found, server))
    return Question(orphan_question.question(found), told, orphan_question.advice(found), hanging=NAMES)


def about_plan(plan: SweepReport, age_s: float, server: str = "", left: str = "") -> Question:
    """The question whether to sweep as previewed in `plan`, `age_s` seconds ago, on `server` (host:port).

    `left` says what the sweep leaves.
    """
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
    where = f" on {plain(server)}" if server else ""
    part = () if plan.part is None else (f"Only {plain(sweep_words.part(plan.part))}",)
    return Question(
        f"Sweep {plain(plan.database)}{where}?",
        (sweep_words.summary(plan), *part, *filter(None, [left]), *map(_toned_note, notes), "", *lines),
        f"Preview is {durations.in_words(age_s)} old; the sweep checks again before deleting.",
    )


def about_any_age(plan: SweepReport, snapshot: LockSnapshot | None) -> Question:
    """The question whether to preview what is too young for `plan`, in which nothing else goes.

    `snapshot` tells which tests are at work.
    """
    young = sweep_remarks.young_so_far(plan, plain)
    live = [f"At work in it: {plain(run)}" for run in plan.live_runs]
    clients = () if snapshot is None else snapshot.clients
    tests = [name_of(one) for one in clients if one.identity is not None and one.database == plan.database]
    if tests:
        live.append(f"{plural(len(tests), 'session')} of tests in it now: {named(tests)}")
    return Question(
        f"Nothing is {durations.in_words(plan.min_age_s)} old yet. Preview a sweep of any age?",
        (sweep_words.summary(plan), *young, *live),
        "Tests that run now may still need young rows; those of live runs stay. The preview deletes nothing: "
        "another question follows.",
    )


def _toned_note(sentence: str) -> Cell:
    """A note with the number of rows that go without a marker, if it is about these, as the trouble it is."""
    number = _UNMARKED.match(sentence)
    if number is None:
        return sentence
    start, end = number.span(1)
    return (Toned(sentence[:start]), Toned(sentence[start:end], "trouble"), Toned(sentence[end:]))


def about_job(job: JobState) -> Question:
    """The question whether to run a job now that deletes something."""
    return Question(
        f"Run job {plain(job.name)} now?",
        (f"Runs its action ({job.action}) now instead of at its next time: {plain(job.when)}.",),
        "It deletes without showing a preview first.",
    )
