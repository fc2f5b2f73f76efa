"""State of the Sweeps tab: its three tables (plan or last sweep, jobs, history), and their texts. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pgwatch_tests.history.model import HistoryEntry, JobState
from pgwatch_tests.reports.sweeps import sweep_history, sweep_remarks, sweep_words
from pgwatch_tests.reports.sweeps.sweep_history import result_words
from pgwatch_tests.reports.sweeps.sweep_words import explained
from pgwatch_tests.sweep.model import Cause, ChangedRows, Orphan, SideEffects, SweepReport, TableRows
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain, shortened_middle
from pgwatch_tests.text.times import clock, day_and_minute, day_and_time
from pgwatch_tests.tui.widgets.column_widths import Column
from pgwatch_tests.tui.widgets.live_table import LiveRow

SweepsSection = Literal["plan", "jobs", "history"]

SECTIONS: tuple[SweepsSection, ...] = ("plan", "jobs", "history")
_NO_JOBS = """No jobs are declared. In pyproject.toml:

[tool.pgwatch-tests.schedule.nightly]
cron = "30 2 * * *"   # or every = "15m\""""

COLUMNS: dict[SweepsSection, tuple[Column, ...]] = {
    "plan": (
        Column("Object", least=10, enough=30, cut=shortened_middle),
        Column("Rows", right=True),
        Column("Marked", right=True),
        Column("Dependent", right=True),
        Column("Result", least=12, enough=40),
    ),
    "jobs": (
        Column("Job", least=8, enough=16),
        Column("Action"),
        Column("Schedule", least=8, enough=16),
        Column("Next run"),
        Column("Last run", least=12, enough=30),
    ),
    "history": (
        Column("Started"),
        Column("Database", least=8, enough=20, cut=shortened_middle),
        Column("Action", least=8, enough=16),
        Column("Result", least=12, enough=30),
        Column("Took", right=True),
    ),
}


@dataclass(slots=True)
class SweepsState:
    """The data that the tab last read. A `trouble` says why the last read failed; empty if it didn't."""

    acts: bool
    """Whether sweeps are allowed, or only previews."""
    min_age_s: float
    """The minimum age of what is swept, in seconds."""
    section: SweepsSection = "plan"
    report: SweepReport | None = None
    """The last preview or sweep."""
    report_at_s: float = 0.0
    """By the dashboard's clock."""
    trouble: str = ""
    jobs: tuple[JobState, ...] = ()
    jobs_trouble: str = ""
    history: tuple[HistoryEntry, ...] | None = None
    history_trouble: str = ""

    @property
    def next_section(self) -> SweepsSection:
        """The section that `s` opens."""
        return SECTIONS[(SECTIONS.index(self.section) + 1) % len(SECTIONS)]

    @property
    def is_plan(self) -> bool:
        """Whether there is a complete plan to sweep by."""
        report = self.report
        return report is not None and report.dry_run and not report.interrupted and not report.error

    @property
    def was_ended(self) -> bool:
        """Whether the last preview ended early: it is no plan."""
        report = self.report
        return report is not None and report.dry_run and (report.interrupted or bool(report.error))

    def rows(self) -> list[LiveRow]:
        """The rows of the open section."""
        match self.section:
            case "plan":
                return [] if self.report is None else plan_rows(self.report)
            case "jobs":
                return job_rows(self.jobs)
            case "history":
                return history_rows(self.history or ())

    def heads(self) -> str:
        """` Plan  [Jobs 2]  History   s: next · at least 10 min old, a: change`."""
        names: dict[SweepsSection, str] = {
            "plan": self._plan_head(),
            "jobs": f"Jobs {'?' if self.jobs_trouble and not self.jobs else len(self.jobs)}",
            "history": "History",
        }
        heads = [f"[{names[one]}]" if one == self.section else f" {names[one]} " for one in SECTIONS]
        age = f"at least {durations.in_words(self.min_age_s)} old" if self.min_age_s else "of any age"
        return f"{' '.join(heads)}  s: next · {age}, a: change"

    def empty(self, is_running: bool) -> str:
        """The text of the open section while it has no rows."""
        match self.section:
            case "plan":
                return "" if is_running else self._no_plan()
            case "jobs":
                return f"Jobs not read: {plain(self.jobs_trouble)}" if self.jobs_trouble else _NO_JOBS
            case "history":
                if self.history_trouble:
                    return f"History not read: {plain(self.history_trouble)}"
                return sweep_history.EMPTY if self.history is not None else "Reading the history …"

    def summary(self) -> str:
        """The plan or last sweep in one line, and why what is shown is stale."""
        match self.section:
            case "jobs":
                return _stale(self.jobs_trouble if self.jobs else "")
            case "history":
                return _stale(self.history_trouble if self.history else "")
            case "plan" if self.report is not None:
                parts = [sweep_words.summary(self.report), f"at {clock(self.report.started_at)}"]
                if until := sweep_remarks.old_enough_at(self.report):
                    parts.insert(1, f"old enough by {clock(until)}")
                if self.was_ended:
                    parts.insert(0, "preview incomplete: press p again before sweeping")
                if self.report.error:
                    parts.append(f"ended early: {plain(self.report.error)}")
                if self.trouble:
                    parts.append(f"then {plain(self.trouble)}")
                return " · ".join(parts)
        return ""

    def _plan_head(self) -> str:
        if self.report is None or self.is_plan:
            return "Plan"
        return "No plan" if self.report.dry_run else "Last sweep"

    def _no_plan(self) -> str:
        if self.trouble:
            return capitalised(plain(self.trouble))
        if self.report is not None:
            return f"{capitalised(sweep_words.outcome(self.report))}."
        lines = ["p: preview what a sweep would delete (changes nothing)"]
        if self.acts:
            lines.append("w: preview, confirm, then sweep")
        return "\n".join(lines)


def capitalised(sentence: str) -> str:
    """Returns `sentence` with its first letter in upper case."""
    return sentence[:1].upper() + sentence[1:]


def _stale(trouble: str) -> str:
    return f"stale: {plain(trouble)}" if trouble else ""


def plan_rows(report: SweepReport) -> list[LiveRow]:
    """A row per table deleted from, cause of keeping, change, side effect, orphan, and thing not checked."""
    rows = [
        *(_table_row(one, report.dry_run) for one in sweep_words.gone(report)),
        *(_cause_row(cause) for cause in report.causes),
        *(_changed_row(one, report.dry_run) for one in report.changed),
        *(_side_effects_row(one) for one in report.side_effects),
        *(_orphan_row(orphan, report.dry_run) for orphan in report.orphans),
        *(
            LiveRow(f"unchecked {sentence}", ("", "?", "", "", f"not checked: {plain(sentence)}"), "quiet")
            for sentence in report.not_checked
        ),
    ]
    # Two of them may have the same key.
    return [LiveRow(f"{number} {row.key}", row.cells, row.tone) for number, row in enumerate(rows)]


def job_rows(jobs: tuple[JobState, ...]) -> list[LiveRow]:
    """A row per job."""
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
            "quiet" if job.paused or not job.enabled else "",
        )
        for job in jobs
    ]


def history_rows(entries: tuple[HistoryEntry, ...]) -> list[LiveRow]:
    """A row per entry, in their order."""
    return [
        LiveRow(
            str(entry.id),
            (
                day_and_time(entry.started_at),
                plain(entry.database),
                sweep_history.action(entry),
                result_words(entry),
                durations.short(entry.duration_s) or "?",
            ),
            "quiet" if entry.dry_run else "",
        )
        for entry in entries
    ]


def next_sweep(jobs: tuple[JobState, ...]) -> datetime | None:
    """Returns when the next job that deletes anything starts; None if none is known."""
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
    return "unknown" if job.next_run is None else day_and_minute(job.next_run)


def _last_time(job: JobState) -> str:
    if job.last is None:
        return "never ran"
    return f"{day_and_minute(job.last.started_at)} {result_words(job.last)}"


def _table_row(one: TableRows, dry_run: bool) -> LiveRow:
    name = sweep_words.table_name(one.schema, one.table)
    result = ["to delete" if dry_run else sweep_words.ending("rows", dry_run)]
    if one.unmarked:
        result.append(f"{one.unmarked:,} without a marker")
    if sweep_remarks.is_large_part(one):
        result.append(f"of {max(one.of, one.total):,}")
    return LiveRow(
        f"rows {name}",
        (
            plain(name),
            f"{one.total:,}",
            f"{one.marked:,}",
            f"{one.dependent:,}",
            ", ".join(result),
        ),
    )


def _cause_row(cause: Cause) -> LiveRow:
    names = {sweep_words.table_name(kept.schema, kept.table) for kept in cause.kept}
    name = plain(next(iter(names))) if len(names) == 1 else plural(len(names), "table")
    why = f"kept: {explained(cause.reason).words}"
    return LiveRow(
        f"kept {cause.reason} {cause.detail}",
        (name, f"{cause.rows:,}", "", "", f"{why}, {plain(cause.detail)}" if cause.detail else why),
        "quiet",
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
    # Of what is too young the detail may be just that.
    if orphan.detail and (orphan.age_s is None or orphan.detail != f"{durations.in_words(orphan.age_s)} old"):
        parts.append(plain(orphan.detail))
    return LiveRow(
        f"orphan {orphan.kind} {orphan.name}",
        (plain(orphan.name), "", "", "", ", ".join(parts)),
        "" if orphan.removed else "quiet",
    )
