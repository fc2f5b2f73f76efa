"""Markers: the conditions on a string by which test data is recognised, the cheap ones first. Pure.

A LIKE marker ignores the case of letters. Comparing so is slow (a server with a multi-byte encoding
folds the whole value first), and so is a regular expression: where it can be told, a plain LIKE that
every match passes comes before, and most rows are never asked the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.leaks.markers.inside_text import expression_inside, like_inside
from pgwatch_tests.settings.load import DEFAULT_MARKERS, MarkerSetting

Operator = Literal["LIKE", "ILIKE", "~"]
Collation = Literal["C", "default"]


@dataclass(frozen=True, slots=True)
class Condition:
    """`value <operator> pattern` under a collation (a column's own may not allow patterns at all)."""

    operator: Operator
    pattern: str
    collation: Collation = "C"


@dataclass(frozen=True, slots=True)
class Marker:
    """A pattern that recognises test data: a value bears it if all `conditions` hold, in this order."""

    name: str
    conditions: tuple[Condition, ...]
    trace: str | None = None
    """A LIKE pattern that the output of an array, a composite, a range or JSON passes if a string in it
    bears the marker, and JSON doesn't write that with escapes by code point. None if none is known."""


PROVEN = frozenset({Condition("~", DEFAULT_MARKERS[1].pattern, "default")})
"""Conditions that every server takes, in every database."""

# LIKE patterns that every match of these regular expressions passes: digits, whose text doesn't tell.
_KNOWN_PREFILTERS = {DEFAULT_MARKERS[1].pattern: r"%\_1____________\_%"}


def markers(settings: Iterable[MarkerSetting]) -> tuple[Marker, ...]:
    """Returns the markers of the settings. Raises ConfigurationError for a pattern that can't be one.

    Whether a regular expression is one that PostgreSQL takes is for the server to say.
    """
    return tuple(_marker(setting) for setting in settings)


def _marker(setting: MarkerSetting) -> Marker:
    try:
        setting.pattern.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"the marker {setting.name!r} isn't valid text") from None
    name = f"{setting.name} (also inside longer text)" if setting.inside else setting.name
    if setting.regex:
        return _regex_marker(setting, name)
    tokens = list(_tokens(setting))
    trace = _trace(tokens)
    if setting.inside and (expression := like_inside(tokens)) is not None:
        caseless = f"%{cheap}%" if (cheap := _caseless(tokens)) else None
        exact = Condition("~", expression, "C" if setting.pattern.isascii() else "default")
        return Marker(name, (*_as_condition(caseless), exact), trace)
    if not any(_may_have_cases(token) for token in tokens):
        return Marker(name, (Condition("LIKE", setting.pattern),), trace)
    # Under "C", only the letters of ASCII have cases, in every locale the same ones.
    insensitive = Condition("ILIKE", setting.pattern, "C" if setting.pattern.isascii() else "default")
    return Marker(name, (*_as_condition(_caseless(tokens)), insensitive), trace)


def _regex_marker(setting: MarkerSetting, name: str) -> Marker:
    prefilter = _KNOWN_PREFILTERS.get(setting.pattern) or _required_prefix(setting.pattern)
    anywhere = f"%{prefilter}" if prefilter else None
    expression = setting.pattern
    if setting.inside:
        prefilter, expression = anywhere, expression_inside(expression, setting.name)
    return Marker(name, (*_as_condition(prefilter), Condition("~", expression, "default")), anywhere)


def _as_condition(prefilter: str | None) -> Iterator[Condition]:
    if prefilter is not None:
        yield Condition("LIKE", prefilter)


def _tokens(setting: MarkerSetting) -> Iterator[str]:
    """The pattern's characters, each escaped one as two: `\\%`. An escaped letter is just that letter."""
    characters = iter(setting.pattern)
    for character in characters:
        if character != "\\":
            yield character
            continue
        escaped = next(characters, None)
        if escaped is None:
            raise ConfigurationError(f"the marker {setting.name!r} ends in a backslash that escapes nothing")
        yield escaped if escaped.isalpha() else "\\" + escaped


def _may_have_cases(token: str) -> bool:
    return token.isalpha() or not token.isascii()


def _caseless(tokens: Sequence[str]) -> str | None:
    """A pattern for LIKE that takes whatever the same for ILIKE takes: `%@____.___` for `%@test.org`.

    None if it would say nothing.
    """
    wide = _widens(tokens)
    parts = [_any_case(token, wide) if _may_have_cases(token) else token for token in tokens]
    return "".join(parts) if any(part not in "%_" for part in parts) else None


def _widens(tokens: Sequence[str]) -> bool:
    # By the rules of a locale, a letter may have another length in its other case, even one of ASCII.
    return not all(token.isascii() for token in tokens)


def _any_case(letter: str, wide: bool) -> str:
    return "_" if letter.isascii() and not wide else "%"


def _trace(tokens: Sequence[str]) -> str | None:
    """`%@____.___%` for `%@test.org`: what a match leaves in the output of a value that it is nested in.

    None if it would say nothing.
    """
    wide = _widens(tokens)
    parts = [_any_case(token, wide) if token.isalpha() else _trace_of(token) for token in tokens]
    return f"%{''.join(parts)}%" if any(part.strip("%_") for part in parts) else None


def _trace_of(token: str) -> str:
    character = token[-1]
    # Characters that are, or may be, escaped: quotes, backslashes, control characters.
    if not character.isascii() or not character.isprintable() or character in '"\\/':
        return "%"
    return "_%" if token == "_" else token  # any character, so an escaped one too


def _required_prefix(expression: str) -> str | None:
    """`user\\_%` for `^user_[0-9]+$`: what every match begins with, where that is plain to see."""
    literal = re.match(r"\^([A-Za-z0-9_@ -]+)([*?{]?)", expression)
    if literal is None or "|" in expression:
        return None
    # A character before `*`, `?` or `{0}` is optional.
    prefix = literal[1][:-1] if literal[2] else literal[1]
    return prefix.replace("_", r"\_") + "%" if prefix else None
