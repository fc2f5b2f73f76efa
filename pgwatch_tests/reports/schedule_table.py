"""The schedule's jobs as text for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from pgwatch_tests.history.model import JobState
from pgwatch_tests.reports.render import text_table
from pgwatch_tests.reports.sweeps.history_table import result_line
from pgwatch_tests.text.plain_text import plain

_REASON_LIMIT = 60  # characters; JSON has all


def table(jobs: Sequence[JobState]) -> str:
    """A line per job: its action, when it runs, when next, and its last result."""
    if not jobs:
        return "no jobs: they are declared in [tool.pgwatch-tests.schedule.NAME] of pyproject.toml"
    return text_table.table(
        ("Job", "Action", "When", "Next run", "Last run (UTC)", "Result"),
        "llllll",
        [_row(job) for job in jobs],
    )


def _row(job: JobState) -> tuple[str, ...]:
    return (
        plain(job.name),
        f"{job.action} (dry run)" if job.dry_run and job.action != "leaks" else job.action,
        job.when,
        _next(job),
        "never" if job.last is None else _time(job.last.started_at.astimezone(UTC)),
        "" if job.last is None else plain(result_line(job.last), _REASON_LIMIT),
    )


def _next(job: JobState) -> str:
    if not job.enabled:
        return "disabled"
    if job.paused:
        return "paused"
    if job.running:
        return "running"
    # An interval begins with the process that runs the schedule.
    return "once it is running" if job.next_run is None else f"{_time(job.next_run)} {job.next_run:%Z}"


def _time(time: datetime) -> str:
    return time.isoformat(" ", timespec="seconds")[:19]
