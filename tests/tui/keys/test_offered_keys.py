"""Every key in the footer does something, on every tab, whatever there is to see."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.tui.app import Dashboard
from pgwatch_tests.tui.widgets.footer import KeyFooter
from screenshots.pictures import settled
from tests.locks.snapshots import snapshot
from tests.tui.acting import Doing, locked
from tests.tui.driving import Feed, leak_report, screen_text
from tests.tui.tabs.leaking import messy
from tests.tui.tabs.sweeping import JOBS, Sweeping

TIME = ["left_square_bracket", "right_square_bracket"]
EVERYWHERE = ["q", "question_mark", "slash", "p", "r", "plus", "e", *TIME]
ON_A_SESSION = ["C", "K", "A", "space", "enter", "y"]


def dashboard(full: bool, export_to: Path) -> tuple[Feed, Dashboard]:
    locks: LockSnapshot = locked() if full else snapshot()
    source = Feed(locks, messy() if full else leak_report())
    sweeps = Sweeping(jobs=JOBS if full else None).desk()
    return source, source.dashboard(export_to, act=Doing(), sweeps=sweeps)


def offered(app: Dashboard) -> list[str]:
    """The keys in the footer."""
    return [key for key, one in app.screen.active_bindings.items() if one.binding.show and one.enabled]


OFFERED = [
    (True, "1", [*ON_A_SESSION, "n"]),
    (True, "2", [*ON_A_SESSION, "g", "s"]),
    (True, "3", ["enter", "s", "w", "y"]),
    (True, "4", ["enter", "s", "x"]),
    (True, "5", ["s", "p", "w"]),
    (True, "5s", ["enter", "s", "p", "w", "n", "o"]),
    (False, "1", []),
    (False, "2", []),
    (False, "3", []),
    (False, "4", []),
    (False, "5", ["s", "p", "w"]),
    (False, "5s", ["s", "p", "w"]),
]


def state(source: Feed, app: Dashboard) -> tuple[object, ...]:
    told = [one.message for one in app._notifications]
    return app.is_running, screen_text(app) if app.is_running else "", source.polls, told


@pytest.mark.parametrize(("full", "keys", "more"), OFFERED)
async def test_what_is_offered_does_something(full: bool, keys: str, more: list[str], tmp_path: Path) -> None:
    source, app = dashboard(full, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press(*keys)
        await settled(pilot)
        # Sweeps have a refresh of their own, which its footer has no room for, and another use for p.
        everywhere = [key for key in EVERYWHERE if key not in "pr" or keys[0] != "5"]
        assert sorted(offered(app)) == sorted(everywhere + more)
        drawn = [one.binding.action for one in app.screen.query_one(KeyFooter).shown]
        assert set(drawn[:-1]) <= {app.screen.active_bindings[key].binding.action for key in offered(app)}
        assert drawn[-1] == "command_palette"
        # What is everywhere does the same everywhere: it is tried where there is most to see, and least.
        anywhere = (*everywhere[1:], "q") if keys in ("1", "5s") else ()
        for key in (*more, *anywhere):
            before = state(source, app)
            await pilot.press(key)
            await settled(pilot)
            # A job answers from a thread of its own.
            for _ in range(200):
                if state(source, app) != before:
                    break
                await pilot.pause(0.02)
            assert state(source, app) != before, key
            if key == "q":
                break
            # Back to where it was.
            while len(app.screen_stack) > 1:
                await pilot.press("escape")
                await settled(pilot)
            if key == "slash":
                await pilot.press("escape")
            if keys[0] == "5":
                while (
                    "s" in more
                    and key == "s"
                    and f"[{'Jobs' if keys[1:] else 'Plan'}" not in screen_text(app)
                ):
                    await pilot.press("s")
            await settled(pilot)


async def test_no_key_is_offered_that_goes_into_the_filter(tmp_path: Path) -> None:
    _, app = dashboard(full=True, export_to=tmp_path)
    async with app.run_test(size=(140, 40)) as pilot:
        await settled(pilot)
        await pilot.press("slash", "plus", "minus", "slash", "t")
        await settled(pilot)
        footer = app.query_one(KeyFooter)
        assert [one.words for one in footer.shown] == ["All commands"]
        assert app.focused is not None
        assert "+-/t" in screen_text(app)
