"""The Sweeps tab's other two sides: the jobs of the schedule, and what the history tells of past sweeps."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pgwatch_tests.errors import HistoryError, RefusedError
from pgwatch_tests.text.times import day_and_minute, short_minute
from pgwatch_tests.tui.actions import pause_or_resume, run_now
from pgwatch_tests.tui.tabs.sweeps_tab import SweepsTab
from screenshots.pictures import settled
from tests.locks.snapshots import snapshot
from tests.reports.sweeps.test_history_reports import ENTRY
from tests.sweep.reports import ROWS
from tests.tui.driving import dialog_text, text_of, until
from tests.tui.tabs.sweeping import JOBS, PLAN, Sweeping, dashboard, line_with, press, told

SIZES = [(80, 24), (140, 40)]


@pytest.mark.parametrize("size", SIZES)
async def test_jobs(size: tuple[int, int]) -> None:
    local = snapshot().sampled_at.astimezone().replace(hour=2, minute=30)
    sweeping = Sweeping(jobs=(replace(JOBS[0], next_run=local), JOBS[1]))
    _, app = dashboard(sweeping)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        # A job that only looks is no sweep.
        assert f"sweep {local:%H:%M}" in text_of(app, "#verdict")
        drawn = await press(pilot, "5", "s")
        # The selected job, with what keys do.
        assert "n runs it now, after a question · o pauses it" in drawn
        nightly = line_with(drawn, "nightly")
        assert nightly.split()[:2] == ["nightly", "sweep"]
        assert day_and_minute(local) in nightly
        assert "1,200 rows" in nightly or size[0] == 80
        assert "never ran" in line_with(drawn, "often")
        await press(pilot, "down", "n")
        assert sweeping.asked == [("run", "often")]
        assert told(app)[-1] == "Job often started"
        drawn = await press(pilot, "up", "o")
        assert sweeping.asked[1:] == [("pause", "nightly")]
        assert "paused" in line_with(drawn, "nightly")
        assert "sweep" not in text_of(app, "#verdict")
        await press(pilot, "o")
        assert sweeping.asked[2:] == [("resume", "nightly")]
        # One that removes something isn't begun by a slip of the finger.
        assert "Run job nightly now?" in await press(pilot, "n")
        assert "Runs its action (sweep) now instead of at its next time: 30 2 * * *" in dialog_text(app)
        assert "It deletes without showing a preview first." in dialog_text(app)
        await press(pilot, "escape")
        assert len(sweeping.asked) == 3
        sweeping.outcome = RefusedError("job 'nightly' is already running")
        await press(pilot, "n", "y")
        assert sweeping.asked[3:] == [("run", "nightly")]
        assert told(app)[-1] == "job 'nightly' is already running"
        sweeping.jobs = HistoryError("the history can't be read")
        assert "stale: the history can't be read" in await press(pilot, "r")


async def test_the_next_sweep_of_another_day() -> None:
    at = snapshot().sampled_at + timedelta(days=3)
    _, app = dashboard(Sweeping(jobs=(replace(JOBS[0], next_run=at),)))
    async with app.run_test(size=(140, 40)) as pilot:
        await settled(pilot)
        assert f"next sweep {short_minute(at, snapshot().sampled_at)}" in text_of(app, "#verdict")


async def test_a_dashboard_may_close_before_its_work_begins() -> None:
    """What is cancelled before its first step leaves no coroutine unawaited: pytest would fail for it."""
    sweeping = Sweeping(jobs=JOBS)
    _, app = dashboard(sweeping)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "5", "s")
        desk = sweeping.desk()
        assert desk.jobs is not None
        tab = app.query_one(SweepsTab)
        tab.action_reload()
        tab.action_preview()
        run_now(app, desk.jobs, JOBS[1], tab.redraw)
        pause_or_resume(app, desk.jobs, JOBS[0], tab.redraw)
        app.workers.cancel_all()
        await pilot.pause()
    assert sweeping.asked == []


async def test_no_jobs() -> None:
    _, app = dashboard(Sweeping())
    async with app.run_test(size=(80, 24)) as pilot:
        drawn = await press(pilot, "5", "s")
        assert "No jobs are declared." in drawn
        assert "[tool.pgwatch-tests.schedule.nightly]" in drawn
        assert "Run now" not in drawn
        assert "sweep" not in text_of(app, "#verdict")


async def test_how_many_jobs_there_are_is_unknown_until_they_were_read() -> None:
    _, app = dashboard(Sweeping(jobs=HistoryError("the history can't be read")))
    async with app.run_test(size=(80, 24)) as pilot:
        assert "Jobs ?" in await press(pilot, "5")


@pytest.mark.parametrize("size", SIZES)
async def test_history(size: tuple[int, int]) -> None:
    refused = replace(ENTRY, id=8, result="refused", reason="a standby", planned_rows=0, deleted_rows=0)
    sweeping = Sweeping(history=(refused, ENTRY), reports={7: replace(PLAN, dry_run=False, deleted=ROWS)})
    _, app = dashboard(sweeping)
    async with app.run_test(size=size) as pilot:
        drawn = await press(pilot, "5", "s", "s")
        assert "refused: a standby" in drawn
        assert "1,200 rows deleted" in drawn
        assert "ci@runner, command line, pid 4711" in drawn
        detail = await press(pilot, "down", "enter")
        assert "asked by     ci@runner, command line, pid 4711" in detail
        assert "1,201  public.bookings (1 marked, 1,200 dependent)" in detail
        detail = await press(pilot, "escape", "up", "enter")
        assert "result       refused: a standby" in detail
        # A new one is there after each sweep.
        sweeping.history = (replace(ENTRY, id=9, deleted_rows=77), refused, ENTRY)
        assert "77 rows deleted" in await press(pilot, "escape", "p", "s", "s")


async def test_no_history() -> None:
    sweeping = Sweeping()
    _, app = dashboard(sweeping)
    async with app.run_test(size=(80, 24)) as pilot:
        assert "No sweep has been recorded yet." in await press(pilot, "5", "s", "s")
        sweeping.history = HistoryError("the history can't be read")
        assert "History not read: the history can't be read" in await press(pilot, "r")


async def test_enter_shows_all_of_a_job() -> None:
    _, app = dashboard(Sweeping(jobs=JOBS))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await press(pilot, "5", "s", "enter")
        assert JOBS[0].name in dialog_text(app)
        assert JOBS[0].when in dialog_text(app)


async def test_leaks_are_counted_anew_once_a_job_has_swept() -> None:
    sweeping = Sweeping(jobs=JOBS)
    source, app = dashboard(sweeping)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "5", "s")
        polls = source.polls
        tab = app.query_one(SweepsTab)
        tab._reload_jobs()
        await settled(pilot)
        assert source.polls == polls
        sweeping.jobs = (replace(JOBS[0], last=replace(ENTRY, job="nightly", id=77)), JOBS[1])
        tab._reload_jobs()
        await until(pilot, lambda: source.polls > polls)
