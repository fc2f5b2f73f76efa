"""Sweeps as the JSON document `pgwatch-tests.sweep/1`, or as one of several."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta

from pgwatch_tests.leaks.attribution.rows_by_test import TestLeak
from pgwatch_tests.reports import giving_way
from pgwatch_tests.reports.sweeps.sweep_words import hint
from pgwatch_tests.sweep.model import AlsoReferring, Cause, SweepReport, SweepsOfDatabases, TableRows
from pgwatch_tests.text.times import iso_time


def document(sweeps: SweepReport | SweepsOfDatabases) -> str:
    """The whole report. ASCII only, so that any text in it survives any pipe.

    What is the same in the model and in the document goes there as it is: `asdict`.
    """
    return json.dumps(_report(sweeps) if isinstance(sweeps, SweepReport) else _databases(sweeps), indent=2)


def _databases(sweeps: SweepsOfDatabases) -> dict[str, object]:
    document: dict[str, object] = {
        "schema": "pgwatch-tests.sweeps-of-databases/1",
        "started_at": iso_time(sweeps.started_at),
        "duration_s": sweeps.duration_s,
        "complete": not sweeps.not_swept and all(report.complete for report in sweeps.sweeps),
        "planned": sum(report.planned_rows for report in sweeps.sweeps),
        "deleted": sum(report.deleted_rows for report in sweeps.sweeps),
        "databases": [_of_server(sweeps, one.server) | _report(one) for one in sweeps.sweeps],
        "not_swept": [
            _of_server(sweeps, one.server) | {"database": one.database or None, "reason": one.reason}
            for one in sweeps.not_swept
        ],
    }
    if sweeps.servers or sweeps.shard:
        document["shard"] = sweeps.shard or None
        document["servers"] = [_server(sweeps, server) for server in sweeps.servers]
    return document


def _of_server(sweeps: SweepsOfDatabases, server: str) -> dict[str, object]:
    """Which server it is of, where there are several to tell apart."""
    return {"server": server} if sweeps.servers else {}


def _server(sweeps: SweepsOfDatabases, server: str) -> dict[str, object]:
    reports = [report for report in sweeps.sweeps if report.server == server]
    left = sum(one.server == server for one in sweeps.not_swept)
    return {
        "server": server,
        "planned": sum(report.planned_rows for report in reports),
        "deleted": sum(report.deleted_rows for report in reports),
        "complete": not left and all(report.complete for report in reports),
        "databases": len(reports),
        "not_swept": left,
    }


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
        "part": None if report.part is None else {"kind": report.part.kind, "name": report.part.name},
        "in_spite_of_age": {"rows": report.in_spite_of_age, "runs": report.ended_runs},
        "planned": _tables(report.planned),
        "deleted": _tables(report.deleted),
        "kept": [asdict(one) | {"hint": hint(one.reason, one.detail)} for one in report.kept],
        "causes": [_cause(cause) for cause in report.causes],
        "also_refer": [_without_examples(one) for one in report.also_refer],
        "youngest": _youngest(report),
        "changed": [asdict(one) for one in report.changed],
        "side_effects": [asdict(one) for one in report.side_effects],
        "since": None if report.since is None else iso_time(report.since),
        "mode": "any" if report.any_rows else "marked",
        "left_by": [_left_by(one) for one in report.left_by],
        # In a dry run those that would be.
        "schemas_dropped": [one.name for one in report.orphans if one.kind == "schemas" and one.removed],
        "orphans": [asdict(orphan) for orphan in report.orphans],
        "not_checked": report.not_checked,
        "complete": report.complete,
        "interrupted": report.interrupted,
        "error": report.error or None,
        "gave_way": giving_way.fields(report.away_s),
        "live_runs": report.live_runs,
        "passes": report.passes,
        "duration_s": report.duration_s,
        "longest_transaction_s": report.longest_transaction_s,
    }


def _tables(rows: tuple[TableRows, ...]) -> dict[str, object]:
    return {
        "tables": [asdict(one) | {"of": one.of or None} for one in rows],
        "total": sum(one.total for one in rows),
        "unmarked": sum(one.unmarked for one in rows),
    }


def _cause(cause: Cause) -> dict[str, object]:
    return {
        "reason": cause.reason,
        "detail": cause.detail,
        "rows": cause.rows,
        "tables": [{"schema": kept.schema, "table": kept.table, "rows": kept.rows} for kept in cause.kept],
    }


def _without_examples(one: AlsoReferring) -> dict[str, object]:
    fields = asdict(one)
    del fields["examples"]  # a few rows to look at before a yes: no document of numbers needs them
    return fields


def _youngest(report: SweepReport) -> dict[str, object] | None:
    one = report.youngest
    if one is None:
        return None
    old_enough_at = one.at + timedelta(seconds=report.min_age_s)
    return asdict(one) | {"at": iso_time(one.at), "old_enough_at": iso_time(old_enough_at)}


def _left_by(one: TestLeak) -> dict[str, object]:
    tables = [{"table": table, "rows": rows} for table, rows in one.tables]
    return asdict(one) | {"test": one.test or None, "tables": tables}
