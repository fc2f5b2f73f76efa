"""Scans for leaks as metrics."""

from __future__ import annotations

from collections.abc import Iterator

from pgwatch_tests.leaks.model import LeakReport, LeaksOfDatabases
from pgwatch_tests.reports.leaks import leak_words
from pgwatch_tests.reports.openmetrics.families import Labels, gauge, gauge_of, seconds_since_epoch, text

_MOST_TABLES = 50  # of a database, by name
OTHERS = "other tables"


def document(leaks: LeakReport | LeaksOfDatabases) -> str:
    """Rows per table, leftovers per kind, and of each database whether, when and how it was checked.

    What wasn't checked at all has `pgwatch_tests_leaks_reached` 0 and nothing else. No label names a test.
    """
    reports, not_checked = leak_words.by_database(leaks)
    places: list[tuple[Labels, LeakReport]] = [(_place(one), one) for one in reports]
    return text(
        (
            gauge(
                "leaked_rows",
                "Leaked rows of a table, of the tables that have any.",
                (sample for place, one in places for sample in _tables(place, one)),
            ),
            gauge_of("leaking_tables", "Tables with leaked rows.", places, lambda one: len(one.tables)),
            gauge(
                "leftovers",
                "What is left over besides rows, of each kind that was looked for.",
                (
                    ({**place, "kind": kind}, sum(left.kind == kind for left in one.leftovers))
                    for place, one in places
                    for kind in one.kinds_checked
                ),
            ),
            gauge_of(
                "leaks_complete",
                "1 if everything that was asked for was checked, else 0.",
                places,
                lambda one: one.complete,
            ),
            gauge(
                "leaks_reached",
                "1 if the database, or of a server all that were asked for, could be checked at all, else 0.",
                (
                    *((place, 1) for place, _ in places),
                    *(({"server": one.server, "database": one.database}, 0) for one in not_checked),
                ),
            ),
            gauge_of(
                "leaks_checked_tables", "Tables that were checked.", places, lambda one: one.tables_checked
            ),
            gauge_of(
                "leaks_duration_seconds", "How long the check took.", places, lambda one: one.duration_s
            ),
            gauge_of(
                "leaks_timestamp_seconds",
                "When the check began, since 1970.",
                places,
                lambda one: seconds_since_epoch(one.checked_at),
            ),
        )
    )


def _place(report: LeakReport) -> Labels:
    return {"server": report.server, "database": report.database}


def _tables(place: Labels, report: LeakReport) -> Iterator[tuple[Labels, float]]:
    """The tables with most rows by name, and all others as one."""
    tables = sorted(report.tables, key=lambda leak: -leak.rows)
    for leak in tables[:_MOST_TABLES]:
        yield {**place, "table": f"{leak.schema}.{leak.table}"}, leak.rows
    if others := tables[_MOST_TABLES:]:
        yield {**place, "table": OTHERS}, sum(leak.rows for leak in others)
