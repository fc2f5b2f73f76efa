"""The Sweeps tab: the plan, the sweep with its question and its end, the jobs, the history."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from textual.content import Content

from pgwatch_tests.errors import ConnectionLostError, RefusedError
from pgwatch_tests.sweep.model import Kept, Orphan, SweepReport, TableRows
from pgwatch_tests.tui.screens.confirm import ConfirmSweepScreen
from pgwatch_tests.tui.widgets.still_text import StillText
from pgwatch_tests.tui.widgets.tab_bar import TabBar
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable
from pgwatch_tests.tui.widgets.themes import tone_styles
from screenshots.pictures import settled
from tests.locks.snapshots import snapshot
from tests.reports.sweeps.test_history_reports import ENTRY
from tests.reports.sweeps.test_sweep_formats import HOSTILE, of_text
from tests.sweep.reports import NOTHING
from tests.tui.driving import Feed, leak_report, screen_text, takes_yes, text_of, until
from tests.tui.tabs.sweeping import JOBS, PLAN, Sweeping, dashboard, line_with, press, told

SIZES = [(80, 24), (140, 40)]


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@pytest.mark.parametrize("size", SIZES)
async def test_nothing_is_looked_for_unasked(size: tuple[int, int]) -> None:
    sweeping = Sweeping()
    _, app = dashboard(sweeping)
    async with app.run_test(size=size) as pilot:
        drawn = await press(pilot, "5")
        assert sweeping.begun == []
        assert "p: preview what a sweep would delete (changes nothing)" in drawn
        assert "w: preview, confirm, then sweep" in drawn
        assert line_with(drawn, "[Plan]").strip() == (
            "[Plan]  Jobs 0   History   s: jobs · at least 10 min old (a: other age)"
        )
        assert "p Preview" in drawn
        # Sessions aren't cancelled and ended from here.
        assert "Cancel" not in drawn


@pytest.mark.parametrize("size", SIZES)
async def test_the_plan(size: tuple[int, int]) -> None:
    sweeping = Sweeping(replace(PLAN, not_checked=("public.secret can't be read",)))
    _, app = dashboard(sweeping)
    async with app.run_test(size=size) as pilot:
        drawn = await press(pilot, "5", "p")
        assert [sweep.dry_run for sweep in sweeping.begun] == [True]
        # By cause, then by table; what goes first, what needs somebody last.
        table = app.query_one("#sweeps", LiveTable).region
        lines = [line.split() for line in drawn.splitlines()[table.y + 1 : table.bottom] if line.strip()]
        assert [line[:3] for line in lines] == [
            ["Goes", "marked", "4"],
            ["Goes", "depends", "on"],
            ["Goes", "schema", "1"],
            ["Goes", "prepared", "transaction"],
            ["Stays", "too", "young"],
            ["Stays", "locked", "1"],
            ["Stays", "schema", "of"],
            ["Needs", "you", "not"],
        ]
        assert "4  public.users 3, public.book" in line_with(drawn, "marked")
        assert "1,200  public.bookings 1,200" in line_with(drawn, "depends on marked rows")
        assert "?  public.secret can't be" in line_with(drawn, "not checked  ")
        # The selected cause with each of its tables.
        assert "4  marked  goes" in drawn
        assert "        3  public.users" in drawn
        assert "1,204 rows of 2 tables, 1 schema, 1 prepared transaction to remove" in drawn
        assert max(map(len, drawn.splitlines())) <= size[0]
        drawn = await press(pilot, *"jjjj")
        assert "3  too young  stays" in drawn
        assert "a later sweep removes it; press a for another minimum age" in drawn
        # Of that cause, not of all: the others are rows of their own.
        detail = await press(pilot, "enter")
        assert "3  too young  stays" in detail
        assert "3  public.users" in detail
        assert "public.bookings (1 marked" not in detail
        await press(pilot, "escape")
        assert "public.bookings" in await press(pilot, "slash", *"bookin")
        assert "public.invoices" not in screen_text(app)


@pytest.mark.parametrize("size", SIZES)
async def test_what_a_sweep_leaves_to_somebody_is_copied_as_statements(size: tuple[int, int]) -> None:
    left = [Orphan("schemas", name, False, "unleased_name") for name in ("test_gw0_a", 'test_"b')]
    _, app = dashboard(Sweeping(replace(PLAN, orphans=tuple(left))))
    async with app.run_test(size=size) as pilot:
        await press(pilot, "5", "p")
        drops = 'DROP SCHEMA "test_gw0_a" CASCADE;\nDROP SCHEMA "test_""b" CASCADE'
        assert 'y copies  DROP SCHEMA "test_gw0_a" CASCADE' in await press(pilot, "end")
        await pilot.press("y")
        assert app.clipboard == drops
        opened = await press(pilot, "enter")
        assert "y copies the DROP" in opened
        assert "public.users" not in opened.partition("In ")[2].partition("escape closes")[0]
        await press(pilot, "escape", "home")
        await pilot.press("y")
        assert [one.message for one in app._notifications][-1] == "No statement is needed for this row."


@pytest.mark.parametrize("size", SIZES)
async def test_a_sweep_after_a_question(size: tuple[int, int]) -> None:
    sweeping = Sweeping()
    source, app = dashboard(sweeping)
    async with app.run_test(size=size, notifications=True) as pilot:
        await press(pilot, "5", "p")
        source.now_s = 125.0
        await press(pilot, "w")
        assert isinstance(app.screen, ConfirmSweepScreen)
        await until(pilot, lambda: takes_yes(app))
        drawn = screen_text(app)
        for words in (
            "Sweep test_app on db.test:5432?",
            "1,204 rows of 2 tables, 1 schema, 1 prepared transaction to remove",
            "1,201  public.bookings (1 marked, 1,200 dependent)",
            "schema test_1717171717171_4711_x7f3",
            "prepared transaction gid-1",
            "Preview is 2 min 5 s old",
            "y yes",
        ):
            assert words in drawn
        sweeping.held = True
        await press(pilot, "y")
        assert [sweep.dry_run for sweep in sweeping.begun] == [True, False]
        sweeping.begun[1].is_at(0.0, 0)
        source.now_s = 135.0
        sweeping.begun[1].is_at(0.25, 4000)
        app.query_one("SweepsTab")._show_progress()  # type: ignore[attr-defined]
        await settled(pilot)
        progress = text_of(app, "#sweep-progress")
        assert progress == (
            "Deleting ███░░░░░░░░░ 25 %, 4,000 rows, 400 rows/s, about 30 s left · escape stops"
        )
        assert "Preview" not in screen_text(app)
        # The plan is still there to be read, and locks are still polled.
        polls = source.polls
        drawn = await press(pilot, "r")
        assert "Goes" in line_with(drawn, "depends on marked rows")
        assert source.polls > polls
        sweeping.begun[1].let_go.set()
        await settled(pilot)
        drawn = screen_text(app)
        assert "[Last sweep]" in drawn
        assert "1,204 rows of 2 tables, 1 schema, 1 prepared transaction removed" in told(app)[-1]
        assert "Went" in line_with(drawn, "depends on marked rows")
        assert not app.query_one("#sweep-progress").display


async def test_w_looks_first_and_asks_then() -> None:
    sweeping = Sweeping()
    _, app = dashboard(sweeping)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "5", "w")
        assert isinstance(app.screen, ConfirmSweepScreen)
        await press(pilot, "n")
        assert [sweep.dry_run for sweep in sweeping.begun] == [True]
        # The plan is there by now; what a sweep did is none.
        await press(pilot, "w", "y")
        assert [sweep.dry_run for sweep in sweeping.begun] == [True, False]
        await press(pilot, "w")
        assert [sweep.dry_run for sweep in sweeping.begun] == [True, False, True]


async def test_nobody_is_asked_elsewhere() -> None:
    sweeping = Sweeping(held=True)
    _, app = dashboard(sweeping)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "5", "w", "1")
        sweeping.begun[0].let_go.set()
        await settled(pilot)
        assert not isinstance(app.screen, ConfirmSweepScreen)
        assert told(app) == ["Sweep preview ready: press w in the Sweeps tab"]
        await press(pilot, "5", "w")
        assert isinstance(app.screen, ConfirmSweepScreen)


async def test_nobody_is_asked_about_nothing() -> None:
    sweeping = Sweeping(NOTHING)
    _, app = dashboard(sweeping)
    async with app.run_test(size=(80, 24)) as pilot:
        drawn = await press(pilot, "5", "w")
        assert not isinstance(app.screen, ConfirmSweepScreen)
        assert told(app) == ["Not swept: nothing to remove"]
        assert "Nothing to remove; nothing was changed." in drawn


async def test_the_end_of_a_sweep_in_two_steps() -> None:
    sweeping = Sweeping()
    _, app = dashboard(sweeping)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "5", "p")
        sweeping.held = True
        await press(pilot, "w", "y", "escape")
        sweep = sweeping.begun[1]
        assert sweep.ends == ["stop"]
        assert text_of(app, "#sweep-progress").startswith(
            "Stopping after this batch; escape again stops now · ░"
        )
        sweep.let_go.set()
        await settled(pilot)
        assert "interrupted before it was done" in text_of(app, "#sweep-summary")
        await press(pilot, "p", "escape", "escape")
        assert sweeping.begun[2].ends == ["stop", "cancel"]
        assert "then preview cancelled" in text_of(app, "#sweep-summary")
        # What it did is still shown; `escape` ends a filter again.
        await press(pilot, "slash", "x", "escape")
        assert "public.bookings" in screen_text(app)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RefusedError("nothing is changed in 'MyApp'"), "Preview refused: nothing is changed in 'MyApp'"),
        (ConnectionLostError("the connection was lost"), "Preview failed: the connection was lost"),
    ],
)
async def test_what_goes_wrong_is_told(error: RefusedError, words: str) -> None:
    sweeping = Sweeping(error)
    _, app = dashboard(sweeping)
    async with app.run_test(size=(80, 24)) as pilot:
        # In its place, and nowhere else once more.
        assert (await press(pilot, "5", "w")).count(words) == 1
        assert told(app) == []
        assert not isinstance(app.screen, ConfirmSweepScreen)
        sweeping.outcome = PLAN
        await press(pilot, "w", "y")
        sweeping.outcome = replace(PLAN, error="the server went away")
        await press(pilot, "w")
        assert "ended early: the server went away" in text_of(app, "#sweep-summary")


async def test_read_only_has_previews_only() -> None:
    sweeping = Sweeping(jobs=JOBS, acts=False)
    _, app = dashboard(sweeping)
    async with app.run_test(size=(80, 24)) as pilot:
        drawn = await press(pilot, "5", "w")
        assert "w: sweep" not in drawn
        assert "w Sweep" not in drawn
        assert sweeping.begun == []
        drawn = await press(pilot, "p", "w", "s", "n", "o")
        assert [sweep.dry_run for sweep in sweeping.begun] == [True]
        assert sweeping.asked == []
        assert "Run now" not in drawn
        assert " w       " not in await press(pilot, "question_mark")


async def test_without_a_desk_there_is_no_such_tab() -> None:
    app = Feed(snapshot(), leak_report()).dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        drawn = await press(pilot, "5")
        assert "Sweeps" not in drawn
        assert "Nothing is blocked." in drawn
        assert "Sweeps" not in await press(pilot, "question_mark")


async def test_a_running_sweep_keeps_nothing_waiting() -> None:
    sweeping = Sweeping(held=True)
    source, app = dashboard(sweeping)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "5", "p", "1")
        polls = source.polls
        assert "Nothing is blocked." in await press(pilot, "r")
        assert source.polls > polls
        await pilot.press("q")
        await pilot.pause()
        assert not app.is_running


async def test_the_plan_is_exported(tmp_path: Path) -> None:
    _, app = dashboard(Sweeping(), tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "5", "e")
        assert files(tmp_path) == []
        await press(pilot, "p", "e")
    (written,) = files(tmp_path)
    assert written.name.startswith("pgwatch-tests-sweep-")
    assert '"pgwatch-tests.sweep/1"' in written.read_text()


@pytest.mark.parametrize("size", SIZES)
async def test_hostile_text_is_only_text(size: tuple[int, int]) -> None:
    hostile = f"[red]boo[/red] {HOSTILE}"
    report: SweepReport = replace(
        of_text(hostile),
        error="",
        kept=tuple(Kept(hostile, hostile, n, "refused", hostile) for n in range(3)),
        planned=tuple(TableRows(hostile, hostile, n, n) for n in range(3)),
        orphans=(Orphan("schemas", hostile, True, detail=hostile),),
    )
    entry = replace(ENTRY, database=hostile, reason=hostile, result="failed", job=hostile)
    sweeping = Sweeping(
        report, (entry,), {7: report}, tuple(replace(job, name=hostile, when=hostile) for job in JOBS[:1])
    )
    _, app = dashboard(sweeping)
    async with app.run_test(size=size) as pilot:
        for keys in (("5", "p"), ("enter",), ("escape", "w"), ("n", "s"), ("s",), ("enter",)):
            drawn = await press(pilot, *keys)
            assert "boo[/red]" in drawn or "[red]" in drawn
            assert not set(drawn) & set("\x00\x1b\r\u202e\udcff\ufffe")
            assert max(map(len, drawn.splitlines())) <= size[0]


async def test_a_preview_that_was_ended_is_no_plan() -> None:
    sweeping = Sweeping(held=True)
    _, app = dashboard(sweeping)
    async with app.run_test(size=(140, 40)) as pilot:
        await press(pilot, "5", "p", "escape")
        sweeping.begun[0].let_go.set()
        await settled(pilot)
        assert "[No plan]" in screen_text(app)
        assert text_of(app, "#sweep-summary").startswith("preview incomplete: press p again before sweeping")
        sweeping.held = False
        await press(pilot, "w")
        assert [sweep.dry_run for sweep in sweeping.begun] == [True, True]


@pytest.mark.parametrize("leave", ["enter", "none"])
async def test_escape_for_a_filter_never_ends_a_sweep(leave: str) -> None:
    sweeping = Sweeping()
    _, app = dashboard(sweeping)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "5", "p")
        sweeping.held = True
        await press(pilot, "p", "slash", *"bookin")
        if leave == "enter":
            await press(pilot, "enter")
        drawn = await press(pilot, "escape")
        assert sweeping.begun[1].ends == []
        assert "public.invoices" in drawn
        await press(pilot, "escape")
        assert sweeping.begun[1].ends == ["stop"]


async def test_its_keys_work_after_a_click_on_its_tab() -> None:
    sweeping = Sweeping()
    _, app = dashboard(sweeping)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        bar = app.query_one(TabBar)
        for number in range(2):
            await pilot.click(TabBar, offset=(bar.column_of("sweeps-tab"), 0))
            drawn = await press(pilot, "p")
            assert [sweep.dry_run for sweep in sweeping.begun] == [True] * (number + 1)
            assert "public.bookings" in drawn
        await pilot.click(app.query_one("#sweep-summary"))
        await press(pilot, "w")
        assert isinstance(app.screen, ConfirmSweepScreen)


async def test_rows_without_a_marker_stand_out_in_the_question() -> None:
    plan = replace(PLAN, planned=(TableRows("public", "note", 1, 80, 66, 9000),))
    _, app = dashboard(Sweeping(plan))
    async with app.run_test(size=(120, 30)) as pilot:
        await press(pilot, "5", "w")
        content = app.screen.query_one("#facts", StillText).visual
        assert isinstance(content, Content)
        trouble = tone_styles(app.get_css_variables(), "surface")["trouble"].color
        toned = {
            content.plain[span.start : span.end]
            for span in content.spans
            if getattr(getattr(span.style, "rich_style", None), "color", None) == trouble
        }
        assert toned == {"66 without a marker"}
        # Enter is no answer.
        await until(pilot, lambda: takes_yes(app))
        await press(pilot, "enter")
        assert isinstance(app.screen, ConfirmSweepScreen)


@pytest.mark.usefixtures("utc")
@pytest.mark.parametrize("size", SIZES)
async def test_without_colours_marks_tell(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    plan = replace(
        PLAN,
        planned=(TableRows("public", "note", 1, 80, 66, 9000),),
        kept=(Kept("public", "team", 300, "shared_with_real_data", "public.x bears no marker"),),
        not_checked=("public.secret can't be read",),
    )
    failed = replace(ENTRY, result="failed", reason="the connection was lost")
    _, app = dashboard(Sweeping(plan, history=(failed,), jobs=(replace(JOBS[0], last=failed),)))
    async with app.run_test(size=size) as pilot:
        drawn = await press(pilot, "5", "p")
        for words in ("! unmarked, by CASCADE", "* Needs you", "? not checked"):
            assert words in drawn
        assert "! failed" in await press(pilot, "s")
        assert "! failed" in await press(pilot, "s")
