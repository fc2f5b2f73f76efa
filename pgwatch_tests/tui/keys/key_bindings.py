"""Key bindings that the live dashboard and the replay share, and the short form in which all are written."""

from __future__ import annotations

from textual.binding import Binding, BindingType

HIDDEN = "hidden"
"""Keeps a key out of the footer, after all else of its row."""


def key_bindings(*rows: tuple[str, ...]) -> list[BindingType]:
    """Returns bindings from rows: key, action, id, name, what it does in a sentence, and how it is written.

    The id is what a keymap names. How a key is written may be left out; `hidden` after all keeps it out of
    the footer.
    """
    bindings: list[BindingType] = []
    for key, action, id_, name, does, *more in rows:
        display = next((one for one in more if one != HIDDEN), None)
        bindings.append(
            Binding(key, action, name, show=HIDDEN not in more, id=id_, tooltip=does, key_display=display)
        )
    return bindings


FIRST_KEYS = key_bindings(
    ("q", "quit", "quit", "Quit", "Quit at once; in what is open over the tabs: close it"),
    ("question_mark", "help", "help", "Help", "Show all keys that work here", "?"),
    ("slash", "filter", "filter", "Filter", "Show only rows that contain a text", "/"),
)
DETAIL_KEY = Binding(
    "enter", "detail", "Detail", id="detail", priority=False, tooltip="Show the selected row in full"
)
SORT_KEY = Binding("s", "sort", "Sort", id="sort", tooltip="Sort, or group, by something else")
TURN_KEYS = key_bindings(
    ("S", "turn", "turn", "Turn order", "Turn the order of the rows around, as a click on its head", HIDDEN),
)
COPY_KEYS = key_bindings(
    ("y", "copy", "copy", "Copy SQL", "Copy the advice's SQL; again: the session's query"),
    ("e", "export", "export", "Export", "Write what this tab shows to a JSON file"),
)
TAB_KEYS = key_bindings(
    ("1", "tab('locks-tab')", "locks", "Locks", "Who blocks whom, why, and what helps", HIDDEN),
    ("2", "tab('sessions-tab')", "sessions", "Sessions", "Who is connected, and waits for what", HIDDEN),
    ("3", "tab('leaks-tab')", "leaks", "Leaks", "What tests left behind", HIDDEN),
    ("4", "tab('contention-tab')", "contention", "Contention", "Which tests wait for which", HIDDEN),
)
MOVING_KEYS = key_bindings(
    ("j", "move(1)", "down", "Down", "Move down, as the arrow does", HIDDEN),
    ("k", "move(-1)", "up", "Up", "Move up, as the arrow does", HIDDEN),
    (
        "escape",
        "escape",
        "escape",
        "Back",
        "In the past: go to now; else clear the marks, the filter, or messages",
        HIDDEN,
    ),
)

LIVE_KEYS: tuple[BindingType, ...] = (
    *FIRST_KEYS,
    *key_bindings(
        ("A", "follow_advice", "follow-advice", "Do it", "Do what the advice says, step by step; asks first"),
    ),
    *key_bindings(
        ("C", "act('cancel')", "cancel", "Cancel", "Cancel the session's statement; asks first"),
        (
            *("K", "act('terminate')", "terminate", "End"),
            "End the session, or roll back a prepared transaction; asks first",
        ),
    ),
    DETAIL_KEY,
    SORT_KEY,
    *TURN_KEYS,
    *key_bindings(
        ("n", "next_root(1)", "next-root", "Next root", "Go to the next root blocker"),
        ("N", "next_root(-1)", "previous-root", "Previous root", "Go to the root before", HIDDEN),
        (
            "D",
            "next_deadlock",
            "next-deadlock",
            "Deadlocks",
            "Go to the next deadlock, or show the past ones",
            HIDDEN,
        ),
        ("space", "mark", "mark", "Mark", "Mark the row, to act on several at once"),
        ("a", "show_done", "done", "Done here", "List what was done from here", HIDDEN),
        ("d", "databases", "databases", "Databases", "Show, or count and sweep, one database only"),
        ("h", "hide_tips", "hide-tips", "Hide tip", "Hide the line that says what to look at", HIDDEN),
        ("p", "pause", "pause", "Pause", "Pause or resume polling"),
        ("r", "refresh", "refresh", "Refresh", "Poll, and count leaks, now"),
        ("plus", "change_interval(-1)", "faster", "Faster", "Poll more often", "+"),
        ("minus", "change_interval(1)", "slower", "Slower", "Poll less often", "-"),
        ("left_square_bracket", "go(-5)", "back", "5 s back", "Go back in time by 5 s", "["),
        ("right_square_bracket", "go(5)", "on", "5 s on", "Go on in time by 5 s", "]"),
        ("left_curly_bracket", "go(-60)", "far-back", "1 min back", "Go back by 1 min", "{", HIDDEN),
        ("right_curly_bracket", "go(60)", "far-on", "1 min on", "Go on by 1 min", "}", HIDDEN),
        ("x", "reset", "reset", "Restart count", "Restart the sums of contention"),
    ),
    *COPY_KEYS,
    *TAB_KEYS,
    *key_bindings(("5", "tab('sweeps-tab')", "sweeps", "Sweeps", "What a sweep removes; jobs", HIDDEN)),
    *MOVING_KEYS,
)
"""The keys of the live dashboard, as its footer shows them: the most useful first."""
