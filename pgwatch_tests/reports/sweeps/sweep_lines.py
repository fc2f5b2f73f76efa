"""A sweep as short lines, for a screen that has no room for its table."""

from __future__ import annotations

from pgwatch_tests.history.model import HistoryEntry
from pgwatch_tests.reports.sweeps import sweep_remarks, sweep_words
from pgwatch_tests.sweep.model import Orphan, SweepReport, TableRows
from pgwatch_tests.text import durations
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.times import in_full

_MOST = 100


def lines(report: SweepReport) -> list[str]:
    """All of it: what goes or went, what stays and what to do about it, and what was looked for."""
    written = [sweep_words.summary(report)]
    if report.error:
        written.append(f"Ended early: {plain(report.error)}")
    gone = sweep_words.gone(report)
    written += sweep_remarks.notes(report, plain)
    written += _section(sweep_words.ending("rows", report.dry_run).capitalize(), removed(gone))
    for heading, sentences in sweep_remarks.listings(report, plain):
        written += _section(heading, sentences)
    written += _section("Left behind", [orphan(one, report.dry_run) for one in report.orphans])
    written += _section("What to do about what is kept", sweep_words.hints(report))
    written += _section("Not checked", [plain(sentence) for sentence in report.not_checked])
    return [*written, "", *sweep_words.scope(report, plain), sweep_words.left_alone(report.kinds)]


def removed(tables: tuple[TableRows, ...]) -> list[str]:
    """`1,201 of 9,000  public.bookings (1 marked, 1,200 dependent)`, those with most rows first."""
    return [
        f"{sweep_remarks.rows_of(one):>11}  {plain(sweep_words.table_name(one.schema, one.table))} "
        f"({one.marked:,} marked, {one.dependent:,} dependent"
        f"{f', {one.unmarked:,} of them without a marker' if one.unmarked else ''})"
        for one in sorted(tables, key=lambda one: -one.total)
    ]


def orphan(one: Orphan, dry_run: bool) -> str:
    """`schema test_1717171717171_4711_x7f3: would be dropped, 2 h 5 min old, 12 tables`."""
    age = "" if one.age_s is None else f", {durations.in_words(one.age_s)} old"
    # Of what is too young the detail may be just that.
    age = "" if age and f"{one.detail};".startswith(f"{age[2:]};") else age
    detail = f", {plain(one.detail)}" if one.detail else ""
    return f"{sweep_words.kind(one.kind)} {plain(one.name)}: {sweep_words.fate(one, dry_run)}{age}{detail}"


def entry_lines(entry: HistoryEntry) -> list[str]:
    """An entry of the history: who did what, when, and the result."""
    facts = [
        ("began", in_full(entry.started_at)),
        ("took", durations.in_words(entry.duration_s)),
        ("what", plain(f"{entry.action}{', dry run' if entry.dry_run else ''}")),
        ("job", plain(entry.job)),
        ("asked by", plain(f"{entry.account}, {entry.trigger}, pid {entry.pid}")),
        ("database", plain(f"{entry.database} on {entry.server}, as {entry.role}")),
        ("result", plain(f"{entry.result}{f': {entry.reason}' if entry.reason else ''}")),
    ]
    return [f"{name:<12} {words}" for name, words in facts if words]


def _section(title: str, sentences: list[str]) -> list[str]:
    if not sentences:
        return []
    more = [f"and {len(sentences) - _MOST:,} more"] if len(sentences) > _MOST else []
    return ["", f"{title}:", *(f"  {line}" for line in (*sentences[:_MOST], *more))]
