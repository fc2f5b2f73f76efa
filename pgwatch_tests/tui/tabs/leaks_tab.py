"""The Leaks tab: leaked rows by table or by test, leftovers, what wasn't checked, and the trend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from textual.app import ComposeResult

from pgwatch_tests.leaks.attribution.rows_by_test import by_test
from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.reports.leaks import leak_json, leak_words
from pgwatch_tests.reports.render.sparkline import sparkline
from pgwatch_tests.text.numbers import at_least, plural
from pgwatch_tests.text.plain_text import plain, shortened_left, shortened_middle
from pgwatch_tests.text.times import clock
from pgwatch_tests.tui.leak_trend import LeakTrend
from pgwatch_tests.tui.screens.text import TextScreen
from pgwatch_tests.tui.tabs.leak_rows import LeakRow, leak_rows, test_rows
from pgwatch_tests.tui.tabs.tab import DashboardTab, TabData
from pgwatch_tests.tui.widgets.column_widths import Column
from pgwatch_tests.tui.widgets.live_table import LiveTable
from pgwatch_tests.tui.widgets.still_text import StillText

LeakGrouping = Literal["table", "test"]

_COLUMNS: dict[LeakGrouping, tuple[Column, ...]] = {
    "table": (
        Column("Object", least=12, enough=30, cut=shortened_middle),
        Column("Rows", right=True),
        Column("Age", right=True),
        Column("Columns, kind", least=9, enough=20),
        Column("Example, or why it wasn't checked", least=14, enough=34),
    ),
    "test": (
        Column("Rows", right=True),
        Column("Known by"),
        Column("Test", least=20, enough=40, cut=shortened_left),
        Column("Tables", least=10, enough=30),
    ),
}


class LeaksTab(DashboardTab):
    """Shows the latest leak report."""

    TITLE = "Leaks"

    def __init__(self) -> None:
        super().__init__()
        self._report: LeakReport | None = None
        self._trend = LeakTrend()
        self._trouble = ""
        self._wanted: LeakGrouping = "table"
        self._by: LeakGrouping = "table"
        self._rows: dict[str, LeakRow] = {}

    def compose(self) -> ComposeResult:
        yield StillText(id="leaks-trend")
        yield LiveTable(_COLUMNS[self._by], id="leaks")
        yield StillText(id="no-leaks", classes="empty")
        yield StillText(id="leaks-summary", classes="summary")

    def on_resize(self) -> None:
        self._show_trend()

    def number(self, data: TabData) -> str:
        report = data.leaks
        if report is None or (report.total == 0 and not report.skipped):
            return ""
        return at_least(report.total, not report.skipped)

    def take(self, data: TabData) -> None:
        self._report, self._trouble = data.leaks, data.leaks_trouble
        self._trend = data.leak_trend

    @property
    def document(self) -> tuple[str, str] | None:
        return None if self._report is None else ("leaks", leak_json.document(self._report))

    def offers(self, action: str) -> bool:
        if action == "sort":
            return self._report is not None and bool(by_test(self._report.tables))
        return action == "detail" and self.table.current_key is not None

    def open_detail(self) -> None:
        """Opens the row under the cursor in full: the table may cut it."""
        row = self._rows.get(self.table.current_key or "")
        if row is not None:
            self.app.push_screen(TextScreen(row.title, row.lines))

    @property
    def order(self) -> str:
        return self._wanted

    def use_order(self, order: str) -> bool:
        found = next((one for one in _COLUMNS if one == order), None)
        self._wanted = found or self._wanted
        return found is not None

    def sort_next(self) -> str:
        """Groups by table or by test; returns a notification: the new grouping, or why there is no other."""
        if self._wanted == "table" and not (self._report and by_test(self._report.tables)):
            return "Can't group by test: no test is known for these rows."
        self._wanted = "test" if self._wanted == "table" else "table"
        self.redraw()
        return f"grouped by {self._by}"

    def redraw(self) -> None:
        report = self._report
        tests = by_test(report.tables) if report else ()
        # Rows without a known test can only be grouped by table.
        by: LeakGrouping = self._wanted if tests else "table"
        if by != self._by:
            self._by = by
            self.table.use(_COLUMNS[by])
        everything: Sequence[LeakRow] = ()
        if report is not None:
            everything = leak_rows(report) if by == "table" else test_rows(tests)
        self._rows = {one.row.key: one for one in everything}
        if report is None:
            empty = f"Not counted: {plain(self._trouble)}" if self._trouble else "Counting leaked rows …"
        elif everything:
            empty = self.row_filter.no_match("line")
        else:
            empty = f"No leaked rows.\n{leak_words.looked_for(report)}."
        self.show_rows([one.row for one in everything if self.row_filter.fits(one.row.texts)], empty)
        self.query_one("#leaks-summary", StillText).say(self._summary(bool(tests)))
        self._show_trend()

    def _summary(self, has_tests: bool) -> str:
        report = self._report
        if report is None:
            return ""
        parts = [_some(report.total, not report.skipped, "leaked row")]
        if report.kinds_checked:
            parts.append(_some(len(report.leftovers), not report.unchecked, "leftover"))
        parts += [
            f"{plural(report.tables_checked, 'table')} checked",
            f"{len(report.skipped) + len(report.unchecked):,} not checked",
            f"at {clock(report.checked_at)}",
        ]
        text = ", ".join(parts)
        if has_tests:
            text += f" · by {self._by}, s: by {'test' if self._by == 'table' else 'table'}"
        return f"{text} (latest count failed: {plain(self._trouble)})" if self._trouble else text

    def _show_trend(self) -> None:
        line = self.query_one("#leaks-trend", StillText)
        since, report = self._trend.since, self._report
        line.display = since is not None and self._trend.most > 0
        if since is None or report is None:
            return
        now = _some(report.total, not report.skipped, "leaked row")
        words = f"  {now} now, peak {self._trend.most:,} since {clock(since)}"
        room = max(1, self.size.width - 2 - len(words))
        line.say(sparkline(self._trend.over_time(room), room) + words)


def _some(number: int, is_all: bool, noun: str) -> str:
    return plural(number, noun) if is_all else f"{at_least(number, is_all)} {noun}s"
