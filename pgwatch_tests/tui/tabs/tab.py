"""The base of all tabs: what each shows, its filter, selected session, sort order, keys and export."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar, cast

from textual.containers import Vertical

from pgwatch_tests.locks.contention.contention import Contention
from pgwatch_tests.locks.contention.last_troubles import Trouble
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import LockSnapshot, Party
from pgwatch_tests.reports.render.detail_text import Detail, Labelled
from pgwatch_tests.text.times import clock
from pgwatch_tests.text.toned_text import Cell, Toned
from pgwatch_tests.tui.answers.leak_trend import LeakTrend
from pgwatch_tests.tui.widgets.detail_pane import DetailPane
from pgwatch_tests.tui.widgets.filter_line import RowFilter
from pgwatch_tests.tui.widgets.still_text import StillText
from pgwatch_tests.tui.widgets.tables.live_table import Heir, LiveTable
from pgwatch_tests.tui.widgets.tables.table_rows import LiveRow

if TYPE_CHECKING:
    from pgwatch_tests.leaks.model import LeakReport
    from pgwatch_tests.tui.answers.selected_locks import SelectedLocks

T = TypeVar("T")

TAB_ACTIONS = ("act", "copy", "detail", "follow_advice", "mark", "reset", "sort", "turn")
"""Actions bound by the dashboard that a tab offers for some rows only."""
LOW = 18
"""Lines of a screen from which on there is room for more than the list and what is known of its row."""
_ON_SESSIONS = ("follow_advice", "mark")
"""Those that a tab offers together with `act`."""
_LOST = "The selected row has gone: an arrow key selects another."
_TURNED = {"▲": "▼", "▼": "▲"}


class TabData(Protocol):
    """The data that tabs show: of a live server, or of a moment of a recording."""

    @property
    def snapshot(self) -> LockSnapshot | None:
        """None while nothing is known of sessions and locks."""

    @property
    def graph(self) -> LockGraph | None:
        """The snapshot's lock graph, made once; None without a snapshot."""

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """The troubles of the last polls that are over, the last one first."""

    @property
    def absence(self) -> Cell:
        """The reason why there is no snapshot, shown in its place."""

    @property
    def leaks(self) -> LeakReport | None: ...

    @property
    def leaks_trouble(self) -> str:
        """Why the last count failed; empty while all is well."""

    @property
    def leak_trend(self) -> LeakTrend: ...

    @property
    def contention(self) -> Contention | None: ...

    @property
    def contention_restarts(self) -> bool:
        """Whether `x` restarts the sums of contention."""


class NamesKeys(Protocol):
    """The dashboard, for the names of its keys, and whether they act on what is shown."""

    def key_name(self, id_: str, title: str = "") -> str:
        """The key of a command, by its id, as texts write it; in the tab of that title, or here."""

    def in_past(self) -> str:
        """Why nothing is done while a moment of the past is looked at; empty if none is."""


class DashboardTab(Vertical):
    """One tab: a LiveTable, and a StillText of class `empty` in its place while it has no rows.

    The dashboard calls `show` with every answer while the tab is open. A tab draws itself in `redraw`.
    """

    TITLE: ClassVar[str]
    """The tab's head; its lower case with `-tab` is the id of its pane."""

    TURNS: ClassVar[bool] = False
    """Whether its rows have an order that can be turned around."""

    READING: ClassVar[tuple[str, ...]] = ()
    """How to read the tab, in paragraphs: for the help."""

    def __init__(self) -> None:
        super().__init__(id=self.pane_id())
        self.row_filter = RowFilter()
        self.turned = False
        """Whether the order of the rows is turned around."""
        self.locks: SelectedLocks | None = None
        """Reads the locks of the selected session; None where nothing more can be read."""
        self.refusal: Callable[[Party], str] = lambda _: ""
        """Why the server would refuse what the advice about a session says; empty if it wouldn't."""
        self.confirmed: Callable[[], None] = lambda: None
        """Called once a sweep, or the removal of one thing, was confirmed: before any count without it."""

    def on_mount(self) -> None:
        # A dashboard that is left while its tabs are mounted takes what is in them away first.
        if self.has_table:
            self.begin()

    def begin(self) -> None:
        """Begins once all that is in the tab is there."""
        self.redraw()

    def key(self, id_: str, title: str = "") -> str:
        """The key of a command, by its id, as texts write it: `p`, `enter`; here, or in that tab."""
        return cast(NamesKeys, self.app).key_name(id_, title)

    def reading(self) -> tuple[str, ...]:
        """How to read the tab, in paragraphs: for the help."""
        return self.READING

    def no_match(self, what: str) -> str:
        """The text where no row of that kind fits the filter."""
        return self.row_filter.no_match(what, self.key("escape"))

    def on_resize(self) -> None:
        for pane in self.query(DetailPane):
            pane.fit()

    def in_past(self) -> str:
        """Why nothing is done from here now: a moment of the past is looked at; empty if none is."""
        return cast(NamesKeys, self.app).in_past()

    @classmethod
    def pane_id(cls) -> str:
        """The tab's id: `locks-tab`."""
        return f"{cls.TITLE.lower()}-tab"

    # Looked for once: they are drawn with each poll, and a query takes longer than that.

    @cached_property
    def table(self) -> LiveTable:
        """The tab's table, which has the focus while the tab is open."""
        return self.query_one(LiveTable)

    @cached_property
    def pane(self) -> DetailPane:
        """The pane with the detail of the selected row."""
        return self.query_one(DetailPane)

    @cached_property
    def _empty_line(self) -> StillText:
        return self.query_one(".empty", StillText)

    @property
    def has_table(self) -> bool:
        """Whether the table is there: not while what is in the tab is mounted, or taken away."""
        return bool(self.query(LiveTable))

    def show(self, data: TabData, filter_: str) -> None:
        """Shows what the tab needs of `data`: the rows that contain `filter_`."""
        self.row_filter = RowFilter(filter_)
        self.take(data)
        self.redraw()

    def take(self, data: TabData) -> None:
        """Keeps what the tab shows of `data`."""

    # Not an ABC: its metaclass can't be a widget's. The type checker sees to it that each tab has its own.
    @abstractmethod
    def redraw(self) -> None:
        """Draws what was last taken."""

    def show_rows(self, rows: Sequence[LiveRow], empty: Cell, heir: Heir | None = None) -> None:
        """Fills the table with `rows`; without any, the tab says `empty` instead.

        `heir` says where the cursor goes if its row is gone.
        """
        self.table.show(rows, heir)
        line = self._empty_line
        line.display = not rows
        line.say(empty)

    def show_selected(self) -> None:
        """Draws anew what is known of the selected row, in tabs that show sessions."""

    def holds(self, snapshot: LockSnapshot, party: Party) -> Labelled | None:
        """The locks of the selected session, for its detail; None where they can't be read."""
        return None if self.locks is None else self.locks.text(snapshot, party, self.key)

    def show_detail(self, detail: Detail | None, rows: int) -> None:
        """Shows a detail below a table of so many rows."""
        opens = self.key("detail").replace("enter", "⏎")
        if detail is None and rows and self.table.current_key is None and not self.table.takes_first:
            detail = Detail((Toned(_LOST, "quiet"),), ())
        self.pane.show(detail, rows, opens)
        self._count_marks()

    def _count_marks(self) -> None:
        """Says how many rows are marked: keys act on these, not on the row under the cursor."""
        number, words = len(self.marked), ""
        if number:
            it = "it" if number == 1 else "these"
            cancel, end = self.key("cancel"), self.key("terminate")
            words = f"{number:,} marked: {cancel} and {end} act on {it}, {self.key('escape')} clears"
        if number and self.in_past():
            words = f"{number:,} marked: nothing is done in the past"
        self.pane.say_marked(words)

    # Marked rows.

    @property
    def marked(self) -> list[Party]:
        """The sessions and prepared transactions of the marked rows, as far as they are still shown."""
        parties = (self.party_of(key) for key in self.table.marked)
        return list(dict.fromkeys(one for one in parties if one is not None))

    def party_of(self, key: str) -> Party | None:
        """The session or prepared transaction of a row; None if it has none."""
        return None

    def toggle_mark(self) -> None:
        """Marks the row under the cursor, or takes its mark away; goes to the next one."""
        if self.selected is not None:
            self.table.toggle_mark()
            self._count_marks()

    def clear_marks(self) -> None:
        """Takes all marks away."""
        self.table.clear_marks()
        self._count_marks()

    def let_go(self) -> None:
        """Takes no row for marked or chosen any more: what to do with these was confirmed."""
        self.clear_marks()
        self.table.let_go()

    # Keys, and the session or row that they act on.

    def offers(self, action: str) -> bool:
        """Whether one of TAB_ACTIONS would do anything now."""
        return False

    def never(self, action: str, parameters: tuple[object, ...]) -> str:
        """Why one of the tab's own keys never does anything in this dashboard; empty if it can."""
        return ""

    def why_not(self, action: str, _: tuple[object, ...] = ()) -> str:
        """Why one of TAB_ACTIONS, or an action of the tab's own keys, does nothing now; empty if it does.

        A tab whose reasons are others says them before it asks here.
        """
        if action == "next_root" and type(self).next_root is DashboardTab.next_root:
            return self.next_root(0)
        if action == "next_deadlock" and type(self).next_deadlock is DashboardTab.next_deadlock:
            return self.next_deadlock()
        if action == "turn" and not self.TURNS:
            return f"The rows of {self.TITLE} have one order only."
        if action == "mark" and self.offers("act") and (past := self.in_past()):
            return f"Rows are marked to be acted on. {past}"
        if action not in TAB_ACTIONS or self.offers("act" if action in _ON_SESSIONS else action):
            return ""
        if action == "reset":
            return (
                f"There is nothing to restart: the sums are those of Contention ({self.key('contention')})."
            )
        if action in ("sort", "turn"):
            return f"There is nothing to sort or to group in {self.TITLE}."
        if self.table.current_key is None:
            if self.table.row_count and self.table.takes_first:
                return "The selected row has gone. The first one is selected in a moment, or by an arrow key."
            if self.table.row_count:
                return _LOST
            return f"No row is selected: there is none in {self.TITLE}."
        if action == "detail":
            return "This row has no detail."
        if self.selected is None:
            return (
                f"The selected row is no session: those are in Locks ({self.key('locks')}) "
                f"and Sessions ({self.key('sessions')})."
            )
        return "No query of this session is known." if action == "copy" else "Nothing can be done with it."

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether one of the tab's own keys does anything now; None: it doesn't, and `why_not` says why."""
        return None if self.why_not(action, parameters) else super().check_action(action, parameters)

    def number(self, data: TabData) -> str:
        """How much there is in the tab, for its head; empty where that says nothing."""
        return ""

    @property
    def selected(self) -> Party | None:
        """The session or prepared transaction under the cursor; None in tabs that show neither."""
        return None

    @property
    def leads_to(self) -> Party | None:
        """The session that the row under the cursor is about, in tabs that show none: keys end it, and
        Sessions selects it."""
        return None

    def party_for(self, pane_id: str) -> Party | None:
        """The session that the tab of that id selects when it is opened from here; None for any."""
        return self.leads_to

    def go_to(self, party: Party) -> None:
        """Moves the cursor to a session, in tabs that show it."""
        key = next((one for one in self.table.keys if self.party_of(one) == party), None)
        if key is not None:
            self.table.select(key)

    @property
    def copyable(self) -> list[tuple[str, str]]:
        """What `y` copies of the selected row: a name and a text each; pressed again, the next one."""
        return []

    def sort_next(self) -> str:
        """Switches to the next sort order or grouping; returns a notification, or an empty string."""
        return ""

    def turn(self) -> None:
        """Turns the order of the rows around."""
        self.turned = not self.turned
        self.redraw()

    def in_order(self, rows: Sequence[T]) -> Sequence[T]:
        """Rows in their order, or turned around."""
        return rows[::-1] if self.turned else rows

    def show_order(self, head: str, sign: str) -> None:
        """Shows the sign of the order at the head of its column."""
        self.table.show_order(head, _TURNED.get(sign, sign) if self.turned else sign)

    def order_of(self, head: str) -> str:
        """The order by the column with that head; empty if there is none."""
        return ""

    @property
    def order(self) -> str:
        """The present sort order or grouping; empty in tabs with one only."""
        return ""

    def use_order(self, order: str) -> bool:
        """Switches to a sort order or grouping; returns whether there is such a one."""
        return False

    @property
    def grouping(self) -> str:
        """What rows are grouped by, in tabs that group them besides sorting; empty for nothing."""
        return ""

    def use_grouping(self, by: str) -> bool:
        """Groups rows by something else, or by nothing; returns whether there is such a grouping."""
        return not by

    def group_next(self) -> None:
        """Switches to the next grouping."""

    def open_detail(self) -> None:
        """Opens the detail of the row under the cursor, in tabs whose rows aren't sessions."""

    def next_root(self, step: int) -> str:
        """Goes to the next root blocker (1) or the previous one (-1); returns why not, or an empty string."""
        return f"Root blockers are in Locks: {self.key('locks')} opens it."

    def next_deadlock(self) -> str:
        """Goes to the next deadlock; returns why not, or an empty string."""
        return f"Deadlocks are in Locks: {self.key('locks')} opens it."

    def show_deadlocks(self, seen: Contention | None) -> str:
        """Shows the deadlocks that polls have caught; returns why not, if there are none."""
        if seen is None or not seen.deadlocks:
            counted = "" if seen is None else f" since {clock(seen.since)}"
            return f"No deadlock was seen{counted}."
        from pgwatch_tests.reports.contention.deadlock_detail import recurring
        from pgwatch_tests.tui.screens.deadlocks import DeadlocksScreen

        self.app.push_screen(DeadlocksScreen(recurring(seen.deadlocks), self.key("next-deadlock")))
        return ""

    @property
    def document(self) -> tuple[str, str] | None:
        """Returns the export of `e`: the kind in the file's name, and the JSON text; None if nothing is
        shown yet."""
        return None
