"""Scans for leaks as annotations of a GitHub workflow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from pgwatch_tests.leaks.gate import Gate
from pgwatch_tests.leaks.model import LeakReport, LeaksOfDatabases, Leftover
from pgwatch_tests.reports.leaks import leak_databases, leak_words
from pgwatch_tests.reports.render.ci_text import annotation
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain

AnnotationLevel = Literal["error", "warning", "notice"]

# GitHub shows ten of a step, so several leftovers of a kind share one.
_NAMED = 20


def document(leaks: LeakReport | LeaksOfDatabases, gate: Gate) -> str:
    """A line per table, kind of leftover, and thing not checked; `::error` for what a gate fails on.

    Of several databases, those with the same table, kind or reason share a line.
    """
    reports, not_checked = leak_words.by_database(leaks)
    fails = gate.fails_on_rows(leaks.total)
    if len(reports) == 1:
        lines = list(_annotations(reports[0], gate, fails))
    else:
        lines = list(_of_databases(reports, gate, fails))
    is_fleet = isinstance(leaks, LeaksOfDatabases) and bool(leaks.servers)
    for reason, places in leak_databases.grouped(not_checked).items():
        alone = plain(places[0]) if is_fleet else f"database {plain(places[0])}"
        noun = "place" if is_fleet else "database"
        what = alone if len(places) == 1 else plural(len(places), noun)
        named = "" if len(places) == 1 else f"\n{_places(places)}"
        lines.append(annotation("error", f"not checked: {what}", f"{plain(reason)}{named}"))
    lines += [annotation("notice", "pgwatch-tests leaks", line) for line in leak_words.unseen(leaks)]
    return "\n".join((*lines, leak_words.summary(leaks))) + "\n"


def _of_databases(reports: Sequence[LeakReport], gate: Gate, fails: bool) -> Iterator[str]:
    """A line per finding that databases have in common, most common first; one of its own as usual."""
    shared: dict[tuple[str, str], list[tuple[LeakReport, LeakReport]]] = {}
    for report in reports:
        for key, alone in _parts(report):
            shared.setdefault(key, []).append((report, alone))
    for (what, name), those in sorted(shared.items(), key=lambda item: -len(item[1])):
        if len(those) == 1:
            yield from _annotations(those[0][1], gate, fails)
            continue
        places = [leak_words.place(report) for report, _ in those]
        where = f" in {plural(len(places), 'database')}"
        alone = those[0][1]
        if what == "rows":
            rows = sum(part.total for _, part in those)
            title = f"{plural(rows, leak_words.counted(alone))} in {plain(name)}{where}"
            level = _level(fails)
        elif what == "leftover":
            kind = alone.leftovers[0].kind
            number = leak_words.number_of(kind, sum(len(part.leftovers) for _, part in those))
            title, level = f"left over{where}: {number}", _level(kind in gate.fail_on)
        elif what == "skipped":
            title, level = f"not checked{where}: {plain(name)}", _level("rows" in gate.fail_on)
        elif what == "unread":
            title, level = f"not read{where}: columns", _level("unread" in gate.fail_on)
        else:
            kind = alone.unchecked[0].kind
            title = f"not fully checked{where}: {leak_words.kind(kind, 2)}"
            level = _level(kind in gate.fail_on)
        yield annotation(level, title, _places(places))


def _parts(report: LeakReport) -> Iterator[tuple[tuple[str, str], LeakReport]]:
    """The findings of a report, each with what makes it alike to those of others, as a report of it alone."""
    nothing = replace(report, tables=(), leftovers=(), skipped=(), unchecked=(), unread=())
    for leak in report.tables:
        yield ("rows", f"{leak.schema}.{leak.table}"), replace(nothing, tables=(leak,))
    for kind in dict.fromkeys(one.kind for one in report.leftovers):
        those = tuple(one for one in report.leftovers if one.kind == kind)
        yield ("leftover", kind), replace(nothing, leftovers=those)
    for skipped in report.skipped:
        yield ("skipped", f"{skipped.schema}.{skipped.table}"), replace(nothing, skipped=(skipped,))
    for unchecked in report.unchecked:
        yield ("unchecked", unchecked.kind), replace(nothing, unchecked=(unchecked,))
    if report.unread:
        yield ("unread", ""), replace(nothing, unread=report.unread)


def _places(places: Sequence[str]) -> str:
    return "\n".join(_with_rest([plain(place) for place in places[:_NAMED]], tuple(places)))


def _annotations(report: LeakReport, gate: Gate, fails: bool) -> Iterator[str]:
    where = f"database {plain(leak_words.place(report))}"
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
