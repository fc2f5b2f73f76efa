"""Ignored names of schemas, tables and columns: `audit`, `public.users.notes`, `*.log_*`. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.leaks.model import Ignored
from pgwatch_tests.settings.load import IgnoreSetting

# As SQL has it, and `*` for anything: in quotes, all stands for itself, and `"` is doubled.
_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')
_MOST_PARTS = 3


class Ignores:
    """The settings' ignores, and how much each of them met."""

    def __init__(self, settings: Iterable[IgnoreSetting]) -> None:
        """Raises ConfigurationError for one that isn't a name of up to three parts."""
        self._settings = tuple(dict.fromkeys(settings))
        self._patterns = [_pattern(setting) for setting in self._settings]
        self._met: defaultdict[IgnoreSetting, set[tuple[str, str]]] = defaultdict(set)

    def __bool__(self) -> bool:
        return bool(self._settings)

    def ignored(self, schema: str, table: str, column: str) -> bool:
        """Whether a column isn't to be read. Remembers what was met."""
        is_ignored = False
        for setting, parts in zip(self._settings, self._patterns, strict=True):
            names = (schema, table, column)[: len(parts)]
            if all(part.fullmatch(name) for part, name in zip(parts, names, strict=True)):
                self._met[setting].add((schema, table))
                is_ignored = True
        return is_ignored

    def report(self) -> tuple[Ignored, ...]:
        """Returns all ignores in their order, each with the number of tables that it left out, wholly or in
        part."""
        return tuple(
            Ignored(setting.what, setting.reason, len(self._met[setting])) for setting in self._settings
        )


def _pattern(setting: IgnoreSetting) -> tuple[re.Pattern[str], ...]:
    parts, rest = [], setting.what.strip()
    while True:
        part = _PART.match(rest)
        if part is None:
            raise _unreadable(setting)
        parts.append(_part(part))
        rest = rest[part.end() :]
        if not rest:
            break
        if not rest.startswith(".") or len(parts) == _MOST_PARTS:
            raise _unreadable(setting)
        rest = rest[1:]
    return tuple(parts)


def _part(match: re.Match[str]) -> re.Pattern[str]:
    if match[1] is not None:
        return re.compile(re.escape(match[1].replace('""', '"')), re.DOTALL)
    # Like the server, fold no other letters than those of ASCII.
    folded = re.sub("[A-Z]", lambda letter: letter[0].lower(), match[2])
    return re.compile(".*".join(map(re.escape, folded.split("*"))), re.DOTALL)


def _unreadable(setting: IgnoreSetting) -> ConfigurationError:
    return ConfigurationError(
        f"can't ignore {setting.what!r}: it must be SCHEMA, SCHEMA.TABLE or SCHEMA.TABLE.COLUMN, "
        "with * for anything, and quoted like in SQL where a name has capitals, dots or quotes"
    )
