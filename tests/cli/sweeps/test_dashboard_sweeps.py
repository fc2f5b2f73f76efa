"""What the dashboard's tab Sweeps works with: in threads, on record, and ended with the dashboard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.cli.runs.dashboard.sweeps import DashboardSweeps
from pgwatch_tests.errors import RefusedError
from pgwatch_tests.history.history import History
from pgwatch_tests.postgres.sessions.session import WorkCancelledError
from pgwatch_tests.settings.jobs import JobSetting
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep import run
from pgwatch_tests.sweep.model import SweepProgress
from pgwatch_tests.sweep.request import SweepPart, SweepRequest
from tests.servers.sessions import Database
from tests.sweep.plan.fakes import Sweeps
from tests.sweep.reports import NOTHING, ROWS
from tests.waiting import wait_until


@pytest.fixture
def sweeps(monkeypatch: pytest.MonkeyPatch) -> Sweeps:
    """What is run in place of sweeps."""
    made = Sweeps(default=replace(NOTHING, planned=ROWS, deleted=ROWS))
    monkeypatch.setattr(run, "Sweep", made.make)
    return made


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        Dsn("postgresql:///test_app", "the test"), history=tmp_path / "history.sqlite3", min_age_s=5
    )


async def soon(condition: Callable[[], object]) -> None:
    await asyncio.to_thread(wait_until, condition)


async def test_a_sweep_is_told_and_on_record(sweeps: Sweeps, settings: Settings) -> None:
    sweeps.progress = (SweepProgress(1, 4, 30, 0.25),)
    live = DashboardSweeps(settings, lambda _: None)
    desk = live.desk()
    told: list[SweepProgress] = []

    assert await desk.history() == ()
    assert desk.min_age_s == 5
    await desk.begin(True, desk.min_age_s, None, told.append).run()
    report = await desk.begin(False, desk.min_age_s, None, told.append).run()
    live.close()

    assert sweeps.requests == [SweepRequest(min_age_s=5), SweepRequest(min_age_s=5, dry_run=False)]
    assert told == [*sweeps.progress, *sweeps.progress]
    assert report.deleted == ROWS
    acted, dry = await desk.history()
    assert (acted.trigger, acted.dry_run, acted.deleted_rows, dry.dry_run) == ("dashboard", False, 1204, True)
    assert acted.id is not None
    assert await desk.report(acted.id) == report
    assert desk.jobs is None


async def test_errors_come_through(sweeps: Sweeps, settings: Settings) -> None:
    sweeps.default = RefusedError("no test database")
    desk = DashboardSweeps(settings, lambda _: None).desk()

    with pytest.raises(RefusedError, match="no test database"):
        await desk.begin(False, 600.0, None, lambda _: None).run()
    (entry,) = await desk.history()
    assert entry.result == "refused"


async def test_stop_and_cancel(sweeps: Sweeps, settings: Settings) -> None:
    sweeps.waits = True
    desk = DashboardSweeps(settings, lambda _: None).desk()

    stopped = desk.begin(False, 600.0, None, lambda _: None)
    stopped.stop()  # before it has begun
    assert (await stopped.run()).interrupted
    cancelled = desk.begin(False, 600.0, None, lambda _: None)
    running = asyncio.create_task(cancelled.run())
    await soon(lambda: len(sweeps.made) == 2 and sweeps.made[1].running.is_set())
    cancelled.cancel()
    with pytest.raises(WorkCancelledError):
        await running
    assert [entry.result for entry in await desk.history()] == ["interrupted", "interrupted"]


async def test_who_leaves_ends_the_sweep_and_it_is_on_record(sweeps: Sweeps, settings: Settings) -> None:
    sweeps.endless_batch = True
    live = DashboardSweeps(settings, lambda _: None)
    running = asyncio.create_task(live.desk().begin(False, 600.0, None, lambda _: None).run())
    await soon(lambda: sweeps.made and sweeps.made[0].running.is_set())
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.to_thread(live.close)

    (entry,) = History.open(settings).entries()
    assert entry.result == "interrupted"


async def test_what_cant_be_recorded_is_a_warning(sweeps: Sweeps, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    warnings: list[str] = []
    live = DashboardSweeps(replace(settings, history=tmp_path / "a file" / "history"), warnings.append)

    assert (await live.desk().begin(False, 600.0, None, lambda _: None).run()).deleted == ROWS
    assert len(warnings) == 1
    assert "not recorded" in warnings[0]


async def test_jobs(settings: Settings) -> None:
    job = JobSetting("often", "the test", every_s=3600.0)
    live = DashboardSweeps(replace(settings, schedule=(job,)), lambda _: None)
    jobs = live.desk().jobs
    assert jobs is not None
    try:
        (state,) = await jobs.states()
        assert (state.name, state.paused) == ("often", False)
        assert state.next_run is not None
        await jobs.pause("often", True)
        assert (await jobs.states())[0].paused
        await jobs.pause("often", False)
        assert not (await jobs.states())[0].paused
        with pytest.raises(RefusedError, match="there is no job"):
            await jobs.run_now("other")
        await jobs.run_now("often")
        history = History.open(settings)
        await soon(lambda: history.last("often"))
        last = (await jobs.states())[0].last
        assert last is not None
        assert (last.trigger, last.job, last.result) == ("dashboard", "often", "failed")
    finally:
        await asyncio.to_thread(live.close)


async def test_nothing_runs_if_it_is_read_only(settings: Settings) -> None:
    job = JobSetting("often", "the test", every_s=3600.0)
    live = DashboardSweeps(replace(settings, schedule=(job,), read_only=True), lambda _: None)
    desk = live.desk()

    assert not desk.acts
    assert desk.jobs is not None
    # The clock of an interval doesn't tick.
    assert (await desk.jobs.states())[0].next_run is None
    live.close()


async def test_a_schema_that_was_asked_about_goes_and_is_on_record(
    settings: Settings, database: Database, owner: Connection[TupleRow]
) -> None:
    owner.execute("CREATE SCHEMA test_gw0_abc123")
    owner.execute("CREATE TABLE test_gw0_abc123.t ()")
    here = replace(settings, dsn=Dsn(database.dsn, "the test"))
    live = DashboardSweeps(here, lambda _: None)
    desk = live.desk()
    assert desk.inspect is not None

    found = await desk.inspect(SweepPart("schemas", "test_gw0_abc123"))
    assert found is not None
    assert (found.tables, found.why_not) == (1, "")
    report = await desk.begin(False, desk.min_age_s, found.part, lambda _: None).run()
    live.close()

    assert [(one.name, one.removed) for one in report.orphans] == [("test_gw0_abc123", True)]
    assert owner.execute("SELECT FROM pg_namespace WHERE nspname = 'test_gw0_abc123'").fetchone() is None
    [entry] = await desk.history()
    assert (entry.trigger, entry.dry_run) == ("dashboard", False)
    assert entry.id is not None
    assert await desk.report(entry.id) == report
    assert DashboardSweeps(replace(here, read_only=True), lambda _: None).desk().inspect is None
