"""Help: what every key does in the open tab, made of the bindings, and how to read the tab."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from pgwatch_tests.reports.render.detail_text import hung
from pgwatch_tests.text.toned_text import Cell, Toned, text_of
from pgwatch_tests.tui.keys.commands import Command
from pgwatch_tests.tui.screens.text import TextScreen

_KEY_WIDTH = 7
_WIDE = 100
_GAP = 2
_INDENT = "  "


class HelpScreen(TextScreen):
    """The keys of the open tab and of all tabs, in two columns where there is room.

    Those that do nothing in this tab, or not now, are below the others, by what is in their way.
    """

    def __init__(self, title: str, commands: Sequence[Command], reading: Sequence[str]) -> None:
        super().__init__(f"Keys in {title}", [])
        self._commands = [one for one in commands if not one.place]
        self._reading = reading

    def on_resize(self) -> None:
        self.show(help_lines(self._commands, self._reading, self.room))


def help_lines(commands: Sequence[Command], reading: Sequence[str], width: int) -> list[Cell]:
    """The keys that do something, in two columns where there is room; how to read the tab; the other keys."""
    lines: list[Cell] = list(_columns([_row(one) for one in commands if not one.refused], width))
    for paragraph in reading:
        lines += ["", *_wrapped(paragraph, width)]
    refused: dict[str, list[Command]] = {}
    for one in commands:
        if one.refused:
            refused.setdefault(one.refused, []).append(one)
    if refused:
        lines += ["", (Toned("These do nothing here, or not now:", "quiet"),)]
    for reason, group in refused.items():
        keys = " · ".join(f"{one.key} {one.name}" for one in group)
        lines += _wrapped(keys, width)
        lines += [(Toned(line, "quiet"),) for line in _wrapped(f"{_INDENT}{reason}", width, len(_INDENT))]
    return lines


def _row(command: Command) -> str:
    return f"{command.key:<{_KEY_WIDTH}} {command.does}"


def _wrapped(text: str, width: int, indent: int = 0) -> list[str]:
    return [text_of(line) for line in hung(text, width, indent)]


def _columns(rows: Sequence[str], width: int) -> list[str]:
    """The rows one below the other, or in two columns of about the same height."""
    if width < _WIDE:
        return [line for row in rows for line in _wrapped(row, width, _KEY_WIDTH + 1)]
    column = (width - _GAP) // 2
    blocks = [_wrapped(row, column, _KEY_WIDTH + 1) for row in rows]
    left: list[str] = []
    while blocks and 2 * len(left) < len(left) + sum(map(len, blocks)):
        left += blocks.pop(0)
    right = [line for block in blocks for line in block]
    return [
        f"{one:<{column + _GAP}}{other}".rstrip() for one, other in zip_longest(left, right, fillvalue="")
    ]
