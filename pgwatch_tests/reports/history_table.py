"""The history of sweeps as text for people."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from pgwatch_tests import durations
from pgwatch_tests.reports import sweep_words
from pgwatch_tests.reports.plain_text import plain
from pgwatch_tests.sweep.history_model import HistoryEntry

EMPTY = "No sweep has been recorded yet."


def table(entries: Sequence[HistoryEntry], place: str) -> str:
    """The entries, a line each, as they come; and where they are kept."""
    if not entries:
        return f"{EMPTY}\nThe history is in {plain(place)}"
    text = tabulate(
        [
            (
                sweep_words.time(entry.started_at),
                plain(entry.database),
                plain(entry.server),
                action(entry),
                plain(f"{entry.account} ({entry.trigger})"),
                result(entry),
                durations.in_words(entry.duration_s),
            )
            for entry in entries
        ],
        ("Began (UTC)", "Database", "Server", "What", "Who", "What came of it", "Took"),
        tablefmt="simple",
        colalign=("left",) * 6 + ("right",),
        disable_numparse=True,
    )
    return f"{text}\n\nThe history is in {plain(place)}"


def action(entry: HistoryEntry) -> str:
    """`sweep`, `sweep, dry run`, `leaks (job nightly)`."""
    dry = ", dry run" if entry.dry_run and entry.action != "leaks" else ""
    return f"{entry.action}{dry}{f' (job {plain(entry.job)})' if entry.job else ''}"


def result(entry: HistoryEntry) -> str:
    """`1,200 rows deleted, 3 kept`, `7 leaked rows`, `refused: …`, `failed: …`."""
    reason = f": {plain(entry.reason)}" if entry.reason else ""
    if entry.result in ("refused", "skipped"):
        return f"{entry.result}{reason}"
    if entry.leaked_rows is not None:
        figures = f"{entry.leaked_rows:,} leaked row{'' if entry.leaked_rows == 1 else 's'}"
        if entry.leftovers:
            figures += f", {entry.leftovers:,} leftover{'' if entry.leftovers == 1 else 's'}"
    else:
        figures = _removed(entry)
    if entry.result == "done":
        return figures
    anything = entry.planned_rows or entry.deleted_rows or entry.orphans_removed
    return f"{entry.result}{reason}{f'; {figures}' if anything else ''}"


def _removed(entry: HistoryEntry) -> str:
    rows = entry.planned_rows if entry.dry_run else entry.deleted_rows
    parts = [f"{sweep_words.many(rows, 'rows')} {sweep_words.ending('rows', entry.dry_run)}"]
    if entry.orphans_removed:
        thing = "thing" if entry.orphans_removed == 1 else "things"
        parts.append(f"{entry.orphans_removed:,} other {thing}")
    if entry.kept_rows:
        parts.append(f"{entry.kept_rows:,} kept")
    return ", ".join(parts)
