"""Keymaps: which of the keys that somebody prefers can be used, and why not the others."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from textual.binding import Binding, BindingsMap, BindingType
from textual.keys import KEY_NAME_REPLACEMENTS, Keys, key_to_character

from pgwatch_tests.tui.keys.key_bindings import LIVE_KEYS
from pgwatch_tests.tui.keys.replay_keys import REPLAY_KEYS
from pgwatch_tests.tui.keys.tab_keys import OWN_KEYS

_MODIFIERS = ("ctrl", "alt", "shift", "super", "meta", "hyper")
_RESERVED = {
    "up": "moves the cursor",
    "down": "moves the cursor",
    "tab": "moves the focus",
    "shift+tab": "moves the focus",
    "ctrl+p": "opens the list of all commands",
    "ctrl+q": "quits at once",
    "ctrl+c": "quits at once",
}


@dataclass(frozen=True, slots=True)
class UsableKeymap:
    """The keys by the ids of their commands, in Textual's names for them, and a sentence per refused one."""

    keys: Mapping[str, str] = field(default_factory=dict)
    refusals: tuple[str, ...] = ()


def known_ids() -> frozenset[str]:
    """The ids of all commands: of the live dashboard, of a replay, and of their tabs."""
    return frozenset(one.id for one in _flat((*LIVE_KEYS, *REPLAY_KEYS), *OWN_KEYS.values()) if one.id)


def usable(
    wanted: Mapping[str, str], dashboard: Sequence[BindingType], tabs: Collection[str]
) -> UsableKeymap:
    """What can be used of a keymap in a dashboard with those bindings and tabs, by their titles.

    An entry is refused for an id that no command has, for a key that there isn't, and for one that another
    command has in the same place; that command keeps its usual key then. What a tab hides of the dashboard by
    design, such as to pause in Sweeps, it may hide under any key.
    """
    ids, refusals = known_ids(), []
    keys: dict[str, str] = {}
    for id_, text in wanted.items():
        found = [_named(one) for one in (part.strip() for part in text.split(",")) if one]
        if id_ not in ids:
            near = get_close_matches(id_, ids, 1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            refusals.append(f"keymap: no command has the id {id_!r}{meant}")
        elif unknown := next((one for one in found if not _is_key(one)), "" if found else text):
            refusals.append(f"keymap: {id_} is refused: there is no key {unknown!r}")
        elif taken := next((one for one in found if one in _RESERVED), ""):
            refusals.append(f"keymap: {id_} is refused: {taken} {_RESERVED[taken]}")
        else:
            keys[id_] = ",".join(found)
    # An entry that is refused has its usual key again, which another entry may want: until none is left.
    while clash := next(_clashes(keys, dashboard, tabs), None):
        refused, sentence = clash
        del keys[refused]
        refusals.append(sentence)
    return UsableKeymap(keys, tuple(refusals))


def _flat(*groups: Sequence[BindingType]) -> list[Binding]:
    return [binding for group in groups for _, binding in BindingsMap(group)]


def _clashes(
    keys: Mapping[str, str], dashboard: Sequence[BindingType], tabs: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Yields the id of an entry that is refused, and why."""
    everywhere = _flat(dashboard)
    for tab in tabs:
        own = _flat(OWN_KEYS.get(tab, ()))
        seen = [one for one in everywhere if one.id not in _hidden(everywhere, own)]
        for group, where in ((everywhere, ""), (own, f" in {tab}"), ([*seen, *own], f" in {tab}")):
            owners: dict[str, str] = {}
            for binding in group:
                id_ = binding.id or ""
                for key in keys.get(id_, binding.key).split(","):
                    first = owners.setdefault(key, id_)
                    mapped = [one for one in keys if one in (first, id_)]
                    if first != id_ and mapped:
                        refused = mapped[-1]
                        why = f"{_shown(key)} is the key of {(first if refused == id_ else id_)!r}{where}"
                        yield refused, f"keymap: {refused} is refused: {why}"


def _hidden(dashboard: Sequence[Binding], own: Sequence[Binding]) -> set[str | None]:
    """The commands of the dashboard that a tab hides by design, since it has another use for their keys."""
    owners = {one.key: one.id for one in own}
    return {one.id for one in dashboard if owners.get(one.key, one.id) != one.id}


def _named(key: str) -> str:
    """Textual's name of a key: `question_mark` of `?`."""
    *modifiers, last = key.split("+") if len(key) > 1 else [key]
    if len(last) == 1 and not last.isalnum():
        name = unicodedata.name(last, last).lower().replace("-", "_").replace(" ", "_")
        last = KEY_NAME_REPLACEMENTS.get(name, name)
    return "+".join((*modifiers, last))


def _shown(key: str) -> str:
    character = key_to_character(key)
    return key if character is None or not character.isprintable() or character == " " else character


def _is_key(key: str) -> bool:
    *modifiers, last = key.split("+")
    is_name = len(last) == 1 or key in _KEY_NAMES or last in _KEY_NAMES
    return is_name and all(one in _MODIFIERS for one in modifiers)


_KEY_NAMES = {one.value for one in Keys} | {_named(one) for one in string.punctuation}
