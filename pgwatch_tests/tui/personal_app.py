"""A dashboard as its user prefers it: theme, keys, orders and columns, which are kept when they change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from textual.binding import BindingsMap
from textual.theme import Theme

from pgwatch_tests.tui.actions import tell
from pgwatch_tests.tui.commands import Command, told_bindings
from pgwatch_tests.tui.preferences import Preferences, keymap_troubles
from pgwatch_tests.tui.screens.detail import ReadHeld
from pgwatch_tests.tui.tabbed_app import TabbedApp
from pgwatch_tests.tui.tabs.tab import DashboardTab


class PersonalApp(TabbedApp):
    """Begins with `preferences`; what cannot be used of them is told, and left alone."""

    def __init__(
        self,
        tabs: Sequence[DashboardTab],
        *,
        preferences: Preferences | None = None,
        read_held: ReadHeld | None = None,
        export_to: Path | None = None,
    ) -> None:
        super().__init__(tabs, read_held=read_held, export_to=export_to)
        self._preferences = preferences or Preferences()
        if self._preferences.theme in self.available_themes:
            self.theme = self._preferences.theme
        self._theme_at_start = self.theme

    def on_mount(self) -> None:
        preferences = self._preferences
        troubles = [preferences.trouble] if preferences.trouble else []
        if preferences.theme and preferences.theme not in self.available_themes:
            names = ", ".join(sorted(self.available_themes))
            troubles.append(f"There is no theme {preferences.theme!r}: {names}")
        if preferences.keymap:
            bindings = [one for _, one in BindingsMap(self.BINDINGS)]
            bindings += [one for tab in self._tabs.values() for _, one in told_bindings(tab, {}) if one.id]
            troubles += keymap_troubles(preferences.keymap, bindings)
            self.keymap = dict(preferences.keymap)
            self.set_keymap(dict(preferences.keymap))
        troubles += self._use_orders_and_columns()
        for trouble in troubles:
            tell(self, trouble, failed=True)
        self.theme_changed_signal.subscribe(self, self._keep_theme)

    def _use_orders_and_columns(self) -> Iterator[str]:
        """Uses what is preferred of each tab; yields what there is nothing like."""
        tabs = {tab.TITLE.lower(): tab for tab in self._tabs.values()}
        for name, order in self._preferences.order.items():
            if name in tabs and not tabs[name].use_order(order):
                yield f"{tabs[name].TITLE} has no order {order!r}."
        for name, heads in self._preferences.columns.items():
            if name in tabs:
                tabs[name].table.show_only(heads)

    def keep(self, key: str, value: object) -> None:
        """Keeps a preference for the next time."""
        self._preferences.keep(key, value)

    def _keep_theme(self, theme: Theme) -> None:
        if theme.name != self._theme_at_start:
            self._theme_at_start = ""
            self.keep("theme", theme.name)

    def action_sort(self) -> None:
        """Switches the open tab to its next sort order or grouping, and keeps that."""
        super().action_sort()
        if self._tab.order:
            self.keep(f"order.{self._tab.TITLE.lower()}", self._tab.order)

    def extra_commands(self) -> list[Command]:
        """Commands without a key: also to show and hide each column of the open tab."""
        table = self._tab.table
        shown = table.shown_heads
        columns = []
        for head in table.heads:
            is_shown = head in shown
            if is_shown and len(shown) == 1:
                continue  # a table without columns says nothing
            others = [one for one in table.heads if (one in shown) != (one == head)]
            name = f"{'Hide' if is_shown else 'Show'} column {head}"
            does = f"{self._tab.TITLE} {'without' if is_shown else 'with'} it, from now on"
            columns.append(Command("", name, does, "", "", partial(self._use_columns, others)))
        return [*super().extra_commands(), *columns]

    def _use_columns(self, heads: Sequence[str]) -> None:
        self._tab.table.show_only(heads)
        self.keep(f"columns.{self._tab.TITLE.lower()}", list(heads))
