"""The Sessions tab: every client session with its state, wait and query."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import ComposeResult

from pgwatch_tests.locks.model import LockSnapshot, Party, Session
from pgwatch_tests.reports.locks import lock_json
from pgwatch_tests.reports.locks.lock_tree import in_database, name_of
from pgwatch_tests.text import durations
from pgwatch_tests.text.plain_text import one_line, plain, shortened_left
from pgwatch_tests.tui.tabs.tab import DashboardTab, TabData
from pgwatch_tests.tui.widgets.live_table import Column, LiveRow, LiveTable, StillText

_COLUMNS = (
    Column("PID", 7, right=True),
    Column("Test", share=10, cut=shortened_left),
    Column("State", 11),
    Column("For", 6, right=True),
    Column("Waits on", 9),
    Column("Query", share=11),
)
_SHORT_STATES = {
    "idle in transaction": "idle in tx",
    "idle in transaction (aborted)": "aborted tx",
    "fastpath function call": "fastpath",
}
_ROOM_FOR_QUERY = 300

_SORTS: dict[str, Callable[[Session], tuple[object, ...]]] = {
    "longest in state": lambda one: (_rank(one), -(one.state_age_s or 0.0), one.pid),
    "test": lambda one: (name_of(one), one.pid),
    "pid": lambda one: (one.pid,),
}


class SessionsTab(DashboardTab):
    """Shows the client sessions of a snapshot without the dashboard's own."""

    TITLE = "Sessions"

    def __init__(self) -> None:
        super().__init__()
        self._sort = next(iter(_SORTS))
        self._snapshot: LockSnapshot | None = None
        self._absence = ""

    def compose(self) -> ComposeResult:
        yield LiveTable(_COLUMNS, id="sessions")
        yield StillText(id="no-sessions", classes="empty")

    @property
    def selected(self) -> Party | None:
        """The session under the cursor."""
        key = self.table.current_key
        return Party(int(key.partition("/")[0])) if key else None

    def offers(self, action: str) -> bool:
        return self.table.current_key is not None and action in ("act", "copy", "detail", "sort")

    def sort_next(self) -> str:
        """Switches to the next sort order; returns `sorted by …`."""
        orders = list(_SORTS)
        self._sort = orders[(orders.index(self._sort) + 1) % len(orders)]
        self.redraw()
        return f"sorted by {self._sort}"

    @property
    def document(self) -> tuple[str, str] | None:
        return None if self._snapshot is None else ("locks", lock_json.document(self._snapshot))

    def take(self, data: TabData) -> None:
        self._snapshot, self._absence = data.snapshot, data.absence

    def redraw(self) -> None:
        sessions = () if self._snapshot is None else self._snapshot.clients
        tested = "" if self._snapshot is None else self._snapshot.database
        rows = [_live_row(one, tested) for one in sorted(sessions, key=_SORTS[self._sort])]
        if self._snapshot is None:
            empty = self._absence
        elif self.row_filter:
            empty = self.row_filter.no_match("session")
        else:
            empty = "No other sessions."
        self.show_rows([row for row in rows if self.row_filter.fits(row.cells)], empty)


def _rank(session: Session) -> int:
    state = session.state or ""
    return 0 if state.startswith("idle in transaction") else 1 if state == "active" else 2


def _live_row(session: Session, tested: str) -> LiveRow:
    other = None if session.database == tested else session.database
    state = "hidden" if session.hidden else session.state or ""
    waits = session.wait_event if session.wait_event_type not in (None, "Client", "Activity") else ""
    return LiveRow(
        f"{session.pid}/{session.backend_start}",
        (
            str(session.pid),
            in_database(name_of(session), plain(other or "")),
            plain(_SHORT_STATES.get(state, state)),
            durations.short(session.state_age_s) or "?",
            plain(waits or ""),
            one_line(session.query[:_ROOM_FOR_QUERY]),
        ),
        "dim" if state == "idle" else "",
    )
