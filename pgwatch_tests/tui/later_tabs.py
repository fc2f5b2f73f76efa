"""The tabs of a dashboard, of which all but the first are loaded after the first picture."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib import import_module

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import TabbedContent, TabPane

from pgwatch_tests.tui.tabs.tab import DashboardTab
from pgwatch_tests.tui.tabs.tab_place import TabPlace, tab_labels
from pgwatch_tests.tui.toasts import AppWithToasts
from pgwatch_tests.tui.widgets.status_line import StatusLine
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable


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

    def panes(self) -> ComposeResult:
        """Yields the tabs, with what is loaded of them."""
        with TabbedContent(initial=self._first):
            labels = tab_labels(list(self._titles.values()), [""] * len(self._titles), self.size.width)
            for pane_id, label in zip(self._titles, labels, strict=True):
                with TabPane(label, id=pane_id):
                    if pane_id in self._tabs:
                        yield self._tabs[pane_id]

    @property
    def _base(self) -> Screen[object]:
        """The dashboard's own screen, even while a dialog covers it."""
        return self.screen_stack[0]

    @property
    def _is_closing(self) -> bool:
        """Whether the screen is being torn down: the last poll may answer just then."""
        return not self.screen_stack or not any(isinstance(one, StatusLine) for one in self._base.children)

    @property
    def _active(self) -> str:
        """The id of the open pane: the first one, until the tab of another is mounted."""
        active = self._base.query_one(TabbedContent).active
        return active if active in self._tabs and self._tabs[active].is_mounted else self._first

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
            pane = self._base.query_one(f"#{pane_id}", TabPane)
            self._mounts[pane_id] = asyncio.ensure_future(self._mounted(pane, tab))
        if pane_id in self._mounts:
            await asyncio.shield(self._mounts[pane_id])

    async def _mounted(self, pane: TabPane, tab: DashboardTab) -> None:
        # A dashboard that is left takes its panes away one by one.
        if not pane.is_attached:
            return
        await pane.mount(tab)
        if not self._is_closing and tab.query(LiveTable):
            self.tab_mounted(tab)
