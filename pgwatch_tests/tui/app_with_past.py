"""The way through the last hour of a live server, back and forth, and to the present again."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from dataclasses import replace
from importlib import import_module

from pgwatch_tests.text.times import clock
from pgwatch_tests.tui.actions import tell
from pgwatch_tests.tui.answers.latest_answers import LatestAnswers
from pgwatch_tests.tui.personal_app import PersonalApp


class AppWithPast(PersonalApp):
    """Shows the present, or a moment of the past that somebody went to; polls go on meanwhile."""

    @property
    @abstractmethod
    def data(self) -> LatestAnswers:
        """The latest answers, and the moment that is looked at."""

    async def load_past(self) -> None:
        """Keeps snapshots from now on. What packs them is loaded beside the loop: nobody waits for it."""
        past = await asyncio.to_thread(import_module, "pgwatch_tests.tui.answers.past")
        self.data.past = past.Past()
        self.data.keep()

    def action_go(self, seconds: float) -> None:
        """Looks at the moment that many seconds earlier (below 0) or later, at the next one at least."""
        if refusal := self.data.go(seconds):
            tell(self, refusal)
            return
        self._show_past_or_present()

    def action_now(self) -> None:
        """Looks at the present again."""
        self.data.view(None)
        self._show_past_or_present()

    def action_escape(self) -> None:
        """Looks at the present again, as the line above says; there, clears the marks, else the filter."""
        if self.data.viewed is None or self._filter_line.is_open_for(self._active):
            super().action_escape()
        else:
            self.dismiss_toasts()
            self.action_now()

    @property
    def as_of(self) -> str:
        """Which moment the selected session is of, as the end of a phrase; empty for the present."""
        viewed = self.data.viewed
        if viewed is None or self._tab.selected is None:
            return ""
        return f" as of {clock(viewed.sampled_at)}"

    def in_past(self) -> str:
        """Why nothing is done while a moment of the past is looked at; empty if none is."""
        if self.data.viewed is None:
            return ""
        return f"That is the past: {self.key_name('escape')} goes back to now."

    def _show_past_or_present(self) -> None:
        line, data = self._status_line, self.data
        line.status = replace(line.status, snapshot=data.snapshot, trend=data.blocked_trend)
        self.show_viewed()
        data.force_redraw()
        self._show_tab()

    def show_viewed(self) -> None:
        """Says which moment is looked at."""
        line = self._status_line
        line.status = replace(line.status, viewed=self.data.viewed_in_words(self.key_name))
