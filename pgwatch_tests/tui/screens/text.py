"""A screen of plain text over the dashboard: the base of help and detail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen

from pgwatch_tests.reports.render.detail_text import Labelled, Line, joined, wrapped
from pgwatch_tests.text.toned_text import Cell, Toned
from pgwatch_tests.tui.widgets.still_text import StillText

_LABEL = 13
"""Characters for a label."""
_SIDES = 6
"""Characters beside the text: the border, its padding, and a scroll bar, which may come once it is drawn,
with a gap before it."""


class Copies(Protocol):
    """A dashboard that copies, and knows the key for it."""

    def key_name(self, id_: str) -> str:
        """The key of a command, by its id, as texts write it."""

    def copy_one_of(self, offered: Sequence[tuple[str, str]]) -> None:
        """Copies the first of these; called again with the same, the next one."""


class TextScreen(ModalScreen[None]):
    """Lines of plain text, toned where that tells something, in a scrollable box.

    A labelled text is wrapped beside its label.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,question_mark", "dismiss", "Close"),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
        Binding("pagedown,space", "scroll_pages(1)", show=False),
        Binding("pageup", "scroll_pages(-1)", show=False),
        Binding("home", "scroll_pages(-1000)", show=False),
        Binding("end", "scroll_pages(1000)", show=False),
        Binding("y", "copy", show=False, id="copy"),
    ]

    def __init__(self, title: str, lines: Sequence[Cell | Labelled]) -> None:
        super().__init__()
        self._title = title
        self._lines = lines
        self.copies: Sequence[tuple[str, str]] = ()
        """What a key copies: a name and a text each; pressed again, the next one."""

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="box") as box:
            box.border_title = Content(self._title)
            yield StillText(id="text", ground="surface")

    @property
    def room(self) -> int:
        """Characters for a line; none before the first layout."""
        return self.query_one("#box").outer_size.width - _SIDES

    def show(self, lines: Sequence[Cell | Labelled]) -> None:
        """Replaces the text."""
        self._lines = lines
        self.query_one(StillText).say(joined([line for one in lines for line in _lines(one, self.room)]))
        self.call_after_refresh(self._show_more)

    def on_mount(self) -> None:
        self.watch(self.query_one("#box"), "scroll_y", self._show_more)
        self.show(self._lines)

    def on_resize(self) -> None:
        self.show(self._lines)

    def _show_more(self) -> None:
        """Says below the box whether there is more below."""
        box = self.query_one("#box")
        parts = ["↓ more below"] if box.scroll_y < box.max_scroll_y else []
        if self.copies:
            parts.append(f"{cast(Copies, self.app).key_name('copy')} copies {self.copies[0][0]}")
        box.border_subtitle = Content(" · ".join([*parts, "escape closes"]))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key does anything: without something to copy, that of copying doesn't."""
        return False if action == "copy" and not self.copies else super().check_action(action, parameters)

    def action_scroll_pages(self, pages: int) -> None:
        """Scrolls by so many screens."""
        box = self.query_one("#box")
        box.scroll_relative(y=pages * max(1, box.size.height - 1), animate=False)

    def action_copy(self) -> None:
        """Copies what there is to copy; pressed again, the next thing."""
        cast(Copies, self.app).copy_one_of(self.copies)

    async def action_dismiss(self, result: None = None) -> None:
        self.dismiss(result)

    def action_scroll(self, lines: int) -> None:
        """Scrolls by `lines`."""
        self.query_one("#box").scroll_relative(y=lines, animate=False)


def _lines(one: Cell | Labelled, width: int) -> list[Line]:
    if isinstance(one, Labelled):
        # Before the first layout there is no width.
        return list(wrapped(one, width if width > 0 else 10 * _LABEL, _LABEL))
    return [(Toned(one),) if isinstance(one, str) else one]
