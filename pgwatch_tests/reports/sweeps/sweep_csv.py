"""Sweeps as CSV: a line per table, per reason to keep its rows, per orphan and side effect."""

from __future__ import annotations

from collections.abc import Iterator

from pgwatch_tests.reports.render import csv_text
from pgwatch_tests.reports.sweeps import sweep_remarks, sweep_words
from pgwatch_tests.reports.sweeps.sweep_words import hint
from pgwatch_tests.sweep.model import SweepReport, SweepsOfDatabases

COLUMNS = (
    *("database", "kind", "status", "schema", "name", "rows", "marked", "dependent", "age_s", "reason"),
    *("detail", "hint", "unmarked", "of", "server"),
)
KEPT, NOT_CHECKED, NOT_SWEPT, ENDED_EARLY = "kept", "not checked", "not swept", "ended early"
CLEAN = "nothing to do"
CHANGED, BY_TRIGGERS = "changed", "written by triggers"


def document(sweeps: SweepReport | SweepsOfDatabases) -> str:
    """A header and the lines; ages are float seconds. A database that wasn't swept has no `kind`,
    and so has one of several in which there was nothing to do.

    Foreign text is shown as plain text; a cell that a spreadsheet would run has an apostrophe before it.
    """
    reports, not_swept = sweep_words.by_database(sweeps)
    lines = [line for report in reports for line in _lines(report)]
    if not isinstance(sweeps, SweepReport):
        clean = filter(sweep_words.is_clean, reports)
        lines += [{"server": one.server, "database": one.database, "status": CLEAN} for one in clean]
    lines += [
        {"server": one.server, "database": one.database, "status": NOT_SWEPT, "detail": one.reason}
        for one in not_swept
    ]
    return csv_text.document(COLUMNS, lines)


def _lines(report: SweepReport) -> Iterator[dict[str, str]]:
    database = {"server": report.server, "database": report.database}
    for one in sweep_words.gone(report):
        yield database | {
            "kind": "rows",
            "status": sweep_words.ending("rows", report.dry_run),
            "schema": one.schema,
            "name": one.table,
            "rows": str(one.total),
            "marked": str(one.marked),
            "dependent": str(one.dependent),
            "unmarked": str(one.unmarked),
            "of": str(one.of) if one.of else "",
        }
    for changed in report.changed:
        yield database | {
            "kind": "rows",
            "status": CHANGED,
            "schema": changed.schema,
            "name": changed.table,
            "rows": str(changed.rows),
            "reason": changed.how,
            "detail": sweep_remarks.changed(changed, report.dry_run, str),
        }
    for effects in report.side_effects:
        yield database | {
            "kind": "rows",
            "status": BY_TRIGGERS,
            "schema": effects.schema,
            "name": effects.table,
            "rows": str(effects.inserted + effects.updated + effects.deleted),
            "detail": sweep_remarks.side_effects(effects, str),
        }
    for kept in report.kept:
        yield database | {
            "kind": "rows",
            "status": KEPT,
            "schema": kept.schema,
            "name": kept.table,
            "rows": str(kept.rows),
            "reason": kept.reason,
            "detail": kept.detail,
            "hint": hint(kept.reason, kept.detail),
        }
    for orphan in report.orphans:
        yield database | {
            "kind": orphan.kind,
            "status": sweep_words.ending(orphan.kind, report.dry_run) if orphan.removed else KEPT,
            "name": orphan.name,
            "age_s": csv_text.seconds(orphan.age_s),
            "reason": orphan.reason or "",
            "detail": orphan.detail,
            "hint": hint(orphan.reason, orphan.detail) if orphan.reason else "",
        }
    for sentence in report.not_checked:
        yield database | {"status": NOT_CHECKED, "detail": sentence}
    if report.error:
        yield database | {"status": ENDED_EARLY, "detail": report.error}
