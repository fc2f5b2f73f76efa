"""The state of a session that outlives its transactions: what a test hands on with a pooled connection.

Settings, LISTEN, temporary tables and session advisory locks are compared where the next test takes the
session over, if a statement of the last one may have changed them. With what the application, its driver or a
fixture sets at the start of a session, they are compared, too: that is no dirt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pgwatch_tests.postgres import queries
from pgwatch_tests.testing.connections.statements import StateKind, Statement
from pgwatch_tests.testing.current_test import Owner
from pgwatch_tests.testing.findings import Finding
from pgwatch_tests.text.plain_text import plain

_QUESTION = queries.load("testing/session_state").strip().removesuffix(";")
_CUSTOM = re.compile(r"[a-z_]\w*(?:\.[a-z_]\w*)+", re.ASCII)
_SHOWN_CHARACTERS = 60
_ADVICE = {
    "setting": "SET LOCAL ends with the transaction; or RESET it in the test's clean-up",
    "listen": "UNLISTEN in the test's clean-up",
    "temporary": "create it ON COMMIT DROP, or drop it in the test's clean-up",
    "lock": "use pg_advisory_xact_lock, or unlock it in the test's clean-up",
}


class StateItem(NamedTuple):
    """Something of a session's state, as `queries/testing/session_state.sql` tells it."""

    kind: StateKind
    name: str
    value: str | None
    initially: str | None
    """A setting's value at the session's start."""


class SessionState:
    """What is known of a session's state: how it was, and what may have changed since."""

    __slots__ = (
        "_always_set",
        "_before",
        "_changed_by",
        "_has_own_start",
        "_settings",
        "_started_with",
        "has_started",
        "ours",
    )

    def __init__(self) -> None:
        self.has_started = False
        """Whether the session is in use. What is set before is on purpose: each such session is so."""
        self._before: Mapping[tuple[str, str], StateItem] | None = None
        """The state that is no dirt; None: that of a new session."""
        self._has_own_start = False
        """Whether something was set that is no dirt and isn't in `_before` yet."""
        self._changed_by: Owner | None = None
        self._settings: set[str] = set()
        self._started_with: set[str] = set()
        """The statements that prepared it."""
        self._always_set: set[str] = set()
        """The settings that are set whenever a pool hands it out."""
        self.ours: Mapping[str, str] = {}
        """The settings that were given to the session for the test: they are no dirt."""

    def run(self, text: str, statement: Statement, owner: Owner | None) -> None:
        """Takes note of a statement that somebody runs."""
        if not self.has_started and not statement.is_of_a_start:
            self.has_started = True
        # Without settings of its own at the start, a reset leaves the session as new.
        if statement.changes or (statement.resets and self._before):
            self._settings.update(filter(_CUSTOM.fullmatch, statement.settings))
            if self.has_started and owner is not None and owner.kind == "test":
                self._changed_by = owner
            elif text in self._started_with:
                self._always_set |= statement.settings
            else:
                self._started_with.add(text)
                self._has_own_start = True

    @property
    def changed_by(self) -> Owner | None:
        """The test that may have changed it, and whose state hasn't been compared since."""
        return self._changed_by

    def question(self, next_owner: Owner | None) -> str | None:
        """Returns the query that tells its state, where it is time to ask: see `take`. None: it isn't."""
        if self._changed_by is None:
            if not (self._has_own_start and self.has_started):
                return None
        elif self._changed_by is next_owner:
            return None
        names = ",".join(sorted(self._settings))
        return _QUESTION.replace("%(custom_settings)s", f"'{{{names}}}'")

    def take(self, rows: Iterable[Sequence[str | None]], next_owner: Owner | None) -> Finding | None:
        """Takes the rows of the answer as its state from now on. Returns what a test has left in it."""
        items: dict[tuple[str, str], StateItem] = {
            (item.kind, item.name): item
            for item in map(_item, rows)
            if item.kind != "setting" or self.ours.get(item.name, "") != item.value
        }
        owner, before = self._changed_by, self._before or {}
        # What was set at the start as well, and couldn't be asked in between, may be the start's.
        dirt = (
            [] if owner is None or (self._has_own_start and self._before is None) else _changed(before, items)
        )
        dirt = [one for one in dirt if one.kind != "setting" or one.name not in self._always_set]
        self._before, self._has_own_start, self._changed_by = items, False, None
        if not dirt or owner is None:
            return None
        got = "" if next_owner is None else f"; {next_owner.name} got it"
        return Finding(
            "session_state",
            owner,
            f"{owner.name} handed a session on with {', '.join(_in_words(one, before) for one in dirt)}{got}",
            "; ".join(dict.fromkeys(_ADVICE[one.kind] for one in dirt)),
        )

    def give_up(self) -> None:
        """Takes its state as not known, and asks no more until something changes again."""
        self._has_own_start, self._changed_by = False, None


def _item(row: Sequence[str | None]) -> StateItem:
    kind, name, value, initially = row
    match kind:
        case "setting" | "listen" | "temporary" | "lock":
            return StateItem(kind, name or "", value, initially)
        case _:
            raise ValueError(f"an unknown kind of state: {kind}")


def _changed(
    before: Mapping[tuple[str, str], StateItem], now: Mapping[tuple[str, str], StateItem]
) -> list[StateItem]:
    found = []
    for key, item in now.items():
        was = before.get(key)
        if item.kind != "setting":
            if was is None:
                found.append(item)
        elif (item.value or None) != ((item.initially if was is None else was.value) or None):
            found.append(item)
    found += [
        # A setting that has its first value again isn't listed.
        StateItem("setting", item.name, item.initially, item.value)
        for key, item in before.items()
        if item.kind == "setting" and key not in now and item.value != item.initially
    ]
    return found


def _in_words(item: StateItem, before: Mapping[tuple[str, str], StateItem]) -> str:
    match item.kind:
        case "setting" if "." in item.name:
            # An application's own, such as the token of a user: not shown.
            return f"the setting {plain(item.name)} changed"
        case "setting":
            was = before.get((item.kind, item.name))
            return (
                f"{plain(item.name)} = {_shown(item.value)} (it was "
                f"{_shown(item.initially if was is None else was.value)})"
            )
        case "listen":
            return f"LISTEN {plain(item.name)}"
        case "temporary":
            return f"the temporary table {plain(item.name)}"
        case "lock":
            return f"the advisory lock {_key(item.name)} ({item.value})"


def _key(lock: str) -> str:
    """Returns the key of an advisory lock as it is written in SQL: signed, one number or two."""
    high, low, keys = (int(part) for part in lock.split())
    if keys == 1:
        return str(_signed(high << 32 | low, 64))
    return f"{_signed(high, 32)}, {_signed(low, 32)}"


def _signed(number: int, bits: int) -> int:
    return number - (1 << bits) if number >> bits - 1 else number


def _shown(value: str | None) -> str:
    shown = plain(value or "")
    return repr(shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}…")
