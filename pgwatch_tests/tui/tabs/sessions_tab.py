"""The Sessions tab: every client session with its test, state, wait and query, and the connections used."""

from __future__ import annotations

from dataclasses import replace

from textual import on
from textual.app import ComposeResult

from pgwatch_tests.locks.graph.lock_graph import graph_of
from pgwatch_tests.locks.model import LockSnapshot, Party
from pgwatch_tests.reports.locks.test_labels import beside
from pgwatch_tests.reports.sessions import session_json
from pgwatch_tests.reports.sessions.session_detail import session_detail
from pgwatch_tests.reports.sessions.session_rows import ORDERS, Order, SessionRow, session_rows
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import shortened_middle, shortened_test
from pgwatch_tests.text.toned_text import Cell, Toned
from pgwatch_tests.tui.tabs.tab import DashboardTab, TabData
from pgwatch_tests.tui.widgets.column_widths import Column
from pgwatch_tests.tui.widgets.detail_pane import TALL, DetailPane
from pgwatch_tests.tui.widgets.live_table import LiveTable
from pgwatch_tests.tui.widgets.still_text import StillText
from pgwatch_tests.tui.widgets.table_rows import LiveRow

_DATABASE = Column("Database", least=12, enough=16, cut=shortened_middle)
_COLUMNS = (
    Column("Test", least=16, enough=28, cut=shortened_test),
    Column("Worker", rank=3),
    Column("pid", right=True),
    Column("State"),
    Column("For", right=True),
    Column("Waits for", least=18, enough=24, cut=shortened_middle),
    Column("Blocks", right=True, rank=1),
    replace(_DATABASE, rank=1),
    Column("User", rank=4, enough=14, least=6),
    Column("Client", rank=5, enough=22, least=8),
    Column("Query", rank=2, least=16, enough=20),
)
_COLUMNS_OF_SEVERAL = tuple(_DATABASE if one.label == _DATABASE.label else one for one in _COLUMNS)
"""With the database on any width: it tells sessions apart."""
_SHORT_STATES = {
    "idle in transaction": "idle in tx",
    "idle in transaction (aborted)": "aborted tx",
    "fastpath function call": "fastpath",
}
_ORDERED: dict[Order, str] = {"longest in state": "in trouble first"}
_ROOM_FOR_QUERY = 300
_SAME_S = 1.0
"""A wait that is younger than the state by less is as old as that."""
_BAR = 20
"""Characters of the bar of connections."""


class SessionsTab(DashboardTab):
    """Shows the client sessions of a snapshot without the dashboard's own, and the selected one below.

    `acts`: the dashboard's keys cancel and end sessions.
    """

    TITLE = "Sessions"

    def __init__(self, *, acts: bool = False) -> None:
        super().__init__()
        self._acts = acts
        self._order: Order = next(iter(ORDERS))
        self._snapshot: LockSnapshot | None = None
        self._absence: Cell = ""
        self._several = False
        """Whether sessions of several databases were seen."""

    def compose(self) -> ComposeResult:
        yield StillText(id="connections", classes="summary")
        yield LiveTable(_COLUMNS, id="sessions")
        yield StillText(id="no-sessions", classes="empty")
        yield DetailPane(id="session-detail")

    @property
    def selected(self) -> Party | None:
        """The session under the cursor."""
        key = self.table.current_key
        return self.party_of(key) if key else None

    def party_of(self, key: str) -> Party:
        """The session of a row."""
        return Party(int(key.partition("/")[0]))

    def offers(self, action: str) -> bool:
        if action == "copy":
            party, sessions = self.selected, () if self._snapshot is None else self._snapshot.sessions
            return party is not None and any(one.pid == party.pid and one.query for one in sessions)
        return self.table.current_key is not None and action in ("act", "detail", "sort")

    @property
    def copyable(self) -> list[tuple[str, str]]:
        """The query of the session under the cursor."""
        party = self.selected
        sessions = () if self._snapshot is None else self._snapshot.sessions
        return [
            (f"the query of pid {one.pid}", one.query)
            for one in sessions
            if party is not None and one.pid == party.pid and one.query
        ]

    @property
    def order(self) -> str:
        return self._order

    def use_order(self, order: str) -> bool:
        found = next((one for one in ORDERS if one == order), None)
        self._order = found or self._order
        return found is not None

    def sort_next(self) -> str:
        """Switches to the next sort order; returns `sorted by …`."""
        orders = list(ORDERS)
        self._order = orders[(orders.index(self._order) + 1) % len(orders)]
        self.redraw()
        return f"sorted by {self._order}"

    @property
    def document(self) -> tuple[str, str] | None:
        if self._snapshot is None:
            return None
        rows = session_rows(self._snapshot, self._order)
        return "sessions", session_json.document(self._snapshot, rows)

    def number(self, data: TabData) -> str:
        return "" if data.snapshot is None else f"{len(data.snapshot.clients):,}"

    def take(self, data: TabData) -> None:
        self._snapshot, self._absence = data.snapshot, data.absence

    def redraw(self) -> None:
        snapshot = self._snapshot
        found = [] if snapshot is None else session_rows(snapshot, self._order)
        all_local = snapshot is not None and snapshot.all_local
        rows = [_live_row(one, all_local=all_local) for one in found]
        if snapshot is None:
            empty = self._absence
        elif self.row_filter:
            empty = self.no_match("session")
        else:
            empty = "No other sessions."
        if not self._several and snapshot is not None and len({one.database for one in snapshot.clients}) > 1:
            self._several = True
            self.table.use(_COLUMNS_OF_SEVERAL)
        shown = [row for row in rows if self.row_filter.fits(row.texts)] if self.row_filter else rows
        self.show_rows(shown, empty)
        line = self.query_one("#connections", StillText)
        line.display = snapshot is not None
        line.say(() if snapshot is None else self._connections(snapshot, len(shown), len(rows)))
        self.show_selected()

    @on(LiveTable.RowHighlighted)
    def show_selected(self) -> None:
        party, snapshot = self.selected, self._snapshot
        detail = None
        if party is not None and snapshot is not None:
            detail = session_detail(
                graph_of(snapshot),
                party,
                self.key,
                acts=self._acts,
                refusal=self.refusal(party) if self._acts else "",
                holds=self.holds(snapshot, party),
                whole_statement=self.app.size.height > TALL,
            )
        self.show_detail(detail, self.table.row_count)

    def _connections(self, snapshot: LockSnapshot, shown: int, sessions: int) -> tuple[Toned, ...]:
        """A bar of the connections used, how many sessions are shown, and in which order."""
        number = plural(sessions, "session") if shown == sessions else f"{shown:,} of {sessions:,} sessions"
        order = Toned(f"{number} · {_ORDERED.get(self._order, f'by {self._order}')}", "quiet")
        capacity = snapshot.capacity
        if capacity is None or not capacity.max_connections:
            return (order,)
        full = min(_BAR, round(_BAR * capacity.connections / capacity.max_connections))
        nearly = capacity.connections_nearly_used_up
        return (
            Toned("█" * full, "trouble" if nearly else "good"),
            Toned("░" * (_BAR - full), "quiet"),
            Toned(
                f" {capacity.connections:,} of {capacity.max_connections:,} connections"
                + (", nearly used up" if nearly else ""),
                "trouble" if nearly else "",
            ),
            Toned(" · "),
            order,
        )


def _live_row(row: SessionRow, *, all_local: bool) -> LiveRow:
    waits = row.wait_s is not None
    state, tone = _SHORT_STATES.get(row.state, row.state), row.tone
    return LiveRow(
        row.key,
        (
            beside(row.label, name_tone="root" if row.is_root else ""),
            row.worker,
            str(row.session.pid),
            state if waits else (Toned(state, tone),),
            (Toned(durations.short(row.since_s) or "?", tone),),
            (Toned(row.waits, tone if waits else ""), *_waiting_since(row)),
            f"{row.blocks:,}" if row.blocks else "",
            (Toned(row.database, "quiet"),),
            (Toned(row.user, "quiet"),),
            # The same on each row tells nothing, and takes the query's room.
            (Toned("" if all_local else row.client, "quiet"),),
            row.query[:_ROOM_FOR_QUERY],
        ),
        tone if tone == "quiet" else "",
    )


def _waiting_since(row: SessionRow) -> tuple[Toned, ...]:
    """How long it waits, where that is less than it has been in its state; gives way before the object."""
    if row.wait_s is None or row.since_s is None or row.since_s - row.wait_s < _SAME_S:
        return ()
    return (Toned(f", {durations.short(row.wait_s)}", row.tone),)
