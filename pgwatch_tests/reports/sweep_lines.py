"""A sweep as short lines, for a screen that has no room for its table."""

from __future__ import annotations

from pgwatch_tests import durations
from pgwatch_tests.reports import sweep_words
from pgwatch_tests.reports.local_time import in_full
from pgwatch_tests.reports.plain_text import plain
from pgwatch_tests.reports.sweep_words import explained
from pgwatch_tests.sweep.history_model import HistoryEntry
from pgwatch_tests.sweep.model import Kept, Orphan, SweepReport, TableRows

_MOST = 100


def lines(report: SweepReport) -> list[str]:
    """All of it: what goes or went, what stays and what to do about it, and what was looked for."""
    found = [sweep_words.summary(report)]
    if report.error:
        found.append(f"Ended early: {plain(report.error)}")
    gone = sweep_words.gone(report)
    found += _section(sweep_words.ending("rows", report.dry_run).capitalize(), removed(gone))
    found += _section("Kept", [_kept(kept) for kept in report.kept])
    found += _section("Left behind", [_orphan(orphan, report.dry_run) for orphan in report.orphans])
    found += _section("What to do about what is kept", sweep_words.hints(report))
    found += _section("Not checked", [plain(sentence) for sentence in report.not_checked])
    return [*found, "", *sweep_words.scope(report, plain)]


def removed(tables: tuple[TableRows, ...]) -> list[str]:
    """`1,201  public.bookings (1 marked, 1,200 dependent)`, those with most rows first."""
    return [
        f"{one.total:>11,}  {plain(sweep_words.table_name(one.schema, one.table))} "
        f"({one.marked:,} marked, {one.dependent:,} dependent)"
        for one in sorted(tables, key=lambda one: -one.total)
    ]


def entry_lines(entry: HistoryEntry) -> list[str]:
    """Who did what, when, and what came of it."""
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


def _section(title: str, found: list[str]) -> list[str]:
    if not found:
        return []
    more = [f"and {len(found) - _MOST:,} more"] if len(found) > _MOST else []
    return ["", f"{title}:", *(f"  {line}" for line in (*found[:_MOST], *more))]


def _kept(kept: Kept) -> str:
    name = plain(sweep_words.table_name(kept.schema, kept.table))
    detail = f", {plain(kept.detail)}" if kept.detail else ""
    return f"{kept.rows:>11,}  {name}: {explained(kept.reason).words}{detail}"


def _orphan(orphan: Orphan, dry_run: bool) -> str:
    age = "" if orphan.age_s is None else f", {durations.in_words(orphan.age_s)} old"
    # Of what is too young the detail may be just that.
    age = "" if age == f", {orphan.detail}" else age
    detail = f", {plain(orphan.detail)}" if orphan.detail else ""
    fate = sweep_words.fate(orphan, dry_run)
    return f"{sweep_words.kind(orphan.kind)} {plain(orphan.name)}: {fate}{age}{detail}"
