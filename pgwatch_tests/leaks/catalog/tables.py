"""Tables as the catalogs describe them: what to count in, their definitions and partitions. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from pgwatch_tests.leaks.markers.value_forms import Form
from pgwatch_tests.leaks.model import Ignored, Skipped, UnreadColumn
from pgwatch_tests.text.sql_names import shown

PARTITIONED = "partitioned table"
KINDS = {"r": "table", "p": PARTITIONED, "m": "materialized view"}


@dataclass(frozen=True, slots=True)
class CatalogVersion:
    """A row of pg_class: which transaction wrote it, and the table's file that it names."""

    oid: int
    xmin: int
    filenode: int


@dataclass(frozen=True, slots=True)
class Definition:
    """The catalogs' rows on a table, with the partitions that are read through it.

    Each by the transaction that wrote it: what was changed, and changed back, isn't the same either.
    """

    versions: frozenset[CatalogVersion] = frozenset()
    """The rows of pg_class of the table and of its partitions."""
    others: frozenset[str] = frozenset()
    """Its schema, its columns, and what makes its partitions those."""

    def is_still(self, now: Definition) -> bool:
        """Whether nothing has changed that decides on which rows are counted, and how.

        TRUNCATE writes the row in pg_class as well, and is no such change: with it, the file changes.
        """
        before = {version.oid: version for version in self.versions}
        return (
            self.others == now.others
            and before.keys() == {version.oid for version in now.versions}
            and all(
                version.xmin == before[version.oid].xmin or version.filenode != before[version.oid].filenode
                for version in now.versions
            )
        )


@dataclass(frozen=True, slots=True)
class Table:
    """A table to count in. Names are as the server has them: see `shown` and `quoted`."""

    oid: int
    schema: str
    name: str
    kind: str
    """`table`, `partitioned table` or `materialized view`."""
    columns: tuple[str, ...]
    """The columns that hold strings, and may be read."""
    has_created_at: bool
    """Whether it has a timestamp column of that name that may be read."""
    relations: int
    """The number of relations that a read opens: itself and its partitions."""
    pages: int
    """Its size in pages when it was last vacuumed or analysed; about that, from its rows, if it never was."""
    indexes: int = 0
    """The number of indexes that a read opens and locks too: its own and its partitions'."""
    forms: tuple[tuple[str, Form], ...] = field(default=(), hash=False)
    """The columns that aren't just strings, and where in them the strings are."""
    definition: Definition = field(default=Definition(), compare=False)
    """Its definition in the catalogs."""
    reads_all: bool = False
    """Whether all of its columns may be read, those of the system included."""

    def is_still(self, now: Table) -> bool:
        """Whether what was counted in it is what would be counted now."""
        return (
            (self.oid, self.schema, self.name, self.kind) == (now.oid, now.schema, now.name, now.kind)
            and (self.columns, self.forms) == (now.columns, now.forms)
            and self.definition.is_still(now.definition)
        )


def full_name(table: Table) -> str:
    """`schema.table`, as reports show it."""
    return f"{shown(table.schema)}.{shown(table.name)}"


@dataclass(frozen=True, slots=True)
class Discovery:
    """The tables to count in, those of which nothing, or not everything, may be read, and the ignores."""

    tables: tuple[Table, ...]
    skipped: tuple[Skipped, ...]
    ignored: tuple[Ignored, ...] = ()
    unread: tuple[UnreadColumn, ...] = ()
    without_strings: tuple[str, ...] = ()
    """Tables that have no column in which a marker could be."""


@dataclass(frozen=True, slots=True)
class Partition:
    """A row of queries/leaks/partitions.sql."""

    oid: int
    parent: int
    is_foreign: bool
    pages: int
    indexes: int
    xmin: int = 0
    filenode: int = 0
    others: str = ""


def below_roots(partitions: Iterable[Partition], roots: Collection[int]) -> Mapping[int, list[Partition]]:
    """The partitions, of all levels, that are read through one of `roots` (by oid), by that root.

    A root is above all others: one that is a partition itself isn't read on its own.
    """
    attached = {partition.oid: partition for partition in partitions}
    below: defaultdict[int, list[Partition]] = defaultdict(list)
    for partition in attached.values():
        top = partition.parent
        while top in attached:
            top = attached[top].parent
        if top in roots:
            below[top].append(partition)
    return below
