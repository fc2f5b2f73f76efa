"""Which tests left the rows of a scan, as text for people."""

from __future__ import annotations

from tabulate import tabulate

from pgwatch_tests.leaks.attribution.rows_by_test import TestLeak
from pgwatch_tests.leaks.attribution.rows_by_test import by_test as grouped
from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.reports.leaks import leak_words
from pgwatch_tests.text.plain_text import plain

_TABLES_LIMIT = 60  # characters of a list in a cell


def by_test(report: LeakReport) -> str:
    """A row a test, those with the most rows first, then what is only suspected; empty if nobody asked."""
    tests = grouped(report.tables)
    if not tests:
        return ""
    return tabulate(
        [
            (
                _whose(one),
                leak_words.known_by(one),
                f"{one.rows:,}",
                plain(", ".join(name for name, _ in one.tables), _TABLES_LIMIT),
            )
            for one in tests
        ],
        ("By test", "Known by", "Rows", "Tables"),
        tablefmt="simple",
        colalign=("left", "left", "right", "left"),
        disable_numparse=True,
        preserve_whitespace=True,
    )


def _whose(one: TestLeak) -> str:
    if one.confidence == "unknown":
        return f"({plain(one.detail)})" if one.detail else ""
    if one.candidates:
        return "\n".join(
            f"{'one of' if not number else '    or'} {plain(test)}"
            for number, test in enumerate(one.candidates)
        )
    return plain(one.test)
