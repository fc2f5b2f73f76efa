"""What `clusters` asks of a database, over the connection of a sweep."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from psycopg import Cursor
from psycopg.rows import TupleRow
from psycopg.types.string import TextLoader

from pgwatch_tests.leaks.session import ScanSession
from pgwatch_tests.server.connection import OwnConnection
from pgwatch_tests.server.lenient_text import LenientTextLoader
from pgwatch_tests.sweep.clusters import ChildRow
from pgwatch_tests.sweep.foreign_keys import ForeignKey
from pgwatch_tests.sweep.statements import SweepStatements, tids_literal

# tid and xid: src/include/catalog/pg_type.dat
_AS_TEXT = (27, 28)


class DatabaseRows:
    """Its methods raise what ScanSession.running does."""

    def __init__(self, session: ScanSession, statements: SweepStatements) -> None:
        self._session = session
        self._statements = statements

    def versions(self, leaf: int, tids: Sequence[str]) -> dict[str, str]:
        """Those of some rows that are there, each with its version: a tid may be another row's by now."""
        return dict(self._rows(self._statements.versions(leaf), tids)) if tids else {}

    def lock_versions(self, leaf: int, tids: Sequence[str]) -> dict[str, str]:
        """The same of those that could be locked at once."""
        return dict(self._rows(self._statements.lock_versions(leaf), tids)) if tids else {}

    def children(self, key: ForeignKey, leaf: int, tids: Sequence[str]) -> Sequence[ChildRow]:
        """The rows that refer to these: place of the one referred to, leaf, tid, flags."""
        return self._rows(self._statements.children(key, leaf), tids)

    def parents(self, key: ForeignKey, leaf: int, tids: Sequence[str]) -> Sequence[ChildRow]:
        """The rows that these refer to: place of the one that refers, leaf, tid, flags."""
        return self._rows(self._statements.parents(key, leaf), tids)

    def not_locked(self, leaf: int, tids: Sequence[str]) -> Collection[str]:
        """Locks the rows, without waiting. Returns those that couldn't be."""
        return self._not_locked(leaf, tids, for_change=False)

    def hold_referring(self, key: ForeignKey, leaf: int, tids: Sequence[str]) -> Collection[int]:
        """Locks the rows that would be changed. Returns the places of rows for which that isn't possible."""
        found: defaultdict[int, dict[str, list[int]]] = defaultdict(dict)
        for place, referring, tid in self._rows(self._statements.referring(key, leaf), tids):
            found[referring].setdefault(tid, []).append(place)
        places: set[int] = set()
        for referring, by_tid in found.items():
            for tid in self._not_locked(referring, list(by_tid), for_change=True):
                places.update(by_tid[tid])
        return places

    def delete(self, going: Mapping[int, Sequence[str]]) -> dict[int, int]:
        """Deletes rows of these leaves in one statement. Returns how many rows of each leaf that were."""
        leaves = tuple(going)
        bound = {f"tids_{place}": tids_literal(going[leaf]) for place, leaf in enumerate(leaves)}
        with self._session.running(), self._session.connection.cursor() as cursor:
            cursor.execute(self._statements.delete(leaves), bound)
            if len(leaves) == 1:
                return {leaves[0]: cursor.rowcount}
            [(counts,)] = cursor.fetchall()
        assert isinstance(counts, list)
        return dict(zip(leaves, counts, strict=True))

    def still_there(self, leaf: int, tids: Sequence[str]) -> list[str]:
        """Those of some rows that are still there."""
        return [tid for (tid,) in self._rows(self._statements.still_there(leaf), tids)]

    def _not_locked(self, leaf: int, tids: Sequence[str], *, for_change: bool) -> Collection[str]:
        counting = self._statements.lock_for_change if for_change else self._statements.lock
        [(count,)] = self._rows(counting(leaf), tids)
        if count == len(tids):
            return ()
        locked = self._rows(self._statements.lockable(leaf, for_change=for_change), tids)
        return set(tids).difference(tid for (tid,) in locked)

    def _rows(self, statement: bytes, tids: Sequence[str]) -> list[TupleRow]:
        def read(connection: OwnConnection) -> list[TupleRow]:
            with connection.cursor() as cursor:
                _read_as_text(cursor)
                return cursor.execute(statement, {"tids": tids_literal(tids)}).fetchall()

        return self._session.run(read)


def _read_as_text(cursor: Cursor[TupleRow]) -> None:
    # psycopg's own is the faster one, but under SQL_ASCII it leaves bytes as they are.
    loader = LenientTextLoader if cursor.connection.info.encoding == "ascii" else TextLoader
    for oid in _AS_TEXT:
        cursor.adapters.register_loader(oid, loader)
