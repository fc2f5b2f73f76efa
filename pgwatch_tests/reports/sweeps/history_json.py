"""The history of sweeps as the JSON document `pgwatch-tests.sweep-history/1`."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pgwatch_tests.history.model import HistoryEntry
from pgwatch_tests.text.times import iso_time


def document(entries: Sequence[HistoryEntry], place: str) -> str:
    """The entries as they come, and where they are kept. ASCII only."""
    return json.dumps(
        {
            "schema": "pgwatch-tests.sweep-history/1",
            "history": place,
            "sweeps": [entry_fields(entry) for entry in entries],
        },
        indent=2,
    )


def entry_fields(entry: HistoryEntry) -> dict[str, object]:
    """One entry, in every document that has some."""
    return {
        "id": entry.id,
        "started_at": iso_time(entry.started_at),
        "action": entry.action,
        "trigger": entry.trigger,
        "job": entry.job or None,
        "account": entry.account,
        "pid": entry.pid,
        "role": entry.role,
        "server": entry.server,
        "database": entry.database,
        "dry_run": entry.dry_run,
        "kinds": entry.kinds,
        "markers": entry.markers,
        "min_age_s": entry.min_age_s,
        "result": entry.result,
        "reason": entry.reason or None,
        "planned": entry.planned_rows,
        "deleted": entry.deleted_rows,
        "kept": entry.kept_rows,
        "orphans_removed": entry.orphans_removed,
        "leaked": entry.leaked_rows,
        "leftovers": entry.leftovers,
        "passes": entry.passes,
        "duration_s": entry.duration_s,
        "longest_transaction_s": entry.longest_transaction_s,
    }
