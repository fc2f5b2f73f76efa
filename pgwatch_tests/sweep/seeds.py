"""Reads which rows bear a marker: what a sweep starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import psycopg
from psycopg.pq.abc import Escaping

from pgwatch_tests.leaks.chunks import Chunks
from pgwatch_tests.leaks.compose import Statements, source
from pgwatch_tests.leaks.discover import Table
from pgwatch_tests.leaks.model import Skipped
from pgwatch_tests.leaks.obstacles import Obstacles
from pgwatch_tests.leaks.session import ScanSession
from pgwatch_tests.sweep.statements import Flagging


@dataclass(frozen=True, slots=True)
class _Counted:
    position: int
    rows: int
    before: int = 0


@dataclass(frozen=True, slots=True)
class Seeds:
    """The marked rows: by leaf, their tids and flags; and the tables in which there may be more."""

    rows: dict[int, dict[str, int]] = field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()

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

    def read(self, table: Table, flagging: Flagging, into: dict[int, dict[str, int]]) -> list[Skipped]:
        """Adds a table's marked rows, by leaf. Returns why not all could be read, if so."""
        statement = b"SELECT tableoid::bigint, ctid::text, %b FROM %b WHERE %b" % (
            flagging.expression.encode("utf-8", errors="surrogateescape"),
            source(table, self._escaping),
            self._statements.condition(table),
        )
        try:
            with self._session.running():
                cursor = self._session.connection.execute(statement)
                for leaf, tid, flags in cursor:
                    assert isinstance(leaf, int)
                    assert isinstance(tid, str)
                    assert isinstance(flags, int)
                    into.setdefault(leaf, {})[tid] = flags
        except psycopg.Error as error:
            return list(self._obstacles.why(table, error))
        return []
