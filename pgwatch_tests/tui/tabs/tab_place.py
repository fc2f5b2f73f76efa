"""A tab's place in a dashboard: its title, known before what draws it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgwatch_tests.tui.screens.leak import ReadRows
    from pgwatch_tests.tui.tabs.sweep_desk import SweepDesk
    from pgwatch_tests.tui.tabs.tab import DashboardTab

LOCKS, SESSIONS, LEAKS, SWEEPS = "locks-tab", "sessions-tab", "leaks-tab", "sweeps-tab"
"""Ids of panes."""


@dataclass(frozen=True, slots=True)
class TabPlace:
    """Where a tab will be. `make` makes it once `module` is loaded, for which no first picture waits."""

    title: str
    module: str
    make: Callable[[], DashboardTab]

    @property
    def pane_id(self) -> str:
        """The id of its pane: `locks-tab`."""
        return f"{self.title.lower()}-tab"


def sessions_place(*, acts: bool = False) -> TabPlace:
    """The place of the Sessions tab."""

    def make() -> DashboardTab:
        from pgwatch_tests.tui.tabs.sessions_tab import SessionsTab

        return SessionsTab(acts=acts)

    return TabPlace("Sessions", "pgwatch_tests.tui.tabs.sessions_tab", make)


def leaks_place(
    *, read_rows: ReadRows | None = None, sweeps: SweepDesk | None = None, acts: bool = False
) -> TabPlace:
    """The place of the Leaks tab."""

    def make() -> DashboardTab:
        from pgwatch_tests.tui.tabs.leaks_tab import LeaksTab

        return LeaksTab(read_rows=read_rows, sweeps=sweeps, acts=acts)

    return TabPlace("Leaks", "pgwatch_tests.tui.tabs.leaks_tab", make)


def contention_place() -> TabPlace:
    """The place of the Contention tab."""

    def make() -> DashboardTab:
        from pgwatch_tests.tui.tabs.contention_tab import ContentionTab

        return ContentionTab()

    return TabPlace("Contention", "pgwatch_tests.tui.tabs.contention_tab", make)


def sweeps_place(desk: SweepDesk, clock: Callable[[], float]) -> TabPlace:
    """The place of the Sweeps tab."""

    def make() -> DashboardTab:
        from pgwatch_tests.tui.tabs.sweeps_tab import SweepsTab

        return SweepsTab(desk, clock)

    return TabPlace("Sweeps", "pgwatch_tests.tui.tabs.sweeps_tab", make)
