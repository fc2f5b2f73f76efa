"""Keymaps: every key that the help lists can be another one, which all texts then name; or it is refused."""

from __future__ import annotations

import re

import pytest
from textual.binding import BindingsMap

from pgwatch_tests.tui.app import Dashboard
from pgwatch_tests.tui.keys.commands import told_bindings
from pgwatch_tests.tui.keys.key_bindings import LIVE_KEYS
from pgwatch_tests.tui.keys.keymap import known_ids, usable
from pgwatch_tests.tui.keys.preferences import Preferences
from pgwatch_tests.tui.keys.replay_keys import REPLAY_KEYS
from pgwatch_tests.tui.keys.tab_keys import OWN_KEYS
from screenshots.pictures import settled
from tests.tui.acting import Doing, locked
from tests.tui.driving import NEVER, Feed, screen_text, until
from tests.tui.tabs.leaking import messy
from tests.tui.tabs.sweeping import JOBS, Sweeping

TABS = tuple(OWN_KEYS)
ALL = sorted(known_ids())
# A key of its own for every command, none of which any has by itself.
OTHERS = {
    id_: f"{'alt' if number < 26 else 'alt+ctrl' if number < 52 else 'alt+shift'}+{chr(97 + number % 26)}"
    for number, id_ in enumerate(ALL)
}


# One of the usual keys, and what it does.
USUAL = re.compile(
    r"(?<![+^\w])(A|y|w|p|s|r|x|h|n|o|a|C|K|enter|escape|esc|⏎) (copies|plans|shows|stops|resumes|refreshes|"
    r"clears|hides|ends|runs|pauses|cancels)\b"
    r"|(?<![+^\w])[spwax]: |(Locks|Sessions|Leaks|Contention) \([1-5]\)"
)


def dashboard(keymap: dict[str, str], *, shows_tips: bool = False) -> Dashboard:
    source = Feed(locked(), messy())
    return Dashboard(
        source.read_locks,
        source.read_leaks,
        act=Doing(),
        sweeps=Sweeping(jobs=JOBS).desk(),
        refresh_s=NEVER,
        preferences=Preferences(keymap=keymap),
        shows_tips=shows_tips,
    )


def told(app: Dashboard) -> list[str]:
    return [one.message for one in app._notifications]


async def test_every_key_that_the_help_lists_can_be_named() -> None:
    app = dashboard({})
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        for number, title in enumerate(TABS, 1):
            await pilot.press(str(number))
            await settled(pilot)
            tab = app._tab
            assert title == tab.TITLE
            own = [one for node in (tab.table, tab) for _, one in told_bindings(node, {})]
            listed = [*own, *(one for _, one in told_bindings(app, {}))]
            assert [one.action for one in listed if not one.id] == []
            assert {(one.id, one.key) for one in own} == {
                (one.id, one.key) for _, one in BindingsMap(OWN_KEYS[title])
            }


def test_all_can_have_other_keys_at_once() -> None:
    assert len(ALL) > 60
    for keys in (LIVE_KEYS, REPLAY_KEYS):
        assert usable(OTHERS, keys, TABS).refusals == ()
        assert usable({}, keys, TABS).refusals == ()


@pytest.mark.parametrize(
    ("keymap", "used", "refusal"),
    [
        ({"paus": "v"}, {}, "no command has the id 'paus'; did you mean 'pause'?"),
        ({"pause": "q"}, {}, "pause is refused: q is the key of 'quit'"),
        ({"pause": "V", "quit": "V"}, {"pause": "V"}, "quit is refused: V is the key of 'pause'"),
        ({"preview": "o"}, {}, "preview is refused: o is the key of 'pause-job' in Sweeps"),
        ({"pause": "left"}, {}, "pause is refused: left is the key of 'fold' in Locks"),
        ({"pause": "w"}, {}, "pause is refused: w is the key of 'sweep-this' in Leaks"),
        ({"sweep-this": "e"}, {}, "sweep-this is refused: e is the key of 'export' in Leaks"),
        (
            {"help": "?", "filter": "?"},
            {"help": "question_mark"},
            "filter is refused: ? is the key of 'help'",
        ),
        ({"pause": "up"}, {}, "pause is refused: up moves the cursor"),
        ({"pause": "ctrl+p"}, {}, "pause is refused: ctrl+p opens the list of all commands"),
        ({"pause": "banana"}, {}, "pause is refused: there is no key 'banana'"),
        ({"pause": "ctlr+s"}, {}, "pause is refused: there is no key 'ctlr+s'"),
        ({"pause": ","}, {}, "pause is refused: there is no key ','"),
        # What is refused has its own key again, which another one wanted.
        ({"refresh": "q", "pause": "r"}, {}, "refresh is refused: q is the key of 'quit'"),
    ],
)
def test_what_is_refused_and_why(keymap: dict[str, str], used: dict[str, str], refusal: str) -> None:
    found = usable(keymap, LIVE_KEYS, TABS)
    assert found.keys == used
    assert found.refusals[0] == f"keymap: {refusal}"


def test_what_is_allowed() -> None:
    for keymap in (
        {"pause": "r", "refresh": "p"},  # two that change places
        {"preview": "v", "sweep": "ctrl+s"},
        {"quit": "ctrl+w,q"},
        {"preview": "p", "pause": "p"},  # by design
        {"play": "f5", "jump": "j", "down": "f6"},  # of a replay, which is another dashboard
    ):
        assert usable(keymap, LIVE_KEYS, TABS).refusals == ()


async def test_a_refused_key_is_told_and_the_others_are_used() -> None:
    app = dashboard({"preview": "s", "sweep": "x", "pause": "v"})
    async with app.run_test(size=(120, 24)) as pilot:
        await settled(pilot)
        assert told(app) == [
            "keymap: preview is refused: s is the key of 'section' in Sweeps",
            "keymap: sweep is refused: x is the key of 'reset' in Sweeps",
        ]
        await pilot.press("v")
        await until(pilot, lambda: "v resumes, r refreshes once" in screen_text(app))
        await pilot.press("5", "v")
        await until(pilot, lambda: "Paused" not in screen_text(app))


async def test_a_keymap_is_used_in_every_tab_and_all_texts_name_its_keys() -> None:
    app = dashboard(OTHERS, shows_tips=True)

    def look() -> str:
        drawn = screen_text(app)
        assert not USUAL.search(drawn), (USUAL.search(drawn), drawn)
        assert not any(USUAL.search(one) for one in told(app)), told(app)
        return "\n".join((drawn, *told(app)))

    def key(id_: str) -> str:
        return app.key_name(id_)

    async def press(*ids: str) -> None:
        for id_ in ids:
            await pilot.press(OTHERS[id_])
            await settled(pilot)

    async with app.run_test(size=(200, 50)) as pilot:
        await settled(pilot)
        assert told(app) == []
        drawn = look()
        assert f"{key('hide-tips')} hides this." in drawn
        assert f"{key('detail')} shows why, {key('terminate')} ends it" in drawn
        assert f"{key('copy')} copies the SQL" in drawn
        assert f"{key('quit')} Quit {key('help')} Help" in drawn
        await press("reset")
        assert f"Contention ({key('contention')})" in look()
        await press("copy")
        assert f"; {key('copy')} again copies" in look()
        await press("fold")
        assert "▸ test_root" in screen_text(app)
        await press("open", "leaks")
        assert f"{key('sweep-this')} plans a sweep of just this" in look()
        await press("terminate")
        assert "that of test_two_parents_one_slot is row 3 of this list" in look()
        await press("contention", "next-root")
        assert f"Locks: {key('locks')} opens it" in look()
        await press("sweeps")
        assert f"{key('preview')}: preview what a sweep" in look()
        assert f"{key('section')}: jobs" in look()
        await press("run-job")
        assert f"{key('section')} switches to the jobs" in look()
        await press("section")
        assert f"{key('run-job')} runs it now" in look()
        await press("section", "preview")
        assert "[Plan]" in look()
        await press("locks", "sweep-this")
        assert f"{key('sweep-this')} is for Leaks ({key('leaks')})" in look()
        await press("filter")
        await pilot.press(*"zzz")
        await settled(pilot)
        assert f"{key('escape')} clears the filter" in look()
        await pilot.press(OTHERS["escape"])
        for title in TABS:
            await press(title.lower(), "help")
            drawn = look()
            listed = {one.key for one in app.commands() if not one.place}
            assert all(one.startswith(("alt", "^alt")) or one == "^c" for one in listed), listed
            assert all(one.split("+")[-1] and one in drawn for one in listed if one != "^c")
            await pilot.press("escape")
            await settled(pilot)
