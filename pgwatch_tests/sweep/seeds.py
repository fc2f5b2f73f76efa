"""Reads which rows bear a marker: what a sweep starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

import psycopg
from psycopg import Cursor
from psycopg.pq.abc import Escaping
from psycopg.rows import RowMaker

from pgwatch_tests.leaks.chunks import Chunks
from pgwatch_tests.leaks.compose import Statements, source
from pgwatch_tests.leaks.discover import Table
from pgwatch_tests.leaks.model import Skipped
from pgwatch_tests.leaks.obstacles import Obstacles
from pgwatch_tests.leaks.session import ScanSession
from pgwatch_tests.server.connection import OwnConnection
from pgwatch_tests.sweep.statements import VERSION, Flagging


@dataclass(frozen=True, slots=True)
class _Counted:
    position: int
    rows: int
    before: int = 0


class Seed(NamedTuple):
    """A marked row as it was read: what it said of itself (see `clusters`), and which version it was."""

    flags: int
    version: str
    """See `SweepStatements.versions`."""


@dataclass(frozen=True, slots=True)
class Seeds:
    """The marked rows, by leaf and tid."""

    rows: dict[int, dict[str, Seed]] = field(default_factory=dict)

    @property
    def counts(self) -> dict[int, int]:
        """How many there are, by leaf."""
        return {leaf: len(rows) for leaf, rows in self.rows.items()}


class SeedReader:
    """Reads over the connection of a sweep. Its methods raise what ScanSession.running does."""

    def __init__(
        self, session: ScanSession, escaping: Escaping, statements: Statements, obstacles: Obstacles
    ) -> None:
        self._session = session
        self._escaping = escaping
        self._statements = statements
        self._obstacles = obstacles

    def marked_tables(self, tables: Sequence[Table]) -> tuple[list[Table], list[Skipped]]:
        """The tables that hold marked rows, and those that couldn't be looked at."""
        found: list[Table] = []
        skipped: list[Skipped] = []
        chunks = Chunks(
            lambda part: self._session.fetch(self._statements.count(part), _Counted), self._obstacles.locked
        )
        for table, outcome in chunks.run(tables):
            if isinstance(outcome, psycopg.Error):
                skipped.extend(self._obstacles.why(table, outcome))
            elif outcome.rows:
                found.append(table)
        return sorted(found, key=attrgetter("schema", "name")), skipped

    def read(self, table: Table, flagging: Flagging, into: dict[int, dict[str, Seed]]) -> list[Skipped]:
        """Adds a table's marked rows, by leaf. Returns why not all could be read, if so."""
        statement = b"SELECT tableoid::bigint, ctid::pg_catalog.text, %b, %b FROM %b WHERE %b" % (
            flagging.expression.encode("utf-8", errors="surrogateescape"),
            VERSION.encode(),
            source(table, self._escaping),
            self._statements.condition(table),
        )

        def read(connection: OwnConnection) -> None:
            with connection.cursor(row_factory=_row) as cursor:
                for leaf, tid, seed in cursor.execute(statement):
                    into.setdefault(leaf, {})[tid] = seed

        try:
            self._session.run(read)
        except psycopg.Error as error:
            return list(self._obstacles.why(table, error))
        return []


def _row(_: Cursor[object]) -> RowMaker[tuple[int, str, Seed]]:
    def make(values: Sequence[object]) -> tuple[int, str, Seed]:
        leaf, tid, flags, version = values
        assert isinstance(leaf, int)
        assert isinstance(flags, int)
        return leaf, str(tid), Seed(flags, str(version))

    return make
