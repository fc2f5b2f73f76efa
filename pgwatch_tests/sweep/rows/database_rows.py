"""Database rows: reads, locks and deletes rows over a sweep's connection, named by leaf and tid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from psycopg import errors
from psycopg.rows import TupleRow

from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKey
from pgwatch_tests.sweep.plan.related_rows import Related
from pgwatch_tests.sweep.rows.statements import SweepStatements
from pgwatch_tests.sweep.tids import Tids, read_and_write_tids, read_eight, read_four, read_tids

GONE = (errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedFunction, errors.InvalidSchemaName)
"""Errors of a statement whose planned tables or columns are gone, or are others by now."""


class DatabaseRows:
    """Its methods raise what `session.running` does."""

    def __init__(self, session: DatabaseSession, statements: SweepStatements) -> None:
        self._session = session
        self._statements = statements

    def versions(self, leaf: int, tids: Sequence[int]) -> dict[int, int]:
        """Returns the existing ones of these rows, each with its xmin: a tid may be another row's by now."""
        return self._versions(self._statements.versions(leaf), tids)

    def lock(self, leaf: int, tids: Sequence[int]) -> dict[int, int]:
        """Locks rows for deletion, without waiting; returns the locked ones, each with its xmin."""
        return self._versions(self._statements.lock(leaf), tids)

    def lock_for_change(self, leaf: int, tids: Sequence[int]) -> dict[int, int]:
        """Locks rows for a change, without waiting; returns the locked ones, each with its xmin."""
        return self._versions(self._statements.lock_for_change(leaf), tids)

    def children(self, key: ForeignKey, leaf: int, tids: Sequence[int]) -> Related:
        """Returns the rows that refer to these: place of the one referred to, leaf, tid, xmin, flags."""
        return self._related(self._statements.children(key, leaf), tids)

    def parents(self, key: ForeignKey, leaf: int, tids: Sequence[int]) -> Related:
        """Returns the rows that these refer to: place of the one that refers, leaf, tid, xmin, flags."""
        return self._related(self._statements.parents(key, leaf), tids)

    def referring(
        self, key: ForeignKey, leaf: int, tids: Sequence[int]
    ) -> Iterator[tuple[int, int, int, int]]:
        """Returns what `children` does, without flags: place, leaf, tid, xmin."""
        [found] = self._fetch(self._statements.referring(key, leaf), {"tids": Tids(tids)})
        places, leaves, referring, xmins = found
        return zip(
            *(read_four(places), read_four(leaves), read_tids(referring), read_four(xmins)), strict=True
        )

    def delete(self, going: Mapping[int, Sequence[int]]) -> dict[int, dict[int, int]]:
        """Deletes rows of these leaves in one statement. What went, by leaf: tids, each with its xmin."""
        leaves = tuple(going)
        bound = {f"tids_{place}": Tids(going[leaf]) for place, leaf in enumerate(leaves)}
        rows = self._fetch(self._statements.delete(leaves), bound)
        if len(leaves) == 1:
            return {leaves[0]: {int.from_bytes(tid): xmin for _, tid, xmin in rows}}
        gone: dict[int, dict[int, int]] = {leaf: {} for leaf in leaves}
        for place, tid, xmin in rows:
            gone[leaves[place]][int.from_bytes(tid)] = xmin
        return gone

    def current(self, leaf: int, tids: Sequence[int]) -> dict[int, int | None]:
        """Returns the present tids of rows that this transaction may have changed, by former tid; None if
        gone."""
        found = self._fetch(self._statements.current(leaf), {"tids": Tids(tids)})
        return {tids[place]: None if tid is None else int.from_bytes(tid) for place, tid in found}

    def dangling(self, key: ForeignKey, leaf: int, tids: Sequence[int]) -> list[int]:
        """Returns the rows of a leaf, possibly changed by this transaction, that refer to no row."""
        return [
            tids[place]
            for (place,) in self._fetch(self._statements.dangling(key, leaf), {"tids": Tids(tids)})
        ]

    def _versions(self, statement: bytes, tids: Sequence[int]) -> dict[int, int]:
        if not tids:
            return {}
        [(found, xmins)] = self._fetch(statement, {"tids": Tids(tids)})
        return _by_tid(found, xmins)

    def _related(self, statement: bytes, tids: Sequence[int]) -> Related:
        [(places, leaves, found, xmins, flags)] = self._fetch(statement, {"tids": Tids(tids)})
        return Related(
            *(read_four(places), read_four(leaves), read_tids(found), read_four(xmins), read_eight(flags))
        )

    def _fetch(self, statement: bytes, bound: Mapping[str, Tids]) -> list[TupleRow]:
        def read(connection: OwnConnection) -> list[TupleRow]:
            with connection.cursor(binary=True) as cursor:
                read_and_write_tids(cursor)
                return cursor.execute(statement, bound).fetchall()

        return self._session.run(read)


def _by_tid(tids: bytes | None, xmins: bytes | None) -> dict[int, int]:
    return dict(zip(read_tids(tids), read_four(xmins), strict=True))
