"""Jump to a time or a test: the dialog that asks where to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.record.replay.jump import TIME_FORMS
from pgwatch_tests.tui.workers import start_worker


class JumpScreen(ModalScreen[datetime | None]):
    """Returns the moment that `find` makes of what is typed, or None to stay; says why there is none."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Cancel")]

    def __init__(self, find: Callable[[str], Awaitable[datetime]]) -> None:
        super().__init__()
        self._find = find

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="box") as box:
            box.border_title = "Go to"
            box.border_subtitle = "enter goes there · escape cancels"
            yield Static(f"A time: {TIME_FORMS}.", markup=False)
            yield Static("Or a part of a test's name: where it was first seen.", markup=False)
            yield _PlaceLine()
            yield Static("", id="hint", markup=False)

    def on_mount(self) -> None:
        self.set_focus(self.query_one(_PlaceLine))

    def action_accept(self) -> None:
        """Looks for the place."""
        start_worker(self, self._look, "place", exclusive=True)

    async def _look(self) -> None:
        try:
            moment = await self._find(self.query_one(_PlaceLine).value)
        except PgwatchError as error:
            self.query_one("#hint", Static).update(str(error))
        else:
            self.dismiss(moment)

    def action_leave(self) -> None:
        """Returns None."""
        self.dismiss(None)


class _PlaceLine(Input):
    BINDINGS: ClassVar[list[BindingType]] = [
        # A binding, since an Input's own message arrives after keys typed in the same burst.
        Binding("enter", "screen.accept", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(id="place", placeholder="13:05:12 or test_booking", select_on_focus=False)
