"""Rows of the Sessions tab as toned cells: sessions, and the headings of their groups. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pgwatch_tests.reports.locks.test_labels import beside
from pgwatch_tests.reports.locks.wait_tones import of_idle_transaction, of_wait
from pgwatch_tests.reports.sessions.session_groups import Grouping, SessionGroup
from pgwatch_tests.reports.sessions.session_rows import Order, SessionRow
from pgwatch_tests.text import durations
from pgwatch_tests.text.plain_text import shortened_middle, shortened_test
from pgwatch_tests.text.toned_text import Cell, Toned
from pgwatch_tests.tui.widgets.tables.column_widths import Column
from pgwatch_tests.tui.widgets.tables.table_rows import LiveRow

COLUMNS = (
    Column("Test", least=16, enough=28, cut=shortened_test),
    Column("Worker", rank=3),
    Column("pid", right=True),
    Column("State"),
    Column("For", right=True),
    Column("Waits for", least=18, enough=24, cut=shortened_middle, gives_way=True),
    Column("Blocks", right=True, rank=1),
    Column("Database", least=12, enough=16, cut=shortened_middle, rank=1),
    Column("User", rank=4, enough=14, least=6),
    Column("Client", rank=5, enough=22, least=8),
    Column("Query", rank=2, least=16, enough=20),
)
ORDER_HEADS: Mapping[Order, tuple[str, str]] = {
    # By kind of trouble first, so that no sign would be true.
    "longest in state": ("For", ""),
    "test": ("Test", "▲"),
    "pid": ("pid", "▲"),
    "database": ("Database", "▲"),
    "user": ("User", "▲"),
    "client": ("Client", "▲"),
    "state": ("State", "▲"),
    "blocked": ("Waits for", "▼"),
}
"""The head of the column of each order, and the sign for up or down."""
_SHORT_STATES = {
    "idle in transaction": "idle in tx",
    "idle in transaction (aborted)": "aborted tx",
    "fastpath function call": "fastpath",
}
_ROOM_FOR_QUERY = 300
_SAME_S = 1.0
"""A wait that is younger than the state by less is as old as that."""
_INDENT = Toned("  ")


def session_row(row: SessionRow, *, all_local: bool, by: Grouping | None = None) -> LiveRow:
    """The row of a session; without its client where `all_local` ones are.

    In a group it is indented, and leaves to the heading what all of the group have in common.
    """
    waits = row.wait_s is not None
    state, tone = _SHORT_STATES.get(row.state, row.state), row.tone
    test = beside(row.label, name_tone="root" if row.is_root else "")
    return LiveRow(
        row.key,
        (
            (_INDENT, *_parts(test)) if by else test,
            row.worker,
            str(row.session.pid),
            state if waits else (Toned(state, tone),),
            (Toned(durations.short(row.shown_s) or "?", tone),),
            (Toned(row.waits, tone if waits else ""), *_waiting_since(row)),
            f"{row.blocks:,}" if row.blocks else "",
            (Toned("" if by == "database" else row.database, "quiet"),),
            (Toned("" if by == "user" else row.user, "quiet"),),
            # The same on each row tells nothing, and takes the query's room.
            (Toned("" if all_local else row.client, "quiet"),),
            row.query[:_ROOM_FOR_QUERY],
        ),
        tone if tone == "quiet" else "",
    )


def group_row(group: SessionGroup, *, is_open: bool) -> LiveRow:
    """The heading of a group: how many there are, idle in transaction, blocked, and the longest of all."""
    idle, blocked, longest = group.idle_in_transaction, group.blocked, group.longest
    idle_tone = of_idle_transaction(_longest_s([row.since_s for row in idle]))
    blocked_tone = of_wait(_longest_s([row.wait_s for row in blocked]))
    blocks = sum(row.blocks for row in group.rows if row.is_root)
    return LiveRow(
        group.key,
        (
            (
                Toned("▾ " if is_open else "▸ ", "lit"),
                Toned(group.name, "lit"),
                Toned(f" ({len(group.rows):,})", "quiet"),
                *((Toned("  "), Toned(group.place, "quiet")) if group.place else ()),
            ),
            "",
            "",
            (Toned(f"{len(idle):,} idle in tx", idle_tone),) if idle else "",
            (Toned(durations.short(longest.shown_s) or "?", longest.tone),) if longest else "",
            (Toned(f"{len(blocked):,} blocked", blocked_tone),) if blocked else "",
            f"{blocks:,}" if blocks else "",
            *[""] * (len(COLUMNS) - 7),
        ),
    )


def _waiting_since(row: SessionRow) -> tuple[Toned, ...]:
    """How long it waits, where that is less than it has been in its state; gives way before the object."""
    if row.wait_s is None or row.since_s is None or row.since_s - row.wait_s < _SAME_S:
        return ()
    return (Toned(f", {durations.short(row.wait_s)}", row.tone, is_whole=True),)


def _longest_s(found: Sequence[float | None]) -> float | None:
    return max((one for one in found if one is not None), default=None)


def _parts(cell: Cell) -> tuple[Toned, ...]:
    return (Toned(cell),) if isinstance(cell, str) else cell
