"""Help: the keys and columns in words, of the live dashboard and of the replay."""

from __future__ import annotations

from pgwatch_tests.tui.screens.text import TextScreen

_KEYS = (
    ("1 2 3 4", "Locks, Sessions, Leaks, Contention"),
    ("up down j k", "move"),
    ("enter", "the selected row in full"),
    ("y", "copy the advice's SQL; again: the selected session's query"),
    ("left right", "fold a row of Locks, or open it"),
    ("n N", "next root blocker, previous root blocker"),
    ("D", "next deadlock"),
    ("C", "cancel the selected session's statement (asks first)"),
    ("K", "end the selected session, or roll back a prepared transaction (asks first)"),
    ("/", "show only rows that contain a text; escape clears it"),
    ("s", "sort sessions by another column; group leaks or contention by another"),
    ("x", "restart the count of contention"),
    ("space", "pause or resume polling"),
    ("+ -", "poll more often, less often"),
    ("r", "poll now, and count leaks now"),
    ("d", "pick a database: show its sessions only, or count and sweep its leaks"),
    ("[ ] { }", "back and forth in the last hour by 5 s, or by 1 min; escape is now"),
    ("e", "export the open tab to a JSON file"),
    ("ctrl+p", "commands, themes"),
    ("q", "quit"),
)
_SWEEPS_KEYS = (
    ("5", "Sweeps"),
    ("s", "switch between plan, jobs and history"),
    ("p", "preview what a sweep would delete (changes nothing)"),
    ("w", "preview, confirm, then sweep"),
    ("a", "change the minimum age, and preview with it"),
    ("escape", "stop the sweep after its batch; again: now"),
    ("n", "run the selected job now (asks first if it deletes)"),
    ("o", "pause or resume the selected job"),
)
_ACTING = ("C", "K", "w", "n", "o")
_REPLAY_KEYS = (
    ("space", "play or pause; at the end it plays from the beginning"),
    ("+ -", "faster, slower: ×1 to ×60"),
    (". ,  → ←", "next sample, previous sample"),
    ("> <", "10 s on, 10 s back; shift with → ← as well"),
    ("n N", "next wait, previous wait"),
    ("d D", "next deadlock, previous deadlock"),
    ("m M", "next mark, previous mark: a hang, a signal, the end of the command"),
    ("t", "go to a time, or to the first sight of a test"),
    ("home end", "beginning and end of the recording; ctrl with them: of the table"),
    ("1 2 3 4", "Locks, Sessions, Leaks, Contention"),
    ("up down j k", "move"),
    ("enter", "the selected row in full"),
    ("y", "copy the selected session's query"),
    ("/", "show only rows that contain a text; escape clears it"),
    ("s", "sort sessions by another column; group leaks or contention by another"),
    ("e", "export the open tab to a JSON file"),
    ("ctrl+p", "commands, themes"),
    ("q", "quit"),
)
_LOCKS_READING = (
    "",
    "Locks: root blockers are bold, their waiters below them, long queues folded. For: how long a root "
    "blocker has been in its state, or a waiter has waited. Blocks: all sessions blocked, in "
    "brackets those blocked directly.",
)
_READING = (
    *_LOCKS_READING,
    "",
    "Contention: session-seconds spent waiting since the dashboard started or x, as seen by polls.",
)
_REPLAY_READING = (
    *_LOCKS_READING,
    "",
    "A recording has samples. What is shorter than the time between two of them may be missing: a test that "
    "was seen did run, one that wasn't may have run. Ages are those of the last sample.",
    "",
    "Contention: session-seconds spent waiting from the beginning up to the moment. Leaks: the check after "
    "the suite.",
)


def help_screen(acting: bool, sweeps: bool) -> TextScreen:
    """The screen that `?` opens: with keys that change something if `acting`, and those of Sweeps."""
    keys = [*_KEYS, ("", ""), *_SWEEPS_KEYS] if sweeps else _KEYS
    lines = [f"{key:<12} {words}" for key, words in keys if acting or key not in _ACTING]
    return TextScreen("Keys", [*lines, *_READING])


def replay_help_screen(legend: str) -> TextScreen:
    """The screen that `?` opens in a replay; `legend` explains the signs of its time line."""
    keys = [f"{key:<12} {words}" for key, words in _REPLAY_KEYS]
    line = ["", f"Time line: the most sessions blocked at once. {legend}. A click goes to that moment."]
    return TextScreen("Keys", [*keys, *line, *_REPLAY_READING])
