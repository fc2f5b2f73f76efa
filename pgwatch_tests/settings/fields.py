"""Settings as fields of a table: where each may be written, and what its value must be. Pure.

A parser takes a value as a flag, a variable or TOML gives it, and returns what it stands for; it raises
ConfigurationError for one that can't be used.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.text import durations

_WORDS = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off"), False)


@dataclass(frozen=True, slots=True)
class Source:
    """The source of a value: its name in messages, and its file if there is one."""

    name: str
    file: Path | None = None

    @property
    def folder(self) -> Path:
        """The directory that relative paths start from: that of pyproject.toml, wherever the command runs."""
        return Path() if self.file is None else self.file.parent

    def wrong(self, what: str) -> ConfigurationError:
        """Returns the error `<setting> must be <what>`."""
        return ConfigurationError(f"{self.name} must be {what}")


Parser = Callable[[object, Source], object]


@dataclass(frozen=True, slots=True)
class Field:
    """One setting: its key in TOML, its parser, and the attribute that it sets, if called otherwise."""

    key: str
    parse: Parser
    attribute: str = ""

    @property
    def name(self) -> str:
        """The attribute that it sets."""
        return self.attribute or self.key


def check_keys(table: Mapping[str, object], known: Iterable[str], where: str) -> None:
    """Raises ConfigurationError for the first key of a table that isn't known; messages call it `where`."""
    keys = tuple(dict.fromkeys(known))
    for key in table:
        if key not in keys:
            raise ConfigurationError(f"unknown setting {key!r} in {where}{did_you_mean(key, keys)}")


def did_you_mean(word: str, known: Collection[str]) -> str:
    """Returns the end of a message: `; did you mean 'x'?`, or all known words."""
    near = difflib.get_close_matches(word, known, 1)
    return f"; did you mean {near[0]!r}?" if near else f"; known names: {', '.join(known)}"


def parse_switch(value: object, source: Source) -> bool:
    """Parses true or false; of a variable, `on`, `yes`, `1` and the like as well."""
    if source.file is None and isinstance(value, str):
        word = value.strip().lower()
        value = _WORDS.get(word, word)
    if not isinstance(value, bool):
        raise source.wrong(f"true or false, not {value!r}")
    return value


def parse_seconds(value: object, source: Source) -> float:
    """Parses a number of seconds above 0."""
    try:
        number = float(str(value))
    except ValueError:
        number = float("nan")
    if isinstance(value, bool) or not 0 < number < 1e6:
        raise source.wrong(f"a number of seconds above 0, not {value!r}")
    return number


def parse_duration(value: object, source: Source) -> float:
    """Parses a duration such as `15m`; returns seconds."""
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return durations.parse(str(value))
        except ValueError:
            pass
    raise source.wrong(f"a duration such as '15m', not {value!r}")


def parse_globs(value: object, source: Source) -> tuple[str, ...]:
    """Parses a list of names or globs; in a variable, with spaces between them."""
    if source.file is None and isinstance(value, str):
        return tuple(value.split())
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise source.wrong("a list of names or globs such as 'test_*'")
    return tuple(value)


def path_parser(what: str) -> Callable[[object, Source], Path]:
    """Returns a parser of the name of `what`, a file or a directory."""

    def parse_path(value: object, source: Source) -> Path:
        if isinstance(value, Path):
            return value
        if not isinstance(value, str) or not value or "\0" in value:
            raise source.wrong(f"the name of {what}")
        return source.folder / value

    return parse_path
