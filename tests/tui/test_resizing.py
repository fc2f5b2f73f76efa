"""A terminal that is resized, also under a dialog: all stays inside, the dialog open, the row selected."""

from __future__ import annotations

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
