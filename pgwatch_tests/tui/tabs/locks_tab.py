"""The Locks tab: the folding lock tree, and below it why the selected session blocks and what to do."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection

from textual import on
from textual.app import ComposeResult

from pgwatch_tests.locks.contention.contention import Contention
from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import Party
from pgwatch_tests.reports.locks.folded_tree import (
    FoldedRow,
    Queue,
    folded_rows,
    key_of,
    switches_that_show,
    waiters_below,
)
from pgwatch_tests.reports.locks.formats import lock_json
from pgwatch_tests.reports.locks.lock_detail import copyable, lock_detail, queue_detail
from pgwatch_tests.reports.locks.test_labels import label_of
from pgwatch_tests.reports.render.detail_text import Detail, joined
from pgwatch_tests.reports.verdict.calm import advice_lines, calm_line, trouble_lines
from pgwatch_tests.reports.verdict.verdict import LOCKS_ONLY, short_name, subject
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.toned_text import Cell
from pgwatch_tests.tui.tabs.lock_rows import (
    COLUMNS,
    COLUMNS_OF_SEVERAL,
    DATABASE,
    NONE_LIT,
    LockRows,
    lit_guides,
    spans_databases,
)
from pgwatch_tests.tui.tabs.tab import DashboardTab, TabData
from pgwatch_tests.tui.widgets.detail_pane import TALL, DetailPane
from pgwatch_tests.tui.widgets.header_figures import with_runs
from pgwatch_tests.tui.widgets.still_text import StillText
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable
from pgwatch_tests.tui.widgets.tables.row_table import HEAD
from pgwatch_tests.tui.widgets.tree_table import TreeTable

_SWITCHES_KEPT = 500
_LARGEST = ", the largest trouble"
_ELSEWHERE = 32
"""Characters for the name of whom the verdict is about, where that isn't the selected row."""


class LocksTab(DashboardTab):
    """Shows the latest snapshot as trees: root blockers with their waiters below them.

    `acts`: the dashboard's keys cancel and end sessions.
    """

    TITLE = "Locks"
    READING = (
        "Root blockers are first, their waiters below them, long queues folded. For: how long a root has "
        "been in its state, or a waiter has waited. Blocks: how many wait behind it.",
    )

    def __init__(self, *, acts: bool = False) -> None:
        super().__init__()
        self._acts = acts
        self._graph: LockGraph | None = None
        self._contention: Callable[[], Contention | None] = lambda: None
        self._rows: list[FoldedRow] = []
        self._numbers: dict[str, int] = {}
        self._switched: OrderedDict[str, None] = OrderedDict()
        """Keys of the rows that were folded or opened by hand, the last one last."""
        self._drawn: tuple[LockGraph, list[FoldedRow]] | None = None
        """What the shown rows were made of: a row's heirs are among those of its tree."""
        self._made: LockRows | None = None
        """What makes the shown rows, and which of their guides are lit."""
        self._lit: dict[int, frozenset[int]] = {}
        self._empty: Cell = ""
        self._several = False
        """Whether sessions of other databases than the tested one were seen."""

    def compose(self) -> ComposeResult:
        yield TreeTable(COLUMNS, self._fold, id="lock-tree", follows_first=True)
        yield StillText(id="no-locks", classes="empty")
        yield DetailPane(id="lock-detail")

    def begin(self) -> None:
        super().begin()
        self.watch(self.table, "scroll_y", self._tell_what_is_beyond, init=False)

    def on_resize(self) -> None:
        self._tell_what_is_beyond()

    def number(self, data: TabData) -> str:
        return f"{data.snapshot.blocked:,}" if data.snapshot is not None and data.snapshot.blocked else ""

    def take(self, data: TabData) -> None:
        graph, self._contention = data.graph, lambda: data.contention
        if graph is not self._graph:
            self._graph = graph
        if graph is None:
            self._empty = data.absence
        else:
            snapshot, troubles = graph.snapshot, trouble_lines(data.troubles, self.key)
            run_pids = with_runs(LOCKS_ONLY, snapshot).run_pids
            advice = [] if snapshot.is_past else advice_lines(snapshot, self.key, run_pids, acts=self._acts)
            self._empty = joined([(calm_line(snapshot),), *advice, *troubles])

    # The selected row.

    @property
    def _row(self) -> FoldedRow | None:
        """The row under the cursor."""
        number = self._numbers.get(self.table.current_key or "")
        return None if number is None else self._rows[number]

    @property
    def _told_row(self) -> FoldedRow | None:
        """The row that the pane tells of: the selected one, else that of the largest trouble."""
        return self._row or (self._rows[0] if self._rows else None)

    @property
    def selected(self) -> Party | None:
        """The session or prepared transaction under the cursor."""
        row = self._row
        return None if row is None else row.party

    def party_of(self, key: str) -> Party | None:
        """The session or prepared transaction of a row; None of a queue."""
        number = self._numbers.get(key)
        return None if number is None else self._rows[number].party

    def offers(self, action: str) -> bool:
        if action == "copy":
            return bool(self.copyable)
        row = self._row
        return row is not None and (action == "detail" or (action == "act" and row.party is not None))

    @property
    def copyable(self) -> list[tuple[str, str]]:
        """The statement that the advice names, and the selected session's query."""
        graph, row = self._graph, self._told_row
        if graph is None or row is None:
            return []
        return copyable(graph, row.party, row.root)

    @property
    def document(self) -> tuple[str, str] | None:
        return None if self._graph is None else ("locks", lock_json.document(self._graph.snapshot))

    # Drawing.

    def redraw(self) -> None:
        graph = self._graph
        if graph is None or not graph.trees:
            self._rows, self._numbers = [], {}
            self.show_rows([], self._empty)
        else:
            self._build(graph)
            if not self._several and spans_databases(graph):
                self._several = True
                self.table.use(COLUMNS_OF_SEVERAL)
            self._lit = lit_guides(self._rows, self._numbers.get(self.table.current_key or ""))
            names_all = self._several or self.table.is_asked_for(DATABASE)
            self._made = LockRows(graph, self._rows, names_all=names_all)
            self.show_rows(self._made.all(self._lit), self.no_match("blocked session"), self._heir)
            self._drawn = graph, self._rows
        self.show_selected()

    def _build(self, graph: LockGraph) -> None:
        self._rows = folded_rows(
            graph,
            self._switched,
            selected=self.table.current_key,
            fits=self._fits if self.row_filter else None,
        )
        self._numbers = {row.key: number for number, row in enumerate(self._rows)}

    def _fits(self, party: Party, blocker: Party | None) -> bool:
        graph = self._graph
        assert graph is not None, "rows are made of a graph"
        session = graph.sessions.get(party)
        edge = graph.edge(party, blocker) if blocker else None
        words = [str(party), plain(edge.lock.target) if edge else ""]
        if session is not None:
            label = label_of(session)
            words += [label.worker, label.place, label.name, plain(session.state or "")]
            words += [plain(one or "") for one in (session.database, session.user, session.client)]
        return self.row_filter.fits(words)

    def _heir(self, key: str) -> str | None:
        """The row that the cursor goes to when its session no longer waits or blocks: one of its group."""
        if self._drawn is None:
            return None
        graph, rows = self._drawn
        lost = next((row for row in rows if row.key == key), None)
        if lost is None:
            return None
        for number in reversed(lost.above):
            if rows[number].key in self._numbers:
                return rows[number].key
        tree = next((tree for tree in graph.trees if tree.node == lost.root), None)
        group = set() if tree is None else {key_of(graph, one) for one in (tree.node, *waiters_below(tree))}
        return next((row.key for row in self._rows if row.key in group), None)

    @on(LiveTable.RowHighlighted)
    def _follow_cursor(self) -> None:
        if self._made is not None and self._rows:
            before, self._lit = (
                self._lit,
                lit_guides(self._rows, self._numbers.get(self.table.current_key or "")),
            )
            numbers = [one for one in {**before, **self._lit} if before.get(one) != self._lit.get(one)]
            self.table.change({one: self._made.row(one, self._lit.get(one, NONE_LIT)) for one in numbers})
        self.show_selected()

    def show_selected(self) -> None:
        self.show_detail(self._detail(), len(self._rows))
        # Once both have their places: the pane's height changes the table's.
        self.call_after_refresh(self._tell_what_is_beyond)

    def _detail(self) -> Detail | None:
        graph, row = self._graph, self._told_row
        if graph is None or row is None:
            return None
        acts = self._acts and self._row is not None
        diagnosis = diagnose(graph, row.root)
        if isinstance(row.shown, Queue):
            return queue_detail(graph, row.shown, row.root, diagnosis, self.key, acts=acts)
        party = row.shown.party
        return lock_detail(
            graph,
            party,
            row.root,
            diagnosis,
            self.key,
            acts=acts,
            refusal=self.refusal(party) if acts else "",
            holds=self.holds(graph.snapshot, party),
            whole_statement=self.app.size.height > TALL,
        )

    def _tell_what_is_beyond(self) -> None:
        """Says in the pane's border which groups are above and below, and where the verdict's trouble is."""
        table = self.table
        room = max(1, table.scrollable_content_region.height - HEAD)
        first, last = round(table.scroll_y), round(table.scroll_y) + room - 1
        roots = self._root_rows
        above, below = sum(one < first for one in roots), sum(one > last for one in roots)
        told = [self._verdict_elsewhere()]
        told += [f"{plural(above, 'group')} above"] if above else []
        told += [f"{plural(below, 'more group')} below"] if below else []
        self.pane.say_in_border(" · ".join(filter(None, told)))

    def _verdict_elsewhere(self) -> str:
        """`home: test_import, the largest trouble`: where the pane is about another."""
        graph, told = self._graph, self._told_row
        about = None if graph is None else subject(graph)
        if graph is None or told is None or about in (None, told.root):
            return ""
        # A deadlock has no root: its members are below whichever of them is at the top.
        tops = {row.root for row in self._rows if row.party == about} or {about}
        if told.root in tops:
            return ""
        name = short_name(graph, about, _ELSEWHERE)
        if self._rows[0].root in tops:
            return f"{self.key('first')}: {name}{_LARGEST}"
        if graph.root_of(about) is None and about not in graph.root_blockers:
            return f"{self.key('next-deadlock')}: {name}{_LARGEST}"
        if any(row.root in tops for row in self._rows):
            return f"{self.key('next-root')}: {name}{_LARGEST}"
        return f"{name}{_LARGEST}, is hidden by the filter"

    # Folding.

    def open_detail(self) -> None:
        """Opens the selected queue, or closes it again."""
        row = self._row
        if row is not None:
            self._switch(row)

    def _switch(self, row: FoldedRow) -> None:
        if row.key in self._switched:
            del self._switched[row.key]
        else:
            self._switched[row.key] = None
            if len(self._switched) > _SWITCHES_KEPT:
                self._switched.popitem(last=False)
        self.redraw()

    def _fold(self, close: bool) -> None:
        """Closes the selected row or goes to the one above it; opens it or goes to the first one below."""
        row = self._row
        if row is None:
            return
        if row.fold == ("open" if close else "closed"):
            self._switch(row)
        elif close and row.above:
            self.table.select(self._rows[row.above[-1]].key)
        elif not close and row.fold == "open":
            self.table.action_cursor_down()

    # From root to root.

    def next_root(self, step: int) -> str:
        """Goes to the next root blocker (1) or the previous one (-1); returns why not, if there is none."""
        if told := self._no_root:
            return told
        roots = self._root_rows
        row = self._row
        here = -1 if row is None else self._numbers[row.key]
        ahead = [one for one in roots if (one > here if step > 0 else one < here)]
        target = (ahead or roots)[0 if step > 0 else -1]
        if target == here:
            return "This is the only root blocker."
        # With its waiters: the row below the fold may be the one that somebody looks for.
        group_ends = next((one for one in roots if one > target), len(self._rows))
        self.table.select(self._rows[target].key, group_ends - target - 1)
        return ""

    @property
    def _root_rows(self) -> list[int]:
        """The numbers of the rows of root blockers."""
        return [number for number, row in enumerate(self._rows) if not row.above]

    @property
    def _no_root(self) -> str:
        """Why there is no root blocker to go to; empty if there is one."""
        if self._rows:
            return ""
        if self.row_filter and self._graph is not None and self._graph.trees:
            return self.no_match("blocked session")
        return "Nothing is blocked: there is no root blocker."

    def why_not(self, action: str, _: tuple[object, ...] = ()) -> str:
        """Why an action does nothing now; empty if it does."""
        return self._no_root if action == "next_root" else super().why_not(action)

    def next_deadlock(self) -> str:
        """Goes to the next deadlock, and opens what hides it; where none lasts, shows those that are over.

        Returns why not, if there was none.
        """
        graph = self._graph
        cycles = () if graph is None else (*graph.snapshot.deadlocks, *graph.snapshot.probable_deadlocks)
        if graph is None or not cycles:
            return self.show_deadlocks(self._contention())
        here = next((number for number, cycle in enumerate(cycles) if self.selected in cycle), -1)
        if len(cycles) == 1 and here == 0:
            return self.show_deadlocks(self._contention())
        self._reveal(graph, key_of(graph, cycles[(here + 1) % len(cycles)][0]))
        return ""

    def _reveal(self, graph: LockGraph, key: str) -> None:
        switched: Collection[str] = switches_that_show(folded_rows(graph, all_open=True), key, self._switched)
        if switched != self._switched.keys():
            self._switched = OrderedDict.fromkeys(switched)
            self.redraw()
        self.table.select(key)
