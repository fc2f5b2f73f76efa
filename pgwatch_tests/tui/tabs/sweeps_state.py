"""What the Sweeps tab knows, and the words and lines that it makes of it."""

from __future__ import annotations

from dataclasses import dataclass

from pgwatch_tests.history.model import HistoryEntry, JobState
from pgwatch_tests.reports.sweeps import history_table, sweep_remarks, sweep_words
from pgwatch_tests.sweep.model import SweepReport
from pgwatch_tests.text import durations
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.times import clock
from pgwatch_tests.tui.tabs.sweep_rows import Section, history_rows, job_rows, plan_rows
from pgwatch_tests.tui.widgets.live_table import LiveRow

SECTIONS: tuple[Section, ...] = ("plan", "jobs", "history")
_NO_JOBS = """No jobs are declared. In pyproject.toml:

[tool.pgwatch-tests.schedule.nightly]
cron = "30 2 * * *"   # or every = "15m\""""


@dataclass(slots=True)
class SweepsState:
    """Changes as the tab learns more. A `trouble` says why something newer isn't known; else it is empty."""

    acts: bool
    """Whether sweeps are allowed, or only looks."""
    min_age_s: float
    """How old what is swept must be: seconds."""
    section: Section = "plan"
    report: SweepReport | None = None
    """The last look, or what the last sweep did."""
    report_at_s: float = 0.0
    """By the dashboard's clock."""
    trouble: str = ""
    jobs: tuple[JobState, ...] = ()
    jobs_trouble: str = ""
    history: tuple[HistoryEntry, ...] | None = None
    history_trouble: str = ""

    @property
    def next_section(self) -> Section:
        """What is shown after the present section."""
        return SECTIONS[(SECTIONS.index(self.section) + 1) % len(SECTIONS)]

    @property
    def is_plan(self) -> bool:
        """Whether there is a whole plan that a sweep could go by."""
        report = self.report
        return report is not None and report.dry_run and not report.interrupted and not report.error

    @property
    def was_ended(self) -> bool:
        """Whether the last look was ended before it had seen all: what it found is no plan."""
        report = self.report
        return report is not None and report.dry_run and (report.interrupted or bool(report.error))

    def rows(self) -> list[LiveRow]:
        """The lines of the present section."""
        match self.section:
            case "plan":
                return [] if self.report is None else plan_rows(self.report)
            case "jobs":
                return job_rows(self.jobs)
            case "history":
                return history_rows(self.history or ())

    def heads(self) -> str:
        """` Plan  [Jobs 2]  History   s: next · at least 10 min old, a: another age`."""
        names: dict[Section, str] = {
            "plan": self._plan_head(),
            "jobs": f"Jobs {'?' if self.jobs_trouble and not self.jobs else len(self.jobs)}",
            "history": "History",
        }
        heads = [f"[{names[one]}]" if one == self.section else f" {names[one]} " for one in SECTIONS]
        age = f"at least {durations.in_words(self.min_age_s)} old" if self.min_age_s else "of any age"
        return f"{' '.join(heads)}  s: next · {age}, a: another age"

    def nothing(self, is_running: bool) -> str:
        """What there is to say where there are no lines."""
        match self.section:
            case "plan":
                return "" if is_running else self._no_plan()
            case "jobs":
                return f"Not known: {plain(self.jobs_trouble)}" if self.jobs_trouble else _NO_JOBS
            case "history":
                if self.history_trouble:
                    return f"Not known: {plain(self.history_trouble)}"
                return history_table.EMPTY if self.history is not None else "Reading the history …"

    def summary(self) -> str:
        """The plan, or the last sweep, in a line; why what is shown may be old."""
        match self.section:
            case "jobs":
                return self._old(self.jobs_trouble if self.jobs else "")
            case "history":
                return self._old(self.history_trouble if self.history else "")
            case "plan" if self.report is not None:
                parts = [sweep_words.summary(self.report), f"at {clock(self.report.started_at)}"]
                if until := sweep_remarks.old_enough_at(self.report):
                    parts.insert(1, f"old enough by {clock(until)}")
                if self.was_ended:
                    parts.insert(0, "preview ended early, no plan")
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

    def _old(self, trouble: str) -> str:
        return f"stale: {plain(trouble)}" if trouble else ""

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
    """With a capital at its beginning; names in it stay as they are."""
    return sentence[:1].upper() + sentence[1:]
