"""Which tables are read through the root of a partition tree, and what that costs the root."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass


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
