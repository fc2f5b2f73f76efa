"""State of the Sweeps tab: what was last read for its three tables, and the texts around them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from pgwatch_tests.errors import PgwatchError, RefusedError
from pgwatch_tests.history.model import HistoryEntry, JobState
from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.locks.model import Party
from pgwatch_tests.postgres.sessions.session import WorkCancelledError
from pgwatch_tests.reports.leaks import leak_calm
from pgwatch_tests.reports.leaks.leak_remedies import Copyable
from pgwatch_tests.reports.render.detail_text import Detail, KeyName
from pgwatch_tests.reports.sweeps import sweep_detail, sweep_history, sweep_remarks, sweep_words
from pgwatch_tests.reports.sweeps.sweep_causes import CauseLine
from pgwatch_tests.sweep.model import SweepReport
from pgwatch_tests.sweep.request import SweepPart
from pgwatch_tests.text import durations
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.times import clock
from pgwatch_tests.tui.tabs.sweep_rows import (
    SECTIONS,
    SweepsSection,
    capitalised,
    detail_with_keys,
    history_rows,
    job_rows,
    keyed_lines,
    plan_rows,
)
from pgwatch_tests.tui.widgets.tables.table_rows import LiveRow

_LONGEST_PART = 24
_NO_JOBS = """No jobs are declared. In pyproject.toml:

[tool.pgwatch-tests.schedule.nightly]
cron = "30 2 * * *"   # or every = "15m\""""


@dataclass(slots=True)
class SweepsState:
    """The data that the tab last read. A `trouble` says why the last read failed; empty if it didn't."""

    may_act: bool
    """Whether sweeps are allowed, or only previews."""
    min_age_s: float
    """The minimum age of what is swept, in seconds."""
    key: KeyName
    key_in_leaks: KeyName
    in_past: bool = False
    """Whether a moment of the past is looked at: nothing is swept from there."""
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
    def acts(self) -> bool:
        """Whether keys sweep now."""
        return self.may_act and not self.in_past

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

    def without_removed(self, swept: SweepReport) -> SweepReport | None:
        """Returns the present report without the one thing that was just removed: what else it says is still
        to be done. None where there is none of all of that database, or if that thing stays."""
        report, part = self.report, swept.part
        gone = {(one.kind, one.name) for one in swept.orphans if one.removed}
        if report is None or part is None or not part.confirmed or not gone or swept.error:
            return None
        if report.part is not None or report.database != swept.database:
            return None
        orphans = (one for one in report.orphans if (one.kind, one.name) not in gone)
        return replace(report, orphans=tuple(orphans))

    @property
    def left(self) -> str:
        """The sessions that no sweep ends, and the keys to them; empty if none, or of one table's sweep."""
        leaks = self._leaks_beside
        return "" if leaks is None else leak_calm.left_by_sweeps(leaks, self.key_in_leaks, acts=self.acts)

    @property
    def left_party(self) -> Party | None:
        """The first of these sessions; None if there is none."""
        leaks = self._leaks_beside if self.section == "plan" else None
        left = [] if leaks is None else leak_calm.left_sessions(leaks)
        return Party(left[0].session.pid) if left and left[0].session is not None else None

    @property
    def _leaks_beside(self) -> LeakReport | None:
        """The latest count, if the last preview or sweep is of all of the same database."""
        leaks, report = self.leaks, self.report
        if leaks is None or report is None or leaks.database != report.database:
            return None
        of_part = report.part is not None and not report.part.confirmed
        return None if of_part else leaks

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
                return None if line is None else detail_with_keys(line, self.key, acts=self.acts)
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
        lines = {} if self.report is None else keyed_lines(self.report, self.key, acts=self.acts)
        return next((key for key, line in lines.items() if line.to_ask), None)

    def why_not_asked(self, key: str | None) -> str:
        """Why there is no question about the row of that key; empty if there is."""
        if self.part_to_ask_about(key) is not None:
            return ""
        if key is None:
            return "No row is selected: there is none in Sweeps."
        line = self._line(key) if self.section == "plan" else None
        if line is not None and line.to_ask:
            return (
                f"Leaks ({self.key('leaks')}) lists each of these: {self.key('remove-this')} asks about it."
            )
        return "This row is no schema that stays for its name, and no prepared transaction that stays."

    def _line(self, key: str | None) -> CauseLine | None:
        return (
            None
            if self.report is None or key is None
            else keyed_lines(self.report, self.key, acts=self.acts).get(key)
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
        elif self.may_act:
            lines.append(f"Nothing is swept from the past: {self.key('escape')} goes back to now.")
        return "\n".join(lines)


def _stale(trouble: str) -> str:
    return f"stale: {plain(trouble)}" if trouble else ""


def failure(what: Literal["preview", "sweep"], error: PgwatchError) -> str:
    """Returns the sentence that says why a preview or a sweep has no report."""
    match error:
        case WorkCancelledError():
            return f"{what} cancelled"
        case RefusedError():
            return f"{what} refused: {error}"
        case _:
            return f"{what} failed: {error}"
