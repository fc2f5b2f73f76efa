"""A scan for leaks as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from tabulate import tabulate

from pgwatch_tests.leaks.model import LeakReport, TableLeak
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
    sections.append("\n".join((summary(report), *_scope(report), *_baseline(report))))
    return "\n\n".join(sections)


def summary(report: LeakReport) -> str:
    """`7 leaked rows in 1 table; 2 tables not checked`."""
    if report.tables:
        line = f"{many(report.total, _counted(report))} in {many(len(report.tables), 'table')}"
    else:
        line = f"no {_counted(report)}s"
    unchecked = len({(skipped.schema, skipped.table) for skipped in report.skipped})
    return f"{line}; {many(unchecked, 'table')} not checked" if unchecked else line


def _counted(report: LeakReport) -> str:
    return "new or changed row" if report.mode == "any" else "leaked row"


def _baseline(report: LeakReport) -> Iterator[str]:
    used = report.baseline
    if used is None:
        return
    taken = f"Compared with the baseline of {_time(used.taken_at)} UTC"
    if used.way == "statistics":
        yield f"{taken}: {many(used.tables_untouched, 'table')} untouched by the server's statistics"
    else:
        yield f"{taken}: every table looked at, since {plain(used.detail)}"
    if used.rows_before:
        where = " in the other tables" if used.tables_untouched else ""
        were = "was" if used.rows_before == 1 else "were"
        yield f"{many(used.rows_before, 'marked row')}{where} {were} there before"
    if used.dropped:
        yield f"Dropped since: {plain(', '.join(used.dropped), 4 * _LIST_LIMIT)}"
    yield from (plain(note) for note in used.notes)


def _scope(report: LeakReport) -> tuple[str, str]:
    checked = (
        f"Checked {many(report.tables_checked, 'table')} of {plain(report.database)} "
        f"(PostgreSQL {plain(report.server_version)})"
    )
    if report.mode == "any":
        return f"{checked} for: any row", "Only rows are checked so far; that rows were deleted can't be seen"
    return (
        f"{checked} for: {', '.join(map(plain, report.markers))}",
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
