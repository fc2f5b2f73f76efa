"""The dashboard of a live server: its keys, and the two pollers that feed its tabs."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.locks.actions.action import Action, Outcome
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.tui.acting_app import ActingApp
from pgwatch_tests.tui.actions import tell, tell_server_change
from pgwatch_tests.tui.answers.latest_answers import LatestAnswers
from pgwatch_tests.tui.answers.leak_pace import LeakPace
from pgwatch_tests.tui.answers.lock_polls import LockPolls, ReadGlance, Seen
from pgwatch_tests.tui.answers.poller import Polled, Poller, PollFailed, next_interval_s
from pgwatch_tests.tui.database_desk import DatabaseDesk, pick_database
from pgwatch_tests.tui.keys.key_bindings import LIVE_KEYS
from pgwatch_tests.tui.keys.preferences import Preferences
from pgwatch_tests.tui.screens.detail import ReadHeld
from pgwatch_tests.tui.screens.leak import ReadRows
from pgwatch_tests.tui.session_actions import ReadRights, SessionActions
from pgwatch_tests.tui.tabs.locks_tab import LocksTab
from pgwatch_tests.tui.tabs.tab_place import (
    LEAKS,
    LOCKS,
    SESSIONS,
    SWEEPS,
    contention_place,
    leaks_place,
    sessions_place,
    sweeps_place,
)
from pgwatch_tests.tui.widgets.filter_line import of_database
from pgwatch_tests.tui.widgets.header_figures import live_manner
from pgwatch_tests.tui.workers import start_worker

if TYPE_CHECKING:
    from pgwatch_tests.leaks.model import LeakReport
    from pgwatch_tests.tui.screens.databases import DatabaseChoice
    from pgwatch_tests.tui.tabs.leaks_tab import LeaksTab
    from pgwatch_tests.tui.tabs.sweep_desk import SweepDesk
    from pgwatch_tests.tui.tabs.sweeps_tab import SweepsTab
    from pgwatch_tests.tui.widgets.tip_line import TipLine

_FIRST_ANSWER_WITHIN_S = 1.0
"""What the first picture doesn't need begins after it, or when it takes longer than this."""


class Dashboard(ActingApp):
    """Shows what `read_locks` and `read_leaks` return of a live server.

    Both may raise PgwatchError and are then called again, as `glance`, which tells between two pictures
    whether the waits are the same. `act` does a confirmed action, and may raise PgwatchError; without it the
    dashboard is read-only. `read_held` reads all locks of one session, `read_rights` whose sessions may be
    signalled, `read_leaked` the leaked rows of one table. `sweeps` is what the Sweeps tab works with,
    `databases` what the picker of databases does. `clock` is monotonic, in seconds; exports go to
    `export_to`.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*LIVE_KEYS]

    def __init__(
        self,
        read_locks: Callable[[], Awaitable[LockSnapshot]],
        read_leaks: Callable[[], Awaitable[LeakReport]],
        *,
        glance: ReadGlance | None = None,
        act: Callable[[Action], Awaitable[Outcome]] | None = None,
        read_held: ReadHeld | None = None,
        read_rights: ReadRights | None = None,
        sweeps: SweepDesk | None = None,
        databases: DatabaseDesk | None = None,
        read_leaked: ReadRows | None = None,
        refresh_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        export_to: Path | None = None,
        preferences: Preferences | None = None,
        shows_tips: bool = False,
    ) -> None:
        acts = act is not None
        later = [
            sessions_place(acts=acts),
            leaks_place(read_rows=read_leaked, sweeps=sweeps, acts=acts),
            contention_place(),
        ]
        if sweeps is not None:
            later.append(sweeps_place(sweeps, clock))
        super().__init__(
            LocksTab(acts=acts), later, read_held=read_held, export_to=export_to, preferences=preferences
        )
        self._shows_tips = shows_tips
        self._tip: TipLine | None = None
        self._actions = act and SessionActions(
            *(self, act, self.action_refresh, read_rights, self.key_name),
            *(lambda: self.data.graph, self._poll_for_all),
        )
        self._sweeps = sweeps
        self._databases = databases
        self._counts_in: str | None = None
        """The database that was picked to be counted; None: the tested one."""
        self._clock = clock
        self._refresh_s = refresh_s
        self._polls = LockPolls(read_locks, glance)
        self._locks_poller = Poller(self._poll_locks, self._on_locks, self._locks_pause_s, clock)
        self._read_leaks = read_leaks
        self._leaks_poller = Poller(self._count_leaks, self._on_leaks, self._leaks_pause_s, clock)
        self._leak_pace = LeakPace()
        self._count_began_s = clock()
        self._latest = LatestAnswers(clock())
        self._has_begun_the_rest = False
        self.failure: PgwatchError | None = None
        """Why the last poll failed; None if it didn't, or there was none yet."""

    @property
    def data(self) -> LatestAnswers:
        """The latest answers of both pollers."""
        return self._latest

    def on_mount(self) -> None:
        self._show_pace()
        # Workers of the app, not of a screen: they go on under a dialog.
        start_worker(self, self._locks_poller.run, "locks")
        self.set_timer(_FIRST_ANSWER_WITHIN_S, self._begin_the_rest)
        self._ageing = self.set_interval(1.0, self._grow_older, pause=True)

    def below(self) -> ComposeResult:
        """Yields the line with a tip, in the demo."""
        if self._shows_tips:
            from pgwatch_tests.tui.widgets.tip_line import TipLine

            self._tip = TipLine()
            yield self._tip

    def action_hide_tips(self) -> None:
        """Hides the line with tips for good."""
        self._shows_tips = False
        if self._tip is not None:
            self._tip.remove()
            self._tip = None
        self.refresh_bindings()

    def _show_tip(self) -> None:
        if self._tip is not None:
            self._tip.tell(self._latest.graph, self._latest.leaks, self.key_name, self._tab.TITLE.lower())

    def _begin_the_rest(self) -> None:
        """Begins what the first picture of the locks doesn't need, and would wait for."""
        if not self._has_begun_the_rest and not self._is_closing:
            self._has_begun_the_rest = True
            start_worker(self, self.mount_tabs, "tabs")
            start_worker(self, self._leaks_poller.run, "leaks")
            start_worker(self, self.load_past, "past")
            self.begin_reading_more()

    # Answers of the pollers.

    async def _poll_locks(self) -> Seen:
        return await self._polls.poll(self._latest.wanted(self._clock(), self._refresh_s))

    def _locks_pause_s(self, seen: Seen, _: float) -> float:
        return self._polls.pause_s(seen, self._refresh_s)

    def _on_locks(self, outcome: Polled[Seen] | PollFailed) -> None:
        if self._is_closing:
            return
        line = self._status_line
        if not self._has_begun_the_rest:
            self.call_after_refresh(self._begin_the_rest)
        now_s = self._clock()
        self.failure = outcome.error if isinstance(outcome, PollFailed) else None
        if isinstance(outcome, PollFailed):
            self._latest.fail(outcome.reason, now_s + outcome.retry_in_s)
            line.status = replace(line.status, trouble=outcome.reason, age_s=self._latest.age_s(now_s))
            self._count_down()
            self._ageing.resume()
            return
        paused = self._locks_poller.paused
        if self._leak_pace.is_due(now_s, self._polls.changes) and not paused:
            self._leaks_poller.poll_now()
        # While something waits, polls are frequent: most change nothing but durations.
        changed, is_news = self._latest.take(outcome.value, now_s, self._refresh_s, paused=paused)
        if changed:
            tell_server_change(self, changed)
        if self._latest.viewed is not None:
            self.show_viewed()
        elif is_news:
            trend, snapshot = self._latest.blocked_trend, self._latest.newest
            facts = replace(line.status.facts, troubles=self._latest.troubles)
            line.status = replace(
                line.status, trouble="", snapshot=snapshot, trend=trend, facts=facts, age_s=0
            )
            self._show_tab()
            self._show_tip()
        elif line.tells_age:
            line.status = replace(line.status, trouble="", age_s=0)
        if isinstance(outcome.value, LockSnapshot):
            # After the keys that were typed meanwhile.
            self.call_later(self._latest.settle_up)

    async def _count_leaks(self) -> LeakReport:
        self._leak_pace.begin(self._polls.changes)
        self._count_began_s = self._clock()
        return await self._read_leaks()

    def _leaks_pause_s(self, _: LeakReport, took_s: float) -> float:
        return self._leak_pace.end(self._clock(), took_s, self._refresh_s)

    def _on_leaks(self, outcome: Polled[LeakReport] | PollFailed) -> None:
        if self._is_closing:
            return
        if isinstance(outcome, PollFailed):
            self._latest.leaks_trouble = outcome.reason
        elif self._counts_in not in (None, outcome.value.database):
            # It was under way when another database was picked; the next one follows at once.
            return
        else:
            self._latest.take_leaks(outcome.value, self._count_began_s)
        self._show_leaks_in_status()
        if self._active in (LEAKS, SWEEPS):
            self._show_tab()
        else:
            self._number_tabs()

    def _show_leaks_in_status(self) -> None:
        line = self._status_line
        latest = self._latest
        facts = replace(
            line.status.facts,
            leaks=latest.leaks,
            leaks_trouble=latest.leaks_trouble,
            leaks_age_s=latest.leaks_age_s,
        )
        if facts != line.status.facts:
            line.status = replace(line.status, facts=facts)

    def _grow_older(self) -> None:
        if self._is_closing:
            return
        line = self._status_line
        if line.tells_age:
            line.status = replace(line.status, age_s=self._latest.age_s(self._clock()))
        if line.status.facts.leaks_age_s != self._latest.leaks_age_s:
            self._show_leaks_in_status()
        self._count_down()

    def _count_down(self) -> None:
        """Says anew, where there is no answer yet, when the next attempt is."""
        if self._latest.count_down(self._clock(), paused=self._locks_poller.paused):
            self._show_tab()

    # By Textual's name for it: the tab is loaded later.
    def on_sweep_tables_next_sweep(self, event: SweepsTab.NextSweep) -> None:
        """Shows when the next sweep is due."""
        if not self._is_closing:
            line = self._status_line
            line.status = replace(line.status, facts=replace(line.status.facts, next_sweep=event.at))

    async def on_leaks_tab_plan_sweep(self, event: LeaksTab.PlanSweep) -> None:
        """Opens the Sweeps tab with a plan of just one part, or asks whether that goes."""
        from pgwatch_tests.tui.tabs.sweeps_tab import SweepsTab

        await self._mount_tab(SWEEPS)
        sweeps = self._tabs.get(SWEEPS)
        if not isinstance(sweeps, SweepsTab):
            return
        if sweeps.is_at_work:
            tell(self, self._under_way_words, failed=True)
            return
        if event.asks:
            sweeps.ask_about(event.part)
            return
        await self.action_tab(SWEEPS)
        sweeps.plan(event.part)

    @property
    def _under_way_words(self) -> str:
        return f"A sweep is under way: stop it first ({self.key_name('end-sweep')} in its tab), or wait."

    # Keys.

    def action_pause(self) -> None:
        """Pauses or resumes polling."""
        self._locks_poller.toggle()
        self._leaks_poller.toggle()
        self._latest.interrupt()
        self._show_paused()

    def _show_paused(self) -> None:
        line, age_s = self._status_line, self._latest.age_s(self._clock())
        # A reload of Sweeps polls, too.
        refresh = self.key_name("reload" if self._active == SWEEPS else "refresh")
        keys = f"{self.key_name('pause')} resumes, {refresh} refreshes once"
        line.status = replace(line.status, paused=self._locks_poller.paused, paused_keys=keys, age_s=age_s)
        if line.tells_age:
            self._ageing.resume()

    def tab_opened(self) -> None:
        """Names other keys in the tip, and to resume by: the open tab may use the usual ones otherwise."""
        self._show_paused()
        self._show_tip()

    def _poll_for_all(self) -> None:
        self._latest.force_redraw()
        self._locks_poller.poll_now()

    def action_refresh(self) -> None:
        """Polls and counts leaks now."""
        self._poll_for_all()
        self._leaks_poller.poll_now()
        self.look_at_rights()

    def action_change_interval(self, steps: int) -> None:
        """Polls less often (1) or more often (-1)."""
        next_s = next_interval_s(self._refresh_s, slower=steps > 0)
        if next_s is not None:
            self._refresh_s = next_s
            self.keep("refresh", next_s)
            self._show_pace()
            self._locks_poller.poll_now()

    def _show_pace(self) -> None:
        line = self._status_line
        manner = live_manner(self._refresh_s, is_read_only=self._actions is None)
        line.status = replace(line.status, manner=manner)

    def action_databases(self) -> None:
        """Asks for a database: to show its sessions only, or to count its leaks."""
        if self._databases is not None:
            pick_database(self, self._databases, self._latest.snapshot, self._use_database)

    def _use_database(self, choice: DatabaseChoice) -> None:
        if choice.what == "count":
            self._count_in(choice.database)
            return
        text = of_database(choice.database) if choice.what == "show" else ""
        for pane_id in (LOCKS, SESSIONS):
            self._filter_line.set_filter(pane_id, text)
        self._show_tab()
        self._tab.table.take_first()

    def _count_in(self, database: str) -> None:
        from pgwatch_tests.tui.tabs.sweeps_tab import SweepsTab

        sweeps = self._tabs.get(SWEEPS)
        if isinstance(sweeps, SweepsTab) and sweeps.is_at_work:
            tell(self, self._under_way_words, failed=True)
            return
        if self._databases is None:
            return
        self._databases.count(database)
        self._counts_in = database
        self._latest.forget_leaks()
        self._show_leaks_in_status()
        if isinstance(sweeps, SweepsTab):
            sweeps.forget_plan()
        self._leaks_poller.poll_now()
        self._show_tab()
        tell(self, f"Leaks are counted, and swept, in {database} from now on")

    def action_reset(self) -> None:
        """Restarts the sums of the Contention tab."""
        self._latest.reset_contention(paused=self._locks_poller.paused)
        self._show_tab()
        self._tab.table.take_first()

    def never(self, action: str, parameters: tuple[object, ...]) -> str:
        """Why this dashboard never does an action, whatever it shows; empty if it can."""
        if action in ("act", "follow_advice", "mark", "show_done") and self._actions is None:
            return "This dashboard is read-only: no session is cancelled or ended."
        if action == "hide_tips" and not self._shows_tips:
            return "Tips are shown in the demo."
        if action == "databases" and self._databases is None:
            return "This dashboard shows one database only."
        if action == "tab" and self._sweeps is None and parameters == (SWEEPS,):
            return "This dashboard has no sweeps."
        return ""

    def why_not(self, action: str, parameters: tuple[object, ...] = ()) -> str:
        """Why an action does nothing now, as a sentence; empty if it would do something."""
        if never := self.never(action, parameters):
            return never
        if action in ("act", "follow_advice") and (past := self.in_past()):
            return past
        if action in ("act", "follow_advice") and (refusal := self.refusal(parameters)):
            return refusal
        slower = parameters == (1,)
        if action == "change_interval" and next_interval_s(self._refresh_s, slower=slower) is None:
            return f"The server is polled every {self._refresh_s:g} s, which is as far as it goes."
        return super().why_not(action, parameters)
