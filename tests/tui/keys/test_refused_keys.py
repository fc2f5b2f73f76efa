"""Keys that do nothing now say why; the footer has those that do, as many as fit; messages go away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from textual.widgets._toast import Toast

from pgwatch_tests.leaks.model import TableLeak
from pgwatch_tests.tui.app import Dashboard
from pgwatch_tests.tui.widgets.tab_bar import TabBar
from screenshots.pictures import settled
from tests.locks.snapshots import session, snapshot
from tests.tui.acting import Doing, locked
from tests.tui.driving import Feed, blocked_snapshot, leak_report, screen_text, text_of
from tests.tui.tabs.leaking import messy
from tests.tui.tabs.sweeping import JOBS, Sweeping


def dashboard(*, full: bool = True, export_to: Path | None = None) -> Dashboard:
    source = Feed(locked() if full else snapshot(), messy() if full else leak_report())
    return source.dashboard(export_to, act=Doing(), sweeps=Sweeping(jobs=JOBS).desk())


def told(app: Dashboard) -> list[str]:
    return [one.message for one in app._notifications]


async def test_a_refusal_is_gone_with_the_next_key_and_other_messages_stay() -> None:
    app = dashboard()
    async with app.run_test(size=(100, 24), notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("1", "s")
        assert told(app) == ["There is nothing to sort or to group in Locks."]
        # Another one takes its place, a message that is none stays beside it.
        app.notify("A message.", timeout=60)
        await pilot.press("w")
        assert told(app) == [
            "A message.",
            "w is for Leaks (3): Plan a sweep of just this row, or ask whether it goes.",
        ]
        await pilot.press("j")
        await settled(pilot)
        assert told(app) == ["A message."]
        assert len(app.screen.query(Toast)) == 1


@pytest.mark.parametrize(
    ("full", "keys", "why"),
    [
        (False, "1C", "No row is selected: there is none in Locks."),
        (False, "2K", "No row is selected: there is none in Sessions."),
        (False, "1y", "No row is selected: there is none in Locks."),
        (False, "2s", "There is nothing to sort or to group in Sessions."),
        (
            True,
            "3C",
            "The selected row is no session: that of test_two_parents_one_slot is row 3 of this list.",
        ),
        (True, "3jjjjjy", "No statement is known that helps here: the detail says what does."),
        (True, "3jjjw", "A sweep doesn't remove advisory locks of idle sessions."),
        (True, "3jjjjjw", "It wasn't checked: nothing is known to sweep."),
        (False, "3w", "No row is selected: there is nothing to sweep."),
        (True, "1x", "There is nothing to restart: the sums are those of Contention (4)."),
        (True, "1s", "There is nothing to sort or to group in Locks."),
        (True, "1w", "w is for Leaks (3): Plan a sweep of just this row, or ask whether it goes."),
        (True, "5n", "No job is selected: s switches to the jobs."),
        (True, "5K", "No row is selected: there is none in Sweeps."),
        (True, "1-", "The server is polled every 10000 s, which is as far as it goes."),
        (True, "5e", "There is nothing to export in Sweeps yet."),
    ],
)
async def test_a_key_that_does_nothing_says_why(full: bool, keys: str, why: str) -> None:
    app = dashboard(full=full)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press(*("minus" if key == "-" else key for key in keys))
        await settled(pilot)
        assert told(app)[-1] == why


async def test_every_key_of_the_dashboard_does_something_or_says_why(tmp_path: Path) -> None:
    """Also on an empty dashboard: no key is silent."""
    app = dashboard(full=False, export_to=tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        for tab in "12345":
            await pilot.press(tab)
            for key in ("C", "K", "enter", "y", "s", "x", "e", "p", "p", "r", "plus"):
                app.dismiss_toasts()
                await settled(pilot)
                before, polls = screen_text(app), len(told(app))
                await pilot.press(key)
                await settled(pilot)
                asked = key in "pr"  # it changes what is polled, or previewed, later
                assert asked or screen_text(app) != before or len(told(app)) != polls, (tab, key)


async def test_a_read_only_dashboard_says_so() -> None:
    app = Feed(locked(), leak_report()).dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("C")
        assert told(app)[-1] == "This dashboard is read-only: no session is cancelled or ended."
        await pilot.press("5")
        assert told(app)[-1] == "This dashboard has no sweeps."
        assert "C Cancel" not in screen_text(app)


async def test_a_session_without_a_query_has_none_to_copy() -> None:
    silent = replace(session(1, "psql", "idle"), query="")
    app = Feed(snapshot((), (silent,)), leak_report()).dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("2", "y")
        await settled(pilot)
        assert told(app)[-1] == "No query of this session is known."


@pytest.mark.parametrize(
    ("width", "keys"),
    [
        (80, "q Quit ? Help / Filter A Do it C Cancel K End ⏎ Detail ^p All commands"),
        (
            120,
            "q Quit ? Help / Filter A Do it C Cancel K End ⏎ Detail n Next root space Mark p Pause r Refresh "
            "^p All commands",
        ),
        (60, "q Quit ? Help A Do it C Cancel K End / Filter ^p All"),
        (40, "q Quit ? Help A Do it C Cancel ^p All"),
    ],
)
async def test_the_footer_has_as_many_keys_as_fit(width: int, keys: str) -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.resize_terminal(width, 24)
        await settled(pilot)
        assert screen_text(app).splitlines()[-1] == keys


async def test_tabs_say_how_much_there_is_in_each() -> None:
    source = Feed(blocked_snapshot(waiters=4), leak_report())
    app = source.dashboard(sweeps=Sweeping(jobs=JOBS).desk())
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)

        def heads() -> list[str]:
            return app.query_one(TabBar).labels

        assert heads() == ["1 Locks 4", "2 Sessions 5", "3 Leaks", "4 Contention", "5 Sweeps"]
        source.leaks = leak_report(TableLeak("public", "users", "table", ("email",), 13))
        source.locks = snapshot()
        await pilot.press("r")
        await settled(pilot)
        assert heads() == ["1 Locks", "2 Sessions 0", "3 Leaks 13", "4 Contention", "5 Sweeps"]


async def test_the_banner_names_the_key_that_resumes_here() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("p")
        assert "s old. p resumes, r refreshes once." in text_of(app, "#banner")
        # There it previews a sweep.
        await pilot.press("5")
        await settled(pilot)
        assert "s old. ^p Pause resumes, r refreshes once." in text_of(app, "#banner")


async def test_messages_are_few_above_the_advice_and_go_with_escape() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settled(pilot)
        for number in range(6):
            app.notify(f"message {number}")
            await settled(pilot)
        app.notify("message 5")
        await settled(pilot)
        assert told(app) == ["message 3", "message 4", "message 5"]
        drawn = screen_text(app).splitlines()
        shown = [line for line, text in enumerate(drawn) if "message" in text]
        assert len(shown) == 3
        verdict = next(line for line, text in enumerate(drawn) if "● test_" in text)
        advice = next(line for line, text in enumerate(drawn) if text.startswith(" Fix"))
        assert verdict < shown[0]
        assert shown[-1] < advice
        await pilot.press("escape")
        await settled(pilot)
        assert not app.screen.query(Toast)


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (140, 40)])
async def test_a_message_leaves_verdict_tabs_and_advice_alone(size: tuple[int, int]) -> None:
    app = dashboard()
    async with app.run_test(size=size, notifications=True) as pilot:
        await settled(pilot)
        # One more line at the top: it is paused.
        for keys in ("", "p"):
            await pilot.press(*keys)
            await settled(pilot)
            before = screen_text(app).splitlines()
            app.notify("It is " + "a long message, as those are that say why. " * 2)
            await settled(pilot)
            after = screen_text(app).splitlines()
            covered = {line for line in range(size[1]) if before[line] != after[line]}
            underline, pane = app.query_one(TabBar).region.bottom - 1, app.query_one("#lock-detail").region.y
            assert 1 <= len(covered) <= 2
            assert underline <= min(covered)
            assert max(covered) < pane
            await pilot.press("escape")
            await settled(pilot)


async def test_escape_ends_the_filter_before_it_dismisses() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("slash", *"zzz", "enter")
        app.notify("a message")
        await pilot.press("escape")
        await settled(pilot)
        assert told(app) == ["a message"]
        await pilot.press("escape")
        await settled(pilot)
        assert told(app) == []
