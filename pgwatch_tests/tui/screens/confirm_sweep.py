"""Asks before a sweep removes anything, with what it would remove."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from pgwatch_tests import durations
from pgwatch_tests.reports import sweep_lines, sweep_words
from pgwatch_tests.reports.plain_text import plain
from pgwatch_tests.sweep.model import SweepReport

_MOST_TABLES = 12


class ConfirmSweepScreen(ModalScreen[bool]):
    """Returns whether to sweep, as the dry run `plan` says, or as far as that still is so."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "confirm", "Yes"),
        Binding("n,escape", "leave", "No"),
        # A modal screen hides the app's own keys.
        Binding("q", "app.quit", show=False),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
    ]

    def __init__(self, plan: SweepReport, age_s: float) -> None:
        super().__init__()
        self._plan = plan
        self._age_s = age_s

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="box") as box:
            box.border_subtitle = "y yes · n no"
            yield Static(f"Sweep {plain(self._plan.database)}?", id="question", markup=False)
            yield Static("\n".join(_facts(self._plan)), id="facts", markup=False)
            yield Static(
                f"Planned {durations.in_words(self._age_s)} ago; what is found then is what counts.",
                id="advice",
                markup=False,
            )

    def action_confirm(self) -> None:
        """Has it done."""
        self.dismiss(True)

    def action_leave(self) -> None:
        """Leaves things as they are."""
        self.dismiss(False)

    def action_scroll(self, lines: int) -> None:
        """Scrolls by `lines`."""
        self.query_one("#box").scroll_relative(y=lines, animate=False)


def _facts(plan: SweepReport) -> list[str]:
    tables = sweep_lines.removed(plan.planned)
    more = [f"and {len(tables) - _MOST_TABLES} more tables"] if len(tables) > _MOST_TABLES else []
    others = [
        f"{sweep_words.kind(orphan.kind)} {plain(orphan.name)}" for orphan in plan.orphans if orphan.removed
    ]
    rest = [f"and {len(others) - _MOST_TABLES} more"] if len(others) > _MOST_TABLES else []
    return [
        sweep_words.summary(plan),
        "",
        *(f"  {line}" for line in (*tables[:_MOST_TABLES], *more, *others[:_MOST_TABLES], *rest)),
    ]
