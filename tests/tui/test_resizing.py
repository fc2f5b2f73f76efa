"""A terminal that is resized, also under a dialog: all stays inside, the dialog open, the row selected."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from screenshots.pictures import settled
from tests.tui.acting import Doing, locked
from tests.tui.driving import Feed, screen_text
from tests.tui.tabs.leaking import SECRETS, messy
from tests.tui.tabs.sweeping import JOBS, Sweeping


@pytest.mark.parametrize(
    "keys",
    [
        ["question_mark"],
        ["enter"],
        ["K"],
        ["2", "g", "down"],
        ["2", "slash", "x"],
        ["3", "enter"],
        ["5", "a"],
        ["5", "w"],
    ],
)
async def test_all_stays_in_the_terminal(keys: list[str]) -> None:
    source = Feed(locked(), replace(messy(), skipped=(SECRETS,)))
    app = source.dashboard(act=Doing(), sweeps=Sweeping(jobs=JOBS).desk())
    async with app.run_test(size=(140, 40)) as pilot:
        await settled(pilot)
        for key in keys:
            await pilot.press(key)
            await settled(pilot)
        before = len(app.screen_stack), app._tab.table.current_key
        for width, height in ((60, 15), (30, 8), (200, 50), (80, 24)):
            await pilot.resize_terminal(width, height)
            await settled(pilot)
            lines = screen_text(app).splitlines()
            assert len(lines) == height
            assert max(map(len, lines)) <= width
            for box in app.screen.query("#box"):
                assert app.screen.region.contains_region(box.region), (width, height)
        assert (len(app.screen_stack), app._tab.table.current_key) == before


@pytest.mark.parametrize("size", [(60, 15), (50, 12)])
async def test_a_small_terminal_shows_all_that_is_needed_first(size: tuple[int, int]) -> None:
    app = Feed(locked(), messy()).dashboard(act=Doing(), sweeps=Sweeping(jobs=JOBS).desk())
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("r")
        await settled(pilot)
        lines = screen_text(app).splitlines()
        assert re.search("^ 1 .* 2  2 .* 3  3 .* 11  4 .*  5 ", lines[2])
        assert lines[4].endswith("For  Blocks")
        assert re.search(r"test_root .* 1  .*2\.0s +2$", lines[5])
        border = next(number for number, line in enumerate(lines) if line == "─" * size[0])
        assert lines[border + 1].startswith(" Why   ")
        assert lines[border + 2].startswith(" Now   End its session")
        assert "K End" in lines[-1]
        await pilot.resize_terminal(100, 24)
        await settled(pilot)
        assert "2 Sessions 3  3 Leaks 11  4 Contention  5 Sweeps" in screen_text(app)


@pytest.mark.parametrize("key", ["1", "2", "3", "4"])
async def test_even_on_a_very_small_terminal_the_pane_has_a_line(key: str) -> None:
    app = Feed(locked(), messy()).dashboard(act=Doing(), sweeps=Sweeping(jobs=JOBS).desk())
    async with app.run_test(size=(50, 12)) as pilot:
        await settled(pilot)
        for pressed in ("r", key):
            await pilot.press(pressed)
            await settled(pilot)
        lines = screen_text(app).splitlines()
        border = max(number for number, line in enumerate(lines) if line == "─" * 50)
        assert re.match(" (Why|Now|Fix) ", lines[border + 1]), "\n".join(lines)
