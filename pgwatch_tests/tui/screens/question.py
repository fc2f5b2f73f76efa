"""Question screens, which confirm what can't be undone: `y` counts only after 0.3 s without a key."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from pgwatch_tests.reports.render.detail_text import Line, hung, joined
from pgwatch_tests.text.toned_text import Cell, Tone
from pgwatch_tests.tui.widgets.still_text import StillText

T = TypeVar("T")

QUIET_S = 0.3
_TICK_S = 0.05
_QUIET_TICKS = round(QUIET_S / _TICK_S)


@dataclass(frozen=True, slots=True)
class Question:
    """A question with the facts and the advice for its answer, as lines of plain text; facts may be toned.

    `details` are for who wants to know more, quietly below all else. `hanging` is how many characters the
    further lines of a fact or a detail are indented, where it is wrapped.
    """

    words: str
    facts: tuple[Cell, ...] = ()
    advice: str = ""
    details: tuple[Cell, ...] = ()
    hanging: int = 0
    keys: str = ""
    """What other keys do here, beside yes and no."""


class QuestionScreen(ModalScreen[T]):
    """Returns `yes` or `no`. `y` means yes once the question has been drawn, without any key, for 0.3 s.

    Keys typed ahead, or in a burst with others, were meant for something else. Enter means nothing.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "confirm", "Yes"),
        Binding("n,escape,q", "leave", "No"),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
    ]

    def __init__(self, question: Question, yes: T, no: T) -> None:
        super().__init__()
        self._question = question
        self._yes = yes
        self._no = no
        self._quiet_since_s = math.inf
        """No key came since, by the clock of `events.Key.time`; infinite until the question is drawn."""
        self._quiet_ticks = 0

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="box"):
            yield Static(id="question", markup=False)
            yield StillText(id="facts", ground="surface")
            yield Static(id="advice", markup=False)
            yield StillText(id="details", ground="surface")

    def on_mount(self) -> None:
        self.set_interval(_TICK_S, self._tick)
        self._show()

    def on_screen_resume(self) -> None:
        self._wait_until_read()

    def takes(self, key: events.Key) -> bool:
        """Whether `key` may have its effect; called for every key, before that effect."""
        was_quiet = self._was_quiet_at(key.time)
        if self._quiet_since_s < key.time:
            self._quiet_since_s = key.time
        self._quiet_ticks = 0
        self._show_keys()
        return was_quiet or key.key != "y"

    def ask(self, question: Question, yes: T) -> None:
        """Replaces the question."""
        self._question, self._yes = question, yes
        self._show()
        self._wait_until_read()

    def action_confirm(self) -> None:
        """Returns yes."""
        self.dismiss(self._yes)

    def action_leave(self) -> None:
        """Returns no."""
        self.dismiss(self._no)

    def action_scroll(self, lines: int) -> None:
        """Scrolls by `lines`."""
        self.query_one("#box").scroll_relative(y=lines, animate=False)

    def _was_quiet_at(self, time_s: float) -> bool:
        # Ticks: a process that was stopped can't tell how old the keys are that it then finds.
        return self._quiet_ticks >= _QUIET_TICKS and time_s - self._quiet_since_s >= QUIET_S

    def _wait_until_read(self) -> None:
        self._quiet_since_s, self._quiet_ticks = math.inf, 0
        self.call_after_refresh(self._begin_quiet)

    def _begin_quiet(self) -> None:
        self._quiet_since_s = _now_s()

    def _tick(self) -> None:
        if self._quiet_since_s < math.inf:
            self._quiet_ticks += 1
        self._show_keys()

    def _show(self) -> None:
        question = self._question
        self.query_one("#question", Static).update(question.words)
        self._show_lists()
        self.query_one("#advice", Static).update(question.advice)
        self.query_one("#advice", Static).display = bool(question.advice)
        self._show_keys()

    def on_resize(self) -> None:
        self._show_lists()

    def _show_lists(self) -> None:
        self._show_list("#facts", self._question.facts)
        self._show_list("#details", self._question.details, "quiet")

    def _show_list(self, id_: str, cells: tuple[Cell, ...], tone: Tone = "") -> None:
        text = self.query_one(id_, StillText)
        text.display = bool(cells)
        width = text.content_size.width or self.query_one("#question").content_size.width
        lines: list[Line] = []
        for cell in cells:
            if isinstance(cell, str):
                wrapped = hung(cell, width, self._question.hanging)
                lines += [tuple(replace(part, tone=tone) for part in line) for line in wrapped]
            else:
                lines.append(cell)
        text.say(joined(lines))

    def _show_keys(self) -> None:
        keys = "y yes · n no" if self._was_quiet_at(_now_s()) else "n no"
        if self._question.keys:
            keys = f"{keys} · {self._question.keys}"
        box = self.query_one("#box")
        if box.scroll_y < box.max_scroll_y:
            keys = f"↓ more below · {keys}"
        if box.border_subtitle != keys:
            box.border_subtitle = keys


def _now_s() -> float:
    """Returns the time by the clock of `events.Key.time`, which differs between systems."""
    return events.Event().time
