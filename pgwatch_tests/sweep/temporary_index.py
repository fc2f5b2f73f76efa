"""Indexes on foreign keys that lack one, for as long as a sweep takes."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import psycopg
from psycopg import pq

from pgwatch_tests import queries
from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.leaks.discover import quoted, shown
from pgwatch_tests.leaks.session import ScanSession
from pgwatch_tests.sweep.foreign_keys import ForeignKey, ForeignKeys

# CREATE INDEX CONCURRENTLY waits for transactions that began before; meanwhile ALTER TABLE waits for it.
_PATIENCE_S = 5.0
_AT_MOST_S = 3600.0


@dataclass(frozen=True, slots=True)
class _Index:
    """A row of queries/sweep_temporary_indexes.sql."""

    schema: str
    name: str
    is_valid: bool = True


class TemporaryIndexes:
    """Makes them where it begins and drops them where it ends, as a context manager.

    Those that a killed sweep left serve as well, and are dropped with them. Raises what ScanSession.running
    does; an index that can't be made isn't in `graph` then.
    """

    def __init__(self, session: ScanSession, graph: ForeignKeys, slow: Collection[int]) -> None:
        self._session = session
        self._escaping = pq.Escaping(session.connection.pgconn)
        self._before = graph
        self._slow = slow
        self._made: list[_Index] = []
        self.graph = graph
        """The same foreign keys, with what is indexed now."""
        self.left: tuple[str, ...] = ()
        """At the end: what couldn't be dropped, a sentence each."""

    def __enter__(self) -> Self:
        self._session.limit(_AT_MOST_S, _PATIENCE_S)
        try:
            for found in self._session.fetch(queries.load("sweep_temporary_indexes").encode(), _Index):
                if found.is_valid or not self._dropped(found):
                    self._made.append(found)
            indexed = {key.oid for key in self._before.keys if key.oid in self._slow and self._make(key)}
        except BaseException:
            self._drop_all()
            raise
        self.graph = ForeignKeys(
            self._before.relations.values(),
            (replace(key, indexed=key.indexed or key.oid in indexed) for key in self._before.keys),
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(psycopg.Error, PgwatchError):
            self._session.limit(_AT_MOST_S, _PATIENCE_S)
        self._drop_all()

    def _make(self, key: ForeignKey) -> bool:
        """Whether all of the key's leaves have one now."""
        columns = b", ".join(quoted(column, self._escaping) for column in key.child_columns)
        for leaf in self._before.leaves(key.child):
            relation = self._before.relations[leaf]
            index = _Index(relation.schema, f"pgwatch_sweep_{leaf}_{key.oid}")
            self._made.append(index)
            statement = b"CREATE INDEX CONCURRENTLY %b ON %b.%b (%b)" % (
                quoted(index.name, self._escaping),
                quoted(relation.schema, self._escaping),
                quoted(relation.name, self._escaping),
                columns,
            )
            try:
                self._session.execute(statement)
            except psycopg.Error:
                return False  # what is left of it goes at the end
        return True

    def _drop_all(self) -> None:
        while self._made:
            index = self._made.pop()
            if not self._dropped(index):
                name = f"{shown(index.schema)}.{shown(index.name)}"
                self.left += (f"{name}: a temporary index that isn't dropped yet: DROP INDEX {name}",)

    def _dropped(self, index: _Index) -> bool:
        try:
            self._session.execute(
                b"DROP INDEX CONCURRENTLY IF EXISTS %b.%b"
                % (quoted(index.schema, self._escaping), quoted(index.name, self._escaping))
            )
        except (psycopg.Error, PgwatchError):
            return False
        return True
