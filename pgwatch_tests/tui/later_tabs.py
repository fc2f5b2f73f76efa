"""The tabs of a dashboard, of which all but the first are loaded after the first picture."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib import import_module

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import Screen

from pgwatch_tests.tui.tabs.tab import DashboardTab
from pgwatch_tests.tui.tabs.tab_place import TabPlace
from pgwatch_tests.tui.toasts import AppWithToasts
from pgwatch_tests.tui.widgets.status_line import StatusLine
from pgwatch_tests.tui.widgets.tab_bar import TabBar


class AppWithLaterTabs(AppWithToasts):
    """Begins with the tab `first`; those of `later` are loaded by `mount_tabs`, or when they are opened."""

    def __init__(self, first: DashboardTab, later: Sequence[TabPlace]) -> None:
        super().__init__()
        self._first = first.pane_id()
        self._places = {place.pane_id: place for place in later}
        self._titles = {self._first: first.TITLE, **{key: place.title for key, place in self._places.items()}}
        """The titles of all tabs by the ids of their panes, in their order."""
        self._tabs = {self._first: first}
        """The tabs that are loaded."""
        self._mounts: dict[str, asyncio.Future[None]] = {}
        self._active = self._first
        """The id of the open tab."""
        # Kept: they are drawn with each poll, and a query takes longer than that.
        self._bar = TabBar(self._titles, self._first)
        self._panes = Vertical(first, id="panes")

    def panes(self) -> ComposeResult:
        """Yields the bar of tabs, and the tab that is loaded."""
        yield self._bar
        yield self._panes

    @property
    def _base(self) -> Screen[object]:
        """The dashboard's own screen, even while a dialog covers it."""
        return self.screen_stack[0]

    @property
    def _is_closing(self) -> bool:
        """Whether the screen is being torn down: the last poll may answer just then."""
        return not self.screen_stack or not any(isinstance(one, StatusLine) for one in self._base.children)

    async def mount_tabs(self) -> None:
        """Loads all tabs, one after the other, beside the loop: keys get their turn."""
        for pane_id, place in self._places.items():
            await asyncio.to_thread(import_module, place.module)
            await self._mount_tab(pane_id)
        if not self._is_closing:
            self.tabs_mounted()

    def tab_mounted(self, tab: DashboardTab) -> None:
        """Called once a tab is mounted that was loaded later."""

    def tabs_mounted(self) -> None:
        """Called once all tabs are mounted."""

    async def _mount_tab(self, pane_id: str) -> None:
        if self._is_closing or pane_id not in self._titles:
            return
        if pane_id not in self._tabs:
            self._tabs[pane_id] = tab = self._places[pane_id].make()
            tab.display = False
            self._mounts[pane_id] = asyncio.ensure_future(self._mounted(tab))
        if pane_id in self._mounts:
            await asyncio.shield(self._mounts[pane_id])

    async def _mounted(self, tab: DashboardTab) -> None:
        # A dashboard that is left takes its widgets away one by one.
        if not self._panes.is_attached:
            return
        await self._panes.mount(tab)
        if not self._is_closing and tab.has_table:
            self.tab_mounted(tab)

    def _activate(self, pane_id: str) -> None:
        """Shows the tab of that pane, which is mounted, in the place of the open one."""
        before, now = self._tabs[self._active], self._tabs[pane_id]
        self._active = pane_id
        now.display = True
        self._bar.open(pane_id)
        self._focus_table()
        if before is not now:
            # Last: a widget that is hidden while it has the focus gives it to any other.
            before.display = False

    def _focus_table(self) -> None:
        """Gives the focus to the table of the open tab, at once: for the next key."""
        self._base.set_focus(self._tabs[self._active].table)
