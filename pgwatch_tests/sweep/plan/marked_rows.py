"""Marked rows: reads the rows that bear a marker, from which a sweep starts."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import cast

import psycopg
from psycopg.pq.abc import Escaping

from pgwatch_tests.leaks.catalog.obstacles import Obstacles
from pgwatch_tests.leaks.catalog.tables import Table
from pgwatch_tests.leaks.model import Skipped
from pgwatch_tests.leaks.statements.chunks import Chunks
from pgwatch_tests.leaks.statements.marked_rows import MarkedRowStatements, source
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.sweep.plan.related_rows import Seed
from pgwatch_tests.sweep.plan.rules import SWEPT, Flagging
from pgwatch_tests.sweep.tids import read_and_write_tids

# So many rows are on their way at once.
_ROWS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class _Counted:
    position: int
    rows: int
    before: int = 0


@dataclass(slots=True)
class LeafSeeds:
    """Marked rows of one leaf, 20 bytes each: there may be a million."""

    tids: array[int] = field(default_factory=lambda: array("Q"))
    flags: array[int] = field(default_factory=lambda: array("Q"))
    xmins: array[int] = field(default_factory=lambda: array("I"))

    def __len__(self) -> int:
        return len(self.tids)

    def between(self, first: int, end: int) -> Iterator[tuple[int, Seed]]:
        """Yields the rows of these places: tid, and what was read."""
        for place in range(first, min(end, len(self))):
            yield self.tids[place], Seed(self.flags[place], self.xmins[place])

    def items(self) -> Iterator[tuple[int, Seed]]:
        """Yields all rows."""
        return self.between(0, len(self))


@dataclass(frozen=True, slots=True)
class Seeds:
    """The marked rows that are asked for, by leaf; `counts` are of all marked rows."""

    rows: dict[int, LeafSeeds] = field(default_factory=dict)
    counts: Counter[int] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """The number of rows that are asked for."""
        return sum(map(len, self.rows.values()))

    def without(self, leaves: Collection[int]) -> Seeds:
        """Returns the seeds without some leaves."""
        return Seeds(
            {leaf: rows for leaf, rows in self.rows.items() if leaf not in leaves},
            Counter({leaf: rows for leaf, rows in self.counts.items() if leaf not in leaves}),
        )


class SeedReader:
    """Reads over the connection of a sweep. Its methods raise what `session.running` does."""

    def __init__(
        self,
        session: DatabaseSession,
        escaping: Escaping,
        statements: MarkedRowStatements,
        obstacles: Obstacles,
    ) -> None:
        self._session = session
        self._escaping = escaping
        self._statements = statements
        self._obstacles = obstacles

    def marked_tables(self, tables: Sequence[Table]) -> tuple[list[Table], list[Skipped]]:
        """The tables that hold marked rows, and those that couldn't be looked at."""
        found, skipped = self.numbers(tables)
        return sorted(found, key=attrgetter("schema", "name")), skipped

    def numbers(self, tables: Sequence[Table]) -> tuple[dict[Table, int], list[Skipped]]:
        """The number of marked rows of each table that holds any, and those that couldn't be looked at."""
        found: dict[Table, int] = {}
        skipped: list[Skipped] = []
        chunks = Chunks(
            lambda part: self._session.fetch(self._statements.count(part), _Counted), self._obstacles.locked
        )
        for table, outcome in chunks.run(tables):
            if isinstance(outcome, psycopg.Error):
                skipped.extend(self._obstacles.why(table, outcome))
            elif outcome.rows:
                found[table] = outcome.rows
        return found, skipped

    def read(self, table: Table, flagging: Flagging, into: Seeds) -> list[Skipped]:
        """Adds a table's marked rows. Returns why not all could be read, if so."""
        statement = b"SELECT tableoid, ctid, xmin, %b FROM %b WHERE %b" % (
            flagging.expression.encode("utf-8", errors="surrogateescape"),
            source(table, self._escaping),
            self._statements.condition(table),
        )
        try:
            found = self._session.run(lambda connection: _read(connection, statement))
        except psycopg.Error as error:
            return list(self._obstacles.why(table, error))
        into.rows.update(found.rows)
        into.counts.update(found.counts)
        return []


def _read(connection: OwnConnection, statement: bytes) -> Seeds:
    """Reads from the start each time that it is run."""
    found = Seeds()
    read_and_write_tids(connection)
    with connection.cursor(binary=True) as cursor:
        at = 0
        for row in cursor.stream(statement, size=_ROWS_AT_ONCE):
            leaf, tid, xmin, flags = cast("tuple[int, bytes, int, int]", row)
            if leaf != at:
                at, rows = leaf, found.rows.setdefault(leaf, LeafSeeds())
            found.counts[leaf] += 1
            if flags & SWEPT:
                rows.tids.append(int.from_bytes(tid))
                rows.xmins.append(xmin)
                rows.flags.append(flags)
    for leaf in [leaf for leaf, rows in found.rows.items() if not rows]:
        del found.rows[leaf]
    return found
