"""The dashboard's keys, as its bindings have them."""

from __future__ import annotations

from collections.abc import Iterator

from textual.binding import Binding

from pgwatch_tests.tui.keys.key_bindings import LIVE_KEYS
from screenshots.reference.cells import table
from screenshots.reference.cells import text as plain


def keys() -> str:
    """A table of keys, what each does, and the id by which a keymap names it."""
    return table(("key", "does", "id"), _rows())


def _rows() -> Iterator[tuple[str, str, str]]:
    for one in LIVE_KEYS:
        assert isinstance(one, Binding)
        if one.tooltip:
            yield f"`{one.key_display or one.key}`", plain(one.tooltip), f"`{one.id}`"
