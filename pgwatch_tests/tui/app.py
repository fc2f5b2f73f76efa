"""The dashboard: a status line, five tabs, the keys of all tabs, and the two pollers that feed them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import DataTable, Input, TabbedContent, TabPane, Tabs

from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.locks.actions.action import Action, How, Outcome
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.locks.snapshot.poll_interval import PollPace
from pgwatch_tests.tui.actions import ask_and_act, tell_server_change, write_export
from pgwatch_tests.tui.latest_answers import LatestAnswers
from pgwatch_tests.tui.poller import Polled, Poller, PollFailed
from pgwatch_tests.tui.screens.detail import DetailScreen, ReadHeld
from pgwatch_tests.tui.screens.help import help_screen
from pgwatch_tests.tui.tabs.contention_tab import ContentionTab
from pgwatch_tests.tui.tabs.leaks_tab import LeaksTab
from pgwatch_tests.tui.tabs.locks_tab import LocksTab
from pgwatch_tests.tui.tabs.sessions_tab import SessionsTab
from pgwatch_tests.tui.tabs.sweep_desk import SweepDesk
from pgwatch_tests.tui.tabs.sweeps_tab import SweepsTab
from pgwatch_tests.tui.tabs.tab import TAB_ACTIONS, DashboardTab
from pgwatch_tests.tui.typed_keys import AppInTypedOrder
from pgwatch_tests.tui.widgets.filter_line import FilterLine
from pgwatch_tests.tui.widgets.footer import StillFooter
from pgwatch_tests.tui.widgets.status_line import StatusLine
from pgwatch_tests.tui.workers import start_worker

_INTERVALS_S = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_LEAKS_AT_MOST_EVERY_S = 5.0
_LEAKS_SHARE = 0.05


class Dashboard(AppInTypedOrder):
    """Shows what `read_locks` and `read_leaks` return: of a live server, or of a recording.

    Both may raise PgwatchError and are then called again. `act` does a confirmed action, and may raise
    PgwatchError; without it the dashboard is read-only. `read_held` reads all locks of one session;
    `sweeps` is what the Sweeps tab works with. `clock` is monotonic, in seconds; exports go to `export_to`.
    """

    CSS_PATH = "app.tcss"
    TITLE = "pgwatch-tests"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit", id="quit", tooltip="Quit at once"),
        Binding("ctrl+c", "quit", show=False, priority=True, id="interrupt"),
        Binding("question_mark", "help", "Help", key_display="?", id="help"),
        Binding("space", "pause", "Pause", id="pause", tooltip="Pause or resume polling"),
        Binding("slash", "filter", "Filter", key_display="/", id="filter"),
        Binding("enter", "detail", "Detail", id="detail", priority=False),
        Binding("C", "act('cancel')", "Cancel", id="cancel", tooltip="Cancel the session's statement"),
        Binding("K", "act('terminate')", "End", id="terminate", tooltip="End the session"),
        Binding("s", "sort", "Sort", id="sort"),
        Binding("r", "refresh", "Refresh", id="refresh"),
        Binding("y", "copy", "Copy query", id="copy", show=False),
        Binding("e", "export", "Export", id="export", show=False),
        Binding("plus", "change_interval(-1)", "Faster", key_display="+", id="faster", show=False),
        Binding("minus", "change_interval(1)", "Slower", key_display="-", id="slower", show=False),
        Binding("1", "tab('locks-tab')", "Locks", id="locks", show=False),
        Binding("2", "tab('sessions-tab')", "Sessions", id="sessions", show=False),
        Binding("3", "tab('leaks-tab')", "Leaks", id="leaks", show=False),
        Binding("4", "tab('contention-tab')", "Contention", id="contention", show=False),
        Binding("5", "tab('sweeps-tab')", "Sweeps", id="sweeps", show=False),
        Binding("x", "reset", "Restart count", id="reset", show=False),
        Binding("j", "move(1)", show=False, id="down"),
        Binding("k", "move(-1)", show=False, id="up"),
        Binding("escape", "end_filter", show=False, id="end-filter"),
    ]

    def __init__(
        self,
        read_locks: Callable[[], Awaitable[LockSnapshot]],
        read_leaks: Callable[[], Awaitable[LeakReport]],
        *,
        act: Callable[[Action], Awaitable[Outcome]] | None = None,
        read_held: ReadHeld | None = None,
        sweeps: SweepDesk | None = None,
        refresh_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        export_to: Path | None = None,
    ) -> None:
        super().__init__()
        self.animation_level = "none"
        self._act = act
        self._read_held = read_held
        self._sweeps = sweeps
        self._clock = clock
        self._export_to = export_to or Path.cwd()
        self._refresh_s = refresh_s
        self._locks_poller = Poller(read_locks, self._on_locks, self._locks_pause_s, clock)
        self._locks_pace = PollPace()
        self._leaks_poller = Poller(read_leaks, self._on_leaks, self._leaks_pause_s, clock)
        self._latest = LatestAnswers(clock())
        self._offered: tuple[bool, ...] = ()
        tabs: list[DashboardTab] = [LocksTab(), SessionsTab(), LeaksTab(), ContentionTab()]
        if sweeps is not None:
            tabs.append(SweepsTab(sweeps, clock))
        self._tabs = {tab.pane_id(): tab for tab in tabs}

    def compose(self) -> ComposeResult:
        yield StatusLine()
        with TabbedContent(initial=LocksTab.pane_id()):
            for pane_id, tab in self._tabs.items():
                with TabPane(tab.TITLE, id=pane_id):
                    yield tab
        yield FilterLine()
        yield StillFooter(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self._base.query_one(StatusLine).refresh_s = self._refresh_s
        # A click on a tab leaves the focus on its table.
        self._base.query_one(Tabs).can_focus = False
        # Workers of the app, not of a screen: they go on under a dialog.
        start_worker(self, self._locks_poller.run, "locks")
        start_worker(self, self._leaks_poller.run, "leaks")
        self.set_interval(1.0, self._grow_older)
        self._focus_table()

    # Answers of the pollers.

    def _locks_pause_s(self, snapshot: LockSnapshot, _: float) -> float:
        return self._locks_pace.pause_s(snapshot.blocked, snapshot.spent_s, self._refresh_s)

    def _on_locks(self, outcome: Polled[LockSnapshot] | PollFailed) -> None:
        if self._is_closing:
            return
        line = self._base.query_one(StatusLine)
        if isinstance(outcome, PollFailed):
            line.trouble = outcome.reason
            self._latest.interrupt()
            self._grow_older()
            return
        now_s = self._clock()
        if changed := self._latest.take_locks(outcome.value, now_s, paused=self._locks_poller.paused):
            tell_server_change(self, changed)
        line.trouble = ""
        line.snapshot = outcome.value
        self._grow_older()
        # While something waits, polls are frequent: most change nothing but durations.
        if self._latest.needs_redraw(now_s, self._refresh_s):
            self._show_tab()

    def _leaks_pause_s(self, _: LeakReport, took_s: float) -> float:
        # At most 5 % of the time is spent counting.
        return max(_LEAKS_AT_MOST_EVERY_S, self._refresh_s, took_s * (1 / _LEAKS_SHARE - 1))

    def _on_leaks(self, outcome: Polled[LeakReport] | PollFailed) -> None:
        if self._is_closing:
            return
        if isinstance(outcome, PollFailed):
            self._latest.leaks_trouble = outcome.reason
        else:
            self._latest.take_leaks(outcome.value)
            self._base.query_one(StatusLine).leaks = outcome.value
        if isinstance(self._tab, LeaksTab):
            self._show_tab()

    @property
    def _base(self) -> Screen[object]:
        """The dashboard's own screen, even while a dialog covers it."""
        return self.screen_stack[0]

    @property
    def _is_closing(self) -> bool:
        """Whether the screen is being torn down: the last poll may answer just then."""
        return not self.screen_stack or not any(isinstance(one, StatusLine) for one in self._base.children)

    def _grow_older(self) -> None:
        if self._is_closing:
            return
        self._base.query_one(StatusLine).age_s = self._latest.age_s(self._clock())

    # The open tab.

    @property
    def _active(self) -> str:
        """The id of the open pane."""
        return self._base.query_one(TabbedContent).active

    @property
    def _tab(self) -> DashboardTab:
        """The open tab."""
        return self._tabs[self._active]

    def _show_tab(self) -> None:
        """Draws the open tab only; the others catch up when they are opened."""
        tab = self._tab
        tab.show(self._latest, self._filter_line.of(self._active))
        offered = tuple(tab.offers(action) for action in TAB_ACTIONS)
        if offered != self._offered:
            self._offered = offered
            self._base.refresh_bindings()

    def _focus_table(self) -> None:
        # At once, for the next key; a later TabPane.Focused would open this tab again.
        with self.prevent(TabPane.Focused):
            self._base.set_focus(self._tab.table)

    @on(SweepsTab.NextSweep)
    def _show_next_sweep(self, event: SweepsTab.NextSweep) -> None:
        if not self._is_closing:
            self._base.query_one(StatusLine).next_sweep = event.at

    @on(TabbedContent.TabActivated)
    def _open_tab(self) -> None:
        if self._is_closing:
            return
        if not self._filter_line.is_open_for(self._active):
            self._filter_line.show(self._active)
            self._focus_table()
        self._show_tab()
        self.refresh_bindings()

    # Keys.

    def action_tab(self, tab: str) -> None:
        """Opens a tab."""
        self._base.query_one(TabbedContent).active = tab
        self._focus_table()
        # At once: the next key may be for a row.
        self._show_tab()

    def action_move(self, rows: int) -> None:
        """Moves the cursor."""
        table = self._tab.table
        (table.action_cursor_down if rows > 0 else table.action_cursor_up)()

    def action_help(self) -> None:
        """Shows the keys."""
        self.push_screen(help_screen(acting=self._act is not None, sweeps=self._sweeps is not None))

    def action_pause(self) -> None:
        """Pauses or resumes polling."""
        self._locks_poller.toggle()
        self._leaks_poller.toggle()
        self._latest.interrupt()
        self._base.query_one(StatusLine).paused = self._locks_poller.paused

    def action_refresh(self) -> None:
        """Polls and counts leaks now."""
        self._latest.force_redraw()
        self._locks_poller.poll_now()
        self._leaks_poller.poll_now()

    def action_change_interval(self, steps: int) -> None:
        """Polls less often (1) or more often (-1)."""
        slower = [one for one in _INTERVALS_S if one > self._refresh_s]
        faster = [one for one in _INTERVALS_S if one < self._refresh_s]
        candidates = slower[:1] if steps > 0 else faster[-1:]
        if candidates:
            self._refresh_s = candidates[0]
            self._base.query_one(StatusLine).refresh_s = self._refresh_s
            self._locks_poller.poll_now()

    def action_sort(self) -> None:
        """Switches the open tab to its next sort order or grouping."""
        if order := self._tab.sort_next():
            self.notify(order)

    def action_reset(self) -> None:
        """Restarts the sums of the Contention tab."""
        self._latest.reset_contention(paused=self._locks_poller.paused)
        self._show_tab()

    def action_detail(self) -> None:
        """Opens the selected row in full."""
        party = self._tab.selected
        if party is None:
            self._tab.open_detail()
        elif self._latest.snapshot is not None:
            self.push_screen(DetailScreen(LockGraph(self._latest.snapshot), party, self._read_held))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key does anything now, and is in the footer."""
        if action in TAB_ACTIONS:
            if self._is_closing or (action == "act" and self._act is None):
                return False
            return self._tab.is_mounted and self._tab.offers(action)
        if action == "tab" and self._sweeps is None:
            return parameters != (SweepsTab.pane_id(),)
        return super().check_action(action, parameters)

    def action_act(self, how: How) -> None:
        """Asks whether to cancel the selected session's statement, or to end the session."""
        party = self._tab.selected
        if self._act is not None and party is not None and self._latest.snapshot is not None:
            ask_and_act(self, self._act, LockGraph(self._latest.snapshot), party, how, self.action_refresh)

    @on(DataTable.RowSelected)
    def _open_clicked_row(self) -> None:
        self.action_detail()

    def action_copy(self) -> None:
        """Copies the selected session's query."""
        party = self._tab.selected
        if party is None or self._latest.snapshot is None:
            return
        session = LockGraph(self._latest.snapshot).sessions.get(party)
        if session is not None and session.query:
            self.copy_to_clipboard(session.query)
            self.notify(f"copied the query of pid {party.pid}", timeout=2)

    def action_export(self) -> None:
        """Writes what the open tab shows to a JSON file."""
        if document := self._tab.document:
            write_export(self, self._export_to, *document)

    def deliver_screenshot(
        self, filename: str | None = None, path: str | None = None, time_format: str | None = None
    ) -> str | None:
        """Writes a picture beside the other exports: there may be no directory for downloads."""
        return super().deliver_screenshot(filename, path or str(self._export_to), time_format)

    # The filter.

    @property
    def _filter_line(self) -> FilterLine:
        return self._base.query_one(FilterLine)

    def action_filter(self) -> None:
        """Opens the filter line."""
        self._filter_line.open(self._active)

    def action_leave_filter(self) -> None:
        """Returns from the filter line to the filtered table."""
        self._filter_line.show(self._active)
        self._focus_table()

    def action_end_filter(self) -> None:
        """Clears the filter."""
        self._filter_line.clear_filter(self._active)
        self._focus_table()
        self._show_tab()

    @on(Input.Changed, "#filter")
    def _apply_filter(self) -> None:
        self._show_tab()
