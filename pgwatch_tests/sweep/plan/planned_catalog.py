"""The catalog that a sweep was planned on, and the counts of rows that its transactions write."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from psycopg.rows import TupleRow

from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.sweep.pipelined import Asked, all_answers
from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKeyGraph
from pgwatch_tests.sweep.plan.related_rows import CatalogChangedError


@dataclass(frozen=True, slots=True)
class Oid:
    """A row of queries/sweep/locked_tables.sql."""

    oid: int


@dataclass(frozen=True, slots=True)
class _Mark:
    """A row of queries/sweep/catalog.sql."""

    oid: int
    is_whole: bool
    mark: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """The row of queries/sweep/transaction.sql: the id as its rows have it in xmin."""

    id: int
    skips_triggers: bool
    has_exclusive: bool


@dataclass(frozen=True, slots=True)
class _ExclusiveTable:
    """A row of queries/sweep/exclusive_tables.sql."""

    oid: int
    is_gone: bool
    file: int
    bytes: int


@dataclass(frozen=True, slots=True)
class TupleCounts:
    """A row of queries/sweep/tuple_counts.sql, or the difference of two."""

    oid: int
    inserted: int
    updated: int
    deleted: int
    emptied: bool = False
    """Whether it was emptied as a whole, or dropped: of that, the server counts no rows."""


Marks = Mapping[tuple[int, bool], int]
"""By table, and whether all of it counts."""


def read_marks(session: DatabaseSession, oids: Sequence[int]) -> Marks:
    """Returns a mark per table that tells changes. Raises what `session.running` does."""
    [marks] = all_answers(session, (_asked_marks(oids, oids),))
    return _marks(marks)


class Catalog:
    """Compares with what was read before the sweep's plan was made."""

    def __init__(self, session: DatabaseSession, graph: ForeignKeyGraph, marks: Marks) -> None:
        self._session = session
        self._graph = graph
        self._marks = marks
        self._all = [relation.oid for relation in graph.relations.values() if relation.kind == "r"]
        self._around: dict[int, tuple[frozenset[int], frozenset[int]]] = {}

    def begin(self, locking: bytes, leaves: Sequence[int]) -> dict[int, TupleCounts]:
        """Begins a transaction by `locking` tables. Returns `counts` before it wrote anything.

        Raises CatalogChangedError unless all is as it was about rows of these.
        """
        whole: set[int] = set()
        referring: set[int] = set()
        for leaf in leaves:
            own, others = self._surroundings(leaf)
            whole |= own
            referring |= others
        asked = _asked_marks(sorted(whole), sorted(referring - whole))
        # By itself: of a session that was ended meanwhile, libpq tells why only without a pipeline.
        self._session.execute(b"BEGIN; " + locking)
        marks, counts = all_answers(self._session, (asked, self._asked_counts(leaves)))
        now = _marks(marks)
        if any(self._marks.get(which) != mark for which, mark in now.items()) or len(now) < len(
            whole | referring
        ):
            raise CatalogChangedError
        return _counts(counts)

    def check(
        self, leaves: Collection[int], *, of_triggers: bool
    ) -> tuple[Transaction, dict[int, TupleCounts]]:
        """Has the server check what waits for the end, and deferred triggers fire.

        Returns the transaction as it is then, and the rows written so far, in all tables that a DELETE from
        these may write to. `of_triggers`: whether it has to be known if triggers wrote in it.
        """
        asked = Asked(queries.load("sweep/transaction").encode(), {"of_triggers": of_triggers})
        _, [transaction], counts = all_answers(
            self._session,
            (Asked(b"SET CONSTRAINTS ALL IMMEDIATE"), asked, self._asked_counts(leaves)),
        )
        return Transaction(*transaction), _counts(counts)

    def _asked_counts(self, leaves: Collection[int]) -> Asked:
        oids = {"oids": _literal(self._written_by(leaves))}
        return Asked(queries.load("sweep/tuple_counts").encode(), oids)

    def _written_by(self, leaves: Collection[int]) -> Collection[int]:
        graph = self._graph
        found = set(leaves)
        for leaf in leaves:
            keys = graph.referring_to(leaf)
            # A trigger, also of an UPDATE, may write anywhere.
            if graph.writers(leaf) or any(key.changes for key in keys):
                return self._all
            for key in keys:
                if key.on_delete == "c":
                    found.update(graph.leaves(key.child))
        return found

    def emptied(self, written: Mapping[int, TupleCounts]) -> frozenset[int]:
        """The leaves that the transaction that runs has emptied as a whole, or dropped.

        They have another file than before. If that isn't empty, rows were inserted into it since (`written`),
        or else it was copied by ALTER TABLE.
        """
        files = {one.oid: one.file for one in self._graph.relations.values() if one.kind == "r"}
        filled = {oid for oid, one in written.items() if one.inserted}
        return frozenset(
            one.oid
            for one in self._session.ask("sweep/exclusive_tables", _ExclusiveTable)
            if one.oid in files
            and (one.is_gone or (one.file != files[one.oid] and (not one.bytes or one.oid in filled)))
        )

    def _surroundings(self, leaf: int) -> tuple[frozenset[int], frozenset[int]]:
        found = self._around.get(leaf)
        if found is None:
            graph = self._graph
            # What a root gets, each leaf below it gets a copy of.
            own = frozenset((leaf,))
            children = {key.child for key in graph.referring_to(leaf)}
            # Only what has partitions can get another one.
            below = {
                oid
                for child in children
                if graph.relations[child].kind == "p"
                for part in graph.leaves(child)
                for oid in graph.relations[part].ancestors
            }
            found = self._around[leaf] = own, frozenset(children | below)
        return found


def _asked_marks(whole: Sequence[int], referring: Sequence[int]) -> Asked:
    asked = {"whole": _literal(whole), "referring": _literal(referring)}
    return Asked(queries.load("sweep/catalog").encode(), asked)


def _marks(rows: Sequence[TupleRow]) -> Marks:
    found = (_Mark(*row) for row in rows)
    return {(one.oid, one.is_whole): one.mark for one in found}


def _counts(rows: Sequence[TupleRow]) -> dict[int, TupleCounts]:
    found = (TupleCounts(*row) for row in rows)
    return {one.oid: one for one in found}


def _literal(oids: Collection[int]) -> str:
    return "{" + ",".join(map(str, oids)) + "}"


def written_since(before: Mapping[int, TupleCounts], now: Mapping[int, TupleCounts]) -> list[TupleCounts]:
    """Returns the rows written between two looks, by table."""
    nothing = TupleCounts(0, 0, 0, 0)
    differences = (
        TupleCounts(
            oid,
            count.inserted - earlier.inserted,
            count.updated - earlier.updated,
            count.deleted - earlier.deleted,
        )
        for oid, count in now.items()
        for earlier in (before.get(oid, nothing),)
    )
    return [one for one in differences if one.inserted or one.updated or one.deleted]
