"""A scan for leaks as text for people."""

from __future__ import annotations

from collections.abc import Sequence

from pgwatch_tests.leaks.attribution.rows_by_test import TestLeak
from pgwatch_tests.leaks.attribution.rows_by_test import by_test as grouped
from pgwatch_tests.leaks.model import LeakReport, LeaksOfDatabases, Leftover
from pgwatch_tests.reports.leaks import leak_databases, leak_sections, leak_words
from pgwatch_tests.reports.leaks.leak_sections import Style
from pgwatch_tests.reports.leaks.leak_words import summary
from pgwatch_tests.reports.render import digest, text_table
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain

_LIST_LIMIT = 60  # characters of a list in a cell
_STYLE = Style(plain, _LIST_LIMIT, 2 * _LIST_LIMIT)
_MOST_SEQUENCES = 5  # each rolled back or deleted row moves one
_MOST_LEFTOVERS = 200  # the other formats name all


def table(leaks: LeakReport | LeaksOfDatabases, verbose: bool = False) -> str:
    """What leaked and what is left over, what wasn't checked and why, and what was looked for at all.

    Of several databases: a row for each that has something to tell, what they have in common once, on a
    screen of 80 columns and 24 lines. `verbose`: all rows, the clean ones' names, and the report of each.
    """
    if isinstance(leaks, LeakReport):
        return _text(leaks, leak_words.unseen(leaks))
    if len(leaks.databases) + len(leaks.not_checked) == 1 and leaks.databases:
        return _text(leaks.databases[0], leak_words.unseen(leaks))
    told = leak_databases.digest(leaks, plain, in_full=verbose)
    if not verbose:
        return digest.screen_text(told)
    reports = leak_databases.telling(leaks)
    return digest.whole_text(told, ((leak_words.place(report), _text(report, ())) for report in reports))


def _text(report: LeakReport, unseen: Sequence[str]) -> str:
    sections = []
    if report.tables:
        sections.append(text_table.written(leak_sections.leaked_rows(report, _STYLE, fails=False)))
    if tests := by_test(report):
        sections.append(tests)
    if report.leftovers:
        sections.append(_leftovers(report.leftovers))
    if report.skipped or report.unchecked:
        sections.append(text_table.written(leak_sections.not_checked(report, _STYLE)))
    sections.append("\n".join((summary(report), *leak_words.origin(report), *_scope(report, unseen))))
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
    return "Deleted rows can't be seen: take the baseline with --content"


def _leftovers(leftovers: Sequence[Leftover]) -> str:
    sequences = [one for one in leftovers if one.kind == "sequence"]
    shown = [one for one in leftovers if one.kind != "sequence"] + sequences[:_MOST_SEQUENCES]
    hints = any(one.hint for one in leftovers)
    text = text_table.written(leak_sections.leftovers(shown[:_MOST_LEFTOVERS], _STYLE, None, hints))
    hidden = len(sequences) - _MOST_SEQUENCES
    if hidden > 0:
        text += f"\n… and {hidden:,} more {leak_words.kind('sequence', hidden)}"
    more = len(shown) - _MOST_LEFTOVERS
    return f"{text}\n… and {more:,} more" if more > 0 else text


def by_test(report: LeakReport) -> str:
    """A row per test, those with the most rows first, then suspects; empty if no row has an attribution."""
    tests = grouped(report.tables)
    if not tests:
        return ""
    return text_table.table(
        ("By test", "Known by", "Rows", "Tables"),
        "llrl",
        [
            (
                _test_name(one),
                leak_words.known_by(one),
                f"{one.rows:,}",
                plain(", ".join(name for name, _ in one.tables), _LIST_LIMIT),
            )
            for one in tests
        ],
    )


def _test_name(one: TestLeak) -> str:
    if one.confidence == "unknown":
        return f"({plain(one.detail)})" if one.detail else ""
    if len(one.candidates) == 1:
        return leak_words.suspected([plain(one.candidates[0])])
    if one.candidates:
        return "\n".join(
            f"{'one of' if not number else '    or'} {plain(test)}"
            for number, test in enumerate(one.candidates)
        )
    return plain(one.test)
