"""The Leaks tab: the tables in which tests left rows, and those that couldn't be checked."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical

from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.reports import leak_table
from pgwatch_tests.reports.plain_text import plain
from pgwatch_tests.tui.live_table import Column, LiveRow, LiveTable
from pgwatch_tests.tui.still_text import StillText

_COLUMNS = (
    Column("Table", share=10),
    Column("Rows", 7, right=True),
    Column("Columns", share=7),
    Column("Example, or why it wasn't checked", share=14),
)


class LeaksView(Vertical):
    """Shows the last report."""

    def __init__(self) -> None:
        super().__init__()
        self._report: LeakReport | None = None
        self._trouble = ""
        self._filter = ""

    def compose(self) -> ComposeResult:
        yield LiveTable(_COLUMNS, id="leaks")
        yield StillText("Counting …", id="no-leaks", classes="empty")
        yield StillText("", id="leaks-summary", classes="summary")

    def on_mount(self) -> None:
        self._show()

    def show(self, report: LeakReport | None, trouble: str, filter_: str) -> None:
        """Shows `report`; `trouble` says why a newer one couldn't be had."""
        self._report, self._trouble, self._filter = report, trouble, filter_.casefold()
        self._show()

    def _show(self) -> None:
        report = self._report
        rows = [] if report is None else _rows(report)
        rows = [row for row in rows if self._filter in " ".join(row.cells).casefold()]
        table = self.query_one(LiveTable)
        table.show(rows)
        empty = self.query_one("#no-leaks", StillText)
        empty.display = not rows
        summary = ""
        if report is None:
            empty.say(f"Not counted: {plain(self._trouble)}" if self._trouble else "Counting …")
        else:
            at = report.checked_at.astimezone().strftime("%H:%M:%S")
            summary = (
                f"{leak_table.many(report.total, 'leaked row')}, "
                f"{leak_table.many(report.tables_checked, 'table')} checked, "
                f"{len(report.skipped)} not checked, at {at}"
            )
            if self._trouble:
                summary += f" (then: {plain(self._trouble)})"
            if self._filter and (report.tables or report.skipped):
                empty.say(f"No table matches {plain(self._filter)!r}; escape ends the filter.")
            else:
                empty.say("No test rows were left behind.")
        self.query_one("#leaks-summary", StillText).say(summary)


def _rows(report: LeakReport) -> list[LiveRow]:
    leaked = [
        LiveRow(
            f"leak {table.schema}.{table.table}",
            (
                plain(f"{table.schema}.{table.table}"),
                str(table.rows),
                plain(", ".join(table.columns)),
                plain(", ".join(table.samples)),
            ),
        )
        for table in sorted(report.tables, key=lambda one: (-one.rows, one.schema, one.table))
    ]
    skipped = [
        LiveRow(
            f"skipped {one.schema}.{one.table} {one.reason}",
            (plain(f"{one.schema}.{one.table}"), "?", "", f"not checked: {plain(one.reason)}"),
            "dim",
        )
        for one in report.skipped
    ]
    return leaked + skipped
