"""Forms of values: where strings are inside arrays, composites, ranges and JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, TypeAlias

Step = Literal["element", "field", "lower", "upper"]
LeafKind = Literal["string", "cast", "output", "json", "jsonb", "hstore", "ltree", "unread"]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value whose strings can be had at once.

    `string`: it is one. `cast`: it is one, but only a cast to text tells which; it may print another.
    `output`: what it prints is one. `json`, `jsonb` and `hstore`: all keys and values in it. `ltree`: its
    labels, and itself. `unread`: none are looked for.
    """

    kind: LeafKind
    type: int = 0
    """By oid, as an expression has it: 0 for a kind that doesn't depend on it."""
    name: str = ""
    """The name of the type, if it is unread."""


@dataclass(frozen=True, slots=True)
class Elements:
    """An array of any dimension, or a multirange: those of each element."""

    of: Form


@dataclass(frozen=True, slots=True)
class Parts:
    """A composite, or a range: those of some of its fields, or bounds."""

    of: tuple[tuple[Step, int | None, Form], ...]
    """Each with which of the fields it is, from 1, if it is one."""
    type: int = 0
    """By oid, as an expression has it."""


Form: TypeAlias = Leaf | Elements | Parts


@dataclass(frozen=True, slots=True)
class Place:
    """The way to a leaf, from the outside: as a row of queries/leaks/types.sql has it."""

    steps: tuple[Step, ...]
    fields: tuple[int | None, ...]
    types: tuple[int, ...]
    leaf: Leaf


def form(places: Iterable[Place]) -> Form:
    """Returns the form that all places of one type make, in the order of the query."""
    return _form(tuple(places), 0)


def leaves(of: Form) -> Iterable[Leaf]:
    """Returns the leaves that a form ends in."""
    if isinstance(of, Leaf):
        yield of
    elif isinstance(of, Elements):
        yield from leaves(of.of)
    else:
        for _, _, part in of.of:
            yield from leaves(part)


def _form(places: Sequence[Place], depth: int) -> Form:
    if len(places[0].steps) == depth:
        return places[0].leaf
    if places[0].steps[depth] == "element":
        return Elements(_form(places, depth + 1))
    parts = groupby(places, key=lambda place: (place.steps[depth], place.fields[depth]))
    return Parts(
        tuple((step, field, _form(tuple(inside), depth + 1)) for (step, field), inside in parts),
        places[0].types[depth],
    )
