"""Toasts: short messages, a few at a time, each once; dismissed together."""

from __future__ import annotations

import time
from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.notifications import Notify, SeverityLevel

from pgwatch_tests.tui.keys.typed_keys import AppInTypedOrder

_MOST = 3
_LINE = 2
"""Below header and verdict."""
_READING_S = 4.0
_REFUSAL_S = 4.0
_SEEN_S = 2.0
"""Whoever opens another tab has read what was told for so long."""
_FRAME = 3
"""The columns of a toast beside its text: a border at the left, and a space on each side."""


@dataclass(frozen=True, slots=True)
class _Toast:
    message: str
    title: str
    severity: SeverityLevel
    markup: bool
    since_s: float
    until_s: float
    about: str

    def height(self, width: int) -> int:
        """How many lines it takes where the screen has `width` columns."""
        return Content(self.message).get_height({}, max(1, width - _FRAME)) + bool(self.title)


class AppWithToasts(AppInTypedOrder):
    """An app that shows at most three toasts; one that says the same again, or what is now, takes the other's
    place.

    A refusal is gone with the next key: it takes its place, or does what the refusal told, so that its reason
    is over.
    """

    _toasts: tuple[_Toast, ...] = ()
    _refusal: str = ""
    """The refusal that is shown, if one is."""

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
        about: str = "",
    ) -> None:
        """Shows a toast for `timeout` seconds; the oldest go where there are too many.

        One `about` something of the open tab takes the place of another about the same, and goes with the
        tab.
        """
        now_s = time.monotonic()
        told = self._toasts_at(now_s)
        others = [one for one in told if one.message != message and not (about and one.about == about)]
        self._keep(tuple(others[1 - _MOST :]), now_s)
        lasts_s = _READING_S if timeout is None else timeout
        toast = _Toast(message, title, severity, markup, now_s, now_s + lasts_s, about)
        self._toasts = (*self._toasts, toast)
        super().notify(message, title=title, severity=severity, timeout=lasts_s, markup=markup)
        # What is told may have come with a line above the tabs.
        self.call_after_refresh(self._place)

    def toast_line(self, height: int) -> int:
        """The line of the screen on which toasts of so many lines begin."""
        return _LINE

    def _place(self) -> None:
        told = self._toasts_at(time.monotonic()) if self.screen_stack else ()
        if told:
            line = self.toast_line(sum(one.height(self.size.width) for one in told))
            for rack in self.screen.query("ToastRack"):
                rack.styles.margin = (line, 0, 0, 0)

    def drop_toasts_of_tab(self) -> None:
        """Takes the toasts away that are about the tab that was open, and those that were read there."""
        now_s = time.monotonic()
        told = self._toasts_at(now_s)
        self._keep(tuple(one for one in told if not one.about and now_s - one.since_s < _SEEN_S), now_s)

    def notify_refusal(self, reason: str) -> None:
        """Shows why a key does nothing, until the next key."""
        self._refusal = reason
        self.notify(reason, severity="warning", timeout=_REFUSAL_S, markup=False)

    async def _press(self, key: events.Key) -> None:
        self._drop_refusal()
        await super()._press(key)

    def _drop_refusal(self) -> None:
        if self._refusal:
            refusal, self._refusal, now_s = self._refusal, "", time.monotonic()
            self._keep(tuple(one for one in self._toasts_at(now_s) if one.message != refusal), now_s)

    def _keep(self, kept: tuple[_Toast, ...], now_s: float) -> None:
        """Takes all other toasts from the screen."""
        before, self._toasts = self._toasts_at(now_s), kept
        if kept == before:
            return
        self._clear()
        for one in kept:
            super().notify(
                one.message,
                title=one.title,
                severity=one.severity,
                timeout=one.until_s - now_s,
                markup=one.markup,
            )

    def on_notify(self, event: Notify) -> None:
        """Shows no toast that was dismissed meanwhile: Textual shows each a message later."""
        if event.notification.message not in (one.message for one in self._toasts):
            event.prevent_default()

    def dismiss_toasts(self) -> None:
        """Takes all toasts from the screen."""
        self._toasts = ()
        self._clear()

    def _clear(self) -> None:
        self.clear_notifications()
        # Textual leaves an empty line for each.
        self.screen.query("ToastHolder").remove()

    def _toasts_at(self, now_s: float) -> tuple[_Toast, ...]:
        return tuple(one for one in self._toasts if one.until_s > now_s)
