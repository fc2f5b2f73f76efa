"""Asks before a sweep removes anything, with what it would remove."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from pgwatch_tests import durations
from pgwatch_tests.reports import sweep_lines, sweep_words
from pgwatch_tests.reports.plain_text import plain
from pgwatch_tests.sweep.history_model import JobState
from pgwatch_tests.sweep.model import SweepReport

_MOST_TABLES = 12


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and what there is to know for an answer, as lines of plain text."""

    words: str
    facts: tuple[str, ...]
    advice: str


class ConfirmSweepScreen(ModalScreen[bool]):
    """Returns the answer."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "confirm", "Yes"),
        Binding("n,escape", "leave", "No"),
        # A modal screen hides the app's own keys.
        Binding("q", "app.quit", show=False),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
    ]

    def __init__(self, question: Question) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="box") as box:
            box.border_subtitle = "y yes · n no"
            yield Static(self._question.words, id="question", markup=False)
            yield Static("\n".join(self._question.facts), id="facts", markup=False)
            yield Static(self._question.advice, id="advice", markup=False)

    def action_confirm(self) -> None:
        """Has it done."""
        self.dismiss(True)

    def action_leave(self) -> None:
        """Leaves things as they are."""
        self.dismiss(False)

    def action_scroll(self, lines: int) -> None:
        """Scrolls by `lines`."""
        self.query_one("#box").scroll_relative(y=lines, animate=False)


def about_plan(plan: SweepReport, age_s: float) -> Question:
    """Whether to sweep, as the dry run `plan` says that is so many seconds old."""
    tables = sweep_lines.removed(plan.planned)
    more = [f"and {len(tables) - _MOST_TABLES} more tables"] if len(tables) > _MOST_TABLES else []
    others = [
        f"{sweep_words.kind(orphan.kind)} {plain(orphan.name)}" for orphan in plan.orphans if orphan.removed
    ]
    rest = [f"and {len(others) - _MOST_TABLES} more"] if len(others) > _MOST_TABLES else []
    lines = (f"  {line}" for line in (*tables[:_MOST_TABLES], *more, *others[:_MOST_TABLES], *rest))
    return Question(
        f"Sweep {plain(plan.database)}?",
        (sweep_words.summary(plan), "", *lines),
        f"Planned {durations.in_words(age_s)} ago; what is found then is what counts.",
    )


def about_job(job: JobState) -> Question:
    """Whether to run a job of the schedule now that removes something."""
    return Question(
        f"Run the job {plain(job.name)} now?",
        (f"It does what it is declared to ({job.action}), out of its turn ({plain(job.when)}).",),
        "It removes what it finds, without a plan.",
    )
