"""What is asked before a sweep or a job removes anything."""

from __future__ import annotations

from pgwatch_tests.history.model import JobState
from pgwatch_tests.reports.sweeps import sweep_lines, sweep_remarks, sweep_words
from pgwatch_tests.sweep.model import SweepReport
from pgwatch_tests.text import durations
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.tui.screens.question import Question, QuestionScreen

_MOST_TABLES = 12
_MOST_CHANGES = 3


class ConfirmSweepScreen(QuestionScreen[bool]):
    """Returns the answer."""

    def __init__(self, question: Question) -> None:
        super().__init__(question, yes=True, no=False)


def about_plan(plan: SweepReport, age_s: float) -> Question:
    """Whether to sweep, as the dry run `plan` says that is so many seconds old."""
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
    """Whether to run a job of the schedule now that removes something."""
    return Question(
        f"Run the job {plain(job.name)} now?",
        (f"Runs its action ({job.action}) now instead of at its next time: {plain(job.when)}.",),
        "It deletes without showing a preview first.",
    )
