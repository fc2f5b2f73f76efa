"""All text can be read: in both themes, on every tab and in every dialog, under the cursor and beside it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgwatch_tests.errors import ConnectionLostError
from screenshots.pictures import settled
from tests.reports.sweeps.test_history_reports import ENTRY
from tests.tui.acting import Doing, chain, locked
from tests.tui.contrast import contrast, drawn
from tests.tui.driving import Feed
from tests.tui.tabs.leaking import SECRETS, messy
from tests.tui.tabs.sweeping import JOBS, Sweeping

AT_LEAST = 4.5
THEMES = ["pgwatch-dark", "pgwatch-light", "textual-dark", "textual-light", "nord", "gruvbox"]
# Keys that lead there, one after the other, and a name for the place.
SCENES = [
    (("1",), "locks"),
    (("down", "down"), "locks, a waiter under the cursor"),
    (("K",), "question about a session"),
    (("escape", "enter"), "detail of a session"),
    (("escape", "question_mark"), "help"),
    (("escape", "slash"), "empty filter"),
    (("t",), "filter"),
    (("escape", "p"), "paused"),
    (("p", "2"), "sessions"),
    (("down",), "sessions, another under the cursor"),
    (("s",), "sessions by another order"),
    (("g",), "sessions in groups"),
    (("home",), "sessions in groups, a heading under the cursor"),
    (("3",), "leaks"),
    (("down",) * 6, "leaks, what wasn't checked under the cursor"),
    (("enter",), "detail of a leak"),
    (("escape", "s"), "leaks by test"),
    (("4",), "contention"),
    (("5",), "sweeps"),
    (("p",), "plan"),
    (("down",) * 4, "plan, what is kept under the cursor"),
    (("w",), "question about a sweep"),
    (("escape", "s"), "jobs"),
    (("n",), "question about a job"),
    (("escape", "s"), "history"),
    (("slash", "x", "enter"), "filter at rest"),
]


@pytest.mark.parametrize("theme", THEMES)
async def test_every_text_has_a_contrast_of_4_5(theme: str) -> None:
    jobs = (*JOBS, replace(JOBS[0], name="paused", paused=True))
    sweeping = Sweeping(jobs=jobs, history=(ENTRY, replace(ENTRY, id=8, dry_run=True)))
    source = Feed(chain(), replace(messy(), skipped=(SECRETS,)))
    app = source.dashboard(act=Doing(), sweeps=sweeping.desk())
    faint: set[tuple[str, str, str, str, float]] = set()

    def look(place: str) -> None:
        pieces = drawn(app.export_screenshot())
        if len(app.screen_stack) > 1:
            # What is behind a dialog is dimmed on purpose.
            box = app.screen.query_one("#box").region
            pieces = [one for one in pieces if box.contains(one.column, one.line)]
        assert len(pieces) > 1, place
        faint.update(
            (place, one.text, one.colour, one.background, round(one.contrast, 2))
            for one in pieces
            if one.contrast < AT_LEAST
        )

    async with app.run_test(size=(140, 40), notifications=True) as pilot:
        app.theme = theme
        await settled(pilot)
        for keys, place in SCENES:
            for key in keys:
                await pilot.press(key)
            await settled(pilot)
            look(place)
        source.locks = ConnectionLostError("the server went away")
        await pilot.press("escape", "1", "r")
        await settled(pilot)
        look("stale")
        source.locks = locked()
    assert sorted(faint) == []


def test_the_contrast_of_known_colours() -> None:
    assert contrast("#000000", "#ffffff") == 21
    assert round(contrast("#777777", "#ffffff"), 2) == 4.48
    assert contrast("#123456", "#123456") == 1
