"""What of an SQL statement the server finds by a search_path: operators, functions, types and the like.

A tokenizer, no parser. It is for the statements that this project has: no dollar quotes, no comments between
slashes, no list of tables that isn't joined. Taken as qualified is what the grammar itself maps to pg_catalog
(src/backend/parser/gram.y): `int`, EXTRACT, `substring(… FROM …)`; and what names nothing: COALESCE, ARRAY,
IS NULL, GROUP BY, ORDER BY, DISTINCT and UNION (they take operators from the type's operator class).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""--[^\n]*|(?P<value>%\(\w+\)s|[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|\d+(?:\.\d+)?)"""
    r"""|(?P<name>"(?:[^"]|"")*"|[A-Za-z_]\w*)"""
    r"""|(?P<mark>::|=>|[.,;()\[\]:])|(?P<operator>[-+*/<>=~!@#%^&|`?]+)|\s+|(?P<unknown>.)"""
)
# These stand before a parenthesis and are no functions that are looked up.
_SYNTAX = re.compile(
    r"all|and|any|array|as|by|case|cast|coalesce|else|exists|extract|filter|from|greatest|in|"
    r"join|lateral|least|limit|materialized|not|offset|on|only|operator|or|over|recursive|"
    r"select|then|union|using|values|when|where|with"
)
# Behind these, a sign or an asterisk is no operator between two operands.
_BEFORE_OPERANDS = re.compile(r"and|by|distinct|else|not|or|select|then|when|where")
# Operators are behind these words, and found by name (AEXPR_IN, AEXPR_NULLIF and their like in gram.y).
_HIDDEN = re.compile(r"between|ilike|in|like|natural|nullif|overlaps|similar")
_TYPES_OF_GRAMMAR = re.compile(
    r"bigint|bit|boolean|char|character|decimal|float|int|integer|interval|numeric|real|"
    r"smallint|time|timestamp|varchar"
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str

    @property
    def word(self) -> str:
        """In lower case if it may be a keyword, else empty."""
        return self.text.lower() if self.kind == "name" and not self.text.startswith('"') else ""


_NONE = _Token("none", "")


@dataclass(frozen=True, slots=True)
class _Place:
    """A token among its neighbours; `own` are names that the statement gives to its own queries."""

    token: _Token
    before: _Token
    after: _Token
    earlier: tuple[str, ...]
    own: frozenset[str]
    in_grammar: bool
    """Whether it is FROM in EXTRACT or substring, or the substring of such a one, or AS in CAST."""
    behind_grammar: bool

    @property
    def is_type(self) -> bool:
        """Whether a type stands here."""
        return self.before.text == "::" or (self.before.word == "as" and self.behind_grammar)

    @property
    def is_relation(self) -> bool:
        """Whether a table may stand here."""
        behind = ("from", "join", "lateral", "only", "update", "into")
        return self.before.word in behind and not self.behind_grammar


def not_qualified(statement: str) -> Iterator[str]:
    """What is found by a search_path, one text each. Raises ValueError for what is no token of ours."""
    for place in _places(statement):
        yield from _operator(place)
        yield from _hidden_operator(place)
        yield from _name(place)


def _places(statement: str) -> Iterator[_Place]:
    tokens = [
        _Token(found.lastgroup, found[0])
        for found in _TOKEN.finditer(statement)
        if found.lastgroup is not None
    ]
    if unknown := [token.text for token in tokens if token.kind == "unknown"]:
        raise ValueError(f"not known here: {unknown}")
    own = frozenset(_own_names(tokens))
    grammar = _places_in_grammar(tokens)
    for number, token in enumerate(tokens):
        yield _Place(
            token,
            before=tokens[number - 1] if number else _NONE,
            after=tokens[number + 1] if number + 1 < len(tokens) else _NONE,
            earlier=tuple(each.text.lower().strip('"') for each in tokens[max(0, number - 4) : number]),
            own=own,
            in_grammar=number in grammar,
            behind_grammar=number - 1 in grammar,
        )


def _operator(place: _Place) -> Iterator[str]:
    token, before = place.token, place.before
    if token.kind != "operator" or place.earlier == ("operator", "(", "pg_catalog", "."):
        return
    begins_operand = before.text in ("(", ",", "[") or _BEFORE_OPERANDS.fullmatch(before.word) is not None
    is_star = token.text == "*" and (begins_operand or before.text == ".")
    is_sign = token.text == "-" and begins_operand and place.after.text[:1].isdigit()
    if not (is_star or is_sign):
        yield f"operator {token.text}"


def _hidden_operator(place: _Place) -> Iterator[str]:
    word, before = place.token.word, place.before
    if _HIDDEN.fullmatch(word) and before.text != ".":
        yield f"operator of {word}"
    elif word == "distinct" and before.word in ("is", "not"):
        yield "operator of is distinct"
    elif word == "case" and place.after.word != "when":
        yield "operator of case"
    elif word == "using" and place.after.text == "(":
        yield "operator of using"


def _name(place: _Place) -> Iterator[str]:
    token, before, after = place.token, place.before, place.after
    if token.kind != "name" or before.text == "." or after.text == ".":
        return
    if place.is_type:
        if _TYPES_OF_GRAMMAR.fullmatch(token.word) is None:
            yield f"type {token.text}"
    elif before.word == "collate":
        yield f"collation {token.text}"
    elif after.text == "(":
        is_alias = before.word == "as" or token.text in place.own
        if _SYNTAX.fullmatch(token.word) is None and not is_alias and not place.in_grammar:
            yield f"function {token.text}"
    elif (
        place.is_relation
        and token.word not in ("lateral", "only", "rows", "skip")
        and token.text not in place.own
    ):
        yield f"relation {token.text}"


def _own_names(tokens: list[_Token]) -> Iterator[str]:
    """Names in WITH, with columns or without."""
    for number, token in enumerate(tokens):
        behind = [each.word or each.text for each in tokens[number + 1 : number + 4]]
        begins = number > 0 and tokens[number - 1].word in ("with", "recursive")
        goes_on = behind[:2] == ["as", "("] or behind == ["as", "materialized", "("]
        if token.kind == "name" and (begins or goes_on):
            yield token.text


def _places_in_grammar(tokens: list[_Token]) -> frozenset[int]:
    found = set()
    opened: list[int] = []
    for number, token in enumerate(tokens):
        if token.text == "(":
            opened.append(number - 1)
        elif token.text == ")":
            opened.pop()
        elif token.word == "from" and opened and tokens[opened[-1]].word in ("extract", "substring"):
            found |= {opened[-1], number}
        elif token.word == "as" and opened and tokens[opened[-1]].word == "cast":
            found.add(number)
    return frozenset(found)
