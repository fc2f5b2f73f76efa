"""Without colours (NO_COLOR) nothing is lost: a mark, a sign or a word tells what a tone would."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from textual.filter import Monochrome, NoColor
from textual.pilot import Pilot

from pgwatch_tests.leaks.model import TableLeak
from pgwatch_tests.locks.capacity import Capacity
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.reports.contention import heat_map
from pgwatch_tests.sweep.model import Kept, TableRows
from pgwatch_tests.text.toned_text import MARKS, Tone, Toned, text_of, told_by_marks
from pgwatch_tests.tui.app import Dashboard
from pgwatch_tests.tui.widgets.themes import DARK, LIGHT
from screenshots.pictures import settled
from tests.locks.snapshots import edge, session, snapshot
from tests.reports.sweeps.test_history_reports import ENTRY
from tests.tui.acting import Doing
from tests.tui.driving import Feed, leak_report, screen_text
from tests.tui.driving import text_of as said
from tests.tui.tabs.leaking import LEFTOVERS, SECRETS, USERS
from tests.tui.tabs.sweeping import JOBS, PLAN, Sweeping

TELLING: frozenset[Tone] = frozenset(MARKS)


def troubled() -> LockSnapshot:
    """Waits and open transactions of every length, and connections nearly used up."""
    idle = [
        replace(session(pid, f"pytest:gw0 tests/t.py::test_{pid}", "idle in transaction"), state_age_s=age_s)
        for pid, age_s in ((1, 30.0), (20, 0.2), (21, 3.0), (22, 40.0))
    ]
    edges = tuple(edge(pid, 1, wait_s=wait_s) for pid, wait_s in ((2, 0.5), (3, 2.0), (4, 7.0), (5, 12.0)))
    found = settle(None, snapshot((*edges, edge(31, 30), edge(30, 31)), tuple(idle)))
    return replace(found, capacity=Capacity(98, 100, 3, 10, 6400))


def leaks() -> Iterator[tuple[TableLeak, ...]]:
    """Two counts: rows come, and go."""
    yield (USERS, replace(USERS, table="bookings", rows=9))
    yield (replace(USERS, rows=9), replace(USERS, table="bookings", rows=3))


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Dashboard:
    """A dashboard without colours that has a trouble of each kind to show."""
    monkeypatch.setenv("NO_COLOR", "1")
    plan = replace(
        PLAN,
        planned=(TableRows("public", "note", 1, 80, 66, 9000),),
        kept=(Kept("public", "team", 300, "shared_with_real_data", "public.x bears no marker"),),
        not_checked=("public.secret can't be read",),
    )
    history = (
        ENTRY,
        replace(ENTRY, id=8, result="failed", reason="lost"),
        replace(ENTRY, id=9, result="refused", reason="a standby"),
        replace(ENTRY, id=10, result="skipped", reason="pid 7 is at it"),
    )
    jobs = tuple(replace(JOBS[0], name=f"job{entry.id}", last=entry) for entry in history)
    counts = leaks()
    source = Feed(troubled(), leak_report())

    async def read_leaks() -> object:
        found = leak_report(*next(counts, tuple(leaks())[1]))
        return replace(found, leftovers=LEFTOVERS, skipped=(SECRETS,))

    source.read_leaks = read_leaks  # type: ignore[method-assign, assignment]
    return source.dashboard(act=Doing(), sweeps=Sweeping(plan, history=history, jobs=jobs).desk())


def tones_of(app: Dashboard) -> set[Tone]:
    """The telling tones of the open tab's rows; every row has the mark of each of its own."""
    table, found = app._tab.table, set[Tone]()
    assert table.rows, app._tab.TITLE
    for number, row in enumerate(table.rows):
        parts = [part for cell in row.cells if not isinstance(cell, str) for part in cell]
        tones = {part.tone or row.tone for part in parts if part.text.strip()} & TELLING
        drawn = " ".join(cell.plain for cell in table.get_row_at(number))
        assert [tone for tone in tones if MARKS[tone] not in drawn] == [], (app._tab.TITLE, drawn, tones)
        found |= tones
    return found


async def press(pilot: Pilot[int], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await settled(pilot)


async def test_every_row_of_every_tab_has_a_mark_for_each_tone_that_tells_something(app: Dashboard) -> None:
    async with app.run_test(size=(200, 60)) as pilot:
        await settled(pilot)
        await press(pilot, "r")
        seen: dict[str, set[Tone]] = {}
        for name, keys in (
            ("locks", "1"),
            ("sessions", "2"),
            ("sessions in groups", "gg"),
            ("leaks", "3"),
            ("leaks by test", "s"),
            ("contention", "4"),
            ("plan", "5p"),
            ("jobs", "s"),
            ("history", "s"),
        ):
            await press(pilot, *keys)
            seen[name] = tones_of(app)
        # What is tried here has the tones that each tab can have.
        assert seen == {
            "locks": {"root", "trouble", "warning", "notice"},
            "sessions": {"root", "trouble", "warning", "notice"},
            "sessions in groups": {"root", "trouble", "warning", "notice"},
            "leaks": {"trouble", "warning", "notice", "good"},
            "leaks by test": {"trouble", "warning", "notice"},
            "contention": set(),
            "plan": {"trouble", "warning", "notice"},
            "jobs": {"good", "trouble", "warning", "notice"},
            "history": {"good", "trouble", "warning", "notice"},
        }


async def test_the_lines_at_the_top_have_marks_or_words(app: Dashboard) -> None:
    async with app.run_test(size=(160, 30)) as pilot:
        await settled(pilot)
        figures = said(app, "#figures")
        assert "! blocked" in figures
        assert "* 98 of 100 connections" in figures
        await press(pilot, "2")
        assert "98 of 100 connections, nearly used up" in screen_text(app)


@pytest.mark.parametrize("theme", [DARK, LIGHT, "ansi-dark", "nord"])
async def test_nothing_is_drawn_in_a_colour_whatever_is_open(app: Dashboard, theme: str) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        app.theme = theme
        app.notify("a message", severity="error")
        for keys in ("r", "", "2", "3", "4", "5p", "1", "?", "q", "d", "q", "K", "n", ["ctrl+p"]):
            await press(pilot, *keys)
            styles = [
                one.style for line in app.screen._compositor.render_strips() for one in line if one.style
            ]
            assert [one for one in styles if one.color or one.bgcolor] == [], (keys, screen_text(app))


async def test_what_is_selected_is_reversed_and_what_is_quiet_dim(app: Dashboard) -> None:
    async with app.run_test(size=(120, 24)) as pilot:
        await settled(pilot)
        await press(pilot, "r")
        lines = app.screen._compositor.render_strips()
        reversed_lines = {
            number
            for number, line in enumerate(lines)
            if sum(len(one.text) for one in line if one.style and one.style.reverse) > 60
        }
        [under_cursor] = reversed_lines
        assert "test_1" in "".join(one.text for one in lines[under_cursor])
        assert [one for one in lines[0] if one.style and one.style.dim and one.text.strip()]


@pytest.mark.parametrize(("value", "is_set"), [("1", True), ("0", True), ("", False)])
def test_an_empty_no_color_is_none(monkeypatch: pytest.MonkeyPatch, value: str, is_set: bool) -> None:
    monkeypatch.setenv("NO_COLOR", value)
    app = Feed(troubled(), leak_report()).dashboard()
    assert app.no_color is is_set
    assert any(isinstance(one, Monochrome | NoColor) for one in app.get_line_filters()) is False


@pytest.mark.parametrize("width", [40, 60, 80, 120])
async def test_marks_fit_where_there_is_little_room(app: Dashboard, width: int) -> None:
    async with app.run_test(size=(width, 24)) as pilot:
        await settled(pilot)
        assert max(map(len, screen_text(app).splitlines())) <= width
        assert "!" in said(app, "#figures")


def test_the_shades_of_the_heat_map_differ_by_their_signs() -> None:
    shades = [heat_map._shade(seconds) for seconds in (None, 0.5, 5.0, 30.0, 600.0)]
    assert len({sign for sign, _ in shades}) == len(shades)
    tones: list[Tone] = [tone for _, tone in shades]
    assert tones[-1] == "trouble"


def test_a_mark_is_before_its_part_and_once_in_a_row() -> None:
    cells = ((Toned("├ ", "quiet"), Toned("test_a", "trouble")), (Toned("9", "trouble"),), "x")
    assert list(map(text_of, told_by_marks(cells))) == ["├ ! test_a", "9", "x"]
    assert list(map(text_of, told_by_marks(("a", (Toned("12s", "warning"),)), right=(False, True)))) == [
        *("a", "*12s"),
    ]
    assert list(map(text_of, told_by_marks(("a", "b"), "notice"))) == ["? a", "b"]
    # What already begins so has it.
    assert list(map(text_of, told_by_marks(((Toned("?", "notice"),),)))) == ["?"]
