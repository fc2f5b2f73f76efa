"""The screen of one leak, which `enter` opens: all of its detail, and the rows, read on demand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from textual.app import ComposeResult
from textual.containers import VerticalScroll

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.leaks.model import FoundRows
from pgwatch_tests.reports.leaks.leak_detail import NOW, found_lines
from pgwatch_tests.reports.render.detail_text import Detail, Line, detail_lines
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.toned_text import Toned, text_of
from pgwatch_tests.tui.screens.text import TextScreen
from pgwatch_tests.tui.widgets.still_text import StillText
from pgwatch_tests.tui.workers import start_worker

ReadRows = Callable[[str], Awaitable[FoundRows]]
"""Reads some marked rows of a table, `schema.table`. Raises PgwatchError."""

_LEAST = 20
"""Characters for a line, before the first layout too."""


class LeakScreen(TextScreen):
    """A detail in full; with `read_rows`, the rows of `table` once they are read."""

    def __init__(self, detail: Detail, table: str = "", read_rows: ReadRows | None = None) -> None:
        super().__init__(text_of(detail.title), [])
        # What keys do with the row, they don't do here.
        self._detail = replace(detail, texts=tuple(one for one in detail.texts if one.label != NOW))
        self._table = table
        self._read_rows = read_rows
        self._rows: Sequence[Line] = [(Toned("Reading its rows …", "quiet"),)] if read_rows else []

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="box"):
            yield StillText(id="text", ground="surface")

    def on_mount(self) -> None:
        if self._read_rows is not None:
            start_worker(self, partial(self._show_rows, self._read_rows), "leaked rows")

    def on_resize(self) -> None:
        self._draw()

    async def _show_rows(self, read_rows: ReadRows) -> None:
        try:
            found = await read_rows(self._table)
        except PgwatchError as error:
            self._rows = [(Toned(f"Not read: {plain(str(error))}", "notice"),)]
        else:
            self._rows = found_lines(found, datetime.now(UTC))
        if self.is_mounted:
            self._draw()

    def _draw(self) -> None:
        rows = [(), *self._rows] if self._rows else []
        self.show([*detail_lines(self._detail, max(_LEAST, self.room)), *rows])
