"""The keys, in words."""

from __future__ import annotations

from pgwatch_tests.tui.screens.detail import TextScreen

_KEYS = (
    ("1 2 3 4", "Locks, Sessions, Leaks, Contention"),
    ("up down j k", "move"),
    ("enter", "everything about the selected session"),
    ("y", "copy its query to the clipboard"),
    ("/", "show only what contains a text; escape ends it"),
    ("s", "sort the sessions another way; sum contention up by test, object, cause"),
    ("x", "count contention from now on"),
    ("space", "pause and go on"),
    ("+ -", "poll more often, less often"),
    ("r", "poll now, and count leaks now"),
    ("e", "write what is shown to a JSON file"),
    ("ctrl+p", "commands, themes"),
    ("q", "quit"),
)
_READING = (
    "",
    "Locks: a root blocker in bold, its waiters under it. For: how long a root has been "
    "in its state, or a waiter has waited. Blocks: all who wait behind a session, in "
    "brackets those directly behind it.",
    "",
    "Contention: session-seconds spent waiting since the dashboard's start, as far as polls saw them.",
)


def help_screen() -> TextScreen:
    """The screen that `?` opens."""
    return TextScreen("Keys", [f"{key:<12} {words}" for key, words in _KEYS] + list(_READING))
