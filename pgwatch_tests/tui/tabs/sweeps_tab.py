"""The Sweeps tab: its keys preview, sweep, remove one thing, and run the schedule's jobs.

A preview runs only when asked for: it reads whole tables.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from textual.binding import BindingType

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.reports.sweeps import orphan_question, sweep_words
from pgwatch_tests.sweep.orphans.orphan_facts import OrphanFacts
from pgwatch_tests.sweep.request import SweepPart
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.tui.actions import pause_or_resume, run_now, tell
from pgwatch_tests.tui.keys.tab_keys import SWEEP_KEYS
from pgwatch_tests.tui.screens.confirm import ConfirmSweepScreen, about_any_age, about_orphan, about_plan
from pgwatch_tests.tui.screens.min_age import MinAgeScreen
from pgwatch_tests.tui.screens.text import TextScreen
from pgwatch_tests.tui.tabs.sweep_desk import InspectOrphan, SweepUnderWay
from pgwatch_tests.tui.tabs.sweep_rows import capitalised
from pgwatch_tests.tui.tabs.sweep_tables import SweepTables
from pgwatch_tests.tui.tabs.sweeps_state import failure
from pgwatch_tests.tui.workers import start_worker


class SweepsTab(SweepTables):
    """Works with one of three tables: the plan or last sweep, the jobs, the history."""

    BINDINGS: ClassVar[list[BindingType]] = SWEEP_KEYS

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key does anything now; None: it doesn't, and `why_not` says why."""
        if action == "end":
            # While there is a filter, or nothing to stop, escape is the dashboard's.
            return self._under_way is not None and not self.row_filter
        return super().check_action(action, parameters)

    @property
    def is_at_work(self) -> bool:
        """Whether a preview or a sweep runs."""
        return self._under_way is not None

    def forget_plan(self) -> None:
        """Forgets the last preview or sweep: it was of another database."""
        self._state.report, self._state.part, self._state.trouble = None, None, ""
        self.redraw()

    def plan(self, part: SweepPart) -> None:
        """Previews the sweep of one part only; nothing if a preview or a sweep runs."""
        if self._under_way is None:
            self._state.part = part
            self._begin(dry_run=True)

    def ask_about(self, part: SweepPart) -> None:
        """Asks whether one schema or prepared transaction goes, with what is known of it; then removes it.

        Nothing if a preview or a sweep runs.
        """
        if self._under_way is None and self._desk.inspect is not None:
            self.app.notify(f"looking at {plain(part.name)} …", timeout=1, markup=False)
            start_worker(self, partial(self._inspect, self._desk.inspect, part), "orphan", exclusive=True)

    async def _inspect(self, inspect: InspectOrphan, part: SweepPart) -> None:
        try:
            found = await inspect(part)
        except PgwatchError as error:
            tell(self.app, f"Not removed: {error}", failed=True)
            return
        if found is None:
            tell(self.app, f"{capitalised(sweep_words.part(part))} is gone already.")
            self._refresh_app()
        elif len(self.app.screen_stack) > 1:
            # A question over another screen would be answered unread.
            return
        elif found.why_not:
            title, lines = orphan_question.refusal(found, self._desk.server())
            self.app.push_screen(TextScreen(title, lines))
        else:
            question = about_orphan(found, self._desk.server())
            self.app.push_screen(ConfirmSweepScreen(question), partial(self._confirmed, found))

    def _confirmed(self, found: OrphanFacts, confirmed: bool | None) -> None:
        if confirmed and self._under_way is None:
            self._begin(dry_run=False, part=found.part)

    def never(self, action: str, parameters: tuple[object, ...]) -> str:
        if action in ("sweep", "remove_this", "run_job", "pause_job") and not self._desk.acts:
            return "This dashboard is read-only: nothing is swept, and no job is changed."
        return ""

    def why_not(self, action: str, parameters: tuple[object, ...] = ()) -> str:
        if never := self.never(action, parameters):
            return never
        if action in ("sweep", "remove_this", "run_job") and (past := self.in_past()):
            return past
        if action in ("preview", "min_age", "sweep", "remove_this") and self._under_way is not None:
            return f"A sweep or a preview is running: {self.key('end-sweep')} stops it."
        if action == "remove_this":
            return self._state.why_not_asked(self.table.current_key)
        if action == "copy" and self.table.current_key is not None and not self.copyable:
            return "No statement is needed for this row."
        if action in ("run_job", "pause_job") and not self._state.jobs:
            return "No job is known."
        if action in ("run_job", "pause_job") and self._state.section != "jobs":
            return f"No job is selected: {self.key('section')} switches to the jobs."
        return super().why_not(action, parameters)

    def action_preview(self) -> None:
        """Previews what a sweep of everything would delete."""
        self._state.part = None
        self._begin(dry_run=True)

    def action_sweep(self) -> None:
        """Asks whether to sweep as previewed; previews first if need be."""
        if self._state.is_plan:
            self._ask()
        else:
            self._begin(dry_run=True, then=self._ask)

    def action_remove_this(self) -> None:
        """Asks whether the selected schema or prepared transaction goes."""
        part = self._state.part_to_ask_about(self.table.current_key)
        if part is not None:
            self.ask_about(part)

    def action_min_age(self) -> None:
        """Asks for the minimum age of what is swept, and previews with it."""
        self.app.push_screen(MinAgeScreen(self._state.min_age_s), self._take_min_age)

    def _take_min_age(self, min_age_s: float | None) -> None:
        if min_age_s is not None and self._under_way is None:
            self._state.min_age_s = min_age_s
            # A plan for another age doesn't hold.
            self._begin(dry_run=True)

    def action_end(self) -> None:
        """Stops the sweep after its batch; pressed again, now."""
        if self._under_way is not None:
            self._under_way.end()
            self._show_progress()

    def action_reload(self) -> None:
        """Reloads jobs and history; polls and counts leaks too."""
        self._reload_jobs()
        self._reload_history()
        self._refresh_app()

    def action_run_job(self) -> None:
        """Runs the selected job now; asks first if it deletes anything."""
        if self._desk.jobs is not None and self._selected_job is not None:
            run_now(self.app, self._desk.jobs, self._selected_job, self._reload_jobs)

    def action_pause_job(self) -> None:
        """Pauses or resumes the selected job."""
        if self._desk.jobs is not None and self._selected_job is not None:
            pause_or_resume(self.app, self._desk.jobs, self._selected_job, self._reload_jobs)

    def _begin(
        self, *, dry_run: bool, then: Callable[[], None] | None = None, part: SweepPart | None = None
    ) -> None:
        self._under_way = under_way = SweepUnderWay(
            self._desk, dry_run, self._state.min_age_s, part or self._state.part, self._clock
        )
        self._state.trouble = ""
        if not dry_run:
            self.table.give_up()
            self.confirmed()
        self._progress_timer.resume()
        self._open("plan")
        start_worker(self, partial(self._work, under_way, dry_run, then), "sweep")

    async def _work(self, under_way: SweepUnderWay, dry_run: bool, then: Callable[[], None] | None) -> None:
        try:
            report = await under_way.run()
        except PgwatchError as error:
            self._state.trouble = failure("preview" if dry_run else "sweep", error)
            if not (dry_run and self._state.report is None and self._is_read):
                tell(self.app, capitalised(self._state.trouble), failed=True)
            then = None
        else:
            if not dry_run:
                report = self._state.with_plan(report)
            if rest := self._state.without_removed(report):
                self._state.report = rest
            else:
                self._state.report, self._state.report_at_s = report, self._clock()
            if not dry_run:
                self._refresh_app()  # it counts leaks, which are fewer by now
                tell(self.app, report.error or orphan_question.outcome(report), failed=bool(report.error))
            if not self._state.is_plan:
                then = None
        finally:
            self._under_way = None
            self._progress_timer.pause()
        self._reload_history()
        self.redraw()
        self.table.take_first()
        if not dry_run and (key := self._state.first_to_ask_about()):
            self.table.select(key)  # what is left to do
        if then is not None:
            then()

    @property
    def _is_read(self) -> bool:
        """Whether the tab is open, with no other screen over it."""
        return self.app.screen is self.screen and self.table.has_focus

    def _ask(self) -> None:
        plan = self._state.report
        assert plan is not None
        if not self._is_read:
            # A question over another screen would be answered unread.
            tell(self.app, f"Sweep preview ready: press {self.key('sweep')} in the Sweeps tab")
        elif plan.planned_rows or any(orphan.removed for orphan in plan.orphans):
            age_s = self._clock() - self._state.report_at_s
            question = about_plan(plan, age_s, self._desk.server(), self._state.left)
            self.app.push_screen(ConfirmSweepScreen(question), self._answered)
        elif plan.min_age_s and "too_young" in sweep_words.reasons(plan.kept, plan.orphans):
            self.app.push_screen(ConfirmSweepScreen(about_any_age(plan, self._snapshot)), self._take_any_age)
        else:
            tell(self.app, f"Not swept: {sweep_words.summary(plan)}")

    def _take_any_age(self, confirmed: bool | None) -> None:
        if confirmed and self._under_way is None:
            self._state.min_age_s = 0.0
            self._begin(dry_run=True, then=self._ask)

    def _answered(self, confirmed: bool | None) -> None:
        if confirmed:
            self._begin(dry_run=False)
