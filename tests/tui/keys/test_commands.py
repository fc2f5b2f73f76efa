"""The help and the list of all commands: made of the bindings, so that they say what keys do."""

from __future__ import annotations

import pytest
from textual.command import CommandPalette

from pgwatch_tests.text.toned_text import text_of
from pgwatch_tests.tui.app import Dashboard
from pgwatch_tests.tui.keys.commands import Command
from pgwatch_tests.tui.screens.help import help_lines
from screenshots.pictures import settled
from tests.locks.snapshots import snapshot
from tests.tui.acting import Doing, locked
from tests.tui.contrast import drawn
from tests.tui.driving import Feed, leak_report, screen_text, until
from tests.tui.tabs.sweeping import JOBS, Sweeping

QUIT_OF_TEXTUAL = "Quit the app and return to the command prompt."


def dashboard(*, full: bool = True) -> Dashboard:
    source = Feed(locked() if full else snapshot(), leak_report())
    return source.dashboard(act=Doing(), sweeps=Sweeping(jobs=JOBS).desk())


@pytest.mark.parametrize("tab", "12345")
async def test_the_help_has_every_key_that_is_bound(tab: str) -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press(tab)
        await settled(pilot)
        works = {one.binding.tooltip for one in app.screen.active_bindings.values() if one.enabled}
        listed = {one.does for one in app.commands() if not one.place}
        # Textual's own keys, which say little or what is in the footer.
        assert works - listed <= {"", "Open the command palette", QUIT_OF_TEXTUAL}


async def test_a_help_that_is_longer_than_the_screen_says_so() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("question_mark")
        await until(pilot, lambda: "↓ more below · escape closes" in screen_text(app))
        assert "Keys in Locks" in screen_text(app)
        for _ in range(60):
            await pilot.press("down")
        await settled(pilot)
        assert "more below" not in screen_text(app)
        assert "The server is polled every" in screen_text(app)


async def test_a_wide_help_fits_the_screen() -> None:
    app = dashboard()
    async with app.run_test(size=(200, 60)) as pilot:
        await settled(pilot)
        await pilot.press("question_mark")
        await settled(pilot)
        assert "more below" not in screen_text(app)


def command(number: int, refused: str = "") -> Command:
    return Command(str(number), f"C{number}", f"does what row {number} does", "", refused, lambda: None)


def test_columns_lose_no_row() -> None:
    commands = [command(number) for number in range(7)]
    for width in (40, 100, 160):
        drawn = "\n".join(map(text_of, help_lines(commands, (), width)))
        assert all(one.does in drawn for one in commands)
    assert len(help_lines(commands, (), 160)) == 4


def test_what_does_nothing_here_is_apart_and_says_why() -> None:
    commands = [command(1), command(2, "It rains."), command(3, "There is none."), command(4, "It rains.")]
    assert list(map(text_of, help_lines(commands, ("Read it.",), 80))) == [
        "1       does what row 1 does",
        *("", "Read it."),
        *("", "These do nothing here, or not now:"),
        *("2 C2 · 4 C4", "  It rains."),
        *("3 C3", "  There is none."),
    ]


@pytest.mark.parametrize(("tab", "missing"), [("4", "space Mark"), ("3", "n Next root"), ("1", "s Sort")])
async def test_the_help_tells_apart_what_does_nothing_in_a_tab(tab: str, missing: str) -> None:
    app = dashboard()
    async with app.run_test(size=(200, 60)) as pilot:
        await settled(pilot)
        await pilot.press(tab, "question_mark")
        await settled(pilot)
        works, _, rest = screen_text(app).partition("These do nothing here, or not now:")
        assert missing in rest
        assert "Write what this tab shows" in works


async def test_a_command_from_the_list_does_what_its_key_does() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("ctrl+p", *"sessions")
        await until(pilot, lambda: "Who is connected" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: not isinstance(app.screen, CommandPalette))
        await until(pilot, lambda: app._active == "sessions-tab")


async def test_the_list_has_keys_reasons_other_tabs_and_themes() -> None:
    app = dashboard(full=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        found = {(one.place, one.name): one for one in app.commands()}
        assert found["", "Cancel"].key == "C"
        assert found["", "Cancel"].sentence == "Not now: No row is selected: there is none in Locks."
        assert found["Sweeps", "Sweep"].sentence == "Sweeps: Preview, confirm, then sweep"
        await pilot.press("ctrl+p", *"theme: nord")
        await until(pilot, lambda: "Use these colours" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.theme == "nord")


async def test_what_a_tab_s_own_key_hides_is_in_the_list_without_a_key() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("5")
        await settled(pilot)
        assert [one.key for one in app.commands() if one.name == "Pause"] == []
        (pause,) = [one for one in app.extra_commands() if one.name == "Pause"]
        pause.run()
        await until(pilot, lambda: "Paused, data" in screen_text(app))


@pytest.mark.parametrize("theme", ["pgwatch-dark", "pgwatch-light", "nord"])
async def test_the_list_can_be_read(theme: str) -> None:
    app = dashboard()
    async with app.run_test(size=(100, 30)) as pilot:
        app.theme = theme
        await pilot.press("ctrl+p")
        await until(pilot, lambda: "Quit at once" in screen_text(app))
        await settled(pilot)
        # What is behind it is dimmed on purpose.
        inside = app.screen.query_one("CommandList").region
        pieces = [one for one in drawn(app.export_screenshot()) if inside.contains(one.column, one.line)]
        assert len(pieces) > 5
        assert [one for one in pieces if one.contrast < 4.5] == []
        # A command's name stands out from its sentence.
        sentence = app.screen.get_component_rich_style("command-palette--help-text")
        assert not sentence.bold


@pytest.mark.parametrize("no_color", [False, True])
async def test_the_help_says_what_signs_mean(monkeypatch: pytest.MonkeyPatch, no_color: bool) -> None:
    monkeypatch.setenv("NO_COLOR", "1" if no_color else "")
    app = dashboard()
    async with app.run_test(size=(200, 60)) as pilot:
        await settled(pilot)
        await pilot.press("question_mark")
        await settled(pilot)
        said = screen_text(app)
        assert "A number with a plus (3 Leaks 28+) is at least that: something wasn't checked." in said
        assert ("Marks stand for colours: ! is trouble, * a warning, ? worth a look," in said) == no_color
