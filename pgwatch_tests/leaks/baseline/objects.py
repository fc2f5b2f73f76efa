"""Objects of a database (tables, views, functions …): which are new, moved or gone since a baseline. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pgwatch_tests.leaks.model import Leftover
from pgwatch_tests.text.numbers import plural


@dataclass(frozen=True, slots=True)
class DatabaseObject:
    """A table, view, function, role … by its name as people see it."""

    kind: str
    """`table`, `view`, `sequence`, `type`, `function`, `index`, `trigger`, `schema`, `extension`, `role` …"""
    oid: int
    schema: str
    """Empty for what is in none."""
    name: str
    part_of: int | None = None
    """The table (oid) that an index, a trigger, a constraint or an owned sequence goes with."""

    @property
    def shown(self) -> str:
        """`view public.v`."""
        return f"{self.kind} {f'{self.schema}.' if self.schema else ''}{self.name}"


@dataclass(frozen=True, slots=True)
class SequencePosition:
    """The position of a sequence. `last` is None before its first number."""

    oid: int
    schema: str
    name: str
    last: int | None

    @property
    def shown(self) -> str:
        """`public.users_id_seq`."""
        return f"{self.schema}.{self.name}"


def new_objects(before: Sequence[DatabaseObject], now: Mapping[DatabaseObject, str]) -> list[Leftover]:
    """Returns the objects whose name and oid are both new; `now` has the owner of each.

    A new table's indexes, constraints, triggers and sequences go without saying, as does what is in a new
    schema. What has another name than before is named with the old one.
    """
    names = {(one.kind, one.schema, one.name) for one in before}
    oids = {(one.kind, one.oid): one for one in before}
    new = [one for one in now if (one.kind, one.schema, one.name) not in names]
    schemas = {one.name for one in new if one.kind == "schema" and (one.kind, one.oid) not in oids}
    tables = {one.oid for one in new if "table" in one.kind or "view" in one.kind}
    inside = Counter(one.schema for one in new)
    found = []
    for one in new:
        if one.schema in schemas or one.part_of in tables:
            continue
        details = []
        renamed = oids.get((one.kind, one.oid))
        if renamed is not None:
            details.append(f"was {renamed.shown}")
        if one.kind == "role":
            details.append("shared by the whole server: another suite may have created it")
        if one.kind == "schema" and inside[one.name]:
            number = inside[one.name]
            details.append(f"{plural(number, 'object')} in it")
        if now[one]:
            details.append(f"owner {now[one]}")
        found.append(Leftover("object", one.shown, ", ".join(details)))
    return found


def gone_objects(before: Iterable[DatabaseObject], now: Iterable[DatabaseObject]) -> list[str]:
    """Returns the objects whose name and oid are both gone, without tables, which are reported apart.

    With a table, its indexes, triggers and sequences went; with a schema, what was in it.
    """
    now = tuple(now)
    names = {(one.kind, one.schema, one.name) for one in now}
    oids = {(one.kind, one.oid) for one in now}
    gone = [
        one
        for one in before
        if (one.kind, one.oid) not in oids and (one.kind, one.schema, one.name) not in names
    ]
    oids_gone = {one.oid for one in gone}
    schemas = {one.name for one in gone if one.kind == "schema"}
    return [
        one.shown
        for one in gone
        if one.part_of not in oids_gone and one.schema not in schemas and one.kind != "table"
    ]


def moved_sequences(before: Iterable[SequencePosition], now: Iterable[SequencePosition]) -> list[Leftover]:
    """Returns the sequences that have moved; new ones are reported as objects."""
    by_oid = {one.oid: one for one in before}
    found = []
    for one in now:
        then = by_oid.get(one.oid)
        if then is not None and then.last != one.last:
            found.append(Leftover("sequence", one.shown, f"{_position(then.last)} → {_position(one.last)}"))
    return found


def _position(last: int | None) -> str:
    return "unused" if last is None else str(last)
