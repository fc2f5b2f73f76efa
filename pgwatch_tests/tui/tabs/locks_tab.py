"""The Locks tab: the tree, and under it the diagnosis and the query of the selected session."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import DataTable

from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import LockSnapshot, Party
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
from pgwatch_tests.tui.tabs.tab import View
from pgwatch_tests.tui.widgets.live_table import Column, LiveRow, LiveTable
from pgwatch_tests.tui.widgets.row_filter import RowFilter
from pgwatch_tests.tui.widgets.still_text import StillText


def _with_pid(branch: str, width: int) -> str:
    """A branch of the tree in at most `width` characters: of deep ones the depth instead of their lines."""
    if len(branch) <= width:
        return branch
    lines, _, pid = branch.rpartition(" ")
    return shortened_left(f"⋯{(len(lines) + 1) // 2}{lines[-1:]} {pid}", width)


_COLUMNS = (
    Column("Session", 13, cut=_with_pid),
    Column("Test", share=9, cut=shortened_left),
    Column("Doing", share=11, cut=shortened_middle),
    Column("For", 6, right=True),
    Column("Blocks", 6, right=True),
)


class LocksView(View):
    """Shows one snapshot after another."""

    def __init__(self) -> None:
        super().__init__()
        self._graph: LockGraph | None = None
        self._rows: dict[str, TreeRow] = {}
        self._filter = RowFilter()

    def compose(self) -> ComposeResult:
        yield LiveTable(_COLUMNS, id="lock-tree")
        yield StillText(NOTHING_BLOCKED, id="no-locks", classes="empty")
        with VerticalScroll(id="lock-detail", can_focus=False):
            yield StillText(id="diagnosis")

    def on_mount(self) -> None:
        self._show()

    def show(self, snapshot: LockSnapshot | None, filter_: str) -> None:
        """Shows `snapshot`; of its trees only those with `filter_` in one of their lines."""
        self._graph = None if snapshot is None else LockGraph(snapshot)
        self._filter = RowFilter(filter_)
        self._show()

    @property
    def selected(self) -> Party | None:
        """Whose row the cursor is on."""
        row = self._rows.get(self.query_one(LiveTable).current_key or "")
        return None if row is None else row.party

    def offers(self, action: str) -> bool:
        party = self.selected
        if party is None or self._graph is None:
            return False
        session = self._graph.sessions.get(party)
        return action in ("act", "detail") or (
            action == "copy" and session is not None and bool(session.query)
        )

    def on_data_table_row_highlighted(self, _: DataTable.RowHighlighted) -> None:
        self._show_diagnosis()

    def _show(self) -> None:
        graph = self._graph
        rows = [] if graph is None else self._filtered(tree_rows(graph))
        self._rows = {row.key: row for row in rows}
        table = self.query_one(LiveTable)
        table.show([_live_row(row) for row in rows])
        empty = self.query_one("#no-locks", StillText)
        empty.display = not rows
        if graph is None:
            empty.say("Waiting for the first answer of the server …")
        elif graph.trees:
            empty.say(self._filter.no_match("blocked session"))
        else:
            empty.say(NOTHING_BLOCKED)
        self._show_diagnosis()

    def _filtered(self, rows: list[TreeRow]) -> list[TreeRow]:
        if not self._filter:
            return rows
        roots = {
            row.root
            for row in rows
            if self._filter.fits((row.who, row.test, row.place, row.state, row.waits_for))
        }
        return [row for row in rows if row.root in roots]

    def _show_diagnosis(self) -> None:
        row = self._rows.get(self.query_one(LiveTable).current_key or "")
        pane = self.query_one("#lock-detail", VerticalScroll)
        pane.display = row is not None
        if row is None or self._graph is None:
            return
        found = diagnose(self._graph, row.root)
        lines = [plain(found.explanation), advice(found)]
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
    style = "bold" if is_root else "dim" if row.again else ""
    return LiveRow(
        row.key,
        (
            prefix + (str(row.party.pid) if row.party.pid else "prepared"),
            "(shown above)" if row.again else in_database(row.test, row.database),
            doing,
            durations.short(row.wait_s if row.waits_for else row.age_s) or "?",
            row.blocks.replace(" directly", ""),
        ),
        style,
    )
