"""Toasts: short messages, a few at a time, each once; dismissed together."""

from __future__ import annotations

import time
from dataclasses import dataclass

from textual.notifications import SeverityLevel

from pgwatch_tests.tui.keys.typed_keys import AppInTypedOrder

_MOST = 3
_READING_S = 5.0


@dataclass(frozen=True, slots=True)
class _Toast:
    message: str
    title: str
    severity: SeverityLevel
    markup: bool
    until_s: float


class AppWithToasts(AppInTypedOrder):
    """An app that shows at most three toasts; one that says the same again takes the other's place."""

    _toasts: tuple[_Toast, ...] = ()

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = True,
    ) -> None:
        """Shows a toast for `timeout` seconds; the oldest go where there are too many."""
        now_s = time.monotonic()
        told = self._toasts_at(now_s)
        kept = tuple(one for one in told if one.message != message)[1 - _MOST :]
        if kept != told:
            self._clear()
            for one in kept:
                super().notify(
                    one.message,
                    title=one.title,
                    severity=one.severity,
                    timeout=one.until_s - now_s,
                    markup=one.markup,
                )
        lasts_s = _READING_S if timeout is None else timeout
        self._toasts = (*kept, _Toast(message, title, severity, markup, now_s + lasts_s))
        super().notify(message, title=title, severity=severity, timeout=lasts_s, markup=markup)

    def dismiss_toasts(self) -> bool:
        """Takes all toasts from the screen; returns whether there were any."""
        had_any = bool(self._toasts_at(time.monotonic()))
        self._toasts = ()
        self._clear()
        return had_any

    def _clear(self) -> None:
        self.clear_notifications()
        # Textual leaves an empty line for each.
        self.screen.query("ToastHolder").remove()

    def _toasts_at(self, now_s: float) -> tuple[_Toast, ...]:
        return tuple(one for one in self._toasts if one.until_s > now_s)
