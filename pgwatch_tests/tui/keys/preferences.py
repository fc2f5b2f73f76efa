"""Preferences of whoever looks: colours, keys, orders, columns; what is changed by a key is kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from textual.binding import Binding


def _keep_nothing(_key: str, _value: object) -> None:
    """Keeps nothing."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the dashboard begins with, and where it keeps changes. `trouble` is told at the start."""

    theme: str = ""
    keymap: Mapping[str, str] = field(default_factory=dict)
    order: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    trouble: str = ""
    keep: Callable[[str, object], None] = _keep_nothing
    """Keeps a preference: its key, such as `order.sessions`, and its value."""


def keymap_troubles(keymap: Mapping[str, str], bindings: Collection[Binding]) -> Iterator[str]:
    """Yields a sentence for each id that no command has, and for each key that two commands would have."""
    ids = {one.id for one in bindings if one.id}
    for id_ in keymap:
        if id_ not in ids:
            near = get_close_matches(id_, ids, 1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            yield f"keymap: no command has the id {id_!r}{meant}"
    # Textual calls it a clash only where the other command has no id.
    owner: dict[str, str] = {}
    for one in bindings:
        for key in keymap.get(one.id or "", one.key).split(","):
            name = one.id or one.description
            first = owner.setdefault(key.strip(), name)
            if first != name and {first, name} & set(keymap):
                yield f"keymap: {key.strip()} is the key of {first!r} and of {name!r}"
