"""Acting on the selected session: what is known of it beside the polls, and the keys that cancel and end."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from textual import on

from pgwatch_tests.locks.actions.action import How
from pgwatch_tests.locks.model import Party
from pgwatch_tests.reports.verdict.verdict import subject
from pgwatch_tests.tui.app_with_past import AppWithPast
from pgwatch_tests.tui.session_actions import SessionActions
from pgwatch_tests.tui.tabs.tab_place import LEAKS
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable
from pgwatch_tests.tui.workers import start_worker

if TYPE_CHECKING:
    from pgwatch_tests.tui.tabs.tab import DashboardTab

_RIGHTS_EVERY_S = 60.0


class ActingApp(AppWithPast):
    """Its keys act on the selected session, unless `_actions` is None: then the dashboard is read-only."""

    _actions: SessionActions | None = None
    _reads_more = False

    def begin_reading_more(self) -> None:
        """Begins to read what polls don't tell: the selected session's locks, and whom we may signal."""
        self._reads_more = True
        for tab in self._tabs.values():
            self._equip(tab)
        self._tab.show_selected()
        self.look_at_rights()
        self.set_interval(_RIGHTS_EVERY_S, self.look_at_rights)

    def tab_mounted(self, tab: DashboardTab) -> None:
        """Gives it what tells more of the selected session, and hears of what is confirmed in it."""
        super().tab_mounted(tab)
        tab.confirmed = self._removal_confirmed
        if self._reads_more:
            self._equip(tab)

    def _removal_confirmed(self) -> None:
        """Lets Leaks go on to the next row once the selected one has gone."""
        leaks = self._tabs.get(LEAKS)
        if leaks is not None and leaks.has_table:
            leaks.let_go()

    def _equip(self, tab: DashboardTab) -> None:
        if self._read_held is not None:
            from pgwatch_tests.tui.answers.selected_locks import SelectedLocks

            tab.locks = SelectedLocks(self, self._read_held, tab.show_selected)
        tab.refusal = self._refusal_of_advice

    # What would be in vain, and what the server would refuse.

    def look_at_rights(self) -> None:
        """Reads anew, beside the polls, what the server will refuse: a GRANT may have come."""
        if self._actions is not None:
            start_worker(self, partial(self._look_at_rights, self._actions), "rights")

    async def _look_at_rights(self, actions: SessionActions) -> None:
        if await actions.look_at_rights() and not self._is_closing:
            self._show_tab()

    def refusal(self, parameters: tuple[object, ...]) -> str:
        """Why acting on the selected session would be in vain, or refused; empty if not.

        `parameters` are those of `act`; none: what the advice says, which isn't about marked rows.
        """
        tab, graph = self._tab, self.data.graph
        if self._actions is None or graph is None or not tab.is_mounted:
            return ""
        if marked := len(tab.marked):
            return "" if parameters else self._act_on_marked(marked)
        party = tab.selected or tab.leads_to
        if party is None:
            return ""
        how: How | None = None if not parameters else "cancel" if parameters == ("cancel",) else "terminate"
        if reason := self._actions.why_not(graph, party, how):
            return reason
        refused = self._actions.refused_by_server(graph, party, how)
        return f"{refused} {self.key_name('refresh')} looks again." if refused else ""

    def _act_on_marked(self, number: int) -> str:
        """`2 marked: K ends both. escape clears the marks.`"""
        which = {1: "it", 2: "both"}.get(number, "all of them")
        ends, clears = self.key_name("terminate"), self.key_name("escape")
        return f"{number:,} marked: {ends} ends {which}. {clears} clears the marks."

    def _refusal_of_advice(self, party: Party) -> str:
        graph = self.data.graph
        if self._actions is None or graph is None:
            return ""
        return self._actions.refused_by_server(graph, party, None)

    def _show_tab(self) -> None:
        super()._show_tab()
        self.show_what_helps()

    @on(LiveTable.RowHighlighted)
    def show_what_helps(self) -> None:
        """Says beside the verdict which key helps, where the selected row is in the tree that it is about."""
        line, hint = self._status_line, self._what_helps()
        if hint != line.status.hint:
            line.status = replace(line.status, hint=hint)

    def _what_helps(self) -> str:
        graph, tab = self.data.graph, self._tab
        if self._actions is None or graph is None or not tab.is_mounted or tab.marked or self.in_past():
            return ""
        root, selected = subject(graph), tab.selected
        if (
            root not in graph.root_blockers
            or selected is None
            or (graph.root_of(selected) or selected) != root
        ):
            return ""
        return self._actions.hint(graph, root, self.key_name("follow-advice"))

    # Keys.

    def action_mark(self) -> None:
        """Marks the selected row, or takes its mark away: keys act on marked rows only."""
        super().action_mark()
        self.show_what_helps()
        self.refresh_bindings()

    def action_act(self, how: How) -> None:
        """Asks whether to cancel the selected session's statement, or to end the session."""
        tab, graph = self._tab, self.data.graph
        about = tab.selected or tab.leads_to
        parties = tab.marked or [one for one in (about,) if one is not None]
        if self._actions is not None and parties and graph is not None:
            self._clear_for_question()
            tab.table.choose()
            self._actions.ask(graph, parties, how, tab.let_go, marked=bool(tab.marked))

    def action_follow_advice(self) -> None:
        """Asks whether to do what the advice about the selected session says."""
        party, graph = self._tab.selected, self.data.graph
        if self._actions is not None and party is not None and graph is not None:
            self._clear_for_question()
            self._tab.table.choose()
            self._actions.follow_advice(graph, party, self._tab.table.let_go)

    def _clear_for_question(self) -> None:
        """Takes the toasts away: none may cover a question. What was done here stays in its list."""
        if len(self.screen_stack) == 1:
            self.dismiss_toasts()

    def action_show_done(self) -> None:
        """Opens the list of what was done here."""
        if self._actions is not None:
            self._actions.show_done()
