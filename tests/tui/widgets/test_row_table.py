"""A table that draws only what is on the screen and has changed."""

from __future__ import annotations

import pytest
from textual.app import App, ComposeResult
from textual.strip import Strip

from pgwatch_tests.text.toned_text import Toned
from pgwatch_tests.tui.widgets.tables.column_widths import Column
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable
from pgwatch_tests.tui.widgets.tables.row_table import RowTable
from pgwatch_tests.tui.widgets.tables.table_rows import LiveRow
from tests.tui.driving import screen_text

SCREEN = 20
ROWS = 2_000


class OneTable(App[int]):
    """A table of many rows on a small screen."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def compose(self) -> ComposeResult:
        yield LiveTable((Column("Test"), Column("For", right=True)), id="one")

    def on_mount(self) -> None:
        self.table.styles.height = SCREEN
        self.table.show(rows())

    @property
    def table(self) -> LiveTable:
        return self.query_one(LiveTable)

    def on_row_table_row_highlighted(self) -> None:
        self.told.append(f"at {self.table.current_key}")

    def on_row_table_row_selected(self) -> None:
        self.told.append(f"opened {self.table.current_key}")


def rows(**seconds: int) -> list[LiveRow]:
    """Rows `r0` and so on, which have waited for 1 s, or for as long as is said."""
    keys = [f"r{number}" for number in range(ROWS)]
    return [LiveRow(key, (f"test_{key}", (Toned(f"{seconds.get(key, 1)}s", "quiet"),))) for key in keys]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lines that are drawn, as they are drawn."""
    lines: list[int] = []
    draw = RowTable.render_line

    def counted(self: RowTable, y: int) -> Strip:
        lines.append(y)
        return draw(self, y)

    monkeypatch.setattr(RowTable, "render_line", counted)
    return lines


async def test_only_rows_on_the_screen_that_changed_are_drawn(drawn: list[int]) -> None:
    app = OneTable()
    async with app.run_test(size=(40, SCREEN)) as pilot:
        await pilot.pause()
        assert set(drawn) == set(range(SCREEN))
        drawn.clear()
        app.table.show(rows(r3=7, r1500=9))
        await pilot.pause()
        assert drawn == [1 + 3]
        assert screen_text(app).splitlines()[1 + 3].split() == ["test_r3", "7s"]
        drawn.clear()
        await pilot.press("down")
        await pilot.pause()
        assert sorted(drawn) == [1, 2]


async def test_the_cursor_stays_with_its_row_among_thousands() -> None:
    app = OneTable()
    async with app.run_test(size=(40, SCREEN)) as pilot:
        await pilot.press("end")
        assert app.table.current_key == f"r{ROWS - 1}"
        assert f"test_r{ROWS - 1}" in screen_text(app)
        await pilot.press("pageup", "up")
        at = app.table.current_key
        top = app.table.scroll_offset.y
        app.table.show(rows()[3:])
        assert app.table.current_key == at
        assert app.table.scroll_offset.y == top
        await pilot.press("home")
        assert app.table.current_key == "r3"
        assert app.told[-1] == "at r3"


async def test_the_cursor_stays_in_sight_in_a_table_that_gets_lower() -> None:
    app = OneTable()
    async with app.run_test(size=(40, SCREEN)) as pilot:
        await pilot.press("end")
        app.table.styles.height = SCREEN // 2
        await pilot.pause()
        assert f"test_r{ROWS - 1}" in screen_text(app)
        await pilot.press("home")
        app.table.scroll_to(y=100, animate=False)
        app.table.styles.height = SCREEN
        await pilot.pause()
        # Who has scrolled away from it looks at something else.
        assert "test_r100" in screen_text(app)


async def test_a_click_selects_a_row_and_the_next_one_opens_it() -> None:
    app = OneTable()
    async with app.run_test(size=(40, SCREEN)) as pilot:
        await pilot.hover("#one", offset=(3, 1 + 2))
        await pilot.click("#one", offset=(3, 1 + 2))
        assert app.table.current_key == "r2"
        assert app.told == ["at r2"]
        await pilot.click("#one", offset=(3, 1 + 2))
        await pilot.click("#one", offset=(3, 0))  # the head is no row
        assert app.told == ["at r2", "opened r2"]


async def test_a_wide_character_never_makes_a_line_longer_than_its_table() -> None:
    app = OneTable()
    async with app.run_test(size=(30, SCREEN)) as pilot:
        app.table.use((Column("Test", least=8), Column("For", right=True)))
        app.table.show([LiveRow("a", ("予約" * 20, "1s")), LiveRow("b", ("x" * 99, "2s"))])
        await pilot.pause()
        assert {strip.cell_length for strip in app.screen._compositor.render_strips()} == {30}
        assert screen_text(app).splitlines()[2].endswith("…   2s")
