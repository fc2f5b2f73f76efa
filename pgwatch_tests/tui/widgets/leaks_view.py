"""The Leaks tab: what tests left behind, by table or by test, what wasn't checked, and how it went."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.events import Resize

from pgwatch_tests import durations
from pgwatch_tests.leaks.by_test import TestLeak, by_test
from pgwatch_tests.leaks.model import LeakReport, Leftover, Skipped, TableLeak, Unchecked
from pgwatch_tests.leaks.trend import LeakTrend
from pgwatch_tests.reports import leak_words
from pgwatch_tests.reports.leak_words import many
from pgwatch_tests.reports.plain_text import plain, shortened_left, shortened_middle
from pgwatch_tests.reports.sparkline import sparkline
from pgwatch_tests.tui.live_table import Column, LiveRow, LiveTable
from pgwatch_tests.tui.still_text import StillText

By = Literal["table", "test"]

_COLUMNS: dict[By, tuple[Column, ...]] = {
    "table": (
        Column("Table, or what is left", share=9, cut=shortened_middle),
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


class LeaksView(Vertical):
    """Shows the last report."""

    def __init__(self) -> None:
        super().__init__()
        self._report: LeakReport | None = None
        self._trend = LeakTrend()
        self._trouble = ""
        self._filter = ""
        self._wanted: By = "table"
        self._by: By = "table"

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
        self._report, self._trouble, self._filter = report, trouble, filter_.casefold()
        self._trend = trend
        self._show()

    def switch(self) -> str:
        """Goes from tables to tests, or back; says what it does, or why it can't."""
        if self._wanted == "table" and not (self._report and by_test(self._report.tables)):
            return "by table; which test left the rows isn't known"
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
        everything = [] if report is None else _rows(report) if by == "table" else _test_rows(tests)
        rows = [row for row in everything if self._filter in " ".join(row.cells).casefold()]
        table.show(rows)
        empty = self.query_one("#no-leaks", StillText)
        empty.display = not rows
        if report is None:
            empty.say(f"Not counted: {plain(self._trouble)}" if self._trouble else "Counting …")
        elif everything:
            empty.say(f"No line matches {plain(self._filter)!r}; escape ends the filter.")
        else:
            empty.say(f"No test rows were left behind.\n{leak_words.looked_for(report)}.")
        self.query_one("#leaks-summary", StillText).say(self._summary(bool(tests)))
        self._show_trend()

    def _summary(self, has_tests: bool) -> str:
        report = self._report
        if report is None:
            return ""
        parts = [many(report.total, "leaked row")]
        if report.kinds_checked:
            parts.append(many(len(report.leftovers), "leftover"))
        parts += [
            f"{many(report.tables_checked, 'table')} checked",
            f"{len(report.skipped) + len(report.unchecked)} not checked",
            f"at {_clock(report.checked_at)}",
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
        words = f"  {many(report.total, 'leaked row')} now, at most {self._trend.most} since {_clock(since)}"
        room = max(1, self.size.width - 2 - len(words))
        line.say(sparkline(self._trend.over_time(room), room) + words)


def _clock(moment: datetime) -> str:
    return moment.astimezone().strftime("%H:%M:%S")


def _rows(report: LeakReport) -> list[LiveRow]:
    leaked = sorted(report.tables, key=lambda one: (-one.rows, one.schema, one.table))
    rows = [
        *(_table_row(table, report.checked_at) for table in leaked),
        *(_leftover_row(one) for one in report.leftovers),
        *(_skipped_row(one) for one in report.skipped),
        *(_unchecked_row(one) for one in report.unchecked),
    ]
    # Two leftovers may have the same name, such as a lock that several sessions share.
    seen: dict[str, int] = {}
    numbered = []
    for row in rows:
        number = seen[row.key] = seen.get(row.key, 0) + 1
        numbered.append(row if number == 1 else LiveRow(f"{row.key} {number}", row.cells, row.style))
    return numbered


def _table_row(table: TableLeak, now: datetime) -> LiveRow:
    age_s = None if table.oldest is None else max(0.0, (now - table.oldest).total_seconds())
    return LiveRow(
        f"leak {table.schema}.{table.table}",
        (
            plain(f"{table.schema}.{table.table}"),
            str(table.rows),
            durations.short(age_s),
            plain(", ".join(table.columns)),
            plain(", ".join(table.samples)),
        ),
    )


def _leftover_row(one: Leftover) -> LiveRow:
    return LiveRow(
        f"left {one.kind} {one.name}",
        (plain(one.name), "", durations.short(one.age_s), leak_words.kind(one.kind), plain(one.detail)),
    )


def _skipped_row(one: Skipped) -> LiveRow:
    return LiveRow(
        f"skipped {one.schema}.{one.table} {one.reason}",
        (plain(f"{one.schema}.{one.table}"), "?", "", "", f"not checked: {plain(one.reason)}"),
        "dim",
    )


def _unchecked_row(one: Unchecked) -> LiveRow:
    return LiveRow(
        f"unchecked {one.kind} {one.reason}",
        (leak_words.kind(one.kind, 2), "?", "", "", f"not checked: {plain(one.reason)}"),
        "dim",
    )


def _test_rows(tests: tuple[TestLeak, ...]) -> list[LiveRow]:
    return [
        LiveRow(
            f"test {one.confidence} {one.test} {one.candidates} {one.detail}",
            (
                str(one.rows),
                leak_words.known_by(one),
                plain(leak_words.test_name(one)),
                plain(", ".join(f"{name} {rows}" for name, rows in one.tables)),
            ),
        )
        for one in tests
    ]
