"""A dashboard as its user prefers it: theme, keys, orders and columns, which are kept when they change."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from textual.theme import Theme

from pgwatch_tests.tui.actions import tell
from pgwatch_tests.tui.keys.commands import Command
from pgwatch_tests.tui.keys.preferences import Preferences
from pgwatch_tests.tui.screens.detail import ReadHeld
from pgwatch_tests.tui.tabbed_app import TabbedApp
from pgwatch_tests.tui.tabs.tab import DashboardTab
from pgwatch_tests.tui.tabs.tab_place import TabPlace

TABS = ("locks", "sessions", "leaks", "contention", "sweeps")
"""All tabs, by which preferences name them: a dashboard of a recording has only some."""


class PersonalApp(TabbedApp):
    """Begins with `preferences`; what cannot be used of them is told, and left alone."""

    def __init__(
        self,
        first: DashboardTab,
        later: Sequence[TabPlace],
        *,
        preferences: Preferences | None = None,
        read_held: ReadHeld | None = None,
        export_to: Path | None = None,
    ) -> None:
        super().__init__(first, later, read_held=read_held, export_to=export_to)
        self._preferences = preferences or Preferences()
        self._turned = dict(self._preferences.turned)
        if self._preferences.theme in self.available_themes:
            self.theme = self._preferences.theme
        self._theme_at_start = self.theme

    def on_mount(self) -> None:
        preferences = self._preferences
        troubles = [preferences.trouble] if preferences.trouble else []
        if preferences.theme and preferences.theme not in self.available_themes:
            names = ", ".join(sorted(self.available_themes))
            troubles.append(f"There is no theme {preferences.theme!r}: {names}")
        of_tabs = (preferences.order, preferences.turned, preferences.group, preferences.columns)
        for name in sorted(set[str]().union(*of_tabs).difference(TABS)):
            troubles.append(f"There is no tab {name!r}: {', '.join(TABS)}")
        if preferences.keymap:
            # Who has none needn't wait until all keys are known.
            from pgwatch_tests.tui.keys.keymap import usable

            keymap = usable(preferences.keymap, self.BINDINGS, tuple(self._titles.values()))
            troubles += keymap.refusals
            self.use_keymap(keymap.keys)
        for trouble in troubles:
            tell(self, trouble, failed=True)
        for tab in self._tabs.values():
            self.tab_mounted(tab)
        self.theme_changed_signal.subscribe(self, self._keep_theme)

    def tab_mounted(self, tab: DashboardTab) -> None:
        """Uses what is preferred of a tab; tells what there is nothing like."""
        name = tab.TITLE.lower()
        group = self._preferences.group.get(name)
        if group is not None and not tab.use_grouping(group):
            tell(self, f"{tab.TITLE} has no grouping {group!r}.", failed=True)
        order = self._preferences.order.get(name)
        if order is not None and not tab.use_order(order):
            tell(self, f"{tab.TITLE} has no order {order!r}.", failed=True)
        if tab.TURNS:
            tab.turned = self._turned.get(name, False)
        elif self._turned.get(name):
            tell(self, f"{tab.TITLE} has one order only: it can't be turned.", failed=True)
        if name in self._preferences.columns:
            tab.table.show_only(self._preferences.columns[name])

    def keep(self, key: str, value: object) -> None:
        """Keeps a preference for the next time; tells where, the first time on this machine."""
        if told := self._preferences.keep(key, value):
            tell(self, told)

    def _keep_theme(self, theme: Theme) -> None:
        if theme.name != self._theme_at_start:
            self._theme_at_start = ""
            self.keep("theme", theme.name)

    def keep_order(self) -> None:
        """Keeps the order of the open tab, and whether it is turned around."""
        tab, name = self._tab, self._tab.TITLE.lower()
        if tab.order:
            self.keep(f"order.{name}", tab.order)
        if tab.turned != self._turned.get(name, False):
            self._turned[name] = tab.turned
            self.keep(f"turned.{name}", tab.turned)

    def action_group(self) -> None:
        """Groups the rows of the open tab by something else, and keeps that."""
        self._tab.group_next()
        self._tab.table.take_first()
        self.keep(f"group.{self._tab.TITLE.lower()}", self._tab.grouping)

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
        self._show_tab()
        self.keep(f"columns.{self._tab.TITLE.lower()}", list(heads))
