"""The lines of the Sweeps tab's three tables: the plan, or what came of it; the jobs; the history. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pgwatch_tests.history.model import HistoryEntry, JobState
from pgwatch_tests.reports.sweeps import history_table, sweep_remarks, sweep_words
from pgwatch_tests.reports.sweeps.history_table import result_words
from pgwatch_tests.reports.sweeps.sweep_words import explained
from pgwatch_tests.sweep.model import Cause, ChangedRows, Orphan, SideEffects, SweepReport, TableRows
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain, shortened_middle
from pgwatch_tests.text.times import day_and_minute, day_and_time
from pgwatch_tests.tui.widgets.live_table import Column, LiveRow

Section = Literal["plan", "jobs", "history"]

COLUMNS: dict[Section, tuple[Column, ...]] = {
    "plan": (
        Column("Object", share=9, cut=shortened_middle),
        Column("Rows", 9, right=True),
        Column("Marked", 7, right=True),
        Column("Dependent", 9, right=True),
        Column("Result", share=12),
    ),
    "jobs": (
        Column("Job", share=3),
        Column("Does", 15),
        Column("When", share=3),
        Column("Next run", 17),
        Column("Last time", share=6),
    ),
    "history": (
        Column("Began", 20),
        Column("Database", share=3, cut=shortened_middle),
        Column("What", share=3),
        Column("Result", share=6),
        Column("Took", 6, right=True),
    ),
}


def plan_rows(report: SweepReport) -> list[LiveRow]:
    """What goes or went, by table; what stays, by cause; what is changed; the rest; what isn't known."""
    rows = [
        *(_table_row(one, report.dry_run) for one in sweep_words.gone(report)),
        *(_cause_row(cause) for cause in report.causes),
        *(_changed_row(one, report.dry_run) for one in report.changed),
        *(_side_effects_row(one) for one in report.side_effects),
        *(_orphan_row(orphan, report.dry_run) for orphan in report.orphans),
        *(
            LiveRow(f"unchecked {sentence}", ("", "?", "", "", f"not checked: {plain(sentence)}"), "dim")
            for sentence in report.not_checked
        ),
    ]
    # Nothing says that two of them differ.
    return [LiveRow(f"{number} {row.key}", row.cells, row.style) for number, row in enumerate(rows)]


def job_rows(jobs: tuple[JobState, ...]) -> list[LiveRow]:
    """A line a job."""
    return [
        LiveRow(
            job.name,
            (
                plain(job.name),
                f"{job.action}, dry run" if job.dry_run and job.action != "leaks" else job.action,
                plain(job.when),
                _next_run(job),
                _last_time(job),
            ),
            "dim" if job.paused or not job.enabled else "",
        )
        for job in jobs
    ]


def history_rows(entries: tuple[HistoryEntry, ...]) -> list[LiveRow]:
    """A line an entry, in their order."""
    return [
        LiveRow(
            str(entry.id),
            (
                day_and_time(entry.started_at),
                plain(entry.database),
                history_table.action(entry),
                result_words(entry),
                durations.short(entry.duration_s) or "?",
            ),
            "dim" if entry.dry_run else "",
        )
        for entry in entries
    ]


def next_sweep(jobs: tuple[JobState, ...]) -> datetime | None:
    """When the next job begins that removes something."""
    return min(
        (
            job.next_run
            for job in jobs
            if job.next_run is not None and job.action != "leaks" and job.enabled and not job.paused
        ),
        default=None,
    )


def _next_run(job: JobState) -> str:
    if not job.enabled:
        return "off"
    if job.running:
        return "running"
    if job.paused:
        return "paused"
    return "not known" if job.next_run is None else day_and_minute(job.next_run)


def _last_time(job: JobState) -> str:
    if job.last is None:
        return "never ran"
    return f"{day_and_minute(job.last.started_at)} {result_words(job.last)}"


def _table_row(one: TableRows, dry_run: bool) -> LiveRow:
    name = sweep_words.table_name(one.schema, one.table)
    fate = [sweep_words.ending("rows", dry_run)]
    if one.unmarked:
        fate.append(f"{one.unmarked:,} without a marker")
    if sweep_remarks.is_large_part(one):
        fate.append(f"{sweep_remarks.rows_of(one)} rows")
    return LiveRow(
        f"rows {name}",
        (
            plain(name),
            f"{one.total:,}",
            f"{one.marked:,}",
            f"{one.dependent:,}",
            ", ".join(fate),
        ),
    )


def _cause_row(cause: Cause) -> LiveRow:
    names = {sweep_words.table_name(kept.schema, kept.table) for kept in cause.kept}
    name = plain(next(iter(names))) if len(names) == 1 else plural(len(names), "table")
    why = f"kept: {explained(cause.reason).words}"
    return LiveRow(
        f"kept {cause.reason} {cause.detail}",
        (name, f"{cause.rows:,}", "", "", f"{why}, {plain(cause.detail)}" if cause.detail else why),
        "dim",
    )


def _changed_row(one: ChangedRows, dry_run: bool) -> LiveRow:
    name = plain(sweep_words.table_name(one.schema, one.table))
    becomes = sweep_remarks.becomes(one, dry_run, plain)
    return LiveRow(f"changed {name} {one.columns} {one.how}", (name, f"{one.rows:,}", "", "", becomes))


def _side_effects_row(one: SideEffects) -> LiveRow:
    name = plain(sweep_words.table_name(one.schema, one.table))
    rows = one.inserted + one.updated + one.deleted
    words = sweep_remarks.side_effects(one, plain)
    return LiveRow(f"besides {name}", (name, f"{rows:,}", "", "", words))


def _orphan_row(orphan: Orphan, dry_run: bool) -> LiveRow:
    parts = [sweep_words.fate(orphan, dry_run), sweep_words.kind(orphan.kind)]
    if orphan.age_s is not None:
        parts.append(f"{durations.short(orphan.age_s)} old")
    if orphan.detail:
        parts.append(plain(orphan.detail))
    return LiveRow(
        f"orphan {orphan.kind} {orphan.name}",
        (plain(orphan.name), "", "", "", ", ".join(parts)),
        "" if orphan.removed else "dim",
    )
