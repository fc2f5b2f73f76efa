"""Rows of the Sweeps tab: the plan by cause with what keys do about it, the jobs, the history. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Literal

from pgwatch_tests.history.model import HistoryEntry, JobState
from pgwatch_tests.reports.render.detail_text import NOW, Detail, KeyName, Labelled, Line
from pgwatch_tests.reports.sweeps import sweep_detail, sweep_history
from pgwatch_tests.reports.sweeps.sweep_causes import CauseLine, Group, cause_lines
from pgwatch_tests.reports.sweeps.sweep_history import result_words
from pgwatch_tests.sweep.model import SweepReport
from pgwatch_tests.text import durations
from pgwatch_tests.text.plain_text import plain, shortened_middle
from pgwatch_tests.text.times import day_and_minute, day_and_time
from pgwatch_tests.text.toned_text import Cell, Tone, Toned
from pgwatch_tests.tui.widgets.tables.column_widths import Column
from pgwatch_tests.tui.widgets.tables.table_rows import LiveRow

SweepsSection = Literal["plan", "jobs", "history"]

SECTIONS: tuple[SweepsSection, ...] = ("plan", "jobs", "history")

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


def capitalised(sentence: str) -> str:
    """Returns `sentence` with its first letter in upper case."""
    return sentence[:1].upper() + sentence[1:]


def plan_rows(report: SweepReport, keys: KeyName, *, acts: bool) -> list[LiveRow]:
    """A row per cause: what goes, what stays, what needs somebody."""
    rows = []
    before = ""
    for key, line in keyed_lines(report, keys, acts=acts).items():
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


def keyed_lines(report: SweepReport, keys: KeyName, *, acts: bool) -> dict[str, CauseLine]:
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
    return f"{keys('leaks')} lists each: {keys('remove-this')} removes it there, after a question"


def detail_with_keys(line: CauseLine, keys: KeyName, *, acts: bool) -> Detail:
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
