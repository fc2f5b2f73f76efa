"""What `clusters` asks of a database, over the connection of a sweep."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from psycopg.rows import TupleRow

from pgwatch_tests.leaks.session import ScanSession
from pgwatch_tests.sweep.foreign_keys import ForeignKey
from pgwatch_tests.sweep.statements import SweepStatements, tids_literal


class DatabaseRows:
    """Its methods raise what ScanSession.running does. A table that a leaf belongs to stays what it is."""

    def __init__(self, session: ScanSession, statements: SweepStatements) -> None:
        self._session = session
        self._statements = statements

    def fresh(self, leaf: int, tids: Sequence[str]) -> dict[str, int]:
        """Those of some rows that are still there and marked, with their flags now."""
        rows = self._rows(self._statements.seeds(leaf), {"tids": tids_literal(tids)})
        return {tid: flags for tid, flags in rows if flags}

    def children(
        self, key: ForeignKey, leaf: int, tids: Sequence[str]
    ) -> Iterable[tuple[int, int, str, int]]:
        """The rows that refer to these: place of the one referred to, leaf, tid, flags."""
        return self._numbered(self._statements.children(key, leaf), tids)

    def parents(self, key: ForeignKey, leaf: int, tids: Sequence[str]) -> Iterable[tuple[int, int, str, int]]:
        """The rows that these refer to: place of the one that refers, leaf, tid, flags."""
        return self._numbered(self._statements.parents(key, leaf), tids)

    def not_locked(self, leaf: int, tids: Sequence[str]) -> Collection[str]:
        """Locks the rows, without waiting. Returns those that couldn't be."""
        return self._not_locked(self._statements.lock(leaf), tids)

    def hold_referring(self, key: ForeignKey, leaf: int, tids: Sequence[str]) -> Collection[int]:
        """Locks the rows that would be changed. Returns the places of rows for which that isn't possible."""
        found: defaultdict[int, dict[str, list[int]]] = defaultdict(dict)
        for number, referring, tid in self._rows(
            self._statements.referring(key, leaf), {"tids": tids_literal(tids)}
        ):
            found[referring].setdefault(tid, []).append(number - 1)
        places: set[int] = set()
        for referring, by_tid in found.items():
            for tid in self._not_locked(self._statements.lock_for_change(referring), list(by_tid)):
                places.update(by_tid[tid])
        return places

    def delete(self, going: Mapping[int, Sequence[str]]) -> dict[int, int]:
        """Deletes rows of these leaves in one statement. Returns how many rows of each leaf that were."""
        leaves = tuple(going)
        bound = {f"tids_{place}": tids_literal(going[leaf]) for place, leaf in enumerate(leaves)}
        [(counts,)] = self._rows(self._statements.delete(leaves), bound)
        return dict(zip(leaves, counts, strict=True))

    def still_there(self, leaf: int, tids: Sequence[str]) -> list[str]:
        """Those of some rows that are still there."""
        return [
            tid for (tid,) in self._rows(self._statements.still_there(leaf), {"tids": tids_literal(tids)})
        ]

    def _not_locked(self, statement: bytes, tids: Sequence[str]) -> Collection[str]:
        [(count, locked)] = self._rows(statement, {"tids": tids_literal(tids), "expected": len(tids)})
        return () if count == len(tids) else set(tids).difference(locked or ())

    def _numbered(self, statement: bytes, tids: Sequence[str]) -> Iterable[tuple[int, int, str, int]]:
        for number, leaf, tid, flags in self._rows(statement, {"tids": tids_literal(tids)}):
            yield number - 1, leaf, tid, flags

    def _rows(self, statement: bytes, bound: Mapping[str, object]) -> list[TupleRow]:
        with self._session.running(), self._session.connection.cursor() as cursor:
            return cursor.execute(statement, bound).fetchall()
