"""Scans for leaks as CSV: a line per table, leftover, and thing that couldn't be checked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from pgwatch_tests.leaks.model import LeakReport, LeaksOfDatabases
from pgwatch_tests.reports.leaks import leak_words
from pgwatch_tests.reports.render import csv_text
from pgwatch_tests.text.times import iso_time

COLUMNS = (
    *("database", "kind", "status", "schema", "name", "rows", "columns", "oldest", "newest", "samples"),
    *("left_by", "detail", "age_s", "hint", "marked", "changed", "server"),
)
LEAKED, LEFT_OVER, NOT_CHECKED, CLEAN = "leaked", "left over", "not checked", "clean"


def document(leaks: LeakReport | LeaksOfDatabases) -> str:
    """A header and the lines; `kind` is `rows` or a leftover's. Times are ISO 8601 UTC, ages float seconds.

    Of the rows, so many are `marked` and so many only `changed`; both empty where only marked rows count. A
    database that wasn't checked at all is a line without a `kind`, and so is a clean one of several. Of a
    server none of whose databases could be checked, there is a line without a `database`.

    Foreign text is shown as plain text; a cell that a spreadsheet would run has an apostrophe before it.
    """
    reports, not_checked = leak_words.by_database(leaks)
    lines = [line for report in reports for line in _lines(report)]
    if not isinstance(leaks, LeakReport):
        clean = filter(leak_words.is_clean, reports)
        lines += [{"server": one.server, "database": one.database, "status": CLEAN} for one in clean]
    lines += [
        {"server": one.server, "database": one.database, "status": NOT_CHECKED, "detail": one.reason}
        for one in not_checked
    ]
    return csv_text.document(COLUMNS, lines)


def _lines(report: LeakReport) -> Iterator[dict[str, str]]:
    database = {"server": report.server, "database": report.database}
    for leak in report.tables:
        yield database | {
            "kind": "rows",
            "status": LEAKED,
            "schema": leak.schema,
            "name": leak.table,
            "rows": str(leak.rows),
            "columns": ", ".join(leak.columns),
            "oldest": _time(leak.oldest),
            "newest": _time(leak.newest),
            "samples": ", ".join(leak.samples),
            "left_by": leak_words.left_by(leak.attribution),
            "detail": leak.kind,
            "marked": _number(leak.marked),
            "changed": _number(leak.changed),
        }
    for one in report.leftovers:
        yield database | {
            "kind": one.kind,
            "status": LEFT_OVER,
            "name": one.name,
            "detail": one.detail,
            "age_s": csv_text.seconds(one.age_s),
            "hint": one.hint,
        }
    for skipped in report.skipped:
        yield database | {
            "kind": "rows",
            "status": NOT_CHECKED,
            "schema": skipped.schema,
            "name": skipped.table,
            "detail": skipped.reason,
            "hint": skipped.hint,
        }
    for unchecked in report.unchecked:
        yield database | {
            "kind": unchecked.kind,
            "status": NOT_CHECKED,
            "detail": unchecked.reason,
            "hint": unchecked.hint,
        }


def _number(number: int | None) -> str:
    return "" if number is None else str(number)


def _time(moment: datetime | None) -> str:
    return "" if moment is None else iso_time(moment)
