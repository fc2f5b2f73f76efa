"""Partial indexes that make a count proportional to the leak: plans, names and outcomes. Pure.

One index per table, of rows that bear a marker in any column; its key says nothing, what matters is its
predicate. The planner takes it for a scan if it can prove that whatever the scan looks for is in it: each
condition of the predicate must be one of the scan's own, word for word. Those under the collation "C" are
enough, and never change; what another collation takes may change with the operating system, behind the
index's back.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pgwatch_tests.errors import RefusedError
from pgwatch_tests.leaks.markers.markers import Marker

NAME_PREFIX = "pgwatch_leak_"
_NAME_LIMIT = 63  # bytes: NAMEDATALEN - 1
_HASH_LENGTH = 12
_SMALLEST_BYTES = 16384  # a B-tree's first page says where its root is
_BYTES_A_ROW = 8  # rows with the same key share one entry, in which each has 6


@dataclass(frozen=True, slots=True)
class LeakIndex:
    """An existing index: a row of queries/leaks/indexes.sql."""

    oid: int
    table_oid: int
    schema: str
    table: str
    name: str
    valid: bool
    bytes: int
    owner: str
    owned: bool
    fits: bool = False
    """Whether it is valid, and a scan for the markers of now can use it; not in the row."""


@dataclass(frozen=True, slots=True)
class PlannedIndex:
    """An index to be created, on a table or on a leaf of a partitioned one; sizes are bytes, times
    seconds."""

    root_oid: int
    table_oid: int
    schema: str
    table: str
    name: str
    columns: int
    table_bytes: int
    build_s: float
    index_bytes: int
    write_s: float
    """The cost per written row: finding out whether it bears a marker."""
    replaces: tuple[LeakIndex, ...]
    """Indexes to drop: before, if an interrupted run left them; after, if they are for other markers."""


@dataclass(frozen=True, slots=True)
class NoIndex:
    """A table that gets no index, why, and what would help."""

    schema: str
    table: str
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class IndexPlan:
    """The plan of `create`. `small` tables would gain too little, `present` have theirs."""

    database: str
    planned: tuple[PlannedIndex, ...]
    present: tuple[LeakIndex, ...]
    impossible: tuple[NoIndex, ...]
    small: int
    smallest_bytes: int
    """The size from which on a table isn't small."""


@dataclass(frozen=True, slots=True)
class IndexOutcome:
    """The outcome of making or dropping an index. `unused`: it is there, but no scan's plan takes it."""

    schema: str
    table: str
    name: str
    result: Literal["made", "unused", "dropped", "failed"]
    duration_s: float
    detail: str = ""


def provable_markers(markers: Iterable[Marker]) -> tuple[Marker, ...]:
    """The markers with only those conditions that an index may have.

    Raises RefusedError if one has none: a scan reads all rows for it, whatever the index.
    """
    return tuple(_provable_marker(marker) for marker in markers)


def _provable_marker(marker: Marker) -> Marker:
    conditions = tuple(condition for condition in marker.conditions if condition.collation == "C")
    if not conditions:
        raise RefusedError(
            f"no index can serve the marker {marker.name!r}: it depends on the database's collation, and "
            "doesn't begin with plain text. A scan for it reads every row anyway"
        )
    return Marker(marker.name, conditions)


def index_name(table: str, condition: bytes) -> str:
    """`pgwatch_leak_users_0c1f…`: at most 63 bytes, another one for each table and predicate."""
    digest = hashlib.sha256(table.encode("utf-8", errors="surrogateescape") + b"\0" + condition).hexdigest()
    room = _NAME_LIMIT - len(NAME_PREFIX) - 1 - _HASH_LENGTH
    readable = re.sub("[^a-z0-9]+", "_", table.lower())[:room].strip("_")
    return NAME_PREFIX + "_".join(part for part in (readable, digest[:_HASH_LENGTH]) if part)


def index_bytes(rows: float) -> int:
    """About how large an index of so many rows is."""
    return _SMALLEST_BYTES + round(rows * _BYTES_A_ROW)
