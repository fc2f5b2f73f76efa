"""Typed keys in order: each key has its effect before the next one is dispatched."""

from __future__ import annotations

import math

from textual import events
from textual.app import App
from textual.await_complete import AwaitComplete
from textual.binding import ActiveBinding
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from pgwatch_tests.tui.screens.question import QUIET_S, QuestionScreen

LEAVING = "ctrl+c"
"""Leaves the program from any screen, also where a line is typed: what a terminal's user expects of it."""
_QUITTING = "q"
_ANSWERS = ("y", "n", "escape", _QUITTING)
STOPPING = "ctrl+z"
"""Would stop a process of the shell; a dashboard stays, and says why."""


class AppInTypedOrder(App[int]):
    """An app in which a burst of keys does what the same keys do one by one.

    Textual dispatches a key to the focused widget, and acts once it bubbles up. Of a burst `/Kate` all five
    keys are with the table by then: the first opens the filter, but `K` ends a session.
    A key that has answered a question, pressed twice or held down, does nothing else for a moment. Neither
    does an answer to a question that has just closed by itself: `q` would leave.
    Ctrl+C leaves and Ctrl+Z is refused with a reason, whatever is open.
    """

    _answered: tuple[str, float] = ("", 0.0)
    """The last key that has answered a question, and when it came last, by the clock of `events.Key.time`."""
    _left_alone_s = -math.inf
    """When a question last closed without a key of its own, by that clock."""
    _is_answering = False
    """Whether a key is having its effect on a question."""

    def pop_screen(self) -> AwaitComplete:
        """Takes the topmost screen away; notes when a question goes that no key has closed."""
        if isinstance(self.screen, QuestionScreen) and not self._is_answering:
            self._left_alone_s = events.Event().time
        return super().pop_screen()

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key) and not event.is_forwarded:
            await self._press(event)
        elif isinstance(event, events.Paste) and isinstance(self.focused, Input):
            _type(self.focused, event.text.partition("\n")[0].rstrip("\r"))
        else:
            await super().on_event(event)

    async def _press(self, key: events.Key) -> None:
        self.app_focus = True
        screen, focused = self.screen, self.focused
        if key.key == LEAVING:
            await self.run_action("quit")
            return
        if key.key == STOPPING:
            self.refuse(key.key, None)
            return
        if isinstance(screen, QuestionScreen):
            if screen.takes(key):
                self._is_answering = True
                try:
                    await self._do(key, screen, focused)
                finally:
                    self._is_answering = False
                if self.screen is not screen and key.key != _QUITTING:
                    self._answered = key.key, key.time
            return
        if key.key in _ANSWERS and key.time - self._left_alone_s < QUIET_S:
            return
        # Whoever types a command has seen that nothing is asked.
        self._left_alone_s = -math.inf
        if key.key == self._answered[0] and key.time - self._answered[1] < QUIET_S:
            self._answered = key.key, key.time
            return
        await self._do(key, screen, focused)

    async def _do(self, key: events.Key, screen: Screen[object], focused: Widget | None) -> None:
        if key.key == "escape":
            screen.clear_selection()
        if isinstance(focused, Input) and key.is_printable:
            _type(focused, key.character or "")
            return
        bound = screen.active_bindings.get(key.key)
        if bound is not None and bound.enabled:
            await self.run_action(bound.binding.action, bound.node)
        elif not screen.is_modal:
            self.refuse(key.key, bound)

    def refuse(self, key: str, bound: ActiveBinding | None) -> None:
        """Called for a key that does nothing now: `bound` is what it is bound to, if to anything."""


def _type(entry: Input, text: str) -> None:
    entry.replace(text, *sorted(entry.selection))
