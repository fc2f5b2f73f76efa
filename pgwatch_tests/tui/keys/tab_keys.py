"""Keys that tabs have of their own, beside those of the whole dashboard, which they may hide."""

from __future__ import annotations

from collections.abc import Mapping

from textual.binding import Binding, BindingType

from pgwatch_tests.tui.keys.key_bindings import HIDDEN, key_bindings

TABLE_KEYS: tuple[BindingType, ...] = (
    # A binding, since a table's own message arrives after keys typed in the same burst.
    Binding("enter", "app.detail", "Detail", id="detail", tooltip="Show the selected row in full"),
    *key_bindings(
        ("home", "scroll_top", "first", "First", "Go to the first row", HIDDEN),
        ("end", "scroll_bottom", "last", "Last", "Go to the last row", HIDDEN),
        ("pageup", "page_up", "page-up", "Page up", "Go up by as many rows as are shown", HIDDEN),
        ("pagedown", "page_down", "page-down", "Page down", "Go down by as many rows", HIDDEN),
        ("ctrl+down", "scroll_detail(1)", "detail-down", "Detail down", "Scroll the detail down", HIDDEN),
        ("ctrl+up", "scroll_detail(-1)", "detail-up", "Detail up", "Scroll the detail up", HIDDEN),
    ),
)
"""Of every tab's table."""

FOLD_KEYS = key_bindings(
    ("left", "fold(True)", "fold", "Fold", "Fold the row, or go to the one that it hangs from", HIDDEN),
    ("right", "fold(False)", "open", "Open", "Open the row", HIDDEN),
)
"""Of tables whose rows fold."""

GROUP_KEYS = key_bindings(
    ("g", "app.group", "group", "Group", "Group by database, user, state or test, or not"),
)
"""Of the Sessions tab."""

_REMOVE_KEYS = key_bindings(
    ("K", "remove_this", "remove-this", "Drop", "Drop the schema, or roll back, in this row: asks first"),
)

LEAK_KEYS: list[BindingType] = [
    *key_bindings(
        (
            "w",
            "sweep_this",
            "sweep-this",
            "Sweep this",
            "Plan a sweep of just this row, or ask whether it goes",
        )
    ),
    *_REMOVE_KEYS,
]

SWEEP_KEYS: list[BindingType] = [
    *key_bindings(
        ("p", "preview", "preview", "Preview", "Preview what a sweep would delete; changes nothing"),
        ("w", "sweep", "sweep", "Sweep", "Preview, confirm, then sweep"),
    ),
    *_REMOVE_KEYS,
    *key_bindings(
        ("a", "min_age", "min-age", "Min age", "Change the minimum age of what is swept", HIDDEN),
        ("escape", "end", "end-sweep", "Stop", "Stop the sweep after its batch; again: now"),
        ("s", "next_section", "section", "Next", "Switch between plan, jobs and history"),
        ("n", "run_job", "run-job", "Run now", "Run the selected job now"),
        ("o", "pause_job", "pause-job", "Pause job", "Pause or resume the selected job"),
        ("r", "reload", "reload", "Refresh", "Read jobs and history, poll, count leaks", HIDDEN),
    ),
]

OF_SOME_ROWS = (("Leaks", "remove-this"),)
"""Titles of tabs, and ids of their keys that are the dashboard's in all but some rows."""

OWN_KEYS: Mapping[str, tuple[BindingType, ...]] = {
    "Locks": (*TABLE_KEYS, *FOLD_KEYS),
    "Sessions": (*TABLE_KEYS, *FOLD_KEYS, *GROUP_KEYS),
    "Leaks": (*TABLE_KEYS, *LEAK_KEYS),
    "Contention": TABLE_KEYS,
    "Sweeps": (*TABLE_KEYS, *SWEEP_KEYS),
}
"""The keys of each tab and its table, by the tab's title."""
