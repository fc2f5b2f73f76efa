"""Scans for leaks as Markdown, for $GITHUB_STEP_SUMMARY and the like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pgwatch_tests.leaks.attribution.rows_by_test import by_test
from pgwatch_tests.leaks.gate import Gate
from pgwatch_tests.leaks.model import LeakReport, LeaksOfDatabases
from pgwatch_tests.reports.leaks import leak_sections, leak_words
from pgwatch_tests.reports.leaks.leak_sections import Style
from pgwatch_tests.reports.render.markdown_text import code, table, written
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain

_MOST_DATABASES = 30  # what fits into a step's summary, as with a table's rows
_LIST_LIMIT = 120  # characters of a list in a cell


def document(report: LeakReport, gate: Gate) -> str:
    """A heading, tables, and what was looked for; what a gate fails on is in bold."""
    title = f"## Leaks: {leak_words.summary(report)} (database {code(report.database)})"
    unseen = leak_words.unseen(report)
    return _joined([title, *_sections(report, "###", gate.fails_on_rows(report.total), gate, unseen)])


def document_of_databases(leaks: LeaksOfDatabases, gate: Gate) -> str:
    """The same for each database, below what they add up to; those with most leaked rows first."""
    fails = gate.fails_on_rows(leaks.total)
    blocks = [f"## Leaks: {leak_words.summary_of_databases(leaks)}"]
    not_checked = [(code(one.database), code(one.reason)) for one in leaks.not_checked]
    blocks += table(("Database not checked", "Reason"), "ll", not_checked)
    shown = sorted(leaks.databases, key=lambda one: (-one.total, -len(one.leftovers), one.complete))
    for report in shown[:_MOST_DATABASES]:
        blocks.append(f"### {code(report.database)}: {leak_words.summary(report)}")
        blocks += _sections(report, "####", fails, gate)
    if len(shown) > _MOST_DATABASES:
        blocks.append(f"… and {len(shown) - _MOST_DATABASES:,} more databases, with fewer leaks.")
    return _joined([*blocks, *(f"{line}." for line in leak_words.unseen_of_databases(leaks))])


def _joined(blocks: Iterable[str]) -> str:
    return "\n\n".join(blocks) + "\n"


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
