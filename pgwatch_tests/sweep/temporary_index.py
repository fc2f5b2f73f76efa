"""Indexes on foreign keys that lack one, for as long as a sweep takes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Self

import psycopg
from psycopg import errors, pq

from pgwatch_tests import queries
from pgwatch_tests.config import Settings
from pgwatch_tests.errors import CannotConnectError, ConnectionLostError, PgwatchError
from pgwatch_tests.leaks.discover import quoted, shown
from pgwatch_tests.leaks.index_work import GaveWayError, IndexWork
from pgwatch_tests.leaks.session import ScanCancelledError, ScanSession
from pgwatch_tests.server.sql_names import qualified
from pgwatch_tests.sweep.foreign_keys import ForeignKey, ForeignKeys

_AT_MOST_S = 3600.0


@dataclass(frozen=True, slots=True)
class _Index:
    """A row of queries/sweep_temporary_indexes.sql."""

    schema: str
    name: str
    is_valid: bool


class TemporaryIndexes:
    """Makes them where it begins and drops them where it ends, as a context manager.

    Those that a killed sweep left serve as well, and are dropped with them. Whoever has to wait for any of
    that is given way to. Raises what ScanSession.running does; an index that can't be made isn't in `graph`
    then.
    """

    def __init__(
        self, session: ScanSession, settings: Settings, graph: ForeignKeys, slow: Collection[int]
    ) -> None:
        self._session = session
        self._escaping = pq.Escaping(session.connection.pgconn)
        self._before = graph
        self._slow = slow
        self._work = IndexWork(session, settings)
        self._can_work = False
        self._made: list[_Index] = []
        self.graph = graph
        """The same foreign keys, with what is indexed now."""
        self.left: tuple[str, ...] = ()
        """At the end: what couldn't be made or dropped, a sentence each."""

    def __enter__(self) -> Self:
        try:
            self._work.__enter__()
        except CannotConnectError as error:
            self.left += (str(error),)
            return self
        self._can_work = True
        try:
            for found in self._ours():
                if found.is_valid or not self._dropped(found):
                    self._made.append(found)
            indexed = {key.oid for key in self._before.keys if key.oid in self._slow and self._make(key)}
        except BaseException as error:
            self._end(error)
            raise
        self.graph = ForeignKeys(
            self._before.relations.values(),
            (replace(key, indexed=key.indexed or key.oid in indexed) for key in self._before.keys),
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._can_work:
            self._end(error)

    def _end(self, error: BaseException | None) -> None:
        """Drops all that is ours. If the sweep ends by an error of ours, that one names what stays."""
        try:
            while self._made:
                index = self._made.pop()
                if not self._dropped_at_last(index):
                    name = f"{shown(index.schema)}.{shown(index.name)}"
                    how = f"DROP INDEX {qualified(index.schema, index.name)}"
                    self.left += (f"{name}: a temporary index that isn't dropped yet: {how}",)
        finally:
            self._work.__exit__(None, None, None)
        if self.left and isinstance(error, ScanCancelledError | ConnectionLostError):
            raise type(error)(f"{error}; {'; '.join(self.left)}") from None

    def _make(self, key: ForeignKey) -> bool:
        """Whether all of the key's leaves have one now."""
        columns = b", ".join(quoted(column, self._escaping) for column in key.child_columns)
        for leaf in self._before.leaves(key.child):
            relation = self._before.relations[leaf]
            index = _Index(relation.schema, f"pgwatch_sweep_{leaf}_{key.oid}", is_valid=False)
            statement = b"CREATE INDEX CONCURRENTLY %b ON %b.%b (%b)" % (
                quoted(index.name, self._escaping),
                quoted(relation.schema, self._escaping),
                quoted(relation.name, self._escaping),
                columns,
            )
            self._made.append(index)
            try:
                self._work.make(
                    statement, _AT_MOST_S, partial(self._is_made, index), partial(self._dropped, index)
                )
            except errors.DuplicateTable:
                self._made.pop()  # somebody else's, or one of ours that serves already
                return False
            except GaveWayError as error:
                self.left += (f"no temporary index on {shown(relation.name)}: it is wanted by {error}",)
                return False  # what is left of it goes at the end
            except psycopg.Error:
                return False
        return True

    def _ours(self) -> list[_Index]:
        return self._session.fetch(queries.load("sweep_temporary_indexes").encode(), _Index)

    def _is_made(self, index: _Index) -> bool:
        return replace(index, is_valid=True) in self._ours()

    def _dropped(self, index: _Index) -> bool:
        try:
            self._work.drop(index.schema, index.name)
        except (psycopg.Error, GaveWayError):
            return False
        return True

    def _dropped_at_last(self, index: _Index) -> bool:
        """Also where the session was cancelled, or is lost."""
        try:
            return self._dropped(index)
        except PgwatchError:
            return self._work.drop_at_last(index.schema, index.name)
