"""Sweeps as the JSON document `pgwatch-tests.sweep/1`, or as one of several."""

from __future__ import annotations

import json

from pgwatch_tests.leaks.attribution.rows_by_test import TestLeak
from pgwatch_tests.reports import giving_way
from pgwatch_tests.reports.sweeps.sweep_words import hint
from pgwatch_tests.sweep.model import Cause, Kept, Orphan, SweepReport, SweepsOfDatabases, TableRows
from pgwatch_tests.text.times import iso_time


def document(report: SweepReport) -> str:
    """The whole report. ASCII only, so that any text in it survives any pipe."""
    return json.dumps(_report(report), indent=2)


def document_of_databases(sweeps: SweepsOfDatabases) -> str:
    """The reports of several databases in one document, `pgwatch-tests.sweeps-of-databases/1`."""
    return json.dumps(
        {
            "schema": "pgwatch-tests.sweeps-of-databases/1",
            "started_at": iso_time(sweeps.started_at),
            "duration_s": sweeps.duration_s,
            "complete": not sweeps.not_swept and all(report.complete for report in sweeps.sweeps),
            "planned": sum(report.planned_rows for report in sweeps.sweeps),
            "deleted": sum(report.deleted_rows for report in sweeps.sweeps),
            "databases": [_report(report) for report in sweeps.sweeps],
            "not_swept": [{"database": one.database, "reason": one.reason} for one in sweeps.not_swept],
        },
        indent=2,
    )


def _report(report: SweepReport) -> dict[str, object]:
    return {
        "schema": "pgwatch-tests.sweep/1",
        "started_at": iso_time(report.started_at),
        "server_version": report.server_version,
        "database": report.database,
        "dry_run": report.dry_run,
        "kinds": report.kinds,
        "markers": report.markers,
        "min_age_s": report.min_age_s,
        "in_spite_of_age": {"rows": report.in_spite_of_age, "runs": report.ended_runs},
        "planned": _tables(report.planned),
        "deleted": _tables(report.deleted),
        "kept": [_kept(kept) for kept in report.kept],
        "causes": [_cause(cause) for cause in report.causes],
        "changed": [
            {
                "schema": one.schema,
                "table": one.table,
                "columns": one.columns,
                "how": one.how,
                "rows": one.rows,
            }
            for one in report.changed
        ],
        "side_effects": [
            {
                "schema": one.schema,
                "table": one.table,
                "inserted": one.inserted,
                "updated": one.updated,
                "deleted": one.deleted,
                "emptied": one.emptied,
            }
            for one in report.side_effects
        ],
        "since": None if report.since is None else iso_time(report.since),
        "mode": "any" if report.any_rows else "marked",
        "left_by": [_left_by(one) for one in report.left_by],
        # In a dry run those that would be.
        "schemas_dropped": [one.name for one in report.orphans if one.kind == "schemas" and one.removed],
        "orphans": [_orphan(orphan) for orphan in report.orphans],
        "not_checked": report.not_checked,
        "complete": report.complete,
        "interrupted": report.interrupted,
        "error": report.error or None,
        "gave_way": giving_way.fields(report.away_s),
        "passes": report.passes,
        "duration_s": report.duration_s,
        "longest_transaction_s": report.longest_transaction_s,
    }


def _tables(rows: tuple[TableRows, ...]) -> dict[str, object]:
    return {
        "tables": [
            {
                "schema": one.schema,
                "table": one.table,
                "marked": one.marked,
                "dependent": one.dependent,
                "unmarked": one.unmarked,
                "of": one.of or None,
            }
            for one in rows
        ],
        "total": sum(one.total for one in rows),
        "unmarked": sum(one.unmarked for one in rows),
    }


def _kept(kept: Kept) -> dict[str, object]:
    return {
        "schema": kept.schema,
        "table": kept.table,
        "rows": kept.rows,
        "reason": kept.reason,
        "detail": kept.detail,
        "hint": hint(kept.reason, kept.detail),
    }


def _cause(cause: Cause) -> dict[str, object]:
    return {
        "reason": cause.reason,
        "detail": cause.detail,
        "rows": cause.rows,
        "tables": [{"schema": kept.schema, "table": kept.table, "rows": kept.rows} for kept in cause.kept],
    }


def _left_by(one: TestLeak) -> dict[str, object]:
    return {
        "test": one.test or None,
        "confidence": one.confidence,
        "rows": one.rows,
        "tables": [{"table": table, "rows": rows} for table, rows in one.tables],
        "candidates": one.candidates,
        "detail": one.detail,
    }


def _orphan(orphan: Orphan) -> dict[str, object]:
    return {
        "kind": orphan.kind,
        "name": orphan.name,
        "removed": orphan.removed,
        "reason": orphan.reason,
        "detail": orphan.detail,
        "age_s": orphan.age_s,
    }
