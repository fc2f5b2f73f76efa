"""Related rows: the rows of clusters, and the questions that a database answers about them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKey
from pgwatch_tests.sweep.plan.refusals import Refusal


class CatalogChangedError(Exception):
    """Tables, keys, partitions, triggers or rules aren't those that the sweep was planned on."""


RelatedRow = tuple[int, int, int, int, int]
"""The place of a row in what was asked about, and one that it leads to: leaf, tid, xmin, flags."""


@dataclass(frozen=True, slots=True)
class Related:
    """Related rows, column by column: there may be a million."""

    places: Sequence[int] = ()
    leaves: Sequence[int] = ()
    tids: Sequence[int] = ()
    xmins: Sequence[int] = ()
    flags: Sequence[int] = ()

    @staticmethod
    def of(rows: Iterable[RelatedRow]) -> Related:
        """These rows."""
        found = list(rows)
        return Related(*zip(*found, strict=True)) if found else Related()

    def __len__(self) -> int:
        return len(self.tids)

    def __iter__(self) -> Iterator[RelatedRow]:
        return zip(self.places, self.leaves, self.tids, self.xmins, self.flags, strict=True)


class Rows(Protocol):
    """Questions to a database about rows; `tids` are of rows of one leaf."""

    def children(self, key: ForeignKey, leaf: int, tids: Sequence[int]) -> Related:
        """The rows that refer to these by the key; the place is that of the one referred to."""

    def parents(self, key: ForeignKey, leaf: int, tids: Sequence[int]) -> Related:
        """The rows that these refer to by the key; the place is that of the one that refers."""


class Seed(NamedTuple):
    """A marked row as it was read: what it said of itself, and which transaction wrote that version."""

    flags: int
    xmin: int


class Loose(NamedTuple):
    """A row that refers to one that may go, by a key that doesn't take it along."""

    key: int
    leaf: int
    tid: int
    xmin: int


@dataclass(frozen=True, slots=True)
class Settled:
    """The verdict on some clusters."""

    going: Sequence[Sequence[int]]
    """The clusters that may go, each as its nodes (see `Clusters.node`)."""
    kept: Mapping[tuple[int, Refusal], Sequence[int]]
    """Those that stay: nodes, by leaf and why."""
    young: Collection[tuple[int, int]] = ()
    """The rows that some stay for as too young: leaf, and when written (see `young_rows`)."""


class ClusterRow(NamedTuple):
    """A row of a cluster."""

    leaf: int
    tid: int
    xmin: int
    flags: int
