"""Preferences for the dashboard: of a project in pyproject.toml, of a user in a file that it writes."""

from __future__ import annotations

import json
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.foreign_files import read_bytes
from pgwatch_tests.settings.fields import Source, check_keys, parse_seconds

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_KEYS = ("theme", "refresh", "keymap", "order", "turned", "group", "columns")
# Also for numbers of thousands of digits, and for tables nested as deep.
_UNUSABLE = (OSError, ValueError, RecursionError, ConfigurationError)
_HEAD = "# Preferences for the dashboard of pgwatch-tests. It rewrites this file, without your comments.\n\n"


@dataclass(frozen=True, slots=True)
class DashboardSetting:
    """What one place prefers; empty where it says nothing."""

    theme: str = ""
    refresh_s: float | None = None
    keymap: Mapping[str, str] = field(default_factory=dict)
    """The keys of commands, by their ids: several with commas between them."""
    order: Mapping[str, str] = field(default_factory=dict)
    """The sort order, or the grouping, of tabs, by their names in lower case."""
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The heads of the columns that are shown, by tabs."""
    group: Mapping[str, str] = field(default_factory=dict)
    """What rows are grouped by, by tabs; empty for nothing."""
    turned: Mapping[str, bool] = field(default_factory=dict)
    """Whether the order of rows is turned around, by tabs."""

    def before(self, weaker: DashboardSetting) -> DashboardSetting:
        """This one, with what it leaves open from a weaker one."""
        return DashboardSetting(
            self.theme or weaker.theme,
            self.refresh_s if self.refresh_s is not None else weaker.refresh_s,
            {**weaker.keymap, **self.keymap},
            {**weaker.order, **self.order},
            {**weaker.columns, **self.columns},
            {**weaker.group, **self.group},
            {**weaker.turned, **self.turned},
        )


def parse_dashboard(value: object, source: Source) -> DashboardSetting:
    """Parses the table `[tool.pgwatch-tests.dashboard]`, or all of a user's file."""
    if not isinstance(value, dict):
        raise source.wrong("a table")
    check_keys(value, _KEYS, source.name)
    theme = value.get("theme", "")
    if not isinstance(theme, str):
        raise ConfigurationError(f"theme of {source.name} must be the name of a theme")
    refresh_s = None
    if "refresh" in value:
        refresh_s = parse_seconds(value["refresh"], Source(f"refresh of {source.name}", source.file))
    columns = value.get("columns", {})
    if not isinstance(columns, dict) or not all(_are_words(one) for one in columns.values()):
        raise ConfigurationError(f"columns of {source.name} must be lists of heads, by tabs")
    turned = value.get("turned", {})
    if not isinstance(turned, dict) or not all(isinstance(one, bool) for one in turned.values()):
        raise ConfigurationError(f"turned of {source.name} must be a table of true and false, by tabs")
    return DashboardSetting(
        theme,
        refresh_s,
        _words(value, "keymap", source),
        _words(value, "order", source),
        {tab: tuple(heads) for tab, heads in columns.items()},
        _words(value, "group", source, may_be_empty=True),
        dict(turned),
    )


def _are_words(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _words(
    table: Mapping[str, object], key: str, source: Source, *, may_be_empty: bool = False
) -> dict[str, str]:
    value = table.get(key, {})
    if not isinstance(value, dict) or not all(
        isinstance(one, str) and (one or may_be_empty) for one in value.values()
    ):
        raise ConfigurationError(f"{key} of {source.name} must be a table of words")
    return dict(value)


class PreferencesFile:
    """The file of one user's preferences: read once, written whenever one of them changes.

    A file that can't be read or understood is left as it is: `trouble` says so, and nothing is written.
    """

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self._path = path
        self._document: dict[str, object] = {}
        # What a CI job does is nobody's preference.
        self._is_written = not environ.get("CI")
        self._is_new = False
        """Whether there is no file yet, nor anybody who was told of it."""
        self._is_refused = False
        """Whether somebody was told that nothing can be kept."""
        self.trouble = ""
        self.setting = DashboardSetting()
        self._read()

    def _read(self) -> None:
        try:
            self._document, self.setting = self._parsed()
        except FileNotFoundError:
            self._is_new = True
        except _UNUSABLE as error:
            self._is_written = False
            self.trouble = f"Your preferences in {self._path} are ignored: {error}"

    def _parsed(self) -> tuple[dict[str, object], DashboardSetting]:
        """All that the file says now. Raises one of _UNUSABLE."""
        document = tomllib.loads(read_bytes(self._path).decode("utf-8"))
        return document, parse_dashboard(document, Source(str(self._path), self._path))

    def keep(self, key: str, value: object) -> str:
        """Keeps a preference: a key of the file, `order.sessions` for one in a table.

        What another dashboard has kept meanwhile stays. Returns as a sentence, once each, where preferences
        are kept if there was no file, and why they can't be; else an empty string.
        """
        if not self._is_written:
            return ""
        try:
            self._keep(key, value)
        except _UNUSABLE as error:
            reason = error.strerror if isinstance(error, OSError) else error
            told = f"What you change here isn't kept for the next time: {self._path}: {reason}"
            is_told, self._is_refused = self._is_refused, True
            return "" if is_told else told
        is_new, self._is_new = self._is_new, False
        return f"What you change here is kept for the next time, in {self._path}" if is_new else ""

    def _keep(self, key: str, value: object) -> None:
        with suppress(FileNotFoundError):
            self._document, _ = self._parsed()
        table, _, name = key.rpartition(".")
        place = self._document.setdefault(table, {}) if table else self._document
        if isinstance(place, dict) and place.get(name) != value:
            place[name] = value
            self._write(_HEAD + toml(self._document))

    def _write(self, text: str) -> None:
        """Replaces the file in one step: nobody reads half of it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            Path(name).replace(self._path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise


def toml(document: Mapping[str, object]) -> str:
    """TOML of a table of strings, numbers, lists of strings, and tables of these."""
    plain = {key: value for key, value in document.items() if not isinstance(value, Mapping)}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in plain.items()]
    for name, table in document.items():
        if isinstance(table, Mapping) and table:
            lines += ["", f"[{_key(name)}]"]
            lines += [f"{_key(key)} = {_value(value)}" for key, value in table.items()]
    return "\n".join(lines).lstrip("\n") + "\n"


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _value(value: object) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    assert isinstance(value, int | float), value
    return repr(value)


def _text(text: str) -> str:
    # A JSON string is one of TOML, but for DEL, which TOML wants escaped as well.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
