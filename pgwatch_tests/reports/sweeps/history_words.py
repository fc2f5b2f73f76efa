"""What a sweep, or a job of the schedule, came to, in a line."""

from __future__ import annotations

from pgwatch_tests.history.model import HistoryEntry
from pgwatch_tests.reports.sweeps import sweep_words
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain


def came_to(entry: HistoryEntry) -> str:
    """`done: 12 rows deleted, 3 kept, 2 other leftovers removed (0.4 s)`, `refused: no test database`."""
    if entry.result in ("refused", "skipped", "failed"):
        return f"{entry.result}: {plain(entry.reason)}"
    figures = _leaks(entry) if entry.leaked_rows is not None else _sweep(entry)
    reason = f"; {plain(entry.reason)}" if entry.reason else ""
    return f"{entry.result}: {figures} ({durations.in_words(entry.duration_s)}){reason}"


def outcome(entry: HistoryEntry) -> str:
    """The same where the duration has a place of its own, and what is done needs no saying so."""
    if entry.result in ("refused", "skipped", "failed"):
        return f"{entry.result}: {plain(entry.reason)}"
    figures = _leaks(entry) if entry.leaked_rows is not None else _sweep(entry)
    parts = [figures, plain(entry.reason)]
    if entry.result != "done":
        parts.insert(0, entry.result)
    return "; ".join(filter(None, parts))


def _leaks(entry: HistoryEntry) -> str:
    return f"{plural(entry.leaked_rows or 0, 'leaked row')}, {plural(entry.leftovers or 0, 'other leftover')}"


def _sweep(entry: HistoryEntry) -> str:
    rows = entry.planned_rows if entry.dry_run else entry.deleted_rows
    parts = [f"{sweep_words.number_of(rows, 'rows')} {'to delete' if entry.dry_run else 'deleted'}"]
    if entry.kept_rows:
        parts.append(f"{entry.kept_rows:,} kept")
    if entry.orphans_removed:
        verb = "to remove" if entry.dry_run else "removed"
        parts.append(f"{plural(entry.orphans_removed, 'other leftover')} {verb}")
    return ", ".join(parts)
