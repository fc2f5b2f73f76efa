"""Scans for leaks as a JUnit report, which every CI shows beside the tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from xml.etree.ElementTree import Element, SubElement

from pgwatch_tests.leaks.attribution.rows_by_test import by_test, is_certain
from pgwatch_tests.leaks.gate import Gate
from pgwatch_tests.leaks.model import LeakReport, LeaksOfDatabases, LeftoverKind, TableLeak
from pgwatch_tests.reports.leaks import leak_words
from pgwatch_tests.reports.render import junit_xml
from pgwatch_tests.reports.render.junit_xml import seconds
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.times import utc_time

_CLASS = "pgwatch-tests.leaks"


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    outcome: Literal["passed", "failure", "skipped"]
    message: str = ""
    lines: tuple[str, ...] = ()
    type: str = ""
    classname: str = _CLASS


def document(report: LeakReport, gate: Gate) -> str:
    """A test case per test that is known to have left rows (failed if a gate fails on them), one per
    table with rows that nobody is known for, or that wasn't checked (skipped), one for all others,
    one per kind of leftover.

    Each row is in one case, so that failures add up. `time` is how long the check took, in seconds.
    """
    return junit_xml.document([_suite(report, gate, gate.fails_on_rows(report.total))])


def document_of_databases(leaks: LeaksOfDatabases, gate: Gate) -> str:
    """The same with a suite a database, and one with the databases that weren't checked, all skipped."""
    fails = gate.fails_on_rows(leaks.total)
    suites = [_suite(report, gate, fails) for report in leaks.databases]
    if leaks.not_checked:
        suite = Element("testsuite", name="pgwatch-tests leaks: databases not checked", time=seconds(0.0))
        _fill(suite, [_Case(one.database, "skipped", one.reason) for one in leaks.not_checked])
        suites.append(suite)
    return junit_xml.document(suites)


def _suite(report: LeakReport, gate: Gate, fails: bool) -> Element:
    suite = Element(
        "testsuite",
        name=plain(f"pgwatch-tests leaks: {report.database}"),
        timestamp=utc_time(report.checked_at, "T"),
        time=seconds(report.duration_s),
    )
    cases = [*_tables(report, fails), *_tests(report, fails)]
    cases += [_leftovers(kind, report, gate) for kind in report.kinds_checked]
    if report.unread and "unread" in gate.fail_on:
        names = [f"{one.schema}.{one.table}.{one.column} ({one.type})" for one in report.unread]
        number = plural(len(names), "column")
        lines = (*names, leak_words.UNREAD_HINT)
        cases.append(_Case("all columns are read", "skipped", f"not read: {number}", lines))
    _fill(suite, cases)
    return suite


def _fill(suite: Element, cases: list[_Case]) -> None:
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(sum(case.outcome == "failure" for case in cases)))
    suite.set("errors", "0")
    suite.set("skipped", str(sum(case.outcome == "skipped" for case in cases)))
    for case in cases:
        test = SubElement(
            suite, "testcase", classname=plain(case.classname), name=plain(case.name), time=seconds(0.0)
        )
        text = "\n".join(map(plain, case.lines))
        if case.outcome == "failure":
            failure = SubElement(test, "failure", type=case.type, message=plain(case.message))
            failure.text = text
            continue
        if case.outcome == "skipped":
            SubElement(test, "skipped", message=plain(case.message))
        if text:
            SubElement(test, "system-out").text = text


def _tables(report: LeakReport, fails: bool) -> Iterator[_Case]:
    kind = "new or changed" if report.mode == "any" else "test"
    for leak in report.tables:
        by_tests = sum(one.rows for one in leak.attribution if is_certain(one))
        rest = leak.rows - by_tests
        outcome: Literal["failure", "passed"] = "failure" if fails and rest else "passed"
        message = leak_words.title(report, leak) if rest == leak.rows else _rows(report, rest)
        if by_tests:
            message += f"; {plural(by_tests, 'row')} more in the cases of tests"
        name = f"no {kind} rows in {leak.schema}.{leak.table}"
        yield _Case(name, outcome, message, (message, *_details(leak)), "rows")
    for skipped in report.skipped:
        hint = (f"What would help: {skipped.hint}",) if skipped.hint else ()
        yield _Case(
            f"no {kind} rows in {skipped.schema}.{skipped.table}",
            "skipped",
            f"not checked: {skipped.reason}",
            hint,
        )
    clean = report.tables_checked - len(report.tables)
    if clean > 0 or not (report.tables or report.skipped):
        other = "other " if report.tables else ""
        yield _Case(f"no {kind} rows in {plural(max(0, clean), f'{other}table')}", "passed")


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


def _tests(report: LeakReport, fails: bool) -> Iterator[_Case]:
    for one in by_test(report.tables):
        if is_certain(one):
            message = f"{_rows(report, one.rows)} (known by {one.confidence})"
            lines = tuple(f"{name}: {rows:,}" for name, rows in one.tables)
            name = f"{one.test} leaves no rows"
            yield _Case(
                name,
                "failure" if fails else "passed",
                message,
                (message, *lines),
                "rows",
                f"{_CLASS}.by_test",
            )


def _leftovers(kind: LeftoverKind, report: LeakReport, gate: Gate) -> _Case:
    name = f"no {leak_words.kind(kind, 2)}"
    those = [one for one in report.leftovers if one.kind == kind]
    obstacles = [one for one in report.unchecked if one.kind == kind]
    lines = [leak_words.named(one) for one in those]
    lines += [f"not checked: {one.reason}{f' → {one.hint}' if one.hint else ''}" for one in obstacles]
    found = leak_words.number_of(kind, len(those))
    if those and kind in gate.fail_on:
        return _Case(name, "failure", found, tuple(lines), kind)
    if obstacles:
        return _Case(name, "skipped", f"not checked: {obstacles[0].reason}", tuple(lines))
    return _Case(name, "passed", "", tuple(lines))
