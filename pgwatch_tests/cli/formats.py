"""Formats of every command that has `--format`: which there are, and which report makes each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeVar

import click

from pgwatch_tests.accepted_findings import Acceptance

if TYPE_CHECKING:
    from pgwatch_tests.doctor.model import Examination
    from pgwatch_tests.history.model import HistoryEntry, JobState
    from pgwatch_tests.history.runs.model import StoredRun, TestEvent
    from pgwatch_tests.history.runs.trend_model import Trends
    from pgwatch_tests.junit.summary import JUnitSummary
    from pgwatch_tests.leaks.gate import Gate
    from pgwatch_tests.leaks.model import LeakReport, LeaksOfDatabases
    from pgwatch_tests.lint.model import LintReport
    from pgwatch_tests.locks.contention.contention import Contention
    from pgwatch_tests.locks.gate import AcceptanceUse
    from pgwatch_tests.locks.model import LockSnapshot
    from pgwatch_tests.record.merging.merged import RunReport
    from pgwatch_tests.record.merging.recorded_fleet import RecordedFleet
    from pgwatch_tests.reports.sessions.session_rows import SessionRow
    from pgwatch_tests.sweep.model import SweepReport, SweepsOfDatabases

Format = Literal["table", "json", "csv", "markdown", "github", "junit", "openmetrics", "html"]
Makers = Mapping[Format, Callable[[], str]]
F = TypeVar("F", bound=Callable[..., object])

LOCKS: tuple[Format, ...] = ("table", "json", "csv", "markdown", "github", "junit")
SESSIONS: tuple[Format, ...] = ("table", "json", "csv", "markdown")
LEAKS: tuple[Format, ...] = (*LOCKS, "openmetrics")
SWEEPS: tuple[Format, ...] = ("table", "json", "csv", "markdown", "openmetrics")
JOBS: tuple[Format, ...] = ("table", "openmetrics")
"""Those of `schedule now`."""
CONTENTION: tuple[Format, ...] = ("table", "json", "markdown")
RUNS: tuple[Format, ...] = ("table", "markdown", "json", "html")
"""Those of `report`."""
JUNIT: tuple[Format, ...] = ("table", "markdown", "github", "junit", "json")
TEXT_OR_JSON: tuple[Format, ...] = ("table", "json")
"""Those of `doctor`, `schedule list` and `sweep --history`."""
HISTORY: tuple[Format, ...] = ("table", "json", "markdown", "openmetrics")
"""Those of `history`."""
LINT: tuple[Format, ...] = ("table", "json", "github")
"""Those of `lint`."""
WITH_VERDICT: tuple[Format, ...] = ("markdown", "github", "junit")
"""Those of `locks` that tell findings from shorter waits, with `--fail` or without."""


def format_option(formats: Sequence[Format], explanation: str) -> Callable[[F], F]:
    """`--format`, as `form`."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(formats),
        default="table",
        show_default=True,
        help=explanation,
    )


def render_leaks(
    form: Format, leaks: LeakReport | LeaksOfDatabases, gate: Gate, verbose: bool = False
) -> str:
    """A leak report in that format; `gate` says what of it is an error and what a warning.

    `verbose` is for the table of several databases: it has all of each then.
    """
    from pgwatch_tests.reports.leaks import (
        leak_csv,
        leak_github,
        leak_json,
        leak_junit,
        leak_markdown,
        leak_table,
    )
    from pgwatch_tests.reports.openmetrics import leak_metrics

    makers: Makers = {
        "table": lambda: leak_table.table(leaks, verbose),
        "json": lambda: leak_json.document(leaks),
        "csv": lambda: leak_csv.document(leaks),
        "markdown": lambda: leak_markdown.document(leaks, gate),
        "github": lambda: leak_github.document(leaks, gate),
        "junit": lambda: leak_junit.document(leaks, gate),
        "openmetrics": lambda: leak_metrics.document(leaks),
    }
    return makers[form]()


def render_sweep(form: Format, sweeps: SweepReport | SweepsOfDatabases, verbose: bool = False) -> str:
    """A sweep, or what it would do, in that format; `verbose` as in `render_leaks`."""
    from pgwatch_tests.reports.openmetrics import sweep_metrics
    from pgwatch_tests.reports.sweeps import sweep_csv, sweep_json, sweep_markdown, sweep_table

    makers: Makers = {
        "table": lambda: sweep_table.table(sweeps, verbose),
        "json": lambda: sweep_json.document(sweeps),
        "csv": lambda: sweep_csv.document(sweeps),
        "markdown": lambda: sweep_markdown.document(sweeps),
        "openmetrics": lambda: sweep_metrics.document(sweeps),
    }
    return makers[form]()


def render_sessions(form: Format, snapshot: LockSnapshot, rows: Sequence[SessionRow]) -> str:
    """Those sessions of a snapshot in that format."""
    from pgwatch_tests.reports.sessions import session_csv, session_json, session_table

    makers: Makers = {
        "table": lambda: session_table.table(snapshot, rows),
        "json": lambda: session_json.document(snapshot, rows),
        "csv": lambda: session_csv.document(rows),
        "markdown": lambda: session_table.markdown(snapshot, rows),
    }
    return makers[form]()


def render_locks(
    form: Format, snapshot: LockSnapshot, min_wait_s: float, known: Acceptance | None = None
) -> str:
    """A lock snapshot in that format; a wait of `min_wait_s` seconds or more is a finding, unless `known`.

    None: nobody asked what is accepted.
    """
    from pgwatch_tests.locks.gate import judge, use_of
    from pgwatch_tests.locks.graph.lock_graph import LockGraph
    from pgwatch_tests.reports.locks import lock_tree
    from pgwatch_tests.reports.locks.formats import (
        lock_accepted,
        lock_csv,
        lock_github,
        lock_json,
        lock_junit,
        lock_markdown,
    )

    def accepted() -> AcceptanceUse | None:
        return None if known is None else use_of(judge(LockGraph(snapshot), min_wait_s, known))

    def table() -> str:
        use = accepted()
        lines = [] if use is None else ["", *lock_accepted.lines(use), ""]
        return lock_tree.text(snapshot) + "\n".join(lines)

    makers: Makers = {
        "table": table,
        "json": lambda: lock_json.document(snapshot, accepted()),
        "csv": lambda: lock_csv.document(snapshot),
        "markdown": lambda: lock_markdown.document(snapshot, min_wait_s, known),
        "github": lambda: lock_github.document(snapshot, min_wait_s, known),
        "junit": lambda: lock_junit.document(snapshot, min_wait_s, known),
    }
    return makers[form]()


def render_contention(form: Format, seen: Contention, use: AcceptanceUse | None) -> str:
    """The contention of a watch in that format, and how accepted findings served its gate."""
    from pgwatch_tests.reports.contention import contention_json, contention_table

    makers: Makers = {
        "table": lambda: contention_table.text(seen, "table", use),
        "json": lambda: contention_json.document(seen, use),
        "markdown": lambda: contention_table.text(seen, "markdown", use),
    }
    return makers[form]()


def render_examination(form: Format, examination: Examination) -> str:
    """The doctor's examination in that format."""
    from pgwatch_tests.reports import doctor_json, doctor_table

    return doctor_json.document(examination) if form == "json" else doctor_table.text(examination)


def render_history(form: Format, entries: Sequence[HistoryEntry], place: str) -> str:
    """The history of sweeps, which is kept in `place`, in that format."""
    from pgwatch_tests.reports.sweeps import sweep_history

    return (sweep_history.document if form == "json" else sweep_history.table)(entries, place)


def render_job(form: Format, entries: Sequence[HistoryEntry]) -> str:
    """One run of a job, an entry per database, in that format."""
    from pgwatch_tests.reports.openmetrics import sweep_metrics
    from pgwatch_tests.reports.sweeps.sweep_history import result_line
    from pgwatch_tests.text.plain_text import plain

    if form == "openmetrics":
        return sweep_metrics.job_document(entries)
    lines = [f"{plain(entry.database)}: {result_line(entry)}" for entry in entries]
    return "\n".join(lines or ["nothing was done"])


def render_runs_on_record(form: Format, runs: Sequence[StoredRun], place: str) -> str:
    """The runs of a history, which is kept in `place`, in that format."""
    from pgwatch_tests.reports.runs_over_time import run_list

    if form == "json":
        return run_list.document(runs, place)
    return run_list.text(runs, place, "markdown" if form == "markdown" else "table")


def render_trends(form: Format, trends: Trends, place: str, events: Sequence[TestEvent] = ()) -> str:
    """What comes again over the runs of a history, in that format; and what happened last to some tests."""
    from pgwatch_tests.reports.runs_over_time import trend_json, trend_text

    if form == "json":
        return trend_json.document(trends, place, events)
    table_form: Literal["table", "markdown"] = "markdown" if form == "markdown" else "table"
    parts = [trend_text.text(trends, place, table_form), trend_text.events_text(events, table_form)]
    return "\n".join(filter(None, parts))


def render_lint(form: Format, report: LintReport) -> str:
    """What the linter found, in that format."""
    from pgwatch_tests.reports.lint import lint_github, lint_json, lint_table

    makers: Makers = {
        "table": lambda: lint_table.text(report),
        "json": lambda: lint_json.document(report),
        "github": lambda: lint_github.document(report),
    }
    return makers[form]()


def render_schedule(form: Format, jobs: Sequence[JobState]) -> str:
    """The jobs of the schedule in that format."""
    from pgwatch_tests.reports import schedule_jobs

    return (schedule_jobs.document if form == "json" else schedule_jobs.table)(jobs)


def render_recorded_fleet(
    form: Format, fleet: RecordedFleet, report: RunReport | None, top: int | None
) -> str:
    """Recordings of a fleet in that format; the page is of `report`, all of them put together."""
    from pgwatch_tests.reports.runs import recorded_fleet, run_markdown

    if report is not None and form == "html":
        return render_runs(form, report, top)
    makers: Makers = {
        "table": lambda: recorded_fleet.table(fleet, top),
        "markdown": lambda: recorded_fleet.markdown(fleet, top or run_markdown.MOST_ROWS),
        "json": lambda: recorded_fleet.document(fleet),
    }
    return makers[form]()


def render_runs(form: Format, report: RunReport, top: int | None) -> str:
    """A report on recorded runs in that format; `top` rows of each table, None: as many as fit."""
    from pgwatch_tests.reports.runs import run_json, run_markdown, run_table
    from pgwatch_tests.reports.runs.page import document

    makers: Makers = {
        "table": lambda: run_table.table(report, top),
        "markdown": lambda: run_markdown.document(report, top or run_markdown.MOST_ROWS),
        "json": lambda: run_json.document(report),
        "html": lambda: document.document(report, top or document.MOST_ROWS),
    }
    return makers[form]()


def render_junit(form: Format, summary: JUnitSummary) -> str:
    """The JUnit files of all shards in that format; `junit` is one merged document."""
    from pgwatch_tests.reports.junit import (
        merged_xml,
        summary_github,
        summary_json,
        summary_markdown,
        summary_table,
    )

    makers: Makers = {
        "table": lambda: summary_table.table(summary),
        "markdown": lambda: summary_markdown.document(summary),
        "github": lambda: summary_github.document(summary),
        "junit": lambda: merged_xml.document(summary),
        "json": lambda: summary_json.document(summary),
    }
    return makers[form]()
