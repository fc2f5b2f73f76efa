"""Runs that live are told by `leaks`, `sweep` and the dashboard."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pgwatch_tests.leaks.scan import scan
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.postgres.runs import Announcement
from pgwatch_tests.reports.leaks import leak_json, leak_table
from pgwatch_tests.reports.sweeps import sweep_json, sweep_table
from pgwatch_tests.reports.verdict.verdict import Facts, clauses
from pgwatch_tests.reports.verdict.verdict_line import text
from pgwatch_tests.run.database.alone import RunLease
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep.request import SweepRequest
from pgwatch_tests.sweep.run import Sweep
from pgwatch_tests.tui.widgets.header_figures import with_runs
from tests.locks.snapshots import session, snapshot
from tests.servers.sessions import Database

TOLD = Announcement("1a2b3c4d", "", "alone", datetime.now(UTC), "anna@here", "pytest -n 4")


def test_leaks_and_sweep_tell_who_is_at_work(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(Dsn(database.dsn, "the test"))
    lease = RunLease(settings, replace(TOLD, since=datetime.now(UTC) - timedelta(hours=3, minutes=1)), print)
    with ExitStack() as held:
        held.callback(lease.release)
        assert lease.hold_alone(wait=False)
        leaks = scan(settings)
        words = "run 1a2b3c4d, anna@here, for 3 h 1 min, alone: pytest -n 4"
        assert leaks.live_runs == (words,)
        assert f"At work in it: {words}" in " ".join(leak_table.table(leaks, verbose=True).split())
        assert words in leak_json.document(leaks)
        swept = Sweep(settings, SweepRequest(dry_run=True)).run()
        assert swept.live_runs == (words,)
        assert f"At work in it: {words}" in " ".join(sweep_table.table(swept).split())
        assert words in sweep_json.document(swept)
        # Not of itself.
        monkeypatch.setenv("PGWATCH_RUN", "1a2b3c4d")
        assert scan(settings).live_runs == ()
    monkeypatch.delenv("PGWATCH_RUN")
    assert scan(settings).live_runs == ()


def test_the_verdict_counts_them() -> None:
    def said(seen: LockSnapshot) -> str:
        return text(clauses(LockGraph(seen), with_runs(Facts(), seen)))

    one = session(1, TOLD.application_name, state="idle")
    other = replace(session(2, replace(TOLD, run="5e6f7a8b").application_name, state="idle"))
    assert "run" not in said(snapshot((), (session(3),)))
    assert said(snapshot((), (session(3), one))).endswith(" · 1 run under way")
    assert said(snapshot((), (session(3), one, other))).endswith(" · 2 runs under way")
