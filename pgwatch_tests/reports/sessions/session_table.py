"""Sessions as text, for a terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.reports.render import markdown_text, text_table
from pgwatch_tests.reports.sessions.session_rows import SessionRow
from pgwatch_tests.reports.verdict import capacity_use
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain, shortened_left
from pgwatch_tests.text.toned_text import cut_end

_TEST, _QUERY = 48, 60
_COLUMNS = ("test", "pid", "database", "user", "client", "state", "for", "waits for", "query")
_ALIGNMENT = "lrllllrll"


def table(snapshot: LockSnapshot, rows: Sequence[SessionRow]) -> str:
    """A line of figures, and a table of the rows."""
    lines = [*_head(snapshot, rows), ""]
    lines.append(
        text_table.table(_COLUMNS, _ALIGNMENT, [_cells(row) for row in rows]) if rows else "No such session."
    )
    return "\n".join(lines) + "\n"


def markdown(snapshot: LockSnapshot, rows: Sequence[SessionRow]) -> str:
    """The same for a job's summary; foreign text in it is no markup."""
    blocks = [markdown_text.escaped(line) for line in _head(snapshot, rows)]
    cells = [tuple(map(markdown_text.code, _cells(row))) for row in rows]
    blocks.append(markdown_text.grid(_COLUMNS, _ALIGNMENT, cells) if rows else "No such session.")
    return markdown_text.document(blocks)


def _head(snapshot: LockSnapshot, rows: Sequence[SessionRow]) -> list[str]:
    idle = sum((row.session.state or "").startswith("idle in transaction") for row in rows)
    parts = [plural(len(rows), "session"), f"{sum(row.wait_s is not None for row in rows):,} blocked"]
    parts.append(f"{idle:,} idle in transaction")
    if snapshot.capacity is not None:
        parts.append(f"{capacity_use.connections(snapshot.capacity)} of the server")
    if snapshot.hidden_sessions:
        parts.append(f"{snapshot.hidden_sessions:,} hidden (GRANT pg_monitor shows them)")
    return [f"{plain(snapshot.server)} · PostgreSQL {plain(snapshot.server_version)}", " · ".join(parts)]


def _cells(row: SessionRow) -> tuple[str, ...]:
    place = f"{row.place}::{row.test}" if "::" in row.place or row.place.endswith(".py") else ""
    name = place or (f"{row.place} > {row.test}" if row.place else row.test)
    named = f"{row.worker} {name}".lstrip()
    marked = f"{named} {row.label.mark}".rstrip()
    return (
        marked if len(marked) <= _TEST else shortened_left(named, _TEST),
        str(row.session.pid),
        row.database,
        row.user,
        row.client,
        row.state,
        durations.short(row.shown_s) or "?",
        row.waits,
        cut_end(row.query, _QUERY),
    )
