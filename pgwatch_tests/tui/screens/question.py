"""Question screens, which confirm what can't be undone: a yes counts only after 0.3 s without a key."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.style import Style
from textual.widgets import Static

from pgwatch_tests.reports.render.detail_text import Line, hung, joined
from pgwatch_tests.text.toned_text import Cell, Tone
from pgwatch_tests.tui.widgets.still_text import StillText

T = TypeVar("T")

QUIET_S = 0.3
READING_S = 1.0
"""As long, where a question follows another one: whoever typed `y` again was still about the first one."""
_TICK_S = 0.05
_YES, _NO = "screen.click_yes", "screen.leave"


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
    note: str = ""
    """What it follows from, above all else."""
    asks: bool = True
    """Whether there is anything to answer; if not, it says what is being done, and can be closed."""


class QuestionScreen(ModalScreen[T]):
    """Returns `yes` or `no`. `y` means yes once the question has been drawn, without any key, for 0.3 s.

    Keys typed ahead, or in a burst with others, were meant for something else. Enter means nothing. A click
    on an answer is as good as its key, and the second one of a double click as well as a key typed ahead.
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
        self._quiet_for_s = QUIET_S
        """How long it has to be quiet before yes."""
        self._hovered = ""
        """What a click would do where the mouse is."""

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="box"):
            yield Static(id="note", markup=False)
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
        return self._interrupts_quiet(key.time) or key.key != "y"

    def _interrupts_quiet(self, time_s: float) -> bool:
        """Begins to wait for quiet anew; returns whether it was quiet until then."""
        was_quiet = self._was_quiet_at(time_s)
        if self._quiet_since_s < time_s:
            self._quiet_since_s = time_s
        self._quiet_ticks = 0
        self._show_keys()
        return was_quiet

    def ask(self, question: Question, yes: T, quiet_for_s: float = QUIET_S) -> None:
        """Replaces the question."""
        self._question, self._yes, self._quiet_for_s = question, yes, quiet_for_s
        self._wait_until_read()
        self._show()

    def action_confirm(self) -> None:
        """Returns yes, if anything is asked."""
        if self._question.asks:
            self.confirm(self._yes)

    def confirm(self, yes: T) -> None:
        """Called once the question was answered with yes."""
        self.dismiss(yes)

    def action_click_yes(self) -> None:
        """Answers with yes, as `y` does."""
        if self._interrupts_quiet(_now_s()):
            self.action_confirm()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Shows which answer a click would give."""
        hovered = str(event.style.meta.get("@click", ""))
        if hovered != self._hovered:
            self._hovered = hovered
            self._show_keys()

    def action_leave(self) -> None:
        """Returns no."""
        self.dismiss(self._no)

    def action_scroll(self, lines: int) -> None:
        """Scrolls by `lines`."""
        self.query_one("#box").scroll_relative(y=lines, animate=False)

    def _was_quiet_at(self, time_s: float) -> bool:
        # Ticks: a process that was stopped can't tell how old the keys are that it then finds.
        ticks = round(self._quiet_for_s / _TICK_S)
        return self._quiet_ticks >= ticks and time_s - self._quiet_since_s >= self._quiet_for_s

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
        for id_, text in (("#note", question.note), ("#advice", question.advice)):
            self.query_one(id_, Static).update(text)
            self.query_one(id_, Static).display = bool(text)
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
        asks, box = self._question.asks, self.query_one("#box")
        parts: list[Content] = []
        if box.scroll_y < box.max_scroll_y:
            parts.append(Content("↓ more below"))
        if asks and self._was_quiet_at(_now_s()):
            parts.append(self._answer("y yes", _YES))
        parts.append(self._answer("n no" if asks else "n close", _NO))
        if self._question.keys:
            parts.append(Content(self._question.keys))
        keys = Content(" · ").join(parts)
        if keys.markup != box.border_subtitle:
            box.border_subtitle = keys

    def _answer(self, words: str, action: str) -> Content:
        style = Style(bold=True, underline=self._hovered == action) + Style.from_meta({"@click": action})
        return Content.styled(words, style)


def _now_s() -> float:
    """Returns the time by the clock of `events.Key.time`, which differs between systems."""
    return events.Event().time
