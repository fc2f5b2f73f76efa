"""Sweeps since a baseline: rows that were there stay; if asked for, new rows without a marker go too.

A row was there if its version is visible to the baseline's snapshot, or if its `created_at` is earlier: then
it was changed since. That a row without a marker came since takes a proof: a `created_at` from after the
baseline, or a table of which no row was updated. Else its version may be that of an old row that was changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from psycopg.pq.abc import Escaping

from pgwatch_tests.errors import RefusedError
from pgwatch_tests.leaks.attribution.origins import Attributor, Evidence
from pgwatch_tests.leaks.attribution.rows_by_test import TestLeak, by_test
from pgwatch_tests.leaks.baseline.baseline import Baseline
from pgwatch_tests.leaks.baseline.comparison import Comparison, Since
from pgwatch_tests.leaks.catalog.discovery import without_ignored
from pgwatch_tests.leaks.catalog.ignored_names import Ignores
from pgwatch_tests.leaks.catalog.obstacles import Obstacles
from pgwatch_tests.leaks.catalog.tables import KINDS, Table
from pgwatch_tests.leaks.markers.markers import Marker
from pgwatch_tests.leaks.model import Skipped, TableLeak
from pgwatch_tests.leaks.statements.any_rows import CLOCKS_APART_S, AnyRowStatements
from pgwatch_tests.leaks.statements.chunks import Chunks
from pgwatch_tests.leaks.statements.marked_rows import MarkedRowStatements, source
from pgwatch_tests.leaks.statements.nested_strings import is_of
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.sweep.model import MAY_BE_CHANGED, Kept
from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKeyGraph, TableNode
from pgwatch_tests.sweep.plan.refusals import Refusal, name_of
from pgwatch_tests.sweep.plan.rules import SEEN, YOUNG, Flagging
from pgwatch_tests.text.sql_names import shown

_TIMESTAMPTZ = 1184
_MATERIALIZED = KINDS["m"]


@dataclass(frozen=True, slots=True)
class _Counted:
    position: int
    rows: int


@dataclass(frozen=True, slots=True)
class SinceFindings:
    """The findings since a baseline, beside the flags of rows."""

    refused: Mapping[int, Refusal] = field(default_factory=dict)
    """The leaves of which no row may go, and why."""
    unproven: tuple[Kept, ...] = ()
    left_by: tuple[TestLeak, ...] = ()


class SinceBaseline:
    """The baseline of one sweep. Its methods raise what `session.running` does, and psycopg's errors."""

    def __init__(
        self,
        session: DatabaseSession,
        escaping: Escaping,
        baseline: Baseline,
        *,
        any_rows: bool,
        settle_s: float = 0.0,
    ) -> None:
        """Raises ConfigurationError for another database's baseline, and RefusedError.

        The latter where so many transactions were run since that what is old may look new.
        """
        self._session = session
        self._escaping = escaping
        self._baseline = baseline
        self.any_rows = any_rows
        self._comparison = Comparison(session, Since(baseline, any_rows, settle_s))
        if self._comparison.may_mistake_old_rows:
            raise RefusedError(
                "no row is swept since a baseline: this server has had more than four billion transactions, "
                "so old rows may look new"
            )

    def look_again(self) -> None:
        """Reads which tables there are now: of one that is written anew meanwhile, old rows look new."""
        self._comparison.look_again()

    def statements(self, markers: Sequence[Marker]) -> MarkedRowStatements:
        """The statements that look for the rows that a sweep starts from."""
        if not self.any_rows:
            return MarkedRowStatements(self._escaping, markers)
        return MarkedOrNew(self._escaping, markers, self.is_new)

    def tables(
        self, with_strings: Sequence[Table], role: str, ignores: Ignores, skipped: list[Skipped]
    ) -> list[Table]:
        """All tables in which there may be such rows; adds those that can't be looked at to `skipped`."""
        if not self.any_rows:
            return list(with_strings)
        discovery = without_ignored(self._comparison.discover(role), ignores)
        known = {table.oid for table in with_strings}
        skipped += discovery.skipped
        relations = self._session.ask("sweep/relations", TableNode)
        dated = {relation.oid for relation in relations if relation.created_at}
        others = [
            replace(table, columns=(), forms=(), has_created_at=table.oid in dated)
            for table in discovery.tables
            if table.oid not in known and table.kind != _MATERIALIZED
        ]
        return [*with_strings, *others]

    def flagged(self, flagging: Flagging, created_at: int) -> Flagging:
        """The flags of a row, and that it was there; `created_at` is that column's type, or 0.

        What is written meanwhile, by the sweep itself too (SET NULL), isn't known to have come since.
        """
        columns = ("xmin", *(("created_at",) if created_at else ()))
        seen = b"CASE WHEN %b THEN %d WHEN %b THEN %d ELSE 0 END::bigint" % (
            *(self._was_there(created_at != 0), SEEN),
            *(self._comparison.written_later, YOUNG),
        )
        return Flagging(
            tuple(dict.fromkeys((*flagging.columns, *columns))),
            f"(({flagging.expression})::bigint OPERATOR(pg_catalog.|) {seen.decode()})",
        )

    def is_new(self, table: Table) -> bytes:
        """Whether it is sure that a row came since."""
        if self._comparison.is_only_inserted_into(table.oid):
            proof = b"true"
        elif table.has_created_at:
            proof = self._created(b">=", self._baseline.taken_at.timestamp())
        else:
            proof = b"false"
        return b"(%b AND NOT %b AND %b)" % (self._comparison.unseen, self._comparison.written_later, proof)

    def refused(self, graph: ForeignKeyGraph) -> dict[int, Refusal]:
        """The leaves of tables that were written anew since: which of their rows were there can't be told."""
        found: dict[int, Refusal] = {}
        for relation in graph.relations.values():
            if not relation.ancestors and self._comparison.is_rewritten(relation.oid):
                detail = f"{name_of(relation)} was rewritten since the baseline, so its old rows look new"
                found |= dict.fromkeys(graph.leaves(relation.oid), Refusal("shared_with_real_data", detail))
        return found

    def unproven(
        self, tables: Sequence[Table], statements: MarkedRowStatements, obstacles: Obstacles
    ) -> tuple[Kept, ...]:
        """The rows without a marker that are new or changed, where nothing tells which."""
        if not self.any_rows:
            return ()
        chunks = Chunks(
            lambda part: self._session.fetch(self._count_unproven(part, statements), _Counted),
            obstacles.locked,
        )
        return tuple(
            Kept(shown(table.schema), shown(table.name), outcome.rows, "age_unknown", MAY_BE_CHANGED)
            for table, outcome in chunks.run(tables)
            # What can't be read is told by whoever looks for marked rows.
            if isinstance(outcome, _Counted) and outcome.rows
        )

    def left_by(
        self,
        rows: Sequence[tuple[Table, int]],
        markers: Sequence[Marker],
        known: Evidence | None,
        obstacles: Obstacles,
    ) -> tuple[TestLeak, ...]:
        """Returns which tests left the new rows; empty if no test is known."""
        if known is None or not rows:
            return ()
        statements: MarkedRowStatements | AnyRowStatements = MarkedRowStatements(
            self._escaping, markers, self._comparison.unseen
        )
        if self.any_rows:
            statements = AnyRowStatements(
                self._escaping, self._comparison.unseen, markers, self._baseline.taken_at
            )
            statements.look_into(table for table, _ in rows if table.columns)
        leaks = {
            table: TableLeak(shown(table.schema), shown(table.name), table.kind, (), number)
            for table, number in rows
        }
        attributed = Attributor(self._session, statements, known, obstacles.locked).attributed(leaks)
        return by_test(attributed)

    def _count_unproven(self, tables: Sequence[Table], statements: MarkedRowStatements) -> bytes:
        return b"\nUNION ALL ".join(
            b"SELECT %d AS position, pg_catalog.count(*) AS rows FROM %b WHERE %b AND NOT (%b) AND NOT (%b)"
            % (
                position,
                source(table, self._escaping),
                self._comparison.unseen,
                self._was_there(table.has_created_at),
                statements.condition(table),
            )
            for position, table in enumerate(tables)
        )

    def _was_there(self, has_created_at: bool) -> bytes:
        seen = b"NOT %b" % self._comparison.unseen
        if not has_created_at:
            return b"(%b)" % seen
        return b"(%b OR %b)" % (seen, self._created(b"<", self._taken_s))

    @property
    def _taken_s(self) -> float:
        """Before this, what a program's clock says was before the baseline."""
        return self._baseline.taken_at.timestamp() - CLOCKS_APART_S

    def _created(self, operator: bytes, at_s: float) -> bytes:
        """A comparison of `created_at`; false where that is none, or has no time zone: then it may be any."""
        compared = b"created_at OPERATOR(pg_catalog.%b) pg_catalog.to_timestamp(%f::float)" % (operator, at_s)
        return b"coalesce(CASE WHEN %b THEN %b END, false)" % (is_of(b"created_at", _TIMESTAMPTZ), compared)


class MarkedOrNew(MarkedRowStatements):
    """Statements for which a row also counts if it is new."""

    def __init__(
        self, escaping: Escaping, markers: Sequence[Marker], is_new: Callable[[Table], bytes]
    ) -> None:
        super().__init__(escaping, markers)
        self._is_new = is_new

    def condition(self, table: Table) -> bytes:
        conditions = [super().condition(table)] if table.columns else []
        return b" OR ".join([*conditions, self._is_new(table)])

    def marked_values(self, table: Table) -> bytes:
        return b"%b::pg_catalog.text[]" % super().marked_values(table)
