"""A scan for leaks as text for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from tabulate import tabulate

from pgwatch_tests.leaks.model import LeakReport, TableLeak
from pgwatch_tests.reports.leak_by_test import by_test
from pgwatch_tests.reports.plain_text import plain

_LIST_LIMIT = 60  # characters of a list in a cell


def table(report: LeakReport) -> str:
    """What leaked, what wasn't checked and why, and a summary that says what was looked for at all."""
    sections = []
    if report.tables:
        sections.append(
            _grid(
                ("Table", "Rows", "Columns", "Oldest (UTC)", "Newest (UTC)", "Samples"),
                [_row(leak) for leak in report.tables],
                ("left", "right", "left", "left", "left", "left"),
            )
        )
    sections.extend(filter(None, [by_test(report)]))
    if report.skipped:
        sections.append(
            _grid(
                ("Not checked", "Reason", "What would help"),
                [
                    (_name(skipped.schema, skipped.table), plain(skipped.reason), plain(skipped.hint))
                    for skipped in report.skipped
                ],
                ("left", "left", "left"),
            )
        )
    sections.append("\n".join((summary(report), *_scope(report))))
    return "\n\n".join(sections)


def summary(report: LeakReport) -> str:
    """`7 leaked rows in 1 table; 2 tables not checked`."""
    if report.tables:
        line = f"{many(report.total, 'leaked row')} in {many(len(report.tables), 'table')}"
    else:
        line = "no leaked rows"
    unchecked = len({(skipped.schema, skipped.table) for skipped in report.skipped})
    return f"{line}; {many(unchecked, 'table')} not checked" if unchecked else line


def _scope(report: LeakReport) -> tuple[str, str]:
    return (
        f"Checked {many(report.tables_checked, 'table')} of {plain(report.database)} "
        f"(PostgreSQL {plain(report.server_version)}) for: {', '.join(map(plain, report.markers))}",
        "Only rows are checked so far, by their string columns: no arrays, no JSON, "
        "no left-over schemas, sessions or prepared transactions",
    )


def _row(leak: TableLeak) -> tuple[str, ...]:
    name = _name(leak.schema, leak.table)
    return (
        name if leak.kind == "table" else f"{name} ({plain(leak.kind)})",
        str(leak.rows),
        plain(", ".join(leak.columns), _LIST_LIMIT),
        _time(leak.oldest),
        _time(leak.newest),
        plain(", ".join(leak.samples), 2 * _LIST_LIMIT),
    )


def _grid(headers: Sequence[str], rows: Sequence[Sequence[str]], alignment: Sequence[str]) -> str:
    # Without `disable_numparse`, a table named "1e5" would become the number 100000.
    return tabulate(rows, headers, tablefmt="simple", colalign=alignment, disable_numparse=True)


def _name(schema: str, name: str) -> str:
    return plain(f"{schema}.{name}")


def _time(time: datetime | None) -> str:
    return "" if time is None else time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def many(number: int, noun: str) -> str:
    """`1 table`, `2 tables`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
