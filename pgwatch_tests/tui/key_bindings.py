"""Key bindings that the live dashboard and the replay share, and the short form in which all are written."""

from __future__ import annotations

from textual.binding import Binding, BindingType

_HIDDEN = "hidden"


def key_bindings(*rows: tuple[str, ...]) -> list[BindingType]:
    """Returns bindings from rows: key, action, id, name, what it does in a sentence, and how it is written.

    The id is what a keymap names. How a key is written may be left out; `hidden` after all keeps it out of
    the footer.
    """
    bindings: list[BindingType] = []
    for key, action, id_, name, does, *more in rows:
        display = next((one for one in more if one != _HIDDEN), None)
        bindings.append(
            Binding(key, action, name, show=_HIDDEN not in more, id=id_, tooltip=does, key_display=display)
        )
    return bindings


FIRST_KEYS = (
    *key_bindings(
        ("q", "quit", "quit", "Quit", "Quit at once"),
        ("question_mark", "help", "help", "Help", "Show all keys that work here", "?"),
        ("slash", "filter", "filter", "Filter", "Show only rows that contain a text", "/"),
    ),
    Binding("ctrl+c", "quit", show=False, priority=True, id="interrupt"),
)
DETAIL_KEY = Binding(
    "enter", "detail", "Detail", id="detail", priority=False, tooltip="Show the selected row in full"
)
SORT_KEY = Binding("s", "sort", "Sort", id="sort", tooltip="Sort, or group, by something else")
COPY_KEYS = key_bindings(
    ("y", "copy", "copy", "Copy SQL", "Copy the advice's SQL; again: the session's query"),
    ("e", "export", "export", "Export", "Write what this tab shows to a JSON file"),
)
TAB_KEYS = key_bindings(
    ("1", "tab('locks-tab')", "locks", "Locks", "Who blocks whom, why, and what helps", _HIDDEN),
    ("2", "tab('sessions-tab')", "sessions", "Sessions", "Who is connected, and waits for what", _HIDDEN),
    ("3", "tab('leaks-tab')", "leaks", "Leaks", "What tests left behind", _HIDDEN),
    ("4", "tab('contention-tab')", "contention", "Contention", "Which tests wait for which", _HIDDEN),
)
MOVING_KEYS = key_bindings(
    ("j", "move(1)", "down", "Down", "Move down, as the arrow does", _HIDDEN),
    ("k", "move(-1)", "up", "Up", "Move up, as the arrow does", _HIDDEN),
    (
        "escape",
        "escape",
        "escape",
        "Back",
        "Clear the filter, else messages; else to now",
        _HIDDEN,
    ),
)
"""A footer has its keys in the order of an app's list, so each app lists all of them."""
