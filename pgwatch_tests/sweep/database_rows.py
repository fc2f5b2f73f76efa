"""What a sweep asks of a database about rows, over its connection. Rows are named by leaf and tid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from psycopg import Cursor
from psycopg.adapt import Buffer, Loader
from psycopg.pq import Format
from psycopg.rows import TupleRow

from pgwatch_tests.leaks.session import ScanSession
from pgwatch_tests.server.connection import OwnConnection
from pgwatch_tests.sweep.clusters import RelatedRow
from pgwatch_tests.sweep.foreign_keys import ForeignKey
from pgwatch_tests.sweep.statements import SweepStatements, tids_literal

# src/include/catalog/pg_type.dat
_TID, _XID = 27, 28


class DatabaseRows:
    """Its methods raise what ScanSession.running does."""

    def __init__(self, session: ScanSession, statements: SweepStatements) -> None:
        self._session = session
        self._statements = statements

    def versions(self, leaf: int, tids: Sequence[int]) -> dict[int, int]:
        """Those of some rows that are there, each with its xmin: a tid may be another row's by now."""
        return dict(self._rows(self._statements.versions(leaf), tids)) if tids else {}

    def lock(self, leaf: int, tids: Sequence[int]) -> dict[int, int]:
        """The same, of those that could be locked at once, to be deleted."""
        return dict(self._rows(self._statements.lock(leaf), tids)) if tids else {}

    def lock_for_change(self, leaf: int, tids: Sequence[int]) -> dict[int, int]:
        """The same, to be changed."""
        return dict(self._rows(self._statements.lock_for_change(leaf), tids)) if tids else {}

    def children(self, key: ForeignKey, leaf: int, tids: Sequence[int]) -> Sequence[RelatedRow]:
        """The rows that refer to these: place of the one referred to, leaf, tid, xmin, flags."""
        return self._rows(self._statements.children(key, leaf), tids)

    def parents(self, key: ForeignKey, leaf: int, tids: Sequence[int]) -> Sequence[RelatedRow]:
        """The rows that these refer to: place of the one that refers, leaf, tid, xmin, flags."""
        return self._rows(self._statements.parents(key, leaf), tids)

    def referring(
        self, key: ForeignKey, leaf: int, tids: Sequence[int]
    ) -> Sequence[tuple[int, int, int, int]]:
        """As `children`, without flags."""
        return self._rows(self._statements.referring(key, leaf), tids)

    def delete(self, going: Mapping[int, Sequence[int]]) -> dict[int, dict[int, int]]:
        """Deletes rows of these leaves in one statement. What went, by leaf: tids, each with its xmin."""
        leaves = tuple(going)
        bound = {f"tids_{place}": tids_literal(going[leaf]) for place, leaf in enumerate(leaves)}
        gone: dict[int, dict[int, int]] = {leaf: {} for leaf in leaves}
        for place, tid, xmin in self._fetch(self._statements.delete(leaves), bound):
            gone[leaves[place]][tid] = xmin
        return gone

    def current(self, leaf: int, tids: Sequence[int]) -> dict[int, int | None]:
        """Where rows are that this transaction may have changed: by tid as it was; None if they are gone."""
        return {tids[place]: tid for place, tid in self._rows(self._statements.current(leaf), tids)}

    def _rows(self, statement: bytes, tids: Sequence[int]) -> list[TupleRow]:
        return self._fetch(statement, {"tids": tids_literal(tids)})

    def _fetch(self, statement: bytes, bound: Mapping[str, str]) -> list[TupleRow]:
        def read(connection: OwnConnection) -> list[TupleRow]:
            with connection.cursor(binary=True) as cursor:
                read_as_numbers(cursor)
                return cursor.execute(statement, bound).fetchall()

        return self._session.run(read)


class _NumberLoader(Loader):
    """A tid as one number, block and offset (ItemPointerData); a transaction id as a number."""

    format = Format.BINARY

    def load(self, data: Buffer) -> int:
        return int.from_bytes(data)


def read_as_numbers(cursor: Cursor[TupleRow]) -> None:
    """Makes a cursor that reads binary values read tids and transaction ids as numbers."""
    for oid in (_TID, _XID):
        cursor.adapters.register_loader(oid, _NumberLoader)
