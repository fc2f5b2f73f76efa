"""A live table: its first picture has whole names, though it was hidden and has no size yet."""

from __future__ import annotations

import asyncio

from textual.app import App, ComposeResult

from pgwatch_tests.text.toned_text import Toned, cut_end
from pgwatch_tests.tui.widgets.tables.column_widths import Column
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable
from pgwatch_tests.tui.widgets.tables.table_rows import LiveRow
from pgwatch_tests.tui.widgets.themes import THEMES

NAME = "tests/test_booking.py::TestSeats::test_a_seat_is_taken"


class OneTable(App[None]):
    """A table that is hidden until it has rows."""

    def compose(self) -> ComposeResult:
        table = LiveTable((Column("Test", least=8, cut=cut_end),), id="one")
        table.display = False
        yield table

    def on_mount(self) -> None:
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = THEMES[0].name


def test_first_rows_have_whole_names() -> None:
    async def first_picture() -> tuple[int, str]:
        app = OneTable()
        async with app.run_test(size=(100, 20)):
            table = app.query_one(LiveTable)
            table.show([LiveRow("a", (NAME,))])
            return table.size.width, table.get_row_at(0)[0].plain

    assert asyncio.run(first_picture()) == (0, NAME)


async def test_a_mark_moves_no_file() -> None:
    app = OneTable()
    async with app.run_test(size=(100, 20)):
        table = app.query_one(LiveTable)
        table.display = True
        test = (Toned("├ "), Toned("test_a"), Toned(" " * 6), Toned("test_booking.py", "quiet"))
        table.show([LiveRow("a", (test,)), LiveRow("b", (NAME,))])
        before = table.get_row_at(0)[0].plain
        table.toggle_mark()
        after = table.get_row_at(0)[0].plain
        assert after == "✓ ├ test_a    test_booking.py"
        assert after.index("test_booking") == before.index("test_booking")
