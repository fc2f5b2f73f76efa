"""Tells what came of something, in a corner of the screen, while everything else goes on."""

from __future__ import annotations

from typing import Literal

from textual.app import App

from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.tui.screens.question import QuestionScreen

_READING_S = 5.0
_READING_TROUBLE_S = 15.0


def tell(app: App[object], text: str, *, failed: bool = False) -> None:
    """Shows `text`, which may be anybody's; what failed for longer, since it takes thinking."""
    severity: Literal["information", "error"] = "error" if failed else "information"
    timeout = _READING_TROUBLE_S if failed else _READING_S
    app.notify(plain(text), severity=severity, timeout=timeout, markup=False)


def tell_server_change(app: App[int], change: str) -> None:
    """Shows that another server answers; an open question, about something of the old one, means no."""
    question = app.screen
    if isinstance(question, QuestionScreen):
        question.action_leave()
        change = f"{change} The question was closed."
    app.notify(plain(change), severity="warning", timeout=_READING_TROUBLE_S, markup=False)
