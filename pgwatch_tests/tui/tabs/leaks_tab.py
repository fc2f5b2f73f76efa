"""The Leaks tab: what tests left behind, by table or by test, what wasn't checked, and how it went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from textual.app import ComposeResult
from textual.events import Resize

from pgwatch_tests.leaks.attribution.rows_by_test import by_test
from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.reports.leaks import leak_words
from pgwatch_tests.reports.render.sparkline import sparkline
from pgwatch_tests.text.numbers import at_least, plural
from pgwatch_tests.text.plain_text import plain, shortened_left, shortened_middle
from pgwatch_tests.text.times import clock
from pgwatch_tests.tui.leak_trend import LeakTrend
from pgwatch_tests.tui.screens.text import TextScreen
from pgwatch_tests.tui.tabs.leak_rows import LeakRow, leak_rows, test_rows
from pgwatch_tests.tui.tabs.tab import View
from pgwatch_tests.tui.widgets.live_table import Column, LiveTable
from pgwatch_tests.tui.widgets.row_filter import RowFilter
from pgwatch_tests.tui.widgets.still_text import StillText

By = Literal["table", "test"]

_COLUMNS: dict[By, tuple[Column, ...]] = {
    "table": (
        Column("Object", share=9, cut=shortened_middle),
        Column("Rows", 6, right=True),
        Column("Age", 7, right=True),
        Column("Columns, kind", share=7),
        Column("Example, or why it wasn't checked", share=12),
    ),
    "test": (
        Column("Rows", 7, right=True),
        Column("Known by", 11),
        Column("Test", share=3, cut=shortened_left),
        Column("Tables", share=2),
    ),
}


class LeaksView(View):
    """Shows the last report."""

    def __init__(self) -> None:
        super().__init__()
        self._report: LeakReport | None = None
        self._trend = LeakTrend()
        self._trouble = ""
        self._filter = RowFilter()
        self._wanted: By = "table"
        self._by: By = "table"
        self._rows: dict[str, LeakRow] = {}

    def compose(self) -> ComposeResult:
        yield StillText("", id="leaks-trend")
        yield LiveTable(_COLUMNS[self._by], id="leaks")
        yield StillText("Counting …", id="no-leaks", classes="empty")
        yield StillText("", id="leaks-summary", classes="summary")

    def on_mount(self) -> None:
        self._show()

    def on_resize(self, _: Resize) -> None:
        self._show_trend()

    def show(self, report: LeakReport | None, trouble: str, filter_: str, trend: LeakTrend) -> None:
        """Shows `report`; `trouble` says why a newer one couldn't be had, `trend` what came before."""
        self._report, self._trouble, self._filter = report, trouble, RowFilter(filter_)
        self._trend = trend
        self._show()

    def offers(self, action: str) -> bool:
        if action == "sort":
            return self._report is not None and bool(by_test(self._report.tables))
        return action == "detail" and self.query_one(LiveTable).current_key is not None

    def open_detail(self) -> None:
        """Shows all of the row under the cursor, which may be cut in the table."""
        found = self._rows.get(self.query_one(LiveTable).current_key or "")
        if found is not None:
            self.app.push_screen(TextScreen(found.title, found.lines))

    def sort_next(self) -> str:
        """Goes from tables to tests, or back; returns what it does, or why it can't."""
        if self._wanted == "table" and not (self._report and by_test(self._report.tables)):
            return "Can't group by test: no test is known for these rows."
        self._wanted = "test" if self._wanted == "table" else "table"
        self._show()
        return f"by {self._by}"

    def _show(self) -> None:
        report = self._report
        tests = by_test(report.tables) if report else ()
        # Without a word about tests there is nothing to show by them.
        by: By = self._wanted if tests else "table"
        table = self.query_one(LiveTable)
        if by != self._by:
            self._by = by
            table.use(_COLUMNS[by])
        everything: Sequence[LeakRow] = ()
        if report is not None:
            everything = leak_rows(report) if by == "table" else test_rows(tests)
        self._rows = {one.row.key: one for one in everything}
        rows = [one.row for one in everything if self._filter.fits(one.row.cells)]
        table.show(rows)
        empty = self.query_one("#no-leaks", StillText)
        empty.display = not rows
        if report is None:
            empty.say(f"Not counted: {plain(self._trouble)}" if self._trouble else "Counting …")
        elif everything:
            empty.say(self._filter.no_match("line"))
        else:
            empty.say(f"No test rows were left behind.\n{leak_words.looked_for(report)}.")
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
        return f"{text} (then: {plain(self._trouble)})" if self._trouble else text

    def _show_trend(self) -> None:
        line = self.query_one("#leaks-trend", StillText)
        since, report = self._trend.since, self._report
        line.display = since is not None and self._trend.most > 0
        if since is None or report is None:
            return
        now = _some(report.total, not report.skipped, "leaked row")
        words = f"  {now} now, at most {self._trend.most:,} since {clock(since)}"
        room = max(1, self.size.width - 2 - len(words))
        line.say(sparkline(self._trend.over_time(room), room) + words)


def _some(number: int, is_all: bool, noun: str) -> str:
    return plural(number, noun) if is_all else f"{at_least(number, is_all)} {noun}s"
