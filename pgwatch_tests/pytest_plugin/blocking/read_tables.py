"""Tables that a statement reads, by its text: a hint for a person, no proof. Pure.

Views, functions and rules read what no text says; names of columns may be among what is returned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pgwatch_tests.text import sql_tokens

_BEFORE_TABLES = {"from", "join", "using", "update"}
_NOT_A_NAME = {"select", "lateral", "only", "values", "set", "where", "distinct"}
_ALIAS_ENDS = {"on", "where", "join", "left", "right", "inner", "cross", "full", "group", "order", "limit"}
_MOST_OF_A_TEXT = 20_000


def tables_read(texts: Iterable[str]) -> frozenset[str]:
    """Returns the names of tables in statements, without their schemas, as the catalogs have them."""
    found: set[str] = set()
    for text in texts:
        words = tuple(_words(text[:_MOST_OF_A_TEXT]))
        defined = _named_queries(words)
        found.update(name for name in _tables(words) if name not in defined)
    return frozenset(found)


def _words(text: str) -> Iterator[str]:
    for token in sql_tokens.tokens(text):
        if token.kind == "quoted":
            yield '"' + token.value
        elif token.kind not in ("comment", "literal"):
            yield token.text.lower()


def _named_queries(words: Sequence[str]) -> set[str]:
    """The names of WITH … AS (."""
    return {
        words[at]
        for at in range(len(words) - 2)
        if words[at + 1] == "as" and words[at + 2] in ("(", "materialized", "not")
    }


def _tables(words: Sequence[str]) -> Iterator[str]:
    for at, word in enumerate(words):
        if word not in _BEFORE_TABLES:
            continue
        at += 1
        while at < len(words):
            at += words[at : at + 1] == ("only",)
            name, at = _name(words, at)
            if not name or words[at : at + 1] == ("(",):
                break
            yield name
            # An alias may follow, and after a comma another table.
            at += words[at : at + 1] == ("as",)
            if at < len(words) and words[at] != "," and words[at] not in _ALIAS_ENDS:
                at += 1
            if words[at : at + 1] != (",",):
                break
            at += 1


def _name(words: Sequence[str], at: int) -> tuple[str, int]:
    """The last part of a name that begins there, and where it ends; empty if there is none."""
    name = ""
    while at < len(words) and _is_name(words[at]):
        name = words[at].removeprefix('"')
        at += 1
        if words[at : at + 1] != (".",):
            break
        at += 1
    return name, at


def _is_name(word: str) -> bool:
    return word[0] == '"' or ((word[0].isalpha() or word[0] == "_") and word not in _NOT_A_NAME)
