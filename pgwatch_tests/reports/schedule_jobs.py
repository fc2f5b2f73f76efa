"""The schedule's jobs: as text for people, and as the JSON document `pgwatch-tests.schedule/1`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from pgwatch_tests.history.model import JobState
from pgwatch_tests.reports.render import text_table
from pgwatch_tests.reports.sweeps.sweep_history import entry_fields, result_line
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.times import iso_time

_REASON_LIMIT = 60  # characters; JSON has all


def table(jobs: Sequence[JobState]) -> str:
    """A line per job: its action, when it runs, when next, and its last result."""
    if not jobs:
        return "no jobs: declare them in [tool.pgwatch-tests.schedule.NAME] of pyproject.toml"
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


SCHEMA = "pgwatch-tests.schedule/1"


def document(jobs: Sequence[JobState]) -> str:
    """All jobs, ASCII only. `next_run` is null where nothing can tell, `last` if a job never ran."""
    return json.dumps({"schema": SCHEMA, "jobs": [_job(job) for job in jobs]}, indent=2)


def _job(job: JobState) -> dict[str, object]:
    return {
        "name": job.name,
        "action": job.action,
        "when": job.when,
        "dry_run": job.dry_run,
        "enabled": job.enabled,
        "paused": job.paused,
        "running": job.running,
        "next_run": job.next_run and iso_time(job.next_run),
        "last": job.last and entry_fields(job.last),
    }
