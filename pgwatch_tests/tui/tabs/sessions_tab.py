"""The Sessions tab: every client session with its test, state, wait and query, and the connections used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType

from pgwatch_tests.locks.graph.lock_graph import graph_of
from pgwatch_tests.locks.model import LockSnapshot, Party
from pgwatch_tests.reports.locks.lock_detail import copyable
from pgwatch_tests.reports.sessions import session_json
from pgwatch_tests.reports.sessions.session_detail import session_detail
from pgwatch_tests.reports.sessions.session_groups import (
    GROUPINGS,
    Grouping,
    SessionGroup,
    group_detail,
    grouped,
    next_grouping,
    order_words,
)
from pgwatch_tests.reports.sessions.session_rows import ORDERS, Order, SessionRow, session_rows
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.toned_text import Cell, Tone, Toned
from pgwatch_tests.tui.keys.tab_keys import GROUP_KEYS
from pgwatch_tests.tui.tabs.session_table import (
    COLUMNS,
    ORDER_HEADS,
    group_row,
    session_row,
)
from pgwatch_tests.tui.tabs.tab import DashboardTab, TabData
from pgwatch_tests.tui.widgets.detail_pane import TALL, DetailPane
from pgwatch_tests.tui.widgets.still_text import StillText
from pgwatch_tests.tui.widgets.tables.table_rows import LiveRow
from pgwatch_tests.tui.widgets.tree_table import TreeTable

_BAR, _SHORT_BAR = 20, 8
"""Characters of the bar of connections."""
_SIDES = 2
"""Characters beside the line above the table."""
_Made = tuple[LockSnapshot, tuple[Order, Grouping | None, bool], Sequence[tuple[SessionRow, LiveRow]]]
"""The rows of a picture, in one order and grouping."""


class SessionsTab(DashboardTab):
    """Shows the client sessions of a snapshot without the dashboard's own, and the selected one below.

    `acts`: the dashboard's keys cancel and end sessions.
    """

    TITLE = "Sessions"
    TURNS = True
    BINDINGS: ClassVar[list[BindingType]] = GROUP_KEYS

    def __init__(self, *, acts: bool = False) -> None:
        super().__init__()
        self._acts = acts
        self._order: Order = next(iter(ORDERS))
        self._snapshot: LockSnapshot | None = None
        self._absence: Cell = ""
        self._by: Grouping | None = None
        self._made: _Made | None = None
        self._folded: set[str] = set()
        """The keys of closed groups."""
        self._groups: dict[str, SessionGroup] = {}
        """The groups that are shown, by their keys."""
        self._group_of: Mapping[str, str] = {}
        """The key of the group of each row that was last shown."""

    def compose(self) -> ComposeResult:
        yield StillText(id="connections", classes="summary")
        yield TreeTable(COLUMNS, self._fold, id="sessions", why_not=self._why_not_fold)
        yield StillText(id="no-sessions", classes="empty")
        yield DetailPane(id="session-detail")

    def on_resize(self) -> None:
        self.redraw()

    @property
    def selected(self) -> Party | None:
        """The session under the cursor."""
        key = self.table.current_key
        return self.party_of(key) if key else None

    def party_of(self, key: str) -> Party | None:
        """The session of a row; None of a group."""
        return None if key in self._groups else Party(int(key.partition("/")[0]))

    @property
    def _group(self) -> SessionGroup | None:
        """The group whose heading is under the cursor."""
        return self._groups.get(self.table.current_key or "")

    def offers(self, action: str) -> bool:
        if action == "copy":
            return bool(self.copyable)
        if action == "act":
            return self.selected is not None
        return self.table.current_key is not None and action in ("detail", "sort", "turn")

    def why_not(self, action: str, parameters: tuple[object, ...] = ()) -> str:
        if action == "group" and not self.table.row_count:
            return "There is nothing to group: no session is shown."
        if action == "fold":
            return self._why_not_fold()
        reason = super().why_not(action, parameters)
        if reason and self._group is not None:
            return f"This row is a group: {self.key('open')} opens it, and its sessions are below it."
        return reason

    @property
    def copyable(self) -> list[tuple[str, str]]:
        """What frees those that wait behind the selected session's root blocker, and the session's query."""
        party, snapshot = self.selected, self._snapshot
        if party is None or snapshot is None:
            return []
        graph = graph_of(snapshot)
        root = graph.root_of(party) or (party if graph.blocks(party) else None)
        return copyable(graph, party, root)

    @property
    def order(self) -> str:
        return self._order

    def order_of(self, head: str) -> str:
        return next((order for order, (one, _) in ORDER_HEADS.items() if one == head), "")

    def use_order(self, order: str) -> bool:
        found = next((one for one in ORDERS if one == order), None)
        self._order = found or self._order
        return found is not None

    def sort_next(self) -> str:
        """Switches to the next sort order, which the line above and the head say; returns an empty string."""
        orders = list(ORDERS)
        self._order = orders[(orders.index(self._order) + 1) % len(orders)]
        self.redraw()
        return ""

    # Groups.

    @property
    def grouping(self) -> str:
        return self._by or ""

    def use_grouping(self, by: str) -> bool:
        found = next((one for one in GROUPINGS if one == by), None)
        self._by = found if found or not by else self._by
        return found is not None or not by

    def group_next(self) -> None:
        """Groups by the next thing, or by nothing: the line above the table says which."""
        self._by = next_grouping(self._by)
        self.redraw()

    def open_detail(self) -> None:
        """Opens the selected group, or closes it."""
        if self._group is not None:
            self._switch(self._group.key)

    def _why_not_fold(self) -> str:
        if self._by is None:
            return f"Nothing can be folded: sessions aren't grouped. {self.key('group')} groups them."
        return "Groups stay open while there is a filter." if self.row_filter else ""

    def _fold(self, close: bool) -> None:
        """Closes the selected group or goes to that of the session; opens it or goes to its first session."""
        key = self.table.current_key or ""
        if close and key in self._group_of:
            self.table.select(self._group_of[key])
        elif key in self._groups and close != (key in self._folded):
            self._switch(key)
        elif key in self._groups and not close:
            self.table.action_cursor_down()

    def _switch(self, key: str) -> None:
        self._folded ^= {key}
        self.redraw()

    @property
    def document(self) -> tuple[str, str] | None:
        if self._snapshot is None:
            return None
        rows = self.in_order(session_rows(self._snapshot, self._order))
        return "sessions", session_json.document(self._snapshot, rows)

    def number(self, data: TabData) -> str:
        return "" if data.snapshot is None else f"{len(data.snapshot.clients):,}"

    def take(self, data: TabData) -> None:
        self._snapshot, self._absence = data.snapshot, data.absence

    def _rows_of(self, snapshot: LockSnapshot) -> Sequence[tuple[SessionRow, LiveRow]]:
        """All sessions, with their rows: made once for a picture, to which keys come back, thousands long."""
        manner = self._order, self._by, self.turned
        if self._made is None or self._made[0] is not snapshot or self._made[1] != manner:
            rows = self.in_order(session_rows(snapshot, self._order))
            lines = [session_row(row, all_local=snapshot.all_local, by=self._by) for row in rows]
            self._made = snapshot, manner, list(zip(rows, lines, strict=True))
        return self._made[2]

    def redraw(self) -> None:
        snapshot = self._snapshot
        found = [] if snapshot is None else self._rows_of(snapshot)
        if snapshot is None:
            empty = self._absence
        elif self.row_filter:
            empty = self.no_match("session")
        else:
            empty = "No other sessions. A test is shown here as soon as it connects."
        shown = found
        if self.row_filter:
            fits = self.row_filter.fits
            shown = [(row, line) for row, line in found if fits((*line.texts, row.database, row.user))]
        self.show_rows(self._lines(shown), empty, self._heir if self._by else None)
        self.show_order(*ORDER_HEADS[self._order])
        self._group_of = {row.key: one.key for one in self._groups.values() for row in one.rows}
        line = self.query_one("#connections", StillText)
        line.display = snapshot is not None
        line.say(() if snapshot is None else self._connections(snapshot, len(shown), len(found)))
        self.show_selected()

    def _lines(self, shown: Sequence[tuple[SessionRow, LiveRow]]) -> list[LiveRow]:
        """The sessions, under the headings of their groups; those of a closed group are left out."""
        if self._by is None:
            self._groups = {}
            return [line for _, line in shown]
        groups = grouped((row for row, _ in shown), self._by)
        line_of = {row.key: line for row, line in shown}
        self._groups = {group.key: group for group in groups}
        self._folded &= self._groups.keys()
        lines = []
        for group in groups:
            is_open = group.key not in self._folded or bool(self.row_filter)
            lines.append(group_row(group, is_open=is_open))
            lines += [line_of[row.key] for row in group.rows] if is_open else []
        return lines

    def _heir(self, key: str) -> str | None:
        """The heading that the cursor goes to when its row is gone: of the same group, else the first."""
        group = self._group_of.get(key, "")
        return group if group in self._groups else next(iter(self._groups), None)

    @on(TreeTable.RowHighlighted)
    def _follow_cursor(self) -> None:
        self.show_selected()
        # What keys do depends on the row.
        self.screen.refresh_bindings()

    def show_selected(self) -> None:
        party, snapshot = self.selected, self._snapshot
        detail = None
        if self._group is not None and self._by is not None:
            detail = group_detail(self._group, self._by, self.key)
        elif party is not None and snapshot is not None:
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
        order = Toned(
            f"{number} · {order_words(self._order, self._by, self.key, turned=self.turned)}", "quiet"
        )
        capacity = snapshot.capacity
        if capacity is None or not capacity.max_connections:
            return (order,)
        nearly = capacity.connections_nearly_used_up
        # As the verdict has it.
        tone: Tone = "trouble" if capacity.connections >= capacity.for_all else "warning" if nearly else ""
        taken, most = f"{capacity.connections:,}", f"{capacity.max_connections:,}"
        warning = ", nearly used up" if nearly else ""
        line: tuple[Toned, ...] = ()
        short = f"{taken}/{most}"
        for bar, words in ((_BAR, f"{taken} of {most}"), (_SHORT_BAR, short), (0, short)):
            full = min(bar, round(bar * capacity.connections / capacity.max_connections))
            line = (
                Toned("█" * full, tone or "good"),
                Toned("░" * (bar - full) + (" " if bar else ""), "quiet"),
                Toned(f"{words} connections{warning}", tone),
                Toned(" · "),
                order,
            )
            if sum(len(part.text) for part in line) <= (self.size.width or self.app.size.width) - _SIDES:
                break
        return line
