"""Scans for leaks as a JUnit report, which every CI shows beside the tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal
from xml.etree.ElementTree import Element

from pgwatch_tests.leaks.attribution.rows_by_test import by_test, is_certain
from pgwatch_tests.leaks.gate import Gate
from pgwatch_tests.leaks.model import LeakReport, LeaksOfDatabases, LeftoverKind, TableLeak
from pgwatch_tests.reports.leaks import leak_words
from pgwatch_tests.reports.render import ci_text
from pgwatch_tests.reports.render.ci_text import Case, seconds
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.times import utc_time

_CLASS = "pgwatch-tests.leaks"


def document(leaks: LeakReport | LeaksOfDatabases, gate: Gate) -> str:
    """A test case per test that is known to have left rows (failed if a gate fails on them), one per
    table with rows that nobody is known for, or that wasn't checked (skipped), one for all others,
    one per kind of leftover.

    Each row is in one case, so that failures add up. `time` is how long the check took, in seconds. Each
    database has a suite; of several, the clean ones have one together, a case each, and those that weren't
    checked another, all skipped.
    """
    return ci_text.junit(suites(leaks, gate))


def suites(leaks: LeakReport | LeaksOfDatabases, gate: Gate) -> list[Element]:
    """The suites of `document`, for one that has more of them."""
    reports, not_checked = leak_words.by_database(leaks)
    fails = gate.fails_on_rows(leaks.total)
    is_one = len(reports) + len(not_checked) == 1
    clean = [report for report in reports if leak_words.is_clean(report) and not _unread(report, gate)]
    made = [_suite(report, gate, fails) for report in reports if is_one or report not in clean]
    if clean and not is_one:
        cases = [Case(leak_words.place(report), "passed", time_s=report.duration_s) for report in clean]
        name = "pgwatch-tests leaks: clean databases"
        took = seconds(sum(report.duration_s for report in clean))
        made.append(ci_text.suite(_CLASS, cases, name=name, time=took))
    if not_checked:
        cases = [Case(leak_words.place(one), "skipped", one.reason) for one in not_checked]
        name = "pgwatch-tests leaks: databases not checked"
        made.append(ci_text.suite(_CLASS, cases, name=name, time=seconds(0.0)))
    return made


def _suite(report: LeakReport, gate: Gate, fails: bool) -> Element:
    cases = [*_tables(report, fails), *_tests(report, fails)]
    cases += [_leftovers(kind, report, gate) for kind in report.kinds_checked]
    if _unread(report, gate):
        names = [f"{one.schema}.{one.table}.{one.column} ({one.type})" for one in report.unread]
        number = plural(len(names), "column")
        lines = (*names, leak_words.UNREAD_HINT)
        cases.append(Case("all columns are read", "skipped", f"not read: {number}", lines))
    return ci_text.suite(
        _CLASS,
        cases,
        name=f"pgwatch-tests leaks: {leak_words.place(report)}",
        timestamp=utc_time(report.checked_at, "T"),
        time=seconds(report.duration_s),
    )


def _unread(report: LeakReport, gate: Gate) -> bool:
    """Whether there are columns that a gate asks for, and that aren't read."""
    return bool(report.unread) and "unread" in gate.fail_on


def _tables(report: LeakReport, fails: bool) -> Iterator[Case]:
    kind = "new or changed" if report.mode == "any" else "test"
    for leak in report.tables:
        by_tests = sum(one.rows for one in leak.attribution if is_certain(one))
        rest = leak.rows - by_tests
        outcome: Literal["failure", "passed"] = "failure" if fails and rest else "passed"
        message = leak_words.title(report, leak) if rest == leak.rows else _rows(report, rest)
        if by_tests:
            message += f"; {plural(by_tests, 'row')} more in the cases of tests"
        name = f"no {kind} rows in {leak.schema}.{leak.table}"
        yield Case(name, outcome, message, (message, *_details(leak)), "rows")
    for skipped in report.skipped:
        hint = (f"What would help: {skipped.hint}",) if skipped.hint else ()
        yield Case(
            f"no {kind} rows in {skipped.schema}.{skipped.table}",
            "skipped",
            f"not checked: {skipped.reason}",
            hint,
        )
    clean = report.tables_checked - len(report.tables)
    if clean > 0 or not (report.tables or report.skipped):
        other = "other " if report.tables else ""
        yield Case(f"no {kind} rows in {plural(max(0, clean), f'{other}table')}", "passed")


def _rows(report: LeakReport, number: int) -> str:
    return plural(number, leak_words.counted(report))


def _details(leak: TableLeak) -> Iterator[str]:
    if leak.columns:
        yield f"columns: {', '.join(leak.columns)}"
    if leak.oldest or leak.newest:
        yield f"from {utc_time(leak.oldest)} to {utc_time(leak.newest)} (UTC)"
    if leak.samples:
        yield f"such as: {', '.join(leak.samples)}"
    if leak.attribution:
        yield f"left by: {leak_words.left_by(leak.attribution)}"


def _tests(report: LeakReport, fails: bool) -> Iterator[Case]:
    for one in by_test(report.tables):
        if is_certain(one):
            message = f"{_rows(report, one.rows)} (known by {one.confidence})"
            lines = tuple(f"{name}: {rows:,}" for name, rows in one.tables)
            outcome: Literal["failure", "passed"] = "failure" if fails else "passed"
            name = f"{one.test} leaves no rows"
            yield Case(name, outcome, message, (message, *lines), "rows", f"{_CLASS}.by_test")


def _leftovers(kind: LeftoverKind, report: LeakReport, gate: Gate) -> Case:
    name = f"no {leak_words.kind(kind, 2)}"
    those = [one for one in report.leftovers if one.kind == kind]
    obstacles = [one for one in report.unchecked if one.kind == kind]
    lines = [leak_words.named(one) for one in those]
    lines += [f"not checked: {one.reason}{f' → {one.hint}' if one.hint else ''}" for one in obstacles]
    number = leak_words.number_of(kind, len(those))
    if those and kind in gate.fail_on:
        return Case(name, "failure", number, tuple(lines), kind)
    if obstacles:
        return Case(name, "skipped", f"not checked: {obstacles[0].reason}", tuple(lines))
    return Case(name, "passed", "", tuple(lines))
