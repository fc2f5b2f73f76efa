"""What the catalogs said of a table, to tell later whether what was counted is what is there. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Version:
    """A row of pg_class: which transaction wrote it, and the table's file that it names."""

    oid: int
    xmin: int
    filenode: int


@dataclass(frozen=True, slots=True)
class Definition:
    """The catalogs' rows on a table, with the partitions that are read through it.

    Each by the transaction that wrote it: what was changed, and changed back, isn't the same either.
    """

    versions: frozenset[Version] = frozenset()
    """Of itself and of its partitions."""
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
