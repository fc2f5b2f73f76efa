"""Reports that pages of docs/ show, printed of values that are made here: there is no server behind them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pgwatch_tests.history.runs.trend_model import PairTrend, Sightings, Trends
from pgwatch_tests.record import run_files
from pgwatch_tests.record.merging.merged import RunReport, merge
from pgwatch_tests.record.merging.recorded_fleet import NotRecorded, RecordedFleet, RecordedTotals
from pgwatch_tests.record.results import ResultsDirectory, RunRecord
from pgwatch_tests.record.run_summary import BlockedSum, PairSum, RunFacts
from pgwatch_tests.reports.runs import recorded_fleet, run_table
from pgwatch_tests.reports.runs_over_time import trend_text
from pgwatch_tests.run.checks.fail_on import Evidence
from pgwatch_tests.run.hangs.hangs import HangWatch
from pgwatch_tests.run.outcome import closing_words
from screenshots import readme
from tests.locks.snapshots import edge, session, snapshot
from tests.record.recordings import BEGAN, leak_report, make_recording

_BLOCKER, _WAITER = "tests/test_a.py::test_books", "tests/test_b.py::test_pays"
_RESULTS = ResultsDirectory(Path("/home/anna/shop/pgwatch-results"))
FACTS = RunFacts(
    run="0badcafe",
    shard="",
    command=("pytest", "-n", "4"),
    began=BEGAN,
    ended=BEGAN + timedelta(seconds=21),
    exit_code=0,
    command_exit_code=0,
    machine="ci-7",
)
"""The run that is shown."""


def pages() -> Iterator[tuple[Path, str]]:
    """Yields each page, with its blocks filled in anew. Raises KeyError for an unknown block."""
    shown = outputs()
    for name in ("run", "report", "fleets", "history"):
        path = readme.DOCS / f"{name}.md"
        yield path, readme.with_outputs(path.read_text(encoding="utf-8"), shown)


def outputs() -> dict[str, str]:
    """What is shown, by the name of its block."""
    report = recorded(FACTS)
    return {
        "run-closing": _closing(report),
        "run-hang": _hang(),
        "report-run": "$ pgwatch-tests report pgwatch-results/\n" + run_table.table(report),
        "report-servers": _of_servers(),
        "trend": _trend(),
    }


def recorded(facts: RunFacts) -> RunReport:
    """The report of the recording that tests make, with two root blockers, a deadlock and leaks."""
    with tempfile.TemporaryDirectory() as name:
        [run], _ = run_files.read([make_recording(Path(name) / "suite.pgwatch", leaks=leak_report())])
    return merge([replace(run, name="pgwatch-results", facts=facts)])


def _closing(report: RunReport) -> str:
    [server] = report.servers
    record = RunRecord(FACTS, files={"html": "report.html"})
    known = Evidence(waits=server.waits, deadlocks=server.deadlocks, hangs=(), leaks=leak_report())
    return "\n".join(f"pgwatch-tests: {line}" for line in closing_words.lines(record, known, _RESULTS, 0))


def _hang() -> str:
    holder = replace(
        session(4711, "pytest:gw0 tests/test_a.py::test_books", "idle in transaction"),
        state_age_s=31.0,
        query="UPDATE users SET name = 'Anna' WHERE id = 1",
    )
    waiter = session(4712, "pytest:gw1 tests/test_a.py::test_waits")
    waits = edge(4712, 4711, wait_s=30.0, target="row of users (id=1)")
    told, _, _ = HangWatch(30.0).look(snapshot((waits,), (holder, waiter)), 0.0)
    return "\n".join(f"pgwatch-tests: {line}" for one in told for line in one.text.splitlines())


def _of_servers() -> str:
    blocked = BlockedSum(3.2, 1, 3.2)
    pair = PairSum(
        _BLOCKER, _WAITER, blocked, "row of bookings (id=42)", "row of bookings", "same_row", "", "", BEGAN
    )
    quiet = RecordedTotals("ci-2", "18.1", 1, 0, 3600.0, 0.0, 0.0, 0, 0.0, 0, 0, 0, 0, False, ())
    busy = replace(quiet, name="ci-1", blocked_s=3.2, waits=1, longest_s=3.2, pairs=(pair,))
    missing = NotRecorded("ci-3", "cannot connect: no answer from the server in 5 s")
    fleet = RecordedFleet(("ci-*",), (busy, quiet), (missing,), (), BEGAN)
    return "$ pgwatch-tests report --servers 'ci-*' recordings --fail-on deadlock\n" + recorded_fleet.table(
        fleet
    )


def _trend() -> str:
    began = datetime(2026, 11, 12, 9, 14, 2, tzinfo=UTC)
    sightings = Sightings(
        branch="main",
        is_older=False,
        first_commit="3f2a1b0c9d8e",
        first_began=began,
        builds_before=20,
        ran_before=20,
        last_commit="77ab0c12de90",
        last_began=datetime(2026, 11, 29, 2, 22, 59, tzinfo=UTC),
        builds_after=0,
    )
    pair = PairTrend("", _BLOCKER, _WAITER, 57, 723.0, 61, 8.2, "rows of bookings", "same_row", sightings)
    since = datetime(2026, 10, 30, tzinfo=UTC)
    trends = Trends(since, "", "", 412, 1703, 410, 398, (pair,), 0, (), (), 0, (), ())
    return "$ pgwatch-tests history --trend\n" + trend_text.text(trends, "/home/anna/history.sqlite3")
