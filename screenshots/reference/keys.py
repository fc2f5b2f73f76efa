"""The dashboard's keys, as its bindings have them: everywhere, in single tabs, in a replay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from textual.binding import Binding, BindingType

from pgwatch_tests.tui.keys.key_bindings import LIVE_KEYS
from pgwatch_tests.tui.keys.replay_keys import REPLAY_KEYS
from pgwatch_tests.tui.keys.tab_keys import OWN_KEYS, TABLE_KEYS
from screenshots.reference.cells import table
from screenshots.reference.cells import text as plain

_HEADS = ("key", "does", "id")


def keys() -> str:
    """A table of the live dashboard's keys, what each does, and the id by which a keymap names it."""
    return table(_HEADS, _rows(LIVE_KEYS))


def of_tabs() -> str:
    """A table of the keys of all tables, and of single tabs."""
    of_tables = [("all", *row) for row in _rows(TABLE_KEYS)]
    own: dict[tuple[str, str, str], list[str]] = {}
    for tab, bindings in OWN_KEYS.items():
        for row in _rows([one for one in bindings if one not in TABLE_KEYS]):
            own.setdefault(row, []).append(tab)
    return table(("in", *_HEADS), [*of_tables, *((", ".join(tabs), *row) for row, tabs in own.items())])


def of_replay() -> str:
    """A table of the keys of a replay that the live dashboard doesn't have."""
    return table(_HEADS, _rows([one for one in REPLAY_KEYS if one not in LIVE_KEYS]))


def _rows(bindings: Sequence[BindingType]) -> Iterator[tuple[str, str, str]]:
    for one in bindings:
        assert isinstance(one, Binding)
        if one.tooltip:
            yield f"`{one.key_display or one.key}`", plain(one.tooltip), f"`{one.id}`"
