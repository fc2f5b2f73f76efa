"""The tabs of a dashboard with their filter, rows and exports: what the live one and the replay share."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.command import Provider
from textual.containers import Horizontal
from textual.filter import LineFilter, Monochrome, NoColor
from textual.widgets import Input

from pgwatch_tests.locks.graph.lock_graph import graph_of
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.tui.actions import write_export
from pgwatch_tests.tui.keyed_app import KeyedApp
from pgwatch_tests.tui.keys.commands import KeyCommands
from pgwatch_tests.tui.screens.detail import DetailScreen, ReadHeld
from pgwatch_tests.tui.tabs.tab import TAB_ACTIONS, DashboardTab, TabData
from pgwatch_tests.tui.tabs.tab_place import TabPlace
from pgwatch_tests.tui.terminal.without_colours import WithoutColours
from pgwatch_tests.tui.widgets.filter_line import FilterLine
from pgwatch_tests.tui.widgets.footer import KeyFooter
from pgwatch_tests.tui.widgets.status_line import StatusLine
from pgwatch_tests.tui.widgets.still_text import StillText
from pgwatch_tests.tui.widgets.tab_bar import TabBar
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable
from pgwatch_tests.tui.widgets.tables.row_table import HEAD
from pgwatch_tests.tui.widgets.themes import DARK, THEMES, with_cursor

_COPIED_SHOWN = 80


class TabbedApp(KeyedApp):
    """Tabs that show `data`, of which only the open one is drawn. Exports go to `export_to`.
    `read_held` reads all locks of one session, for its detail.
    """

    # Absolute: Textual takes a relative path for one beside the module of the subclass.
    CSS_PATH = Path(__file__).with_name("app.tcss")
    TITLE = "pgwatch-tests"
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {KeyCommands}

    def __init__(
        self,
        first: DashboardTab,
        later: Sequence[TabPlace],
        *,
        read_held: ReadHeld | None = None,
        export_to: Path | None = None,
    ) -> None:
        super().__init__(first, later)
        self.animation_level = "none"
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = DARK
        # An empty one is none: no-color.org.
        self.no_color = bool(os.environ.get("NO_COLOR"))
        self._without_colours = WithoutColours() if self.no_color else None
        self._read_held = read_held
        self._export_to = export_to or Path.cwd()
        self._offered: tuple[str, ...] = ()
        self._copied: tuple[Sequence[tuple[str, str]], int] = ((), 0)
        """What `y` last copied: the row's things, and the number of that one."""

    def get_css_variables(self) -> dict[str, str]:
        """The theme's variables, and those of the selected row."""
        return with_cursor(super().get_css_variables())

    def get_line_filters(self) -> Sequence[LineFilter]:
        """What changes each line before it is drawn."""
        if self._without_colours is not None:
            self._without_colours.use_theme(self.theme, self.get_css_variables)
            return (self._without_colours,)
        return [one for one in super().get_line_filters() if not isinstance(one, Monochrome | NoColor)]

    def _fatal_error(self) -> None:
        # Whoever runs it tells the fault. Textual would print variables, too, and a password may be in one.
        self._close_messages_no_wait()

    @property
    @abstractmethod
    def data(self) -> TabData:
        """The data that the tabs show."""

    def compose(self) -> ComposeResult:
        yield from self.above()
        yield from self.panes()
        with Horizontal(id="filter-row"):
            yield StillText("Filter", id="filter-label")
            yield FilterLine()
        yield from self.below()
        yield KeyFooter()

    def above(self) -> ComposeResult:
        """Yields the lines above the tabs."""
        yield StatusLine()

    def below(self) -> ComposeResult:
        """Yields the lines between the tabs and the footer."""
        yield from ()

    def on_mount(self) -> None:
        self._focus_table()

    # Looked for once: they are asked with each poll.

    @cached_property
    def _status_line(self) -> StatusLine:
        return self._base.query_one(StatusLine)

    def tabs_mounted(self) -> None:
        """Shows what there is in each tab, and which of their keys there are."""
        self._number_tabs()
        self.refresh_bindings()

    def toast_line(self, height: int) -> int:
        """The last lines above the pane; the first ones of the tab where the selected row is there.

        What keys act on is never covered, nor is the advice.
        """
        table, bar = self._tab.table, self._bar
        if len(self.screen_stack) > 1 or not table.is_attached or not bar.is_attached:
            return super().toast_line(height)
        top, bottom = bar.region.bottom - 1, table.region.bottom
        if not table.row_count:
            return max(top, self._panes.region.bottom - height)
        selected = table.region.y + HEAD + table.cursor_row - round(table.scroll_y)
        if not table.show_cursor or bottom - height > selected:
            return max(top, bottom - height)
        if top + height <= selected:
            return top
        return selected - height if selected >= height else selected + 1

    @on(LiveTable.RowHighlighted)
    def _clear_selected_row(self) -> None:
        self._place()

    # The open tab.

    def in_past(self) -> str:
        """Why nothing is done while a moment of the past is looked at; empty if none is."""
        return ""

    def _show_tab(self) -> None:
        """Draws the open tab only; the others catch up when they are opened."""
        tab = self._tab
        tab.show(self.data, self._filter_line.of(self._active))
        self._place()
        self._number_tabs()
        offered = tuple(self.why_not(action) for action in TAB_ACTIONS)
        if offered != self._offered:
            self._offered = offered
            self._base.refresh_bindings()

    def _number_tabs(self) -> None:
        """Shows in the bar how much there is in each tab."""
        self._bar.say({pane_id: tab.number(self.data) for pane_id, tab in self._tabs.items()})

    def tab_opened(self) -> None:
        """Called once another tab is open."""

    # Keys.

    async def action_tab(self, tab: str) -> None:
        """Opens a tab."""
        await self.open_tab(tab)

    async def open_tab(self, tab: str) -> None:
        """Opens the tab of that pane, at the session that the selected row was about."""
        leads_to = self._tab.party_for(tab) if self._tab.is_mounted else None
        await self._mount_tab(tab)
        if self._is_closing:
            return
        self._filter_line.show(tab)
        if tab != self._active:
            self.drop_toasts_of_tab()
        # The focus is in the table before the next key, which may be for a row.
        self._activate(tab)
        self._show_tab()
        if leads_to is not None:
            self._tab.go_to(leads_to)
        self.refresh_bindings()
        self.tab_opened()

    @on(TabBar.Chosen)
    async def _open_chosen_tab(self, event: TabBar.Chosen) -> None:
        await self.open_tab(event.pane_id)

    def action_move(self, rows: int) -> None:
        """Moves the cursor."""
        table = self._tab.table
        (table.action_cursor_down if rows > 0 else table.action_cursor_up)()

    def action_mark(self) -> None:
        """Marks the selected row, or takes its mark away."""
        self._tab.toggle_mark()

    def action_sort(self) -> None:
        """Switches the open tab to its next sort order or grouping."""
        self._tab.turned = False
        if told := self._tab.sort_next():
            self.notify(told, about="order")
        self.keep_order()

    def action_turn(self) -> None:
        """Turns the order of the open tab's rows around."""
        self._tab.turn()
        self.keep_order()

    def action_detail(self) -> None:
        """Opens the selected row in full."""
        party = self._tab.selected
        if party is None:
            self._tab.open_detail()
        elif self.data.snapshot is not None:
            self._tab.table.choose()
            screen = DetailScreen(
                graph_of(self.data.snapshot), party, self.key_name, self._read_held, self.as_of
            )
            screen.copies = self._tab.copyable
            self.push_screen(screen)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key does anything now; None: it doesn't, and `why_not` says why."""
        if action in TAB_ACTIONS and self._is_closing:
            return False
        if self.screen_stack and not self._is_closing and self.why_not(action, parameters):
            return None
        return super().check_action(action, parameters)

    @on(LiveTable.RowSelected)
    def _open_clicked_row(self) -> None:
        self.action_detail()

    @on(LiveTable.HeadClicked)
    def _sort_by_clicked(self, event: LiveTable.HeadClicked) -> None:
        head = event.head
        if head == self._tab.table.sorted_head:
            if not self.why_not("turn"):
                self.action_turn()
        elif order := self._tab.order_of(head):
            self._tab.turned = False
            self._tab.use_order(order)
            self._show_tab()
            self.keep_order()
        else:
            self.notify(f"{self._tab.TITLE} can't be sorted by {head}.", timeout=2, about="order")

    def keep_order(self) -> None:
        """Called once the order of the open tab was changed."""

    def action_copy(self) -> None:
        """Copies what the open tab offers of its selected row; pressed again, the next thing of it."""
        self.copy_one_of(self._tab.copyable)

    def copy_one_of(self, offered: Sequence[tuple[str, str]]) -> None:
        """Copies the first of these; called again with the same, the next one."""
        if not offered:
            self.notify("Nothing to copy in this row.", timeout=2, about="copy")
            return
        before, last = self._copied
        number = (last + 1) % len(offered) if offered == before else 0
        self._copied = offered, number
        what, text = offered[number]
        self.copy_to_clipboard(text)
        others = [one for one, _ in offered if one != what]
        more = f"; {self.key_name('copy')} again copies {others[0]}" if others else ""
        copied = f"Copied {what}{self.as_of}: {plain(text, _COPIED_SHOWN)}{more}"
        self.notify(copied, timeout=4, markup=False, about="copy")

    @property
    def as_of(self) -> str:
        """Which moment the selected session is of, as the end of a phrase; empty for the present."""
        return ""

    def action_next_root(self, step: int) -> None:
        """Goes to the next root blocker, or the previous one."""
        if told := self._tab.next_root(step):
            self.notify(told, timeout=3, about="way")

    def action_next_deadlock(self) -> None:
        """Goes to the next deadlock."""
        if told := self._tab.next_deadlock():
            self.notify(told, timeout=3, about="way")

    def action_export(self) -> None:
        """Writes what the open tab shows to a JSON file."""
        if document := self._tab.document:
            write_export(self, self._export_to, *document)
        else:
            self.notify(f"There is nothing to export in {self._tab.TITLE} yet.", severity="warning")

    def deliver_screenshot(
        self, filename: str | None = None, path: str | None = None, time_format: str | None = None
    ) -> str | None:
        """Writes a picture beside the other exports: there may be no directory for downloads."""
        return super().deliver_screenshot(filename, path or str(self._export_to), time_format)

    # The filter.

    @cached_property
    def _filter_line(self) -> FilterLine:
        return self._base.query_one(FilterLine)

    def action_filter(self) -> None:
        """Opens the filter line."""
        self._filter_line.open(self._active)

    def action_leave_filter(self) -> None:
        """Returns from the filter line to the filtered table."""
        self._filter_line.show(self._active)
        self._focus_table()
        # Whoever has filtered looks at what is left: it hasn't gone, as a row does that a poll no longer has.
        self._tab.table.take_first()

    def action_escape(self) -> None:
        """Clears the marks, else the filter; else dismisses the toasts, and goes back further."""
        if self._tab.marked:
            self._tab.clear_marks()
        elif self._filter_line.of(self._active) or self._filter_line.is_open_for(self._active):
            self._filter_line.clear_filter(self._active)
            self._focus_table()
            self._show_tab()
        else:
            self.dismiss_toasts()

    @on(Input.Changed, "#filter")
    def _apply_filter(self) -> None:
        self._show_tab()
