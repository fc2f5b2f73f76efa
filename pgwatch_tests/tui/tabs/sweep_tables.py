"""The three tables of the Sweeps tab: what is shown in each, and the jobs and the history read for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from functools import partial

from textual import on
from textual.app import ComposeResult
from textual.message import Message

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.history.model import HistoryEntry, JobState
from pgwatch_tests.locks.model import LockSnapshot, Party
from pgwatch_tests.reports.sweeps import sweep_json, sweep_lines
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.tui.screens.row import RowScreen
from pgwatch_tests.tui.screens.text import TextScreen
from pgwatch_tests.tui.tabs.sweep_desk import JobDesk, SweepDesk, SweepUnderWay
from pgwatch_tests.tui.tabs.sweep_rows import COLUMNS, SweepsSection, next_sweep
from pgwatch_tests.tui.tabs.sweeps_state import SweepsState
from pgwatch_tests.tui.tabs.tab import DashboardTab, TabData
from pgwatch_tests.tui.tabs.tab_place import LEAKS
from pgwatch_tests.tui.widgets.detail_pane import DetailPane
from pgwatch_tests.tui.widgets.still_text import StillText
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable
from pgwatch_tests.tui.workers import start_worker

_JOBS_EVERY_S = 5.0
_PROGRESS_EVERY_S = 0.25


class SweepTables(DashboardTab):
    """Shows one of three tables: the plan or last sweep, the jobs, the history."""

    TITLE = "Sweeps"

    READING = (
        "The plan says what a sweep would remove, what stays and why. Nothing is deleted without a preview "
        "and a typed y.",
    )

    class NextSweep(Message):
        """Tells the dashboard the start of the schedule's next sweep; None if not known."""

        def __init__(self, at: datetime | None) -> None:
            super().__init__()
            self.at = at

    def __init__(self, desk: SweepDesk, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._desk = desk
        self._clock = clock
        self._state = SweepsState(desk.acts, desk.min_age_s, self.key, partial(self.key, title="Leaks"))
        self._under_way: SweepUnderWay | None = None
        self._asked_for_history = self._reads_jobs = False
        self._snapshot: LockSnapshot | None = None

    def compose(self) -> ComposeResult:
        yield StillText(id="sweep-sections", classes="summary")
        yield StillText(id="sweep-progress")
        yield LiveTable(COLUMNS[self._state.section], id="sweeps", hides=False)
        yield StillText(id="no-sweeps", classes="empty")
        yield StillText(id="sweep-summary", classes="summary")
        yield DetailPane(id="sweep-detail")

    def begin(self) -> None:
        super().begin()
        self._progress_timer = self.set_interval(_PROGRESS_EVERY_S, self._show_progress, pause=True)
        if self._desk.jobs is not None:
            self.set_interval(_JOBS_EVERY_S, self._reload_jobs)
            self._reload_jobs()

    # What is shown.

    def take(self, data: TabData) -> None:
        self._snapshot, self._state.leaks = data.snapshot, data.leaks
        self._state.in_past = bool(self.in_past())
        if not self._asked_for_history:
            self._reload_history()

    @property
    def document(self) -> tuple[str, str] | None:
        report = self._state.report
        return None if report is None else ("sweep", sweep_json.document(report))

    def redraw(self) -> None:
        state = self._state
        rows = state.rows()
        empty = self.no_match("line") if rows else state.empty(self._under_way is not None)
        self.show_rows([row for row in rows if self.row_filter.fits(row.texts)], empty)
        self.query_one("#sweep-sections", StillText).say(state.heads())
        self.query_one("#sweep-summary", StillText).say(state.summary())
        self._show_progress()
        self._show_detail()

    @on(LiveTable.RowHighlighted)
    def _show_detail(self) -> None:
        table = self.table
        self.show_detail(self._state.detail(table.current_key), table.row_count)
        self.screen.refresh_bindings()

    def _show_progress(self) -> None:
        line = self.query_one("#sweep-progress", StillText)
        line.display = self._under_way is not None
        if self._under_way is not None:
            line.say(self._under_way.progress(self.key("end-sweep")))

    # Rows and details.

    def party_for(self, pane_id: str) -> Party | None:
        """The session that the summary says is left, where the way to Leaks is for it."""
        return self._state.left_party if pane_id == LEAKS else None

    def action_next_section(self) -> None:
        """Switches to the next table."""
        self._open(self._state.next_section)

    @property
    def _selected_job(self) -> JobState | None:
        name = self.table.current_key
        return next((one for one in self._state.jobs if one.name == name), None)

    def offers(self, action: str) -> bool:
        if action == "copy":
            return bool(self.copyable)
        return action == "detail" and self.table.current_key is not None

    @property
    def copyable(self) -> list[tuple[str, str]]:
        return [(one.what, one.text) for one in self._state.copies(self.table.current_key)]

    def open_detail(self) -> None:
        """Opens a line of the plan, a job or an entry of the history in full."""
        key = self.table.current_key
        if self._state.section == "history" and key is not None:
            entry = next(one for one in self._state.history or () if str(one.id) == key)
            start_worker(self, partial(self._show_entry, entry), "sweep entry", exclusive=True)
        elif detail := self._state.detail(key):
            screen = RowScreen(detail)
            screen.copies = self.copyable
            self.app.push_screen(screen)

    async def _show_entry(self, entry: HistoryEntry) -> None:
        lines = sweep_lines.entry_lines(entry)
        try:
            report = None if entry.id is None else await self._desk.report(entry.id)
        except PgwatchError as error:
            lines += ["", plain(str(error))]
        else:
            lines += [] if report is None else ["", *sweep_lines.lines(report)]
        self.app.push_screen(TextScreen("Sweep", lines))

    def _open(self, section: SweepsSection) -> None:
        if section != self._state.section:
            self._state.section = section
            self.table.use(COLUMNS[section])
        self.redraw()

    # Jobs and history.

    def _refresh_app(self) -> None:
        self.app.call_later(self.app.run_action, "refresh")

    def _reload_jobs(self) -> None:
        # A read that takes longer than the interval isn't started twice.
        if self._desk.jobs is not None and not self._reads_jobs:
            self._reads_jobs = True
            start_worker(self, partial(self._read_jobs, self._desk.jobs), "sweep jobs")

    async def _read_jobs(self, jobs: JobDesk) -> None:
        state = self._state
        before = state.jobs, state.jobs_trouble
        try:
            state.jobs, state.jobs_trouble = await jobs.states(), ""
        except PgwatchError as error:
            state.jobs_trouble = str(error)
        finally:
            self._reads_jobs = False
        if (state.jobs, state.jobs_trouble) == before:
            return
        if before[0] and [one.last for one in state.jobs] != [one.last for one in before[0]]:
            self._refresh_app()  # a job that is over may have swept
        self.post_message(self.NextSweep(next_sweep(state.jobs)))
        if self._asked_for_history:
            self._reload_history()
        self.redraw()

    def _reload_history(self) -> None:
        self._asked_for_history = True
        start_worker(self, self._read_history, "sweep history")

    async def _read_history(self) -> None:
        try:
            self._state.history, self._state.history_trouble = await self._desk.history(), ""
        except PgwatchError as error:
            self._state.history_trouble = str(error)
        self.redraw()
