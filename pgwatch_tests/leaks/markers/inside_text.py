"""Markers inside longer text: regular expressions that end where a word or an address does. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pgwatch_tests.errors import ConfigurationError

# Words of ASCII, whatever the locale: text in other letters may follow without a space.
_STARTS = "(?<![A-Za-z0-9_-])"
_ENDS = "(?![A-Za-z0-9_])"
# A domain may not continue: `test.example.com.evil.org`, `test.example.com-evil.org`. But a sentence may end.
_ADDRESS_ENDS = "(?!-*[.@]?[A-Za-z0-9_])"
# Options with which the expression stays an advanced one, which a bracket can enclose.
_OPTIONS = re.compile(r"(?:\(\?[cimnpstw]+\))?")


def like_inside(tokens: Sequence[str]) -> str | None:
    """Returns a regular expression that finds a LIKE pattern (as characters and escaped ones) inside text.

    None if the pattern finds it there by itself: `%@test.example.com%`.
    """
    if tokens[0] == "%" and tokens[-1] == "%":
        return None
    first = 0
    while tokens[first] == "%":
        first += 1
    last = len(tokens)
    while tokens[last - 1] == "%":
        last -= 1
    core = tokens[first:last]
    begins = _STARTS if first == 0 and _is_of_a_word(core[0]) else ""
    ends = _ADDRESS_ENDS if last == len(tokens) and _is_of_a_word(core[-1]) else ""
    return f"(?i){begins}{''.join(map(_expression, core))}{ends}"


def expression_inside(expression: str, name: str) -> str:
    """Returns a regular expression for use inside text: anchors at its very ends become ends of words.

    Raises ConfigurationError for one that begins with options which make it another kind of expression.
    """
    options = _OPTIONS.match(expression)
    assert options is not None
    core = expression[options.end() :]
    if core.startswith(("***", "(?")) and not core.startswith(("(?:", "(?=", "(?!", "(?<")):
        raise ConfigurationError(
            f"the marker {name!r} can't be looked for inside longer text: it begins with "
            f"{core.partition(')')[0][:8]!r}"
        )
    core = core.removeprefix("^")
    if core.endswith("$") and (len(core) - len(core[:-1].rstrip("\\"))) % 2:
        core = core[:-1]
    return f"{options[0]}{_STARTS}(?:{core}){_ENDS}"


def _is_of_a_word(token: str) -> bool:
    return token == "_" or re.fullmatch(r"[A-Za-z0-9_]", token[-1]) is not None


def _expression(token: str) -> str:
    if token in "%_":
        return ".*" if token == "%" else "."
    character = token[-1]
    plain = character.isalnum() or character == "_" or not character.isascii()
    return character if plain else f"\\{character}"
