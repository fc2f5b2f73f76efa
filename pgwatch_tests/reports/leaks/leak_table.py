"""A scan for leaks as text for people."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from pgwatch_tests.leaks.many_databases_model import LeaksOfDatabases
from pgwatch_tests.leaks.model import LeakReport, Leftover, Skipped, TableLeak, Unchecked
from pgwatch_tests.reports.leaks import leak_words
from pgwatch_tests.reports.leaks.leak_by_test import by_test
from pgwatch_tests.reports.leaks.leak_words import summary, summary_of_databases
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.times import utc_time

__all__ = ["plural", "summary", "table", "table_of_databases"]

_LIST_LIMIT = 60  # characters of a list in a cell
_MOST_SEQUENCES = 5  # each rolled back or deleted row moves one
_MOST_LEFTOVERS = 200  # the other formats name all


def table(report: LeakReport) -> str:
    """What leaked and what is left over, what wasn't checked and why, and what was looked for at all."""
    return _text(report, leak_words.unseen(report))


def _text(report: LeakReport, unseen: Sequence[str]) -> str:
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
    if report.leftovers:
        sections.append(_leftovers(report.leftovers))
    if report.skipped or report.unchecked:
        sections.append(
            _grid(
                ("Not checked", "Reason", "What would help"),
                [
                    *(_skipped_row(skipped) for skipped in report.skipped),
                    *(_unchecked_row(unchecked) for unchecked in report.unchecked),
                ],
                ("left", "left", "left"),
            )
        )
    sections.append("\n".join((summary(report), *_scope(report, unseen))))
    return "\n\n".join(sections)


def table_of_databases(leaks: LeaksOfDatabases) -> str:
    """The same for each database under its name, those that weren't checked, and all of it in one line."""
    sections = [f"== {plain(report.database)} ==\n\n{_text(report, ())}" for report in leaks.databases]
    if leaks.not_checked:
        sections.append(
            _grid(
                ("Database not checked", "Reason"),
                [(plain(one.database), plain(one.reason)) for one in leaks.not_checked],
                ("left", "left"),
            )
        )
    sections.append("\n".join((summary_of_databases(leaks), *leak_words.unseen_of_databases(leaks))))
    return "\n\n".join(sections)


def _scope(report: LeakReport, unseen: Sequence[str]) -> tuple[str, ...]:
    return (
        f"Checked {plural(report.tables_checked, 'table')} of {plain(report.database)} "
        f"(PostgreSQL {plain(report.server_version)}) for: {leak_words.wanted(report, plain)}",
        _looked_into(report),
        *leak_words.without_strings(report, plain),
        *unseen,
        *leak_words.compared(report, plain),
        leak_words.looked_for(report),
    )


def _looked_into(report: LeakReport) -> str:
    if report.mode == "marked":
        return (
            "Rows are checked by their strings, also in arrays, composites, ranges, JSON, hstore and ltree; "
            f"not in XML, bytea or tsvector{leak_words.unread(report, plain)}"
        )
    if "lost_rows" in report.kinds_checked:
        return "New, changed and deleted rows were looked for"
    return "That rows were deleted can't be seen: take the baseline with --content"


def _row(leak: TableLeak) -> tuple[str, ...]:
    name = _name(leak.schema, leak.table)
    return (
        name if leak.kind == "table" else f"{name} ({plain(leak.kind)})",
        leak_words.rows(leak),
        plain(", ".join(leak.columns), _LIST_LIMIT),
        utc_time(leak.oldest),
        utc_time(leak.newest),
        plain(", ".join(leak.samples), 2 * _LIST_LIMIT),
    )


def _leftovers(leftovers: Sequence[Leftover]) -> str:
    sequences = [one for one in leftovers if one.kind == "sequence"]
    shown = [one for one in leftovers if one.kind != "sequence"] + sequences[:_MOST_SEQUENCES]
    hints = any(one.hint for one in leftovers)
    text = _grid(
        ("Left over", "Name", "Age", "Detail", *(["What would help"] if hints else [])),
        [
            (
                leak_words.kind(one.kind),
                plain(one.name),
                "" if one.age_s is None else durations.in_words(one.age_s),
                plain(one.detail),
                *([plain(one.hint)] if hints else []),
            )
            for one in shown[:_MOST_LEFTOVERS]
        ],
        ("left", "left", "right", "left", *(["left"] if hints else [])),
    )
    hidden = len(sequences) - _MOST_SEQUENCES
    if hidden > 0:
        text += f"\n… and {hidden:,} more {leak_words.kind('sequence', hidden)}"
    more = len(shown) - _MOST_LEFTOVERS
    return f"{text}\n… and {more:,} more" if more > 0 else text


def _skipped_row(skipped: Skipped) -> tuple[str, ...]:
    return _name(skipped.schema, skipped.table), plain(skipped.reason), plain(skipped.hint)


def _unchecked_row(unchecked: Unchecked) -> tuple[str, ...]:
    return leak_words.kind(unchecked.kind, 2), plain(unchecked.reason), plain(unchecked.hint)


def _grid(headers: Sequence[str], rows: Sequence[Sequence[str]], alignment: Sequence[str]) -> str:
    # Without `disable_numparse`, a table named "1e5" would become the number 100000.
    return tabulate(rows, headers, tablefmt="simple", colalign=alignment, disable_numparse=True)


def _name(schema: str, name: str) -> str:
    return plain(f"{schema}.{name}")
