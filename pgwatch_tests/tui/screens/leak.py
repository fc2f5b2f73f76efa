"""The screen of one leak, which `enter` opens: all of its detail, and the rows, read on demand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.leaks.model import FoundRows
from pgwatch_tests.reports.leaks.leak_detail import found_lines
from pgwatch_tests.reports.render.detail_text import Detail, Line
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.toned_text import Toned
from pgwatch_tests.tui.screens.row import RowScreen
from pgwatch_tests.tui.workers import start_worker

ReadRows = Callable[[str], Awaitable[FoundRows]]
"""Reads some marked rows of a table, `schema.table`. Raises PgwatchError."""


class LeakScreen(RowScreen):
    """A detail in full; with `read_rows`, the rows of `table` once they are read."""

    def __init__(self, detail: Detail, table: str = "", read_rows: ReadRows | None = None) -> None:
        super().__init__(detail)
        self._table = table
        self._read_rows = read_rows
        self._rows: Sequence[Line] = [(Toned("Reading its rows …", "quiet"),)] if read_rows else []

    def on_mount(self) -> None:
        super().on_mount()
        if self._read_rows is not None:
            start_worker(self, partial(self._show_rows, self._read_rows), "leaked rows")

    def following(self) -> Sequence[Line]:
        """The rows, as soon as they are read."""
        return self._rows

    async def _show_rows(self, read_rows: ReadRows) -> None:
        try:
            found = await read_rows(self._table)
        except PgwatchError as error:
            self._rows = [(Toned(f"Not read: {plain(str(error))}", "notice"),)]
        else:
            self._rows = found_lines(found, datetime.now(UTC))
        if self.is_mounted:
            self.draw_detail()
