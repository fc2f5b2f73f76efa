"""The schedule's jobs as the JSON document `pgwatch-tests.schedule/1`."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pgwatch_tests.history.model import JobState
from pgwatch_tests.reports.sweeps.history_json import entry_fields
from pgwatch_tests.text.times import iso_time

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
