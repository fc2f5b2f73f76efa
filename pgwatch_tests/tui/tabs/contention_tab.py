"""The Contention tab: blocked sessions over time, and their waits summed by test, object or cause."""

from __future__ import annotations

from typing import Literal

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal

from pgwatch_tests.locks.contention.contention import Contention, Pair
from pgwatch_tests.reports.contention import contention_json
from pgwatch_tests.reports.contention.contention_table import (
    cause_rows,
    deadlocks,
    object_rows,
    pair_names,
    pair_rows,
)
from pgwatch_tests.reports.contention.pair_detail import pair_detail
from pgwatch_tests.reports.locks.test_labels import beside, label_of_test
from pgwatch_tests.reports.render.detail_text import Detail
from pgwatch_tests.reports.render.sparkline import sparkline
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain, shortened_middle, shortened_test
from pgwatch_tests.text.times import clock
from pgwatch_tests.text.toned_text import Cell, Toned
from pgwatch_tests.tui.screens.row import RowScreen
from pgwatch_tests.tui.tabs.tab import LOW, DashboardTab, TabData
from pgwatch_tests.tui.widgets.detail_pane import DetailPane
from pgwatch_tests.tui.widgets.heat_map_view import HeatMapView
from pgwatch_tests.tui.widgets.still_text import StillText
from pgwatch_tests.tui.widgets.tables.column_widths import Column
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable
from pgwatch_tests.tui.widgets.tables.table_rows import LiveRow

ContentionGrouping = Literal["test", "object", "cause"]

_FIGURES = (
    Column("Blocked", right=True),
    Column("Share", right=True, rank=2),
    Column("Waits", right=True, rank=1),
    Column("Longest", right=True),
)
_COLUMNS: dict[ContentionGrouping, tuple[Column, ...]] = {
    "test": (
        *_FIGURES,
        Column("Blocking test", least=12, enough=28, cut=shortened_test),
        Column("Waiting test", least=12, enough=28, cut=shortened_test),
    ),
    "object": (*_FIGURES, Column("Object", least=12, cut=shortened_middle), Column("Lock mode", least=8)),
    "cause": (*_FIGURES, Column("Cause", least=10)),
}


def _named(test: str, database: str) -> Cell:
    """Its name, then the database if that isn't the tested one, then the file: the first to be cut."""
    name, *where = beside(label_of_test(test))
    in_database = (Toned(f" in {plain(database)}", "quiet"),) if database else ()
    return (name, *in_database, *where)


_ABOVE = 4
"""Lines of chart, totals and summary, which the table shares its tab with."""
_ROOM_FOR_PEAK = 100
"""Where there is less, the first line of the screen tells the peak alone."""
_WIDE = 110
"""Characters from which on the map is beside the list."""
_MAP_SHARE = 0.4
"""How much of the width it takes, at most."""


class ContentionTab(DashboardTab):
    """Shows the waits seen since the dashboard started, or since `x`; of a recording, up to a moment."""

    TITLE = "Contention"
    TURNS = True

    def __init__(self) -> None:
        super().__init__()
        self._by: ContentionGrouping = "test"
        self._seen: Contention | None = None
        self._absence: Cell = ""
        self._restarts = True
        self._pairs: dict[str, Pair] = {}

    def compose(self) -> ComposeResult:
        yield StillText(id="contention-chart")
        yield StillText(id="contention-totals")
        with Horizontal(id="contention-body"):
            yield LiveTable(_COLUMNS[self._by], id="contention")
            yield HeatMapView(id="heat-map")
        yield StillText(id="no-contention", classes="empty")
        yield DetailPane(id="pair-detail")
        yield StillText(id="contention-summary", classes="summary")

    def reading(self) -> tuple[str, ...]:
        restarted = f", or {self.key('reset')}" if self._restarts else ""
        return (
            f"Session-seconds spent waiting, as polls saw them: since the dashboard started{restarted}. "
            "Longest is a whole wait, also where it began before that.",
        )

    def on_resize(self) -> None:
        self._show_chart()
        self._show_map()

    def offers(self, action: str) -> bool:
        seen = self._seen
        if action == "detail":
            return self._detail is not None
        if seen is None or not (seen.waits or seen.deadlocks_caught):
            return False
        return (action == "reset" and self._restarts) or (action in ("sort", "turn") and seen.waits > 0)

    @property
    def order(self) -> str:
        return self._by

    def use_order(self, order: str) -> bool:
        found = next((one for one in _COLUMNS if one == order), None)
        if found is not None and found != self._by:
            self._by = found
            self.table.use(_COLUMNS[found])
        return found is not None

    def sort_next(self) -> str:
        """Switches to sums by test, object or cause; returns an empty string."""
        ways = list(_COLUMNS)
        self._by = ways[(ways.index(self._by) + 1) % len(ways)]
        self.table.use(_COLUMNS[self._by])
        self.redraw()
        return ""

    def next_deadlock(self) -> str:
        """Shows the deadlocks of the sums; returns why not, if there are none."""
        return self.show_deadlocks(self._seen)

    @property
    def document(self) -> tuple[str, str] | None:
        return None if self._seen is None else ("contention", contention_json.document(self._seen))

    def take(self, data: TabData) -> None:
        self._seen, self._absence = data.contention, data.absence
        self._restarts = data.contention_restarts

    def redraw(self) -> None:
        seen = self._seen
        if seen is None:
            empty = self._absence
        elif seen.waits:
            empty = self.no_match("line")
        else:
            empty = f"Nothing has been blocked since {clock(seen.since)}."
            if seen.unwatched_s:
                empty += f" Not watched for {durations.in_words(seen.unwatched_s)} of that."
        rows = [row for row in self._rows() if self.row_filter.fits(row.texts)]
        self.show_rows(self.in_order(rows), empty)
        self.show_order(_FIGURES[0].label, "▼")
        self._show_chart()
        self._show_map()

    def _rows(self) -> list[LiveRow]:
        seen = self._seen
        if seen is None or not seen.waits:
            return []
        match self._by:
            case "test":
                rows = [("\0".join(pair_names(pair)), pair, cells) for pair, cells in pair_rows(seen)]
                self._pairs = {key: pair for key, pair, _ in rows}
                return [
                    LiveRow(
                        key,
                        (
                            *cells[:-2],
                            _named(pair.blocker, pair.blocker_database),
                            _named(pair.waiter, pair.waiter_database),
                        ),
                    )
                    for key, pair, cells in rows
                ]
            case "object":
                return [
                    LiveRow(f"{one.object}\0{one.mode}\0{one.database}", cells)
                    for one, cells in object_rows(seen)
                ]
            case "cause":
                return [LiveRow(cause, cells) for cause, cells in cause_rows(seen)]

    @on(LiveTable.RowHighlighted)
    def _show_map(self) -> None:
        """Shows the map beside the list of pairs, where there is room, and the selected pair below."""
        seen, view = self._seen, self.query_one(HeatMapView)
        view.display = self._by == "test" and seen is not None and seen.waits > 0 and self.size.width >= _WIDE
        if view.display and seen is not None:
            view.show(seen.pairs.rows, self._selected_pair)
            view.fit(int(self.size.width * _MAP_SHARE))
        self.show_detail(self._detail, self.table.row_count + _ABOVE)

    @property
    def _detail(self) -> Detail | None:
        """What is known of the selected pair; of sums by object or cause there is no more than their row."""
        pair, seen = self._selected_pair, self._seen
        return None if pair is None or seen is None else pair_detail(seen, pair)

    def open_detail(self) -> None:
        """Opens the selected pair in full."""
        if detail := self._detail:
            self.app.push_screen(RowScreen(detail))

    @property
    def _selected_pair(self) -> Pair | None:
        return None if self._by != "test" else self._pairs.get(self.table.current_key or "")

    @on(HeatMapView.Clicked)
    def _select_pair(self, event: HeatMapView.Clicked) -> None:
        key = next((key for key, pair in self._pairs.items() if pair == event.pair), None)
        if key is not None:
            self.table.select(key)

    def _show_chart(self) -> None:
        seen = self._seen
        anything = seen is not None and (seen.waits > 0 or seen.deadlocks_caught > 0)
        is_low = self.app.size.height < LOW
        for name in ("#contention-chart", "#contention-totals", "#contention-summary"):
            # Each line is needed for the rows then; who has waited for whom is what the tab is for.
            self.query_one(name).display = anything and (name == "#contention-totals" or not is_low)
        if seen is None or not anything:
            return
        self.query_one("#contention-chart", StillText).say(
            sparkline([moment.blocked for moment in seen.timeline], max(10, self.size.width - 2))
        )
        longest = durations.in_words(seen.longest.wait_s if seen.longest else None)
        since = ""
        if seen.longest is not None and seen.longest.began_before(seen.since):
            # Else the longest wait is more than all of them together.
            since = f" since {clock(seen.since)}"
            longest += " begun before"
        totals = f"{durations.in_words(seen.blocked_s)} blocked{since} · {plural(seen.waits, 'wait')}"
        totals += f" · longest {longest}"
        if not since or self.app.size.width >= _ROOM_FOR_PEAK:
            totals += f" · peak {seen.most_blocked:,}"
        deadlock_line = "" if is_low else f"\n{deadlocks(seen)}"
        self.query_one("#contention-totals", StillText).say(totals + deadlock_line)
        others = {"test": seen.pairs.others, "object": seen.objects.others, "cause": seen.causes.others}[
            self._by
        ]
        parts = [f"by {self._by}", f"since {clock(seen.since)}"]
        if seen.unwatched_s:
            parts.append(f"not watched {durations.in_words(seen.unwatched_s)}")
        if others:
            parts.append(f"others {durations.in_words(others.blocked_s)}")
        parts.append(
            f"{self.key('sort')}: group by another"
            + (f", {self.key('reset')}: restart" if self._restarts else "")
        )
        self.query_one("#contention-summary", StillText).say(" · ".join(parts))
