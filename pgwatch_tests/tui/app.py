"""The dashboard: a header line, tabs, and two pollers that feed them.

It reads through two callables, so a live server and a recording look the same to it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Footer, Input, TabbedContent, TabPane, Tabs

from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.locks.actions.action import Action, How, Outcome
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.locks.snapshot.poll_interval import pause_s
from pgwatch_tests.tui.export import export
from pgwatch_tests.tui.latest_answers import Latest
from pgwatch_tests.tui.notifications import tell_server_change
from pgwatch_tests.tui.poller import Polled, Poller, PollFailed
from pgwatch_tests.tui.screens.detail import DetailScreen, ReadHeld
from pgwatch_tests.tui.screens.help import help_screen
from pgwatch_tests.tui.session_actions import ask_and_act
from pgwatch_tests.tui.tabs.contention_tab import ContentionView
from pgwatch_tests.tui.tabs.leaks_tab import LeaksView
from pgwatch_tests.tui.tabs.locks_tab import LocksView
from pgwatch_tests.tui.tabs.sessions_tab import SessionsView
from pgwatch_tests.tui.tabs.sweep_desk import SweepDesk
from pgwatch_tests.tui.tabs.sweeps_tab import SweepsView
from pgwatch_tests.tui.tabs.tab import OFFERED_BY_VIEWS, View
from pgwatch_tests.tui.typed_keys import AppInTypedOrder
from pgwatch_tests.tui.widgets.filter_line import FilterLine
from pgwatch_tests.tui.widgets.live_table import LiveTable
from pgwatch_tests.tui.widgets.status_line import StatusLine

_PACES_S = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_LEAKS_AT_MOST_EVERY_S = 5.0
_LEAKS_SHARE = 0.05


class Dashboard(AppInTypedOrder):
    """Shows what `read_locks` and `read_leaks` return; both may raise PgwatchError and be called again.

    `act` does what its user confirms, and may raise PgwatchError; without one the dashboard only looks.
    `read_held` reads all locks of one session, for its detail; `sweeps` is what the Sweeps tab works with.
    `clock` is monotonic, in seconds; `export_to` is the directory that exports are written to.
    """

    CSS_PATH = "app.tcss"
    TITLE = "pgwatch-tests"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit", id="quit", tooltip="Leave at once"),
        Binding("ctrl+c", "quit", show=False, priority=True, id="interrupt"),
        Binding("question_mark", "help", "Help", key_display="?", id="help"),
        Binding("space", "pause", "Pause", id="pause", tooltip="Stop polling, or go on"),
        Binding("slash", "filter", "Filter", key_display="/", id="filter"),
        Binding("enter", "detail", "Detail", id="detail", priority=False),
        Binding("C", "act('cancel')", "Cancel", id="cancel", tooltip="Cancel the session's statement"),
        Binding("K", "act('terminate')", "End", id="terminate", tooltip="End the session"),
        Binding("s", "sort", "Sort", id="sort"),
        Binding("r", "refresh", "Refresh", id="refresh"),
        Binding("y", "copy", "Copy query", id="copy", show=False),
        Binding("e", "export", "Export", id="export", show=False),
        Binding("plus", "pace(-1)", "Faster", key_display="+", id="faster", show=False),
        Binding("minus", "pace(1)", "Slower", key_display="-", id="slower", show=False),
        Binding("1", "tab('locks-tab')", "Locks", id="locks", show=False),
        Binding("2", "tab('sessions-tab')", "Sessions", id="sessions", show=False),
        Binding("3", "tab('leaks-tab')", "Leaks", id="leaks", show=False),
        Binding("4", "tab('contention-tab')", "Contention", id="contention", show=False),
        Binding("5", "tab('sweeps-tab')", "Sweeps", id="sweeps", show=False),
        Binding("x", "reset", "Count from now", id="reset", show=False),
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
        self._leaks_poller = Poller(read_leaks, self._on_leaks, self._leaks_pause_s, clock)
        self._latest = Latest(clock())
        self._offered: tuple[bool, ...] = ()

    def compose(self) -> ComposeResult:
        yield StatusLine()
        with TabbedContent(initial="locks-tab"):
            with TabPane("Locks", id="locks-tab"):
                yield LocksView()
            with TabPane("Sessions", id="sessions-tab"):
                yield SessionsView()
            with TabPane("Leaks", id="leaks-tab"):
                yield LeaksView()
            with TabPane("Contention", id="contention-tab"):
                yield ContentionView()
            if self._sweeps is not None:
                with TabPane("Sweeps", id="sweeps-tab"):
                    yield SweepsView(self._sweeps, self._clock)
        yield FilterLine()
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self._base.query_one(StatusLine).refresh_s = self._refresh_s
        # A click on a tab leaves the focus with what the tab's keys are for.
        self._base.query_one(Tabs).can_focus = False
        # Bound to the app, not to a screen: they go on under a dialog, and end with the app.
        self.run_worker(self._locks_poller.run(), name="locks", group="locks", exit_on_error=True)
        self.run_worker(self._leaks_poller.run(), name="leaks", group="leaks", exit_on_error=True)
        self.set_interval(1.0, self._grow_older)
        self._focus_table()

    # What the pollers tell.

    def _locks_pause_s(self, snapshot: LockSnapshot, _: float) -> float:
        return pause_s(snapshot.blocked, snapshot.spent_s, self._refresh_s)

    def _on_locks(self, outcome: Polled[LockSnapshot] | PollFailed) -> None:
        if self._is_closing:
            return
        line = self._base.query_one(StatusLine)
        if isinstance(outcome, PollFailed):
            line.trouble = outcome.reason
            self._latest.lose_sight()
            self._grow_older()
            return
        now_s = self._clock()
        if changed := self._latest.take_locks(outcome.value, now_s, paused=self._locks_poller.paused):
            tell_server_change(self, changed)
        line.trouble = ""
        line.snapshot = outcome.value
        self._grow_older()
        # While something waits, polls are frequent.
        if self._latest.is_to_be_drawn(now_s, self._refresh_s):
            self._show_active()

    def _leaks_pause_s(self, _: LeakReport, took_s: float) -> float:
        # A scan that takes long is repeated seldom: at most 5 % of the time is spent counting.
        return max(_LEAKS_AT_MOST_EVERY_S, self._refresh_s, took_s * (1 / _LEAKS_SHARE - 1))

    def _on_leaks(self, outcome: Polled[LeakReport] | PollFailed) -> None:
        if self._is_closing:
            return
        if isinstance(outcome, PollFailed):
            self._latest.leaks_trouble = outcome.reason
        else:
            self._latest.take_leaks(outcome.value)
            self._base.query_one(StatusLine).leaks = outcome.value
        if self._active == "leaks-tab":
            self._show_active()

    @property
    def _base(self) -> Screen[object]:
        """The dashboard's own screen, also while a dialog is over it."""
        return self.screen_stack[0]

    @property
    def _is_closing(self) -> bool:
        """Whether the screen is being taken down: the last poll may come home just then."""
        return not self.screen_stack or not any(isinstance(one, StatusLine) for one in self._base.children)

    def _grow_older(self) -> None:
        if self._is_closing:
            return
        self._base.query_one(StatusLine).age_s = self._latest.age_s(self._clock())

    # What is shown.

    @property
    def _active(self) -> str:
        return self._base.query_one(TabbedContent).active

    def _show_active(self) -> None:
        """Renders the visible tab only; the others catch up when they are opened."""
        base = self._base
        text = self._filter_line.of(self._active)
        latest = self._latest
        match self._active:
            case "locks-tab":
                base.query_one(LocksView).show(latest.snapshot, text)
            case "sessions-tab":
                base.query_one(SessionsView).show(latest.snapshot, text)
            case "leaks-tab":
                base.query_one(LeaksView).show(latest.leaks, latest.leaks_trouble, text, latest.leak_trend)
            case "contention-tab":
                base.query_one(ContentionView).show(latest.contention, text)
            case "sweeps-tab":
                base.query_one(SweepsView).show(text)
        offered = tuple(self._view.offers(action) for action in OFFERED_BY_VIEWS)
        if offered != self._offered:
            self._offered = offered
            base.refresh_bindings()

    def _table(self) -> LiveTable:
        return self._base.query_one(f"#{self._active}", TabPane).query_one(LiveTable)

    def _focus_table(self) -> None:
        # At once, for the next key; the tab that this belongs to isn't to be opened once more later.
        with self.prevent(TabPane.Focused):
            self._base.set_focus(self._table())

    def on_sweeps_view_next_sweep(self, event: SweepsView.NextSweep) -> None:
        if not self._is_closing:
            self._base.query_one(StatusLine).next_sweep = event.at

    def on_tabbed_content_tab_activated(self, _: TabbedContent.TabActivated) -> None:
        if self._is_closing:
            return
        if not self._filter_line.is_open_for(self._active):
            self._filter_line.show(self._active)
            self._focus_table()
        self._show_active()
        self.refresh_bindings()

    @property
    def _view(self) -> View:
        return self._base.query_one(f"#{self._active}", TabPane).query_one(View)

    # Keys.

    def action_tab(self, tab: str) -> None:
        """Opens a tab."""
        self._base.query_one(TabbedContent).active = tab
        self._focus_table()
        # At once: the next key may be for a row.
        self._show_active()

    def action_move(self, rows: int) -> None:
        """Moves the cursor."""
        table = self._table()
        if rows > 0:
            table.action_cursor_down()
        else:
            table.action_cursor_up()

    def action_help(self) -> None:
        """Shows the keys."""
        self.push_screen(help_screen(acting=self._act is not None, sweeps=self._sweeps is not None))

    def action_pause(self) -> None:
        """Stops polling, or goes on."""
        self._locks_poller.toggle()
        self._leaks_poller.toggle()
        self._latest.lose_sight()
        self._base.query_one(StatusLine).paused = self._locks_poller.paused

    def action_refresh(self) -> None:
        """Polls and counts now."""
        self._latest.draw_anew()
        self._locks_poller.poll_now()
        self._leaks_poller.poll_now()

    def action_pace(self, steps: int) -> None:
        """Polls less often, or more often."""
        slower = [pace for pace in _PACES_S if pace > self._refresh_s]
        faster = [pace for pace in _PACES_S if pace < self._refresh_s]
        candidates = slower[:1] if steps > 0 else faster[-1:]
        if candidates:
            self._refresh_s = candidates[0]
            self._base.query_one(StatusLine).refresh_s = self._refresh_s
            self._locks_poller.poll_now()

    def action_sort(self) -> None:
        """Sorts the sessions another way, or sums contention or leaks up by something else."""
        if told := self._view.sort_next():
            self.notify(told)

    def action_reset(self) -> None:
        """Counts contention from now on."""
        if self._active == "contention-tab":
            self._latest.count_contention_anew(paused=self._locks_poller.paused)
            self._show_active()

    def action_detail(self) -> None:
        """Shows everything about the selected row."""
        party = self._view.selected
        if party is None:
            self._view.open_detail()
        elif self._latest.snapshot is not None:
            self.push_screen(DetailScreen(LockGraph(self._latest.snapshot), party, self._read_held))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key does anything now, and is shown."""
        if action in OFFERED_BY_VIEWS:
            if self._is_closing or (action == "act" and self._act is None):
                return False
            return self._view.is_mounted and self._view.offers(action)
        if action == "tab" and self._sweeps is None:
            return parameters != ("sweeps-tab",)
        return super().check_action(action, parameters)

    def action_act(self, how: How) -> None:
        """Asks whether the selected session's statement is to be cancelled, or the session ended."""
        party = self._view.selected
        if self._act is not None and party is not None and self._latest.snapshot is not None:
            ask_and_act(self, self._act, LockGraph(self._latest.snapshot), party, how, self.action_refresh)

    def on_data_table_row_selected(self) -> None:
        # By mouse.
        self.action_detail()

    def action_copy(self) -> None:
        """Copies the selected session's query."""
        party = self._view.selected
        if party is None or self._latest.snapshot is None:
            return
        session = LockGraph(self._latest.snapshot).sessions.get(party)
        if session is not None and session.query:
            self.copy_to_clipboard(session.query)
            self.notify(f"copied the query of pid {party.pid}", timeout=2)

    def action_export(self) -> None:
        """Writes what is shown to a JSON file."""
        match self._active:
            case "leaks-tab":
                export(self, self._export_to, self._latest.leaks)
            case "contention-tab":
                export(self, self._export_to, self._latest.contention)
            case "sweeps-tab":
                export(self, self._export_to, self._base.query_one(SweepsView).report)
            case _:
                export(self, self._export_to, self._latest.snapshot)

    def deliver_screenshot(
        self, filename: str | None = None, path: str | None = None, time_format: str | None = None
    ) -> str | None:
        """Writes a picture beside the other exports: a directory for downloads needn't be there."""
        return super().deliver_screenshot(filename, path or str(self._export_to), time_format)

    # The filter.

    @property
    def _filter_line(self) -> FilterLine:
        return self._base.query_one(FilterLine)

    def action_filter(self) -> None:
        """Opens the filter's line."""
        self._filter_line.open(self._active)

    def action_leave_filter(self) -> None:
        """Goes back to what is filtered."""
        self._filter_line.show(self._active)
        self._focus_table()

    def action_end_filter(self) -> None:
        """Shows everything again."""
        self._filter_line.clear_filter(self._active)
        self._focus_table()
        self._show_active()

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input is self._filter_line:
            self._show_active()
