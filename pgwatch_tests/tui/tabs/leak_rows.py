"""Leak rows of the Leaks tab, and the detail of each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pgwatch_tests.leaks.attribution.rows_by_test import TestLeak
from pgwatch_tests.leaks.model import LeakReport, Leftover, Skipped, TableLeak, Unchecked
from pgwatch_tests.reports.leaks import leak_words
from pgwatch_tests.text import durations
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.times import in_full
from pgwatch_tests.tui.widgets.live_table import LiveRow


@dataclass(frozen=True, slots=True)
class LeakRow:
    """A row of the table, and its detail as lines of plain text."""

    row: LiveRow
    title: str
    lines: tuple[str, ...]


def leak_rows(report: LeakReport) -> list[LeakRow]:
    """A row per leaked table (most rows first), leftover, and thing not checked."""
    leaked = sorted(report.tables, key=lambda one: (-one.rows, one.schema, one.table))
    rows = [
        *(_table_row(table, report.checked_at) for table in leaked),
        *(_leftover_row(one) for one in report.leftovers),
        *(_skipped_row(one) for one in report.skipped),
        *(_unchecked_row(one) for one in report.unchecked),
    ]
    # Two leftovers may have the same name, such as a lock that several sessions share.
    seen: dict[str, int] = {}
    numbered = []
    for one in rows:
        key = one.row.key
        number = seen[key] = seen.get(key, 0) + 1
        numbered.append(one if number == 1 else replace(one, row=replace(one.row, key=f"{key} {number}")))
    return numbered


def test_rows(tests: tuple[TestLeak, ...]) -> list[LeakRow]:
    """A row per test, in their order."""
    return [_test_row(one) for one in tests]


def _table_row(table: TableLeak, now: datetime) -> LeakRow:
    name = plain(f"{table.schema}.{table.table}")
    age_s = None if table.oldest is None else max(0.0, (now - table.oldest).total_seconds())
    row = LiveRow(
        f"leak {table.schema}.{table.table}",
        (
            name,
            f"{table.rows:,}",
            durations.short(age_s) or "?",
            plain(", ".join(table.columns)),
            plain(", ".join(table.samples)),
        ),
    )
    facts = (
        ("rows", f"{table.rows:,}"),
        ("kind", table.kind),
        ("oldest", "?" if table.oldest is None else in_full(table.oldest)),
        ("newest", "?" if table.newest is None else in_full(table.newest)),
        ("columns", plain(", ".join(table.columns))),
    )
    lines = [*_facts(facts), *_section("Examples", map(plain, table.samples))]
    lines += _section("Left by", (plain(leak_words.left_by((one,))) for one in table.attribution))
    return LeakRow(row, name, tuple(lines))


def _leftover_row(one: Leftover) -> LeakRow:
    name, kind, detail = plain(one.name), leak_words.kind(one.kind), plain(one.detail)
    row = LiveRow(f"left {one.kind} {one.name}", (name, "", durations.short(one.age_s) or "?", kind, detail))
    age = durations.in_words(one.age_s)
    facts = (("kind", kind), ("age", age), ("what", detail), ("fix", plain(one.hint)))
    return LeakRow(row, name, _facts(facts))


def _skipped_row(one: Skipped) -> LeakRow:
    name = plain(f"{one.schema}.{one.table}")
    row = LiveRow(
        f"skipped {one.schema}.{one.table} {one.reason}",
        (name, "?", "?", "", f"not checked: {plain(one.reason)}"),
        "quiet",
    )
    return LeakRow(row, name, _not_checked(one.reason, one.hint))


def _unchecked_row(one: Unchecked) -> LeakRow:
    kinds = leak_words.kind(one.kind, 2)
    row = LiveRow(
        f"unchecked {one.kind} {one.reason}",
        (kinds, "?", "?", "", f"not checked: {plain(one.reason)}"),
        "quiet",
    )
    return LeakRow(row, kinds, _not_checked(one.reason, one.hint))


def _test_row(one: TestLeak) -> LeakRow:
    test, known_by = plain(leak_words.test_name(one)), leak_words.known_by(one)
    row = LiveRow(
        f"test {one.confidence} {one.test} {one.candidates} {one.detail}",
        (f"{one.rows:,}", known_by, test, plain(", ".join(f"{name} {rows:,}" for name, rows in one.tables))),
    )
    facts = (
        ("test", plain(one.test)),
        ("rows", f"{one.rows:,}"),
        ("known by", known_by),
        ("why", plain(one.detail)),
    )
    lines = [
        *_facts(facts),
        *_section("One of", map(plain, one.candidates)),
        *_section("Tables", (f"{rows:>11,}  {plain(name)}" for name, rows in one.tables)),
    ]
    return LeakRow(row, plain(one.test) or leak_words.UNKNOWN_TEST, tuple(lines))


def _not_checked(reason: str, hint: str) -> tuple[str, ...]:
    return _facts((("not checked", plain(reason)), ("fix", plain(hint))))


def _facts(facts: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(f"{name:<12} {words}" for name, words in facts if words)


def _section(title: str, entries: Iterable[str]) -> list[str]:
    lines = [f"  {line}" for line in entries]
    return ["", f"{title}:", *lines] if lines else []
