"""The tabs of a dashboard with their filter, rows and exports: what the live one and the replay share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import DataTable, Input, TabbedContent, TabPane, Tabs

from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.tui.actions import write_export
from pgwatch_tests.tui.screens.detail import DetailScreen, ReadHeld
from pgwatch_tests.tui.tabs.tab import TAB_ACTIONS, DashboardTab, TabData
from pgwatch_tests.tui.typed_keys import AppInTypedOrder
from pgwatch_tests.tui.widgets.filter_line import FilterLine
from pgwatch_tests.tui.widgets.footer import StillFooter
from pgwatch_tests.tui.widgets.status_line import StatusLine
from pgwatch_tests.tui.widgets.themes import DARK, THEMES, with_cursor

_COPIED_SHOWN = 80

FIRST_KEYS: tuple[BindingType, ...] = (
    Binding("q", "quit", "Quit", id="quit", tooltip="Quit at once"),
    Binding("ctrl+c", "quit", show=False, priority=True, id="interrupt"),
    Binding("question_mark", "help", "Help", key_display="?", id="help"),
)
ROW_KEYS: tuple[BindingType, ...] = (
    Binding("slash", "filter", "Filter", key_display="/", id="filter"),
    Binding("enter", "detail", "Detail", id="detail", priority=False),
)
SORT_KEY = Binding("s", "sort", "Sort", id="sort")
HIDDEN_KEYS: tuple[BindingType, ...] = (
    Binding("y", "copy", "Copy SQL", id="copy", show=False),
    Binding("e", "export", "Export", id="export", show=False),
    Binding("1", "tab('locks-tab')", "Locks", id="locks", show=False),
    Binding("2", "tab('sessions-tab')", "Sessions", id="sessions", show=False),
    Binding("3", "tab('leaks-tab')", "Leaks", id="leaks", show=False),
    Binding("4", "tab('contention-tab')", "Contention", id="contention", show=False),
    Binding("j", "move(1)", show=False, id="down"),
    Binding("k", "move(-1)", show=False, id="up"),
    Binding("escape", "end_filter", show=False, id="end-filter"),
)
"""A footer has its keys in the order of an app's list, so each app lists all of them."""


class TabbedApp(AppInTypedOrder):
    """Tabs that show `data`, of which only the open one is drawn. Exports go to `export_to`.

    `read_held` reads all locks of one session, for its detail.
    """

    # Absolute: Textual takes a relative path for one beside the module of the subclass.
    CSS_PATH = Path(__file__).with_name("app.tcss")
    TITLE = "pgwatch-tests"

    def __init__(
        self,
        tabs: Sequence[DashboardTab],
        *,
        read_held: ReadHeld | None = None,
        export_to: Path | None = None,
    ) -> None:
        super().__init__()
        self.animation_level = "none"
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = DARK
        self._tabs = {tab.pane_id(): tab for tab in tabs}
        self._read_held = read_held
        self._export_to = export_to or Path.cwd()
        self._offered: tuple[bool, ...] = ()
        self._copied: tuple[list[tuple[str, str]], int] = ([], 0)
        """What `y` last copied: the row's things, and the number of that one."""

    def get_css_variables(self) -> dict[str, str]:
        """The theme's variables, and those of the selected row."""
        return with_cursor(super().get_css_variables())

    @property
    @abstractmethod
    def data(self) -> TabData:
        """The data that the tabs show."""

    @abstractmethod
    def action_help(self) -> None:
        """Shows the keys."""

    def compose(self) -> ComposeResult:
        yield from self.above()
        with TabbedContent(initial=next(iter(self._tabs))):
            for pane_id, tab in self._tabs.items():
                with TabPane(tab.TITLE, id=pane_id):
                    yield tab
        yield FilterLine()
        yield from self.below()
        yield StillFooter(show_command_palette=False, compact=True)

    def above(self) -> ComposeResult:
        """Yields the lines above the tabs."""
        yield StatusLine()

    def below(self) -> ComposeResult:
        """Yields the lines between the tabs and the footer."""
        yield from ()

    def on_mount(self) -> None:
        # A click on a tab leaves the focus on its table.
        self._base.query_one(Tabs).can_focus = False
        self._focus_table()

    @property
    def _base(self) -> Screen[object]:
        """The dashboard's own screen, even while a dialog covers it."""
        return self.screen_stack[0]

    @property
    def _is_closing(self) -> bool:
        """Whether the screen is being torn down: the last poll may answer just then."""
        return not self.screen_stack or not any(isinstance(one, StatusLine) for one in self._base.children)

    @property
    def _status_line(self) -> StatusLine:
        return self._base.query_one(StatusLine)

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
        tab.show(self.data, self._filter_line.of(self._active))
        offered = tuple(tab.offers(action) for action in TAB_ACTIONS)
        if offered != self._offered:
            self._offered = offered
            self._base.refresh_bindings()

    def _focus_table(self) -> None:
        # At once, for the next key; a later TabPane.Focused would open this tab again.
        with self.prevent(TabPane.Focused):
            self._base.set_focus(self._tab.table)

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

    def action_sort(self) -> None:
        """Switches the open tab to its next sort order or grouping."""
        if order := self._tab.sort_next():
            self.notify(order)

    def action_detail(self) -> None:
        """Opens the selected row in full."""
        party = self._tab.selected
        if party is None:
            self._tab.open_detail()
        elif self.data.snapshot is not None:
            self.push_screen(DetailScreen(LockGraph(self.data.snapshot), party, self._read_held))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key does anything now, and is in the footer."""
        if action in TAB_ACTIONS:
            return not self._is_closing and self._tab.is_mounted and self._tab.offers(action)
        return super().check_action(action, parameters)

    @on(DataTable.RowSelected)
    def _open_clicked_row(self) -> None:
        self.action_detail()

    def action_copy(self) -> None:
        """Copies what the open tab offers of its selected row; pressed again, the next thing of it."""
        offered = self._tab.copyable
        if not offered:
            self.notify("Nothing to copy in this row.", timeout=2)
            return
        before, last = self._copied
        number = (last + 1) % len(offered) if offered == before else 0
        self._copied = offered, number
        what, text = offered[number]
        self.copy_to_clipboard(text)
        others = [one for one, _ in offered if one != what]
        more = f"; y again copies {others[0]}" if others else ""
        self.notify(f"Copied {what}: {plain(text, _COPIED_SHOWN)}{more}", timeout=4, markup=False)

    def action_next_root(self, step: int) -> None:
        """Goes to the next root blocker, or the previous one."""
        if told := self._tab.next_root(step):
            self.notify(told, timeout=3)

    def action_next_deadlock(self) -> None:
        """Goes to the next deadlock."""
        if told := self._tab.next_deadlock():
            self.notify(told, timeout=3)

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
