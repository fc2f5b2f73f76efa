"""Values as source has them: literals, names, mappings and calls, whatever the language."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

HOLE = "\x00"
"""Stands in a text for what is computed when the test runs."""


@dataclass(frozen=True, slots=True)
class Text:
    """A string; `HOLE` stands for each part that isn't literal."""

    text: str

    @property
    def is_literal(self) -> bool:
        """Whether no part of it is computed."""
        return HOLE not in self.text


@dataclass(frozen=True, slots=True)
class Number:
    """A literal number, as it is written."""

    text: str


@dataclass(frozen=True, slots=True)
class Name:
    """A variable or an attribute: `users`, `schema.users`."""

    text: str


@dataclass(frozen=True, slots=True)
class Pair:
    """A key with its value: of an object, a dict, or a keyword argument."""

    key: str
    value: Value
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Mapping:
    """An object literal, a dict, or the keyword arguments of a call. A spread has the key `...`."""

    pairs: tuple[Pair, ...]

    def get(self, key: str) -> Value | None:
        """The value of a key."""
        return next((pair.value for pair in self.pairs if pair.key == key), None)


@dataclass(frozen=True, slots=True)
class Items:
    """A list, tuple, set or array."""

    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Invocation:
    """A call as a value; keyword arguments are a mapping at the end."""

    name: str
    arguments: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Lambda:
    """A function without a name."""

    result: Value
    """What it returns, if it is a single expression; Unknown otherwise."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Anything else."""


Value = Text | Number | Name | Mapping | Items | Invocation | Lambda | Unknown


_NESTED = frozenset(("create", "createMany", "data", "connectOrCreate"))


def columns(values: tuple[Value, ...]) -> Iterator[Pair]:
    """The columns of rows: pairs of mappings, of those in lists, and of rows that an ORM nests in them.

    What is deeper is the content of a column, such as JSON.
    """
    for value in values:
        if isinstance(value, Mapping):
            for pair in value.pairs:
                yield pair
                if pair.key in _NESTED or (
                    isinstance(pair.value, Mapping) and any(one.key in _NESTED for one in pair.value.pairs)
                ):
                    yield from columns((pair.value,))
        elif isinstance(value, Items):
            yield from columns(value.values)
        elif isinstance(value, Invocation) and value.name.rpartition(".")[2][:1].isupper():
            yield from columns(value.arguments)


def texts(values: tuple[Value, ...]) -> Iterator[str]:
    """All strings in values, also those that a call such as `text(…)` or `sql.raw(…)` wraps."""
    for value in values:
        if isinstance(value, Text):
            yield value.text
        elif isinstance(value, Invocation | Items):
            yield from texts(value.arguments if isinstance(value, Invocation) else value.values)
        elif isinstance(value, Mapping):
            yield from texts(
                tuple(pair.value for pair in value.pairs if pair.key in ("text", "sql", "query"))
            )
