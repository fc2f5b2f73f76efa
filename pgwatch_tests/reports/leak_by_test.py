"""Which tests left the rows of a scan, as text for people."""

from __future__ import annotations

from collections import defaultdict

from tabulate import tabulate

from pgwatch_tests.leaks.model import Attribution, Confidence, LeakReport
from pgwatch_tests.reports.plain_text import plain

_ORDER: tuple[Confidence, ...] = ("marker", "transaction", "1 of N", "unknown")
_TABLES_LIMIT = 60  # characters of a list in a cell


def by_test(report: LeakReport) -> str:
    """A row a test, those with the most rows first, then what is only suspected; empty if nobody asked."""
    rows: defaultdict[Attribution, int] = defaultdict(int)
    tables: defaultdict[Attribution, list[str]] = defaultdict(list)
    for leak in report.tables:
        for one in leak.attribution:
            # The same verdict, whatever the table.
            verdict = Attribution(one.test, one.confidence, 0, one.candidates, one.detail)
            rows[verdict] += one.rows
            tables[verdict].append(f"{leak.schema}.{leak.table}")
    if not rows:
        return ""
    ordered = sorted(
        rows,
        key=lambda one: (
            _ORDER.index(one.confidence) // 2,
            one.confidence == "unknown",
            -rows[one],
            one.test,
            one.confidence,
            one.candidates,
            one.detail,
        ),
    )
    return tabulate(
        [
            (
                _whose(one),
                _confidence(one),
                str(rows[one]),
                plain(", ".join(dict.fromkeys(tables[one])), _TABLES_LIMIT),
            )
            for one in ordered
        ],
        ("By test", "Known by", "Rows", "Tables"),
        tablefmt="simple",
        colalign=("left", "left", "right", "left"),
        disable_numparse=True,
        preserve_whitespace=True,
    )


def _whose(one: Attribution) -> str:
    if one.confidence == "unknown":
        return f"({plain(one.detail)})" if one.detail else ""
    if one.candidates:
        return "\n".join(
            f"{'one of' if not number else '    or'} {plain(test)}"
            for number, test in enumerate(one.candidates)
        )
    return plain(one.test)


def _confidence(one: Attribution) -> str:
    return f"1 of {len(one.candidates)}" if one.candidates else one.confidence
