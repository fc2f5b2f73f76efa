"""Scans for leaks as annotations of a GitHub workflow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pgwatch_tests.leaks.gate import Gate
from pgwatch_tests.leaks.model import LeakReport, LeaksOfDatabases, Leftover
from pgwatch_tests.reports.leaks import leak_words
from pgwatch_tests.reports.render.ci_text import annotation
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain

AnnotationLevel = Literal["error", "warning", "notice"]

# GitHub shows ten of a step, so several leftovers of a kind share one.
_NAMED = 20


def document(leaks: LeakReport | LeaksOfDatabases, gate: Gate) -> str:
    """A line per table, kind of leftover, and thing not checked; `::error` for what a gate fails on."""
    reports, not_checked = leak_words.by_database(leaks)
    fails = gate.fails_on_rows(leaks.total)
    lines = [line for report in reports for line in _annotations(report, gate, fails)]
    lines += [
        annotation("error", f"not checked: database {plain(one.database)}", plain(one.reason))
        for one in not_checked
    ]
    lines += [annotation("notice", "pgwatch-tests leaks", line) for line in leak_words.unseen(leaks)]
    return "\n".join((*lines, leak_words.summary(leaks))) + "\n"


def _annotations(report: LeakReport, gate: Gate, fails: bool) -> Iterator[str]:
    where = f"database {plain(report.database)}"
    for leak in report.tables:
        lines = [f"in {plain(', '.join(leak.columns))}; {where}" if leak.columns else where]
        if leak.samples:
            lines.append(f"such as {plain(', '.join(leak.samples))}")
        if leak.attribution:
            lines.append(f"left by {plain(leak_words.left_by(leak.attribution))}")
        title = f"{leak_words.title(report, leak)} in {plain(f'{leak.schema}.{leak.table}')}"
        yield annotation(_level(fails), title, "\n".join(lines))
    for kind in dict.fromkeys(one.kind for one in report.leftovers):
        those = [one for one in report.leftovers if one.kind == kind]
        title = f"left over in {where}: {leak_words.number_of(kind, len(those))}"
        yield annotation(_level(kind in gate.fail_on), title, "\n".join(_named(those)))
    if report.skipped:
        tables = {(one.schema, one.table) for one in report.skipped}
        title = f"not checked in {where}: {plural(len(tables), 'table')}"
        lines = [
            _reason(f"{one.schema}.{one.table}", one.reason, one.hint) for one in report.skipped[:_NAMED]
        ]
        yield annotation(_level("rows" in gate.fail_on), title, "\n".join(_with_rest(lines, report.skipped)))
    if report.unread and "unread" in gate.fail_on:
        title = f"not read in {where}: {plural(len(report.unread), 'column')}"
        columns = [f"{one.schema}.{one.table}.{one.column} ({one.type})" for one in report.unread[:_NAMED]]
        lines = _with_rest([plain(one) for one in columns], report.unread)
        yield annotation("error", title, "\n".join((*lines, leak_words.UNREAD_HINT)))
    for unchecked in report.unchecked:
        title = f"not fully checked in {where}: {leak_words.kind(unchecked.kind, 2)}"
        message = _reason("", unchecked.reason, unchecked.hint)
        yield annotation(_level(unchecked.kind in gate.fail_on), title, message)


def _level(fails: bool) -> AnnotationLevel:
    return "error" if fails else "warning"


def _named(leftovers: list[Leftover]) -> list[str]:
    return _with_rest([plain(leak_words.named(one)) for one in leftovers[:_NAMED]], leftovers)


def _with_rest(lines: list[str], everything: tuple[object, ...] | list[Leftover]) -> list[str]:
    rest = len(everything) - len(lines)
    return [*lines, f"… and {rest:,} more"] if rest > 0 else lines


def _reason(what: str, reason: str, hint: str) -> str:
    text = f"{plain(what)}: {plain(reason)}" if what else plain(reason)
    return f"{text} → {plain(hint)}" if hint else text
