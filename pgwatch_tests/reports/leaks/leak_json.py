"""Scans for leaks as the JSON document `pgwatch-tests.leaks/1`, or as one of several."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime

from pgwatch_tests.accepted_findings import Finding
from pgwatch_tests.leaks.model import (
    AcceptedUse,
    BaselineUse,
    LeakReport,
    LeaksOfDatabases,
    Leftover,
    TableLeak,
)
from pgwatch_tests.reports import giving_way
from pgwatch_tests.reports.leaks import leak_words
from pgwatch_tests.text.times import iso_time


def document(leaks: LeakReport | LeaksOfDatabases) -> str:
    """The whole report. ASCII only, so that any text in it survives any pipe.

    What is the same in the model and in the document goes there as it is: `asdict`.
    """
    return json.dumps(_report(leaks) if isinstance(leaks, LeakReport) else _databases(leaks), indent=2)


def _databases(leaks: LeaksOfDatabases) -> dict[str, object]:
    document: dict[str, object] = {
        "schema": "pgwatch-tests.leaks-of-databases/1",
        "checked_at": iso_time(leaks.checked_at),
        "total": leaks.total,
        "complete": leaks.complete,
        "databases": [_of_server(leaks, one.server) | _report(one) for one in leaks.databases],
        "not_checked": [
            _of_server(leaks, one.server) | {"database": one.database or None, "reason": one.reason}
            for one in leaks.not_checked
        ],
    }
    if leaks.servers or leaks.shard:
        document["shard"] = leaks.shard or None
        document["servers"] = [_server(leaks, server) for server in leaks.servers]
    return document


def _of_server(leaks: LeaksOfDatabases, server: str) -> dict[str, object]:
    """Which server it is of, where there are several to tell apart."""
    return {"server": server} if leaks.servers else {}


def _server(leaks: LeaksOfDatabases, server: str) -> dict[str, object]:
    reports = [report for report in leaks.databases if report.server == server]
    missing = [one for one in leaks.not_checked if one.server == server]
    return {
        "server": server,
        "total": sum(report.total for report in reports),
        "leftovers": sum(len(report.leftovers) for report in reports),
        "complete": not missing and all(report.complete for report in reports),
        "databases": len(reports),
        "clean": sum(map(leak_words.is_clean, reports)),
        "not_checked": len(missing),
    }


def _report(report: LeakReport) -> dict[str, object]:
    return {
        "schema": "pgwatch-tests.leaks/1",
        "checked_at": iso_time(report.checked_at),
        "server_version": report.server_version,
        "database": report.database,
        "markers": report.markers,
        "mode": report.mode,
        "baseline": report.baseline and _baseline(report.baseline),
        # What was looked for at all: an empty `leftovers` says nothing about what isn't named here.
        "checked": ["rows", *report.kinds_checked],
        "total": report.total,
        "complete": report.complete,
        "tables": [_table(leak) for leak in report.tables],
        "skipped": [asdict(table) for table in report.skipped],
        "without_strings": report.without_strings,
        "unread": [asdict(column) for column in report.unread],
        "leftovers": [_leftover(one) for one in report.leftovers],
        "unchecked": [asdict(one) for one in report.unchecked],
        "accepted": report.accepted and _accepted(report.accepted),
        "gave_way": giving_way.fields(report.away_s) | {"in_the_way_s": round(report.in_the_way_s, 3)},
        "ignored": [asdict(one) for one in report.ignored],
        "live_runs": report.live_runs,
    }


def _table(leak: TableLeak) -> dict[str, object]:
    return {
        "schema": leak.schema,
        "table": leak.table,
        "columns": leak.columns,
        "rows": leak.rows,
        "marked": leak.marked,
        "changed": leak.changed,
        "oldest": _time(leak.oldest),
        "newest": _time(leak.newest),
        "samples": leak.samples,
        "attribution": [asdict(one) | {"test": one.test or None} for one in leak.attribution],
    }


def _leftover(left: Leftover) -> dict[str, object]:
    fields = asdict(left) | {"test": left.test or None}
    del fields["session"]  # its name has the pid
    return fields


def _baseline(baseline: BaselineUse) -> dict[str, object]:
    return {
        "taken_at": iso_time(baseline.taken_at),
        "way": baseline.way,
        "detail": baseline.detail,
        "tables_untouched": baseline.tables_untouched,
        "marked_rows_before": baseline.rows_before,
        "tables_dropped": baseline.dropped,
        "objects_dropped": baseline.gone,
        "notes": baseline.notes,
    }


def _accepted(use: AcceptedUse) -> dict[str, object]:
    return {
        "rows": use.rows,
        "leftovers": use.leftovers,
        "known": [_entry(one.entry) | {"number": one.number} for one in use.known],
        "gone": [_entry(one) for one in use.gone],
    }


def _entry(entry: Finding) -> dict[str, object]:
    return {"kind": entry.kind, "place": entry.place, "test": entry.test or None}


def _time(time: datetime | None) -> str | None:
    return None if time is None else iso_time(time)
