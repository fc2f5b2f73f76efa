"""The Locks tab: the lock tree and its colours, and the diagnosis and query of the selected session."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import DataTable

from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import Party
from pgwatch_tests.reports.locks import lock_json
from pgwatch_tests.reports.locks.lock_tree import (
    NOTHING_BLOCKED,
    TreeRow,
    advice,
    in_database,
    lock_facts,
    tree_rows,
)
from pgwatch_tests.text import durations
from pgwatch_tests.text.plain_text import one_line, plain, plain_lines, shortened_left, shortened_middle
from pgwatch_tests.text.toned_text import Tone
from pgwatch_tests.tui.tabs.tab import DashboardTab, TabData
from pgwatch_tests.tui.widgets.column_widths import Column
from pgwatch_tests.tui.widgets.live_table import LiveRow, LiveTable
from pgwatch_tests.tui.widgets.still_text import StillText


def _with_pid(branch: str, width: int) -> str:
    """Returns a branch of the tree in at most `width` characters; a deep one shows its depth as a number."""
    if len(branch) <= width:
        return branch
    lines, _, pid = branch.rpartition(" ")
    return shortened_left(f"⋯{(len(lines) + 1) // 2}{lines[-1:]} {pid}", width)


_COLUMNS = (
    Column("Session", least=13, most=13, cut=_with_pid),
    Column("Test", least=14, enough=30, cut=shortened_left),
    Column("Doing", least=14, enough=30, cut=shortened_middle),
    Column("For", right=True),
    Column("Blocks", right=True),
)


class LocksTab(DashboardTab):
    """Shows the latest snapshot as trees: root blockers with their waiters below them."""

    TITLE = "Locks"

    def __init__(self) -> None:
        super().__init__()
        self._graph: LockGraph | None = None
        self._absence = ""
        self._rows: dict[str, TreeRow] = {}

    def compose(self) -> ComposeResult:
        yield LiveTable(_COLUMNS, id="lock-tree")
        yield StillText(id="no-locks", classes="empty")
        with VerticalScroll(id="lock-detail", can_focus=False):
            yield StillText(id="diagnosis")

    def take(self, data: TabData) -> None:
        self._absence = data.absence
        self._graph = None if data.snapshot is None else LockGraph(data.snapshot)

    @property
    def selected(self) -> Party | None:
        """The session or prepared transaction under the cursor."""
        row = self._rows.get(self.table.current_key or "")
        return None if row is None else row.party

    def offers(self, action: str) -> bool:
        party = self.selected
        if party is None or self._graph is None:
            return False
        session = self._graph.sessions.get(party)
        return action in ("act", "detail") or (
            action == "copy" and session is not None and bool(session.query)
        )

    @property
    def document(self) -> tuple[str, str] | None:
        return None if self._graph is None else ("locks", lock_json.document(self._graph.snapshot))

    def redraw(self) -> None:
        graph = self._graph
        rows = [] if graph is None else self._filtered(tree_rows(graph))
        self._rows = {row.key: row for row in rows}
        if graph is None:
            empty = self._absence
        elif graph.trees:
            empty = self.row_filter.no_match("blocked session")
        else:
            empty = NOTHING_BLOCKED
        self.show_rows([_live_row(row) for row in rows], empty)
        self._show_diagnosis()

    def _filtered(self, rows: list[TreeRow]) -> list[TreeRow]:
        # A tree is kept whole if one of its lines matches.
        if not self.row_filter:
            return rows
        roots = {
            row.root
            for row in rows
            if self.row_filter.fits((row.who, row.test, row.place, row.state, row.waits_for))
        }
        return [row for row in rows if row.root in roots]

    @on(DataTable.RowHighlighted)
    def _show_diagnosis(self) -> None:
        row = self._rows.get(self.table.current_key or "")
        pane = self.query_one("#lock-detail", VerticalScroll)
        pane.display = row is not None
        if row is None or self._graph is None:
            return
        diagnosis = diagnose(self._graph, row.root)
        lines = [plain(diagnosis.explanation), advice(diagnosis)]
        lines += [f"{row.who} {fact}" for fact in lock_facts(self._graph, row.party)[:1]]
        lines += [f"{row.who}: {row.place}"] if row.place else []
        session = self._graph.sessions.get(row.party)
        if session is not None and session.query:
            words = "runs" if session.state == "active" else "ran last"
            query = plain_lines(session.query) if self.app.size.height > 30 else [one_line(session.query)]
            lines += [f"{row.who} {words}: {query[0]}", *query[1:12]]
        self.query_one("#diagnosis", StillText).say("\n".join(lines))


def _live_row(row: TreeRow) -> LiveRow:
    prefix = row.prefix.replace("├─ ", "├ ").replace("└─ ", "└ ").replace("│  ", "│ ").replace("   ", "  ")
    is_root = not row.prefix
    doing = row.waits_for if row.waits_for else row.state
    tone: Tone = "root" if is_root else "quiet" if row.again else ""
    return LiveRow(
        row.key,
        (
            prefix + (str(row.party.pid) if row.party.pid else "prepared"),
            "(shown above)" if row.again else in_database(row.test, row.database),
            doing,
            durations.short(row.wait_s if row.waits_for else row.age_s) or "?",
            row.blocks.replace(" directly", ""),
        ),
        tone,
    )
