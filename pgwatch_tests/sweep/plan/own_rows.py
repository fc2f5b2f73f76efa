"""Sweeps of rows by the transactions that wrote them: those of whoever asks, with a marker or without.

Whoever asks has made sure that these transactions inserted all rows of a table that bear their ids, and only
changed none. A row with the marker of another test or run stays all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from psycopg.pq.abc import Escaping

from pgwatch_tests.leaks.attribution.rows_by_test import TestLeak
from pgwatch_tests.leaks.baseline import relations
from pgwatch_tests.leaks.catalog.discovery import without_ignored, without_strange_plans
from pgwatch_tests.leaks.catalog.ignored_names import Ignores
from pgwatch_tests.leaks.catalog.obstacles import Obstacles
from pgwatch_tests.leaks.catalog.tables import Table
from pgwatch_tests.leaks.markers.markers import Marker
from pgwatch_tests.leaks.model import Skipped
from pgwatch_tests.leaks.statements.marked_rows import MarkedRowStatements
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.sweep.model import Kept
from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKeyGraph
from pgwatch_tests.sweep.plan.refusals import Refusal
from pgwatch_tests.sweep.plan.rules import Flagging
from pgwatch_tests.sweep.plan.since_baseline import MarkedOrNew


class OwnRows:
    """The rows of these transactions, in the place of a baseline. Methods raise what `session.running` does,
    and psycopg's errors."""

    any_rows = True

    def __init__(
        self, session: DatabaseSession, escaping: Escaping, transactions: Mapping[int, frozenset[int]]
    ) -> None:
        """`transactions` are the lower 32 bits of their ids, by the oid of the table, or of its root."""
        self._session = session
        self._escaping = escaping
        self._transactions = transactions

    def look_again(self) -> None:
        """Does nothing: no table is compared with what it was."""

    def statements(self, markers: Sequence[Marker]) -> MarkedRowStatements:
        """The statements that look for the rows that a sweep starts from."""
        return MarkedOrNew(self._escaping, markers, self.is_new)

    def tables(
        self, with_strings: Sequence[Table], role: str, ignores: Ignores, skipped: list[Skipped]
    ) -> list[Table]:
        """All tables with markers, or with rows of these transactions."""
        found = relations.read(self._session).discovery(role)
        found = self._session.run(lambda connection: without_strange_plans(connection, found))
        known = {table.oid for table in with_strings}
        others = [
            replace(table, columns=(), forms=(), has_created_at=False)
            for table in without_ignored(found, ignores).tables
            if table.oid in self._transactions and table.oid not in known
        ]
        return [*with_strings, *others]

    def is_new(self, table: Table) -> bytes:
        """Whether a row is of these transactions."""
        xids = self._transactions.get(table.oid)
        if not xids:
            return b"false"
        listed = b",".join(b"%d" % xid for xid in sorted(xids))
        return b"(xmin OPERATOR(pg_catalog.=) ANY ('{%b}'::pg_catalog.xid[]))" % listed

    def flagged(self, flagging: Flagging, created_at: int) -> Flagging:
        """The flags of a row, which read its transaction."""
        return replace(flagging, columns=tuple(dict.fromkeys((*flagging.columns, "xmin"))))

    def refused(self, graph: ForeignKeyGraph) -> dict[int, Refusal]:
        """No table is."""
        return {}

    def unproven(
        self, tables: Sequence[Table], statements: MarkedRowStatements, obstacles: Obstacles
    ) -> tuple[Kept, ...]:
        """No row is."""
        return ()

    def left_by(self, *_: object) -> tuple[TestLeak, ...]:
        """Nobody is asked for."""
        return ()
