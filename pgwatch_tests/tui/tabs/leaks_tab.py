"""The Leaks tab: leaked rows by table or by test, leftovers, what wasn't checked, and the trend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message

from pgwatch_tests.leaks.model import LeakReport, LeftSession
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import Party
from pgwatch_tests.reports.leaks import leak_calm, leak_json
from pgwatch_tests.reports.render.detail_text import joined
from pgwatch_tests.reports.render.sparkline import sparkline
from pgwatch_tests.sweep.request import SweepPart
from pgwatch_tests.text.numbers import at_least
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.times import clock
from pgwatch_tests.text.toned_text import Cell
from pgwatch_tests.tui.answers.leak_trend import LeakTrend
from pgwatch_tests.tui.keys.tab_keys import LEAK_KEYS
from pgwatch_tests.tui.screens.leak import LeakScreen, ReadRows
from pgwatch_tests.tui.tabs.leak_rows import (
    COLUMNS,
    LeakGrouping,
    LeakKeys,
    LeakRow,
    knows_tests,
    leak_rows,
    test_rows,
)
from pgwatch_tests.tui.tabs.tab import LOW, DashboardTab, TabData
from pgwatch_tests.tui.widgets.detail_pane import DetailPane
from pgwatch_tests.tui.widgets.still_text import StillText
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable

if TYPE_CHECKING:
    from pgwatch_tests.tui.tabs.sweep_desk import SweepDesk


class LeaksTab(DashboardTab):
    """Shows the latest leak report.

    `read_rows` reads the rows of one table on demand; with `sweeps`, `w` asks for a plan, and `K` for the
    question whether something goes, by PlanSweep; with `acts`, keys end sessions.
    """

    TITLE = "Leaks"
    TURNS = True

    BINDINGS: ClassVar[list[BindingType]] = LEAK_KEYS

    class PlanSweep(Message):
        """Asks for the plan of a sweep of just this; with `asks`, for the question whether it goes."""

        def __init__(self, part: SweepPart, *, asks: bool) -> None:
            super().__init__()
            self.part = part
            self.asks = asks

    def __init__(
        self, *, read_rows: ReadRows | None = None, sweeps: SweepDesk | None = None, acts: bool = False
    ) -> None:
        super().__init__()
        self._read_rows = read_rows
        self._keys = LeakKeys(
            self.key,
            sweeps=sweeps is not None,
            reads_rows=read_rows is not None,
            acts=acts,
            removes=sweeps is not None and sweeps.inspect is not None,
            min_age_s=None if sweeps is None else sweeps.min_age_s,
        )
        self._report: LeakReport | None = None
        self._data: TabData | None = None
        self._trend = LeakTrend()
        self._trouble = ""
        self._wanted: LeakGrouping = "table"
        self._by: LeakGrouping = "table"
        self._knows_tests = False
        self._rows: dict[str, LeakRow] = {}
        self._built: tuple[object, ...] = ()
        """What the rows were made of: they are made anew for another count only."""

    def compose(self) -> ComposeResult:
        yield StillText(id="leaks-trend")
        yield LiveTable(COLUMNS[self._by], id="leaks")
        yield StillText(id="no-leaks", classes="empty")
        yield StillText(id="leaks-summary", classes="summary")
        yield DetailPane(id="leak-detail")

    def on_resize(self) -> None:
        self._show_trend()

    def number(self, data: TabData) -> str:
        report = data.leaks
        if report is None:
            return ""
        # A leak is whatever a test has left: a row, a schema, a session.
        found = report.total + len(report.leftovers)
        return at_least(found, not report.skipped) if found or report.skipped else ""

    def take(self, data: TabData) -> None:
        self._data, self._report, self._trouble = data, data.leaks, data.leaks_trouble
        self._trend = data.leak_trend

    @property
    def document(self) -> tuple[str, str] | None:
        return None if self._report is None else ("leaks", leak_json.document(self._report))

    @property
    def _row(self) -> LeakRow | None:
        """The row under the cursor."""
        return self._rows.get(self.table.current_key or "")

    @property
    def leads_to(self) -> Party | None:
        row = self._row
        return None if row is None or row.session is None else self._now(row.session)

    def party_of(self, key: str) -> Party | None:
        """The session of a row, whether or not it is there still."""
        row = self._rows.get(key)
        return None if row is None or row.session is None else Party(row.session.pid)

    @property
    def _graph(self) -> LockGraph | None:
        return None if self._data is None else self._data.graph

    def _now(self, left: LeftSession) -> Party | None:
        """The session that was left; None if the last poll has none with its pid, or another one."""
        party = Party(left.pid)
        session = None if self._graph is None else self._graph.sessions.get(party)
        return party if session is not None and session.backend_start == left.backend_start else None

    def _why_gone(self, left: LeftSession) -> str:
        """Why nothing can be done about a session that was counted and isn't there now."""
        if self._graph is None:
            return "No poll has seen any session yet."
        who = "another session" if Party(left.pid) in self._graph.sessions else "no session"
        gone = f"The session with pid {left.pid} that was counted is gone: {who} has its pid now."
        return f"{gone} {self.key('refresh')} looks again."

    # Keys.

    def offers(self, action: str) -> bool:
        if action == "sort":
            return self._report is not None and knows_tests(self._report)
        if action == "turn":
            return bool(self._rows)
        if action == "copy":
            return bool(self.copyable)
        if action == "act":
            return self.leads_to is not None
        return action == "detail" and self._row is not None

    def never(self, action: str, parameters: tuple[object, ...]) -> str:
        is_missing = action == "sweep_this" and not self._keys.sweeps
        return "This dashboard has no sweeps." if is_missing else ""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key does anything now; None: it doesn't, and `why_not` says why."""
        if action == "remove_this" and not (self._row and self._row.asks):
            # Of any other row the key is the dashboard's, which ends sessions.
            return False
        return super().check_action(action, parameters)

    def why_not(self, action: str, parameters: tuple[object, ...] = ()) -> str:
        row = self._row
        if action in ("sweep_this", "remove_this") and (past := self.in_past()):
            return past
        if action == "sweep_this" and row is None:
            return "No row is selected: there is nothing to sweep."
        if action == "sweep_this" and row is not None:
            copies = f" {self.key('copy')} copies {row.copies[0].what}." if row.copies else ""
            return f"{row.why_not_swept}{copies}" if row.why_not_swept else self.never(action, parameters)
        left = None if row is None else row.session
        if action in ("act", "follow_advice", "mark") and left is not None and self._now(left) is None:
            return self._why_gone(left)
        on_others = action in ("act", "follow_advice") and row is not None and left is None
        never = "" if self._report is None else self._report.why_not_swept
        if on_others and row is not None and not row.has_rows and never and row.why_not_swept == never:
            # What the key removes elsewhere.
            return never
        if on_others and (elsewhere := self._where_sessions_are()):
            return elsewhere
        if action in ("follow_advice", "mark") and left is not None:
            sessions, ends = self.key("sessions"), self.key("terminate")
            return f"{ends} ends this session; {sessions} opens Sessions with it selected."
        if action == "copy" and row is not None and not row.copies:
            return "No statement is known that helps here: the detail says what does."
        return super().why_not(action, parameters)

    def _where_sessions_are(self) -> str:
        """Which row of this list is a session, where the selected one isn't; empty without any."""
        numbers = [
            (number, key) for number, key in enumerate(self.table.keys, 1) if self.party_of(key) is not None
        ]
        if not numbers or self._report is None:
            return ""
        number, key = numbers[0]
        named = {one.session: leak_calm.session_name(one) for one in self._report.leftovers}
        who = named[self._rows[key].session]
        return f"The selected row is no session: that of {who} is row {number} of this list."

    @property
    def copyable(self) -> list[tuple[str, str]]:
        row = self._row
        return [] if row is None else [(one.what, one.text) for one in row.copies]

    def let_go(self) -> None:
        """Goes on to the next row once the selected one has gone, as was confirmed."""
        super().let_go()
        self.table.give_up()

    def open_detail(self) -> None:
        """Opens the row under the cursor in full; of a table, reads its rows."""
        row = self._row
        if row is not None:
            screen = LeakScreen(row.detail, row.table, self._read_rows if row.table else None)
            screen.copies = self.copyable
            self.app.push_screen(screen)

    def action_sweep_this(self) -> None:
        """Asks for the plan of a sweep of the selected row, or for the question whether it goes."""
        row = self._row
        if row is not None and row.part is not None:
            self.post_message(self.PlanSweep(row.part, asks=row.asks))

    def action_remove_this(self) -> None:
        """Asks whether the selected schema or prepared transaction goes."""
        self.action_sweep_this()

    @property
    def order(self) -> str:
        return self._wanted

    def use_order(self, order: str) -> bool:
        found = next((one for one in COLUMNS if one == order), None)
        self._wanted = found or self._wanted
        return found is not None

    def sort_next(self) -> str:
        """Groups by table or by test; returns a notification: the new grouping, or why there is no other."""
        if self._wanted == "table" and not (self._report and knows_tests(self._report)):
            return "Can't group by test: no test is known for these rows."
        self._wanted = "test" if self._wanted == "table" else "table"
        self.redraw()
        return f"grouped by {self._by}"

    # Drawing.

    def redraw(self) -> None:
        report = self._report
        built = report, self._trend.before, self._wanted, self.in_past()
        if built != self._built:
            self._build()
            self._built = built
        self._show_rows()

    def _build(self) -> None:
        report = self._report
        self._knows_tests = report is not None and knows_tests(report)
        # Rows without a known test can only be grouped by table.
        by: LeakGrouping = self._wanted if self._knows_tests else "table"
        if by != self._by:
            self._by = by
            self.table.use(COLUMNS[by])
        everything: Sequence[LeakRow] = ()
        keys = self._keys.in_past if self.in_past() else self._keys
        keys = keys.refused(report.why_not_swept) if report is not None and self._keys.sweeps else keys
        if report is not None and by == "test":
            everything = test_rows(report, keys, self._trend.before)
        elif report is not None:
            everything = leak_rows(report, keys, self._trend.before)
        self._rows = {one.row.key: one for one in everything}

    def _show_rows(self) -> None:
        report, everything = self._report, self._rows.values()
        empty: Cell
        if report is None:
            empty = f"Not counted: {plain(self._trouble)}" if self._trouble else "Counting leaked rows …"
        elif everything:
            empty = self.no_match("line")
        else:
            empty = joined(leak_calm.nothing_left(report, is_stale=bool(self._trouble)))
        shown = [one for one in everything if self.row_filter.fits(one.row.texts)]
        self.show_rows([one.row for one in self._placed(shown)], empty)
        self.show_order("Rows", "▼")
        self._show_detail()
        by_words = (
            ""
            if not self._knows_tests
            else f"by {self._by}, {self.key('sort')}: by {'test' if self._by == 'table' else 'table'}"
        )
        summary = () if report is None else leak_calm.summary(report, by_words, self._trouble)
        self.query_one("#leaks-summary", StillText).say(summary or "")
        self._show_trend()

    def _placed(self, shown: Sequence[LeakRow]) -> Iterator[LeakRow]:
        """The rows in their order: what has no rows to count stays below, or under its test."""
        counted = [one for one in shown if one.has_rows]
        keys = {one.row.key for one in counted}
        for one in self.in_order(counted):
            yield one
            yield from (left for left in shown if left.below == one.row.key)
        yield from (one for one in shown if not one.has_rows and one.below not in keys)

    @on(LiveTable.RowHighlighted)
    def _follow_cursor(self) -> None:
        self._show_detail()
        # What keys do depends on the row.
        self.screen.refresh_bindings()

    def _show_detail(self) -> None:
        row = self._row
        self.show_detail(None if row is None else row.detail, self.table.row_count)

    def _show_trend(self) -> None:
        line = self.query_one("#leaks-trend", StillText)
        since, report = self._trend.since, self._report
        # One count is no trend; a low screen has its line for the rows, which the summary counts as well.
        has_trend = self._trend.before is not None and self._trend.most > 0
        line.display = has_trend and self.app.size.height >= LOW
        if since is None or report is None:
            return
        now = leak_calm.some(report.total, "leaked row", is_all=not report.skipped)
        words = f"  {now} now, peak {self._trend.most:,} since {clock(since)}"
        room = max(1, self.size.width - 2 - len(words))
        line.say(sparkline(self._trend.over_time(room), room) + words)
