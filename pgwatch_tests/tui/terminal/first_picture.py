"""The first picture: header, verdict and lock tree on the terminal, while Python still loads the screen.

Textual takes as long to load as all before it. Whoever looks at a suite that hangs reads the answer
meanwhile, where the dashboard then shows it.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size

from pgwatch_tests.locks.graph.lock_graph import graph_of
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.reports.locks.folded_tree import folded_rows
from pgwatch_tests.reports.verdict.verdict import Facts, clauses
from pgwatch_tests.reports.verdict.verdict_line import fitted
from pgwatch_tests.text.toned_text import Tone, Toned, shortened, told_by_marks
from pgwatch_tests.tui.tabs.lock_rows import COLUMNS, COLUMNS_OF_SEVERAL, live_rows, spans_databases
from pgwatch_tests.tui.terminal.stream import drawn_on
from pgwatch_tests.tui.widgets.header_figures import Manner, header_line, with_runs
from pgwatch_tests.tui.widgets.tables.column_widths import Column, widths
from pgwatch_tests.tui.widgets.tables.table_rows import PADDING, SCROLLBAR, longest_cells

if TYPE_CHECKING:
    from textual.app import App

_TABS = 2
"""Lines of the tabs, between the verdict and the table."""
_FOOTER = 1
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J", "\x1b[?7h\x1b[?1049l\x1b[?25h"
"""The terminal's other screen, without cursor and without wrapping, and back: xterm's Control Sequences."""
_COLOURS: Mapping[Tone, str] = {
    "quiet": "2",
    "lit": "1",
    "good": "32",
    "notice": "36",
    "warning": "33",
    "trouble": "31",
    "root": "1;31",
}
_MARKED: Mapping[Tone, str] = {"quiet": "2", "lit": "1", "root": "1"}
"""Where there shall be no colours."""

Line = Sequence[Toned]


def lines(
    snapshot: LockSnapshot, manner: Manner, size: tuple[int, int], *, marks: bool = False
) -> Iterator[Line]:
    """Yields the dashboard's lines of a snapshot, from the first one down, for `size` columns and rows."""
    width, height = size
    graph = graph_of(snapshot)
    room = width - 2 * PADDING
    edge = Toned(" " * PADDING)
    trend = (snapshot.blocked,)
    yield (edge, *header_line(snapshot, trend, manner, room, marks=marks))
    yield (edge, *fitted(clauses(graph, with_runs(Facts(), snapshot)), room))
    if not graph.trees:
        return
    yield from [()] * _TABS
    several = spans_databases(graph)
    columns = COLUMNS_OF_SEVERAL if several else COLUMNS
    rows = live_rows(graph, folded_rows(graph), names_all=several)[: height - _TABS - _FOOTER - 3]
    if marks:
        right = [column.right for column in columns]
        rows = [replace(row, cells=told_by_marks(row.cells, row.tone, right)) for row in rows]
    contents = longest_cells((row.cells for row in rows), len(columns))
    given = widths(columns, contents, width - SCROLLBAR, 2 * PADDING)
    heads = [(Toned(column.label_in(width), "lit"),) for column, width in zip(columns, given, strict=True)]
    yield _row(heads, columns, given)
    for row in rows:
        cells = [
            tuple(Toned(part.text, part.tone or row.tone) for part in shortened(cell, cells_wide, column.cut))
            for cell, column, cells_wide in zip(row.cells, columns, given, strict=True)
        ]
        yield _row(cells, columns, given)


def _row(cells: Sequence[Line], columns: Sequence[Column], given: Sequence[int]) -> Line:
    line: list[Toned] = []
    for cell, column, width in zip(cells, columns, given, strict=True):
        if width:
            free = Toned(" " * (width - sum(cell_len(part.text) for part in cell)))
            edge = Toned(" " * PADDING)
            line += [edge, free, *cell, edge] if column.right else [edge, *cell, free, edge]
    return line


def in_sequences(shown: Iterator[Line], size: tuple[int, int], *, colours: bool) -> str:
    """The lines as a terminal of `size` takes them: each in its place, none wider than the terminal."""
    width, height = size
    styles = _COLOURS if colours else _MARKED
    written = []
    for number, line in zip(range(height), shown, strict=False):
        written.append(f"\x1b[{number + 1};1H")
        free = width
        for part in line:
            text = part.text if cell_len(part.text) <= free else set_cell_size(part.text, free)
            free -= cell_len(text)
            style = styles.get(part.tone)
            written.append(f"\x1b[{style}m{text}\x1b[0m" if style else text)
    return "".join(written)


class FirstPicture:
    """A context in which the terminal may show the first picture; gives the terminal back as it was.

    `show` it at most once, and then `hand_over` to the app that draws over it.
    """

    def __init__(self, manner: Manner) -> None:
        self._manner = manner
        self._attributes: list[int | list[bytes | int]] | None = None
        self._handed_over = False

    def __enter__(self) -> FirstPicture:
        return self

    @property
    def is_shown(self) -> bool:
        """Whether the terminal shows it, or showed it before it was handed over."""
        return self._attributes is not None

    def show(self, snapshot: LockSnapshot) -> None:
        """Shows the picture of a snapshot, unless something else draws already or there is no terminal."""
        if self._handed_over or self.is_shown or os.environ.get("TEXTUAL_DRIVER"):
            return
        try:
            size = shutil.get_terminal_size()
            colours = not os.environ.get("NO_COLOR")
            shown = lines(snapshot, self._manner, size, marks=not colours)
            picture = in_sequences(shown, size, colours=colours)
            attributes = termios.tcgetattr(sys.stdin.fileno())
            signal.signal(signal.SIGTERM, _end)
            self._attributes = attributes
            _take_keys(attributes)
            _write(_ENTER + picture)
        except (OSError, ValueError, termios.error):
            return  # the app tells what is wrong with its terminal

    def hand_over(self, app: App[int]) -> None:
        """Lets `app` draw over the picture; from now on it is shown no more."""
        self._handed_over = True
        if self.is_shown:
            from pgwatch_tests.tui.terminal.continuing_driver import ContinuingDriver

            app.driver_class = ContinuingDriver

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._attributes is not None:
            if not self._was_left_by_app():
                with suppress(OSError):  # the terminal is gone
                    _write(_LEAVE)
            with suppress(termios.error):
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, self._attributes)

    def _was_left_by_app(self) -> bool:
        """Whether the app's driver gave the terminal back; it may have failed before it had one."""
        if not self._handed_over:
            return False
        from pgwatch_tests.tui.terminal.continuing_driver import ContinuingDriver

        return ContinuingDriver.has_left


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + signal.SIGTERM)


def _take_keys(attributes: list[int | list[bytes | int]]) -> None:
    """Keeps typed keys for the app, unseen, as the app itself would."""
    taken = list(attributes)
    flags = taken[tty.LFLAG]
    assert isinstance(flags, int)
    taken[tty.LFLAG] = flags & ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
    termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, taken)


def _write(text: str) -> None:
    stream = drawn_on()
    assert stream is not None
    stream.write(text)
    stream.flush()
