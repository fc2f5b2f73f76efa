"""The schedule's jobs as the JSON document `pgwatch-tests.schedule/1`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from pgwatch_tests.sweep.history_model import HistoryEntry, JobState

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
        "next_run": job.next_run and _time(job.next_run),
        "last": job.last and _entry(job.last),
    }


def _entry(entry: HistoryEntry) -> dict[str, object]:
    return {
        "started_at": _time(entry.started_at),
        "trigger": entry.trigger,
        "server": entry.server,
        "database": entry.database,
        "result": entry.result,
        "reason": entry.reason,
        "planned_rows": entry.planned_rows,
        "deleted_rows": entry.deleted_rows,
        "kept_rows": entry.kept_rows,
        "orphans_removed": entry.orphans_removed,
        "leaked_rows": entry.leaked_rows,
        "leftovers": entry.leftovers,
        "duration_s": entry.duration_s,
    }


def _time(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
