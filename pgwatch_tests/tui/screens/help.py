"""The keys, in words."""

from __future__ import annotations

from pgwatch_tests.tui.screens.text import TextScreen

_KEYS = (
    ("1 2 3 4", "Locks, Sessions, Leaks, Contention"),
    ("up down j k", "move"),
    ("enter", "everything about the selected session"),
    ("y", "copy its query to the clipboard"),
    ("C", "cancel the selected session's statement, after a question"),
    ("K", "end the selected session, or roll a prepared transaction back, after a question"),
    ("/", "show only what contains a text; escape ends it"),
    ("s", "sort the sessions another way; sum contention or leaks up by something else"),
    ("x", "count contention from now on"),
    ("space", "pause and go on"),
    ("+ -", "poll more often, less often"),
    ("r", "poll now, and count leaks now"),
    ("e", "write what is shown to a JSON file"),
    ("ctrl+p", "commands, themes"),
    ("q", "quit"),
)
_SWEEPS_KEYS = (
    ("5", "Sweeps"),
    ("s", "there: the plan, the jobs, the history"),
    ("p", "look for what a sweep would remove; changes nothing"),
    ("w", "sweep, after a question"),
    ("a", "how old what is swept must be, and preview anew"),
    ("escape", "end the sweep after its batch; again: at once"),
    ("n", "run the selected job now, after a question"),
    ("o", "pause the selected job, or let it go on"),
)
_ACTING = ("C", "K", "w", "n", "o")
_READING = (
    "",
    "Locks: a root blocker in bold, its waiters under it. For: how long a root has been "
    "in its state, or a waiter has waited. Blocks: all who wait behind a session, in "
    "brackets those directly behind it.",
    "",
    "Contention: session-seconds spent waiting since the dashboard's start, as far as polls saw them.",
)


def help_screen(acting: bool, sweeps: bool) -> TextScreen:
    """The screen that `?` opens; with keys that change something if `acting`, with the Sweeps tab's too."""
    keys = [*_KEYS, ("", ""), *_SWEEPS_KEYS] if sweeps else _KEYS
    lines = [f"{key:<12} {words}" for key, words in keys if acting or key not in _ACTING]
    return TextScreen("Keys", [*lines, *_READING])
