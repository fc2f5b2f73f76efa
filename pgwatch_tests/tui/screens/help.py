"""Help: what every key does in the open tab, made of the bindings, and how to read the tab."""

from __future__ import annotations

from collections.abc import Sequence

from pgwatch_tests.reports.render.detail_text import hung
from pgwatch_tests.text.toned_text import text_of
from pgwatch_tests.tui.keys.commands import Command
from pgwatch_tests.tui.screens.text import TextScreen

_KEY_WIDTH = 7
_WIDE = 100
_LEAST_GAP = 2


class HelpScreen(TextScreen):
    """The keys of the open tab and of all tabs, in two columns where there is room."""

    def __init__(self, title: str, commands: Sequence[Command], reading: Sequence[str]) -> None:
        super().__init__(f"Keys in {title}", [])
        self._commands = [_row(one) for one in commands if not one.place]
        self._reading = reading

    def on_resize(self) -> None:
        self.show(help_lines(self._commands, self._reading, self.room))


def _row(command: Command) -> str:
    return f"{command.key:<{_KEY_WIDTH}} {command.does}"


def help_lines(rows: Sequence[str], reading: Sequence[str], width: int) -> list[str]:
    """The rows, in two columns if `width` has room for them, and the paragraphs below them."""
    column = max(map(len, rows), default=0) + _LEAST_GAP
    if width < max(_WIDE, 2 * column - _LEAST_GAP):
        shown = [text_of(line) for row in rows for line in hung(row, width, _KEY_WIDTH + 1)]
    else:
        half = (len(rows) + 1) // 2
        beside = [*rows[half:], ""]
        shown = [
            f"{left:<{column}}{right}".rstrip() for left, right in zip(rows[:half], beside, strict=False)
        ]
    return [*shown, *(line for paragraph in reading for line in ("", paragraph))]
