"""Temporary indexes on foreign keys that lack one, for as long as a sweep takes."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Self

import psycopg
from psycopg import errors, pq

from pgwatch_tests.errors import CannotConnectError, ConnectionLostError, PgwatchError
from pgwatch_tests.leaks.indexes.index_builds import HeldUpError, IndexBuilds, IndexGivenUpError
from pgwatch_tests.postgres.server_messages import full_server_message
from pgwatch_tests.postgres.sessions.session import DatabaseSession, WorkCancelledError
from pgwatch_tests.postgres.stored_text import quoted
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKey, ForeignKeyGraph
from pgwatch_tests.sweep.plan.refusals import name_of
from pgwatch_tests.text.sql_names import qualified, shown

_AT_MOST_S = 3600.0


@dataclass(frozen=True, slots=True)
class _Index:
    """A row of queries/sweep/temporary_indexes.sql."""

    schema: str
    name: str
    is_valid: bool


class TemporaryIndexes:
    """Makes them where it begins and drops them where it ends, as a context manager.

    Those that a killed sweep left serve as well, and are dropped with them. Whoever has to wait for any of
    that is given way to. Raises what `session.running` does; what can't be made is in `not_made`.
    """

    def __init__(
        self, session: DatabaseSession, settings: Settings, graph: ForeignKeyGraph, slow: Collection[int]
    ) -> None:
        self._session = session
        self._escaping = pq.Escaping(session.connection.pgconn)
        self._before = graph
        self._slow = slow
        self._work = IndexBuilds(session, settings)
        self._can_work = False
        self._made: list[_Index] = []
        self.graph = graph
        """The graph of the foreign keys, with the new indexes."""
        self.not_made: dict[int, str] = {}
        """Why a key has none, in a clause, by the key's oid."""
        self.left: tuple[str, ...] = ()
        """At the end: a sentence per index that couldn't be dropped."""

    def __enter__(self) -> Self:
        try:
            self._work.__enter__()
        except CannotConnectError as error:
            self.not_made = dict.fromkeys(self._slow, f"no temporary one could be created: {error}")
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
        self.graph = ForeignKeyGraph(
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
                    self.left += (f"{name}: temporary index not dropped yet: {how}",)
        finally:
            self._work.__exit__(None, None, None)
        if self.left and isinstance(error, WorkCancelledError | ConnectionLostError):
            raise type(error)(f"{error}; {'; '.join(self.left)}") from None

    def _make(self, key: ForeignKey) -> bool:
        """Whether all of the key's leaves have one now; if not, `not_made` says why."""
        for leaf in self._before.leaves(key.child):
            why = self._made_on(leaf, key)
            if why:
                on = "" if leaf == key.child else f" on {name_of(self._before.relations[leaf])}"
                self.not_made[key.oid] = f"no temporary one could be created{on}: {why}"
                return False
        return True

    def _made_on(self, leaf: int, key: ForeignKey) -> str:
        """Creates an index. Returns why it failed (empty if not); its remains are dropped at the end."""
        relation = self._before.relations[leaf]
        index = _Index(relation.schema, f"pgwatch_sweep_{leaf}_{key.oid}", is_valid=False)
        statement = b"CREATE INDEX CONCURRENTLY %b ON %b.%b (%b)" % (
            quoted(index.name, self._escaping),
            quoted(relation.schema, self._escaping),
            quoted(relation.name, self._escaping),
            b", ".join(quoted(column, self._escaping) for column in key.child_columns),
        )
        try:
            self._work.wait_for_transactions(leaf)
            self._made.append(index)
            self._work.make(
                statement, _AT_MOST_S, partial(self._is_made, index), partial(self._dropped, index)
            )
            if not self._is_made(index):
                return "the index is invalid"
        except errors.DuplicateTable:
            self._made.remove(index)  # somebody else's, or one of ours that couldn't be dropped
            return f"something else is called {shown(index.name)}"
        except IndexGivenUpError as error:
            return f"{error} waited for the table"
        except HeldUpError as error:
            return str(error)
        except errors.LockNotAvailable as error:
            return self._who_holds(leaf) or full_server_message(error)
        except psycopg.Error as error:
            return full_server_message(error)
        return ""

    def _who_holds(self, leaf: int) -> str:
        with suppress(psycopg.Error):
            return self._work.held_up(leaf)
        return ""

    def _ours(self) -> list[_Index]:
        return self._session.ask("sweep/temporary_indexes", _Index)

    def _is_made(self, index: _Index) -> bool:
        return replace(index, is_valid=True) in self._ours()

    def _dropped(self, index: _Index) -> bool:
        try:
            self._work.drop(index.schema, index.name)
        except (psycopg.Error, IndexGivenUpError):
            return False
        return True

    def _dropped_at_last(self, index: _Index) -> bool:
        """Also where the session was cancelled, or is lost."""
        try:
            return self._dropped(index)
        except PgwatchError:
            return self._work.drop_at_last(index.schema, index.name)
