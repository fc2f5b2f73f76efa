"""A line with a tip, in the demo: what to look at now, until its key hides it."""

from __future__ import annotations

from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.reports.render.detail_text import KeyName
from pgwatch_tests.reports.verdict.demo_tip import tip
from pgwatch_tests.tui.widgets.still_text import StillText

_TALL = 18
"""Lines of a screen from which a tip has room: on a lower one each is needed for the rows."""


class TipLine(StillText):
    """Says what to look at."""

    def __init__(self) -> None:
        super().__init__(id="tip", ground="panel")

    def tell(self, graph: LockGraph | None, leaks: LeakReport | None, keys: KeyName, open_tab: str) -> None:
        """Shows the tip for what there is to see, by the id of the open tab; none before the first poll."""
        if graph is not None:
            hides = f"{keys('hide-tips')} hides this."
            self.say(f"{tip(graph, leaks, keys, open_tab)} {hides}")
            self.display = self.app.size.height >= _TALL
