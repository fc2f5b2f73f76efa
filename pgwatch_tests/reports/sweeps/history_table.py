"""The history of sweeps as text for people."""

from __future__ import annotations

from collections.abc import Sequence

from pgwatch_tests.history.model import HistoryEntry
from pgwatch_tests.reports.render import text_table
from pgwatch_tests.reports.sweeps.history_words import outcome
from pgwatch_tests.text import durations
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.times import utc_time

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
                outcome(entry),
                durations.in_words(entry.duration_s),
            )
            for entry in entries
        ],
    )
    return f"{text}\n\nThe history is in {plain(place)}"


def action(entry: HistoryEntry) -> str:
    """`sweep`, `sweep, dry run`, `leaks (job nightly)`."""
    dry = ", dry run" if entry.dry_run and entry.action != "leaks" else ""
    return f"{entry.action}{dry}{f' (job {plain(entry.job)})' if entry.job else ''}"
