"""Scans for leaks as Markdown, for $GITHUB_STEP_SUMMARY and the like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pgwatch_tests.leaks.attribution.rows_by_test import by_test
from pgwatch_tests.leaks.gate import Gate
from pgwatch_tests.leaks.model import LeakReport, LeaksOfDatabases
from pgwatch_tests.reports.leaks import leak_databases, leak_sections, leak_words
from pgwatch_tests.reports.leaks.leak_sections import Style
from pgwatch_tests.reports.render import digest, markdown_text
from pgwatch_tests.reports.render.markdown_text import code, escaped, table, written
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain

_LIST_LIMIT = 120  # characters of a list in a cell


def document(leaks: LeakReport | LeaksOfDatabases, gate: Gate) -> str:
    """A heading, tables, and what was looked for; what a gate fails on is in bold.

    Of several databases: a row for each that has something to tell, what they have in common once, and folded
    up the whole of those with most leaked rows, and the clean ones' names.
    """
    fails, unseen = gate.fails_on_rows(leaks.total), leak_words.unseen(leaks)
    title = f"## Leaks: {leak_words.summary(leaks)}"
    if isinstance(leaks, LeakReport):
        title += f" (database {code(leaks.database)})"
        return markdown_text.document([title, *_sections(leaks, "###", fails, gate, unseen)])
    if len(leaks.databases) == 1 and not leaks.not_checked:
        (report,) = leaks.databases
        title += f" (database {code(leak_words.place(report))})"
        return markdown_text.document([title, *_sections(report, "###", fails, gate, unseen)])
    reports = [
        (
            f"{escaped(leak_words.place(report))}: {leak_words.summary(report)}",
            _sections(report, "####", fails, gate),
        )
        for report in leak_databases.telling(leaks)
    ]
    told = leak_databases.digest(leaks, code)
    return markdown_text.document([title, *digest.markdown(told, reports, "leaks")])


def _sections(
    report: LeakReport, level: str, fails: bool, gate: Gate, unseen: Sequence[str] = ()
) -> Iterator[str]:
    style = Style(code, _LIST_LIMIT, _LIST_LIMIT, _bold)
    yield from written(leak_sections.leaked_rows(report, style, fails), level)
    yield from table(
        ("Test", "Rows", "Known by", "Tables"),
        "lrll",
        [
            (
                code(one.test) or leak_words.UNKNOWN_TEST,
                f"{one.rows:,}",
                leak_words.known_by(one),
                _list([f"{name} {rows:,}" for name, rows in one.tables]),
            )
            for one in by_test(report.tables)
        ],
        f"{level} By test",
    )
    hints = any(one.hint for one in report.leftovers)
    yield from written(leak_sections.leftovers(report.leftovers, style, gate, hints), level)
    yield from written(leak_sections.not_checked(report, style), level)
    scope = [
        f"Checked {plural(report.tables_checked, 'table')} for {leak_words.wanted(report, code)}",
        *([f"Not read{unread}"] if (unread := leak_words.unread(report, code)) else []),
        *leak_words.without_strings(report, code),
        *unseen,
        *leak_words.compared(report, code),
        leak_words.looked_for(report),
    ]
    yield ". ".join(scope) + "."


def _list(texts: Sequence[str]) -> str:
    return code(plain(", ".join(texts), _LIST_LIMIT))


def _bold(text: str) -> str:
    return f"**{text}**"
