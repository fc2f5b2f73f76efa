"""The history of sweeps: as text for people, in a line per entry, and as a JSON document."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pgwatch_tests.history.model import HistoryEntry
from pgwatch_tests.reports.render import text_table
from pgwatch_tests.reports.sweeps import sweep_words
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.times import iso_time, utc_time

EMPTY = "No sweep has been recorded yet."


def table(entries: Sequence[HistoryEntry], place: str) -> str:
    """The entries, a line each, as they come; and where they are kept."""
    if not entries:
        return f"{EMPTY}\nThe history is in {plain(place)}"
    text = text_table.table(
        ("Began (UTC)", "Database", "Server", "What", "Who", "Result", "Took"),
        "llllllr",
        [
            (
                utc_time(entry.started_at),
                plain(entry.database),
                plain(entry.server),
                action(entry),
                plain(f"{entry.account} ({entry.trigger})"),
                result_words(entry),
                durations.in_words(entry.duration_s),
            )
            for entry in entries
        ],
    )
    return f"{text}\n\nThe history is in {plain(place)}"


def action(entry: HistoryEntry) -> str:
    """`sweep`, `sweep, dry run`, `sweep of public.users only`, `leaks (job nightly)`."""
    only = f" of {plain(entry.part)} only" if entry.part else ""
    dry = ", dry run" if entry.dry_run and entry.action != "leaks" else ""
    return f"{entry.action}{only}{dry}{f' (job {plain(entry.job)})' if entry.job else ''}"


def result_line(entry: HistoryEntry) -> str:
    """`done: 12 rows deleted, 3 kept, 2 other leftovers removed (0.4 s)`, `refused: no test database`."""
    if entry.result in ("refused", "skipped", "failed"):
        return f"{entry.result}: {plain(entry.reason)}"
    figures = _leaks(entry) if entry.leaked_rows is not None else _sweep(entry)
    reason = f"; {plain(entry.reason)}" if entry.reason else ""
    return f"{entry.result}: {figures} ({durations.in_words(entry.duration_s)}){reason}"


def result_words(entry: HistoryEntry) -> str:
    """The result without its duration; `done` is left out."""
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


def document(entries: Sequence[HistoryEntry], place: str) -> str:
    """The entries as they come, and where they are kept. ASCII only."""
    return json.dumps(
        {
            "schema": "pgwatch-tests.sweep-history/1",
            "history": place,
            "sweeps": [entry_fields(entry) for entry in entries],
        },
        indent=2,
    )


def entry_fields(entry: HistoryEntry) -> dict[str, object]:
    """One entry, in every document that has some."""
    return {
        "id": entry.id,
        "started_at": iso_time(entry.started_at),
        "action": entry.action,
        "trigger": entry.trigger,
        "job": entry.job or None,
        "account": entry.account,
        "pid": entry.pid,
        "role": entry.role,
        "server": entry.server,
        "database": entry.database,
        "dry_run": entry.dry_run,
        "kinds": entry.kinds,
        "part": {"kind": entry.kinds[0], "name": entry.part} if entry.part and entry.kinds else None,
        "markers": entry.markers,
        "min_age_s": entry.min_age_s,
        "result": entry.result,
        "reason": entry.reason or None,
        "planned": entry.planned_rows,
        "deleted": entry.deleted_rows,
        "kept": entry.kept_rows,
        "orphans_removed": entry.orphans_removed,
        "leaked": entry.leaked_rows,
        "leftovers": entry.leftovers,
        "passes": entry.passes,
        "duration_s": entry.duration_s,
        "longest_transaction_s": entry.longest_transaction_s,
    }
