"""Sections of a leak report: tables that text and Markdown write alike, each in its own style."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pgwatch_tests.leaks.gate import Gate
from pgwatch_tests.leaks.model import LeakReport, Leftover
from pgwatch_tests.reports.leaks import leak_words
from pgwatch_tests.reports.sections import Section
from pgwatch_tests.text import durations
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.times import utc_time


@dataclass(frozen=True, slots=True)
class Style:
    """How a format writes what stands in a cell."""

    shown: Callable[[str], str]
    """Makes foreign text harmless: `plain`, or `code` for Markdown."""
    columns_limit: int
    """Characters of the list of columns in a cell."""
    samples_limit: int
    strong: Callable[[str], str] = str
    """Marks what a gate fails on."""


def leaked_rows(report: LeakReport, style: Style, fails: bool) -> Section:
    """The tables with leaked rows; `fails` says whether a gate fails on them."""
    return Section(
        ("Table", "Rows", "Columns", "Oldest (UTC)", "Newest (UTC)", "Samples"),
        "lrllll",
        [
            (
                style.shown(f"{leak.schema}.{leak.table}")
                + ("" if leak.kind == "table" else f" ({style.shown(leak.kind)})"),
                style.strong(leak_words.rows(leak)) if fails else leak_words.rows(leak),
                style.shown(plain(", ".join(leak.columns), style.columns_limit)),
                utc_time(leak.oldest),
                utc_time(leak.newest),
                style.shown(plain(", ".join(leak.samples), style.samples_limit)),
            )
            for leak in report.tables
        ],
    )


def leftovers(items: Sequence[Leftover], style: Style, gate: Gate | None, has_hints: bool) -> Section:
    """Leftovers beside rows, with a column for what would help if `has_hints`."""
    return Section(
        ("Kind", "Name", "Age", "Detail", *(["What would help"] if has_hints else [])),
        "llrll" if has_hints else "llrl",
        [
            (
                style.strong(kind) if gate is not None and one.kind in gate.fail_on else kind,
                style.shown(one.name),
                "" if one.age_s is None else durations.in_words(one.age_s),
                style.shown(one.detail),
                *([style.shown(one.hint)] if has_hints else []),
            )
            for one in items
            for kind in (leak_words.kind(one.kind),)
        ],
        "Left over",
    )


def not_checked(report: LeakReport, style: Style) -> Section:
    """Tables and kinds of leftovers that couldn't be checked, each with the reason and the remedy."""
    shown = style.shown
    return Section(
        ("What", "Reason", "What would help"),
        "lll",
        [
            *(
                (shown(f"{one.schema}.{one.table}"), shown(one.reason), shown(one.hint))
                for one in report.skipped
            ),
            *((leak_words.kind(one.kind, 2), shown(one.reason), shown(one.hint)) for one in report.unchecked),
        ],
        "Not checked",
    )
