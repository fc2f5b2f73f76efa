"""A survey of what can be indexed: tables that hold rows, and the indexes of `index_model` on them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.leaks.catalog.tables import Table
from pgwatch_tests.leaks.indexes.index_model import LeakIndex, NoIndex
from pgwatch_tests.text.sql_names import identifier, shown


@dataclass(frozen=True, slots=True)
class LeafTable:
    """A row of queries/leaks/index_leaves.sql."""

    root: int
    oid: int
    schema: str
    table: str
    bytes: int
    owner: str
    owned: bool
    may_create: bool


@dataclass(frozen=True, slots=True)
class IndexSurvey:
    """The tables that hold rows, each with the one that it is counted through, and their indexes."""

    leaves: tuple[tuple[LeafTable, Table], ...]
    present: tuple[LeakIndex, ...]


def wanted_leaves(
    leaves: Iterable[tuple[LeafTable, Table]], tables: Sequence[str]
) -> tuple[tuple[LeafTable, Table], ...]:
    """The leaves that `tables` (all, if empty) name, or whose roots they name. Raises ConfigurationError."""
    wanted = []
    missing = set(tables)
    for leaf, root in leaves:
        names = {f"{shown(leaf.schema)}.{shown(leaf.table)}", f"{shown(root.schema)}.{shown(root.name)}"}
        if not tables or not names.isdisjoint(tables):
            wanted.append((leaf, root))
        missing -= names
    for table in sorted(missing):
        raise ConfigurationError(f"no table {table!r} (SCHEMA.TABLE) with string columns that may be read")
    return tuple(wanted)


def forbidden(leaf: LeafTable, role: str) -> NoIndex | None:
    """Returns why the role can't create an index on it, and what would help; None if it can."""
    if not leaf.owned:
        owner = shown(leaf.owner)
        return NoIndex(
            shown(leaf.schema), shown(leaf.table), "only its owner can make an index", f"run it as {owner}"
        )
    if not leaf.may_create:
        grant = f"GRANT CREATE ON SCHEMA {identifier(leaf.schema)} TO {identifier(role)}"
        return NoIndex(shown(leaf.schema), shown(leaf.table), "no CREATE privilege", grant)
    return None
