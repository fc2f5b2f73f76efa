"""State of the Sweeps tab: its three tables (plan or last sweep, jobs, history), and their texts. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from pgwatch_tests.errors import PgwatchError, RefusedError
from pgwatch_tests.history.model import HistoryEntry, JobState
from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.postgres.sessions.session import WorkCancelledError
from pgwatch_tests.reports.leaks import leak_calm
from pgwatch_tests.reports.leaks.leak_remedies import Copyable
from pgwatch_tests.reports.render.detail_text import NOW, Detail, KeyName, Labelled, Line
from pgwatch_tests.reports.sweeps import sweep_detail, sweep_history, sweep_remarks, sweep_words
from pgwatch_tests.reports.sweeps.sweep_causes import CauseLine, Group, cause_lines
from pgwatch_tests.reports.sweeps.sweep_history import result_words
from pgwatch_tests.sweep.model import SweepPart, SweepReport
from pgwatch_tests.text import durations
from pgwatch_tests.text.plain_text import plain, shortened_middle
from pgwatch_tests.text.times import clock, day_and_minute, day_and_time
from pgwatch_tests.text.toned_text import Cell, Tone, Toned
from pgwatch_tests.tui.widgets.tables.column_widths import Column
from pgwatch_tests.tui.widgets.tables.table_rows import LiveRow

SweepsSection = Literal["plan", "jobs", "history"]

SECTIONS: tuple[SweepsSection, ...] = ("plan", "jobs", "history")
_LONGEST_PART = 24
_NO_JOBS = """No jobs are declared. In pyproject.toml:

[tool.pgwatch-tests.schedule.nightly]
cron = "30 2 * * *"   # or every = "15m\""""

COLUMNS: dict[SweepsSection, tuple[Column, ...]] = {
    "plan": (
        Column("Outcome"),
        Column("Cause", least=16, enough=31, cut=shortened_middle),
        Column("Number", right=True),
        # The detail has all of it, and the next column what to do.
        Column("Where", least=16, enough=24, most=64),
        Column("What to know, or to do", least=16, enough=30, rank=1),
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
        Column("By", least=8, enough=20, rank=1),
    ),
}
_GROUP_TONES: dict[Group, Tone] = {"goes": "lit", "stays": "", "needs you": "warning"}


@dataclass(slots=True)
class SweepsState:
    """The data that the tab last read. A `trouble` says why the last read failed; empty if it didn't."""

    acts: bool
    """Whether sweeps are allowed, or only previews."""
    min_age_s: float
    """The minimum age of what is swept, in seconds."""
    key: KeyName
    key_in_leaks: KeyName
    section: SweepsSection = "plan"
    report: SweepReport | None = None
    """The last preview or sweep."""
    part: SweepPart | None = None
    """The only part to sweep; None: all."""
    report_at_s: float = 0.0
    """By the dashboard's clock."""
    leaks: LeakReport | None = None
    """The latest count of what is left."""
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

    def with_plan(self, swept: SweepReport) -> SweepReport:
        """Returns a sweep with what only its plan, the present report, can tell: a sweep doesn't ask that."""
        plan = self.report
        if plan is None or not self.is_plan or plan.part != swept.part or not swept.deleted:
            return swept
        return replace(swept, also_refer=plan.also_refer)

    @property
    def left(self) -> str:
        """The sessions that no sweep ends, and the keys to them; empty if none, or of one table's sweep."""
        leaks, report = self.leaks, self.report
        if leaks is None or report is None or leaks.database != report.database:
            return ""
        of_part = report.part is not None and not report.part.confirmed
        return "" if of_part else leak_calm.left_by_sweeps(leaks, self.key_in_leaks, acts=self.acts)

    def rows(self) -> list[LiveRow]:
        """The rows of the open section."""
        match self.section:
            case "plan":
                return [] if self.report is None else plan_rows(self.report, self.key, acts=self.acts)
            case "jobs":
                return job_rows(self.jobs)
            case "history":
                return history_rows(self.history or ())

    def detail(self, key: str | None) -> Detail | None:
        """The detail of the row of that key in the open section."""
        match self.section:
            case "plan":
                line = self._line(key)
                return None if line is None else _with_keys(line, self.key, acts=self.acts)
            case "jobs":
                job = next((one for one in self.jobs if one.name == key), None)
                return None if job is None else sweep_detail.job_detail(job, self.key, acts=self.acts)
            case "history":
                entry = next((one for one in self.history or () if str(one.id) == key), None)
                return None if entry is None else sweep_detail.entry_detail(entry, self.key)

    def copies(self, key: str | None) -> tuple[Copyable, ...]:
        """What a key copies of the row of that key: the statements that do what somebody has to."""
        line = self._line(key) if self.section == "plan" else None
        return () if line is None else line.copies

    def part_to_ask_about(self, key: str | None) -> SweepPart | None:
        """The one thing in the row of that key that goes after a question about it; None if there is none."""
        line = self._line(key) if self.section == "plan" else None
        return None if line is None or len(line.to_ask) != 1 else line.to_ask[0]

    def first_to_ask_about(self) -> str | None:
        """The key of the first row with things that go after a question about them; None if there is none."""
        lines = {} if self.report is None else _keyed(self.report, self.key, acts=self.acts)
        return next((key for key, line in lines.items() if line.to_ask), None)

    def why_not_asked(self, key: str | None) -> str:
        """Why there is no question about the row of that key; empty if there is."""
        if self.part_to_ask_about(key) is not None:
            return ""
        if key is None:
            return "No row is selected: there is none in Sweeps."
        line = self._line(key) if self.section == "plan" else None
        if line is not None and line.to_ask:
            return f"Leaks ({self.key('leaks')}) lists each of these: {self.key('sweep-this')} asks about it."
        return "This row is no schema that stays for its name, and no prepared transaction that stays."

    def _line(self, key: str | None) -> CauseLine | None:
        return (
            None
            if self.report is None or key is None
            else _keyed(self.report, self.key, acts=self.acts).get(key)
        )

    def heads(self) -> str:
        """` Plan  [Jobs 2]  History   s: history · at least 10 min old (a: other age)`."""
        names: dict[SweepsSection, str] = {
            "plan": self._plan_head(),
            "jobs": f"Jobs {'?' if self.jobs_trouble and not self.jobs else len(self.jobs)}",
            "history": "History",
        }
        heads = [f"[{names[one]}]" if one == self.section else f" {names[one]} " for one in SECTIONS]
        age = f"at least {durations.in_words(self.min_age_s)} old" if self.min_age_s else "of any age"
        opens, changes = f"{self.key('section')}: {self.next_section}", f"{self.key('min-age')}: other age"
        return f"{' '.join(heads)}  {opens} · {age} ({changes})"

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
                if self.history is None:
                    return "Reading the history …"
                return f"{sweep_history.EMPTY} {self.key('section')} leads to the plan, where sweeps begin."

    def summary(self) -> str:
        """The plan or last sweep in one line, and why what is shown is stale."""
        match self.section:
            case "jobs":
                return _stale(self.jobs_trouble if self.jobs else "")
            case "history":
                return _stale(self.history_trouble if self.history else "")
            case "plan" if self.report is not None:
                until = sweep_remarks.old_enough_at(self.report)
                parts = [sweep_words.summary(self.report)]
                parts += [self.left] if self.left else []
                parts += [f"old enough by {clock(until)}"] if until else []
                parts.append(f"at {clock(self.report.started_at)}")
                if self.was_ended:
                    parts.insert(0, f"preview incomplete: press {self.key('preview')} again before sweeping")
                if self.report.error:
                    parts.append(f"ended early: {plain(self.report.error)}")
                if self.trouble:
                    parts.append(f"then {plain(self.trouble)}")
                return " · ".join(parts)
        return ""

    def _plan_head(self) -> str:
        if self.report is None or self.is_plan:
            return "Plan" if self.part is None else f"Plan of {plain(self.part.name, _LONGEST_PART)}"
        return "No plan" if self.report.dry_run else "Last sweep"

    def _no_plan(self) -> str:
        if self.trouble:
            return capitalised(plain(self.trouble))
        if self.report is not None:
            return f"{capitalised(sweep_words.outcome(self.report))}."
        lines = [f"{self.key('preview')}: preview what a sweep would delete (changes nothing)"]
        if self.acts:
            lines.append(f"{self.key('sweep')}: preview, confirm, then sweep")
        return "\n".join(lines)


def capitalised(sentence: str) -> str:
    """Returns `sentence` with its first letter in upper case."""
    return sentence[:1].upper() + sentence[1:]


def _stale(trouble: str) -> str:
    return f"stale: {plain(trouble)}" if trouble else ""


def plan_rows(report: SweepReport, keys: KeyName, *, acts: bool) -> list[LiveRow]:
    """A row per cause: what goes, what stays, what needs somebody."""
    rows = []
    before = ""
    for key, line in _keyed(report, keys, acts=acts).items():
        words = capitalised(line.outcome)
        group = Toned(words, _GROUP_TONES[line.group] if words != before else "quiet")
        before = words
        number = f"{line.number:,}" if line.number is not None else "" if line.is_part else "?"
        cells: tuple[Cell, ...] = (
            (group,),
            (Toned(line.what, line.tone),),
            (Toned(number, line.tone),),
            ", ".join(line.objects),
            (Toned(line.so, "quiet"),),
        )
        rows.append(LiveRow(key, cells))
    return rows


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
                _result(entry),
                durations.short(entry.duration_s) or "?",
                (Toned(plain(f"{entry.account}, {entry.trigger}"), "quiet"),),
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


def _last_time(job: JobState) -> Cell:
    if job.last is None:
        return "never ran"
    return (Toned(f"{day_and_minute(job.last.started_at)} ", "quiet"), *_result(job.last))


def _result(entry: HistoryEntry) -> tuple[Toned, ...]:
    tone = sweep_detail.result_tone(entry)
    return (Toned(result_words(entry), tone),)


def _keyed(report: SweepReport, keys: KeyName, *, acts: bool) -> dict[str, CauseLine]:
    """The lines by their keys; of two with the same key, the second has a number."""
    found: dict[str, CauseLine] = {}
    for cause in cause_lines(report):
        line = replace(cause, so=_so_with_keys(cause, keys, acts=acts))
        key, number = line.key, 1
        while key in found:
            number += 1
            key = f"{line.key} {number}"
        found[key] = line
    return found


def _so_with_keys(line: CauseLine, keys: KeyName, *, acts: bool) -> str:
    """What to do about a line by keys of the dashboard, instead of options of the command line."""
    if _is_unleased(line):
        if acts:
            return f"{_removal(line, keys)}; no sweep does: no lease named it, so its run may be at work"
        return "once its run is over, drop it yourself; no sweep does, since no lease named it"
    age = keys("min-age")
    so = line.so.replace("--min-age sets another age", f"press {age} for another minimum age")
    return so.replace("--min-age 0s", f"minimum age 0s (press {age})")


def _is_unleased(line: CauseLine) -> bool:
    """Whether its things are schemas that only somebody who has seen them removes."""
    return any(part.kind == "schemas" for part in line.to_ask)


def _removal(line: CauseLine, keys: KeyName) -> str:
    """`K removes it, after a question`; of several, where each has a row."""
    if len(line.to_ask) == 1:
        return f"{keys('remove-this')} removes it, after a question"
    return f"{keys('leaks')} lists each: {keys('sweep-this')} removes it there, after a question"


def _with_keys(line: CauseLine, keys: KeyName, *, acts: bool) -> Detail:
    """The detail with what keys do: ask whether it goes, copy; each of several statements on its own line."""
    lines: list[Line] = []
    if acts and line.to_ask and not _is_unleased(line):
        lines.append((Toned(_removal(line, keys), "notice"),))
    if line.copies:
        first, *more = line.copies[0].text.split("\n")
        lines.append((Toned(f"{keys('copy')} copies  ", "notice"), Toned(plain(first))))
        lines += [(Toned(plain(one)),) for one in more]
    if not lines:
        return line.detail
    return replace(line.detail, texts=(*line.detail.texts, Labelled(NOW, tuple(lines), vital=True)))


def failure(what: Literal["preview", "sweep"], error: PgwatchError) -> str:
    """Returns the sentence that says why a preview or a sweep has no report."""
    match error:
        case WorkCancelledError():
            return f"{what} cancelled"
        case RefusedError():
            return f"{what} refused: {error}"
        case _:
            return f"{what} failed: {error}"
