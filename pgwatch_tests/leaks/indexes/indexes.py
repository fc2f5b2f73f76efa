"""Leak indexes: creates, drops and lists them, never in the way of sessions that use the tables."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Literal, Self

import psycopg
from psycopg import errors, pq

from pgwatch_tests.errors import PgwatchError, RefusedError
from pgwatch_tests.leaks.catalog.discovery import discover
from pgwatch_tests.leaks.catalog.ignored_names import Ignores
from pgwatch_tests.leaks.catalog.obstacles import reading_catalogs
from pgwatch_tests.leaks.catalog.tables import Table
from pgwatch_tests.leaks.indexes.index_builds import IndexBuilds, IndexGivenUpError
from pgwatch_tests.leaks.indexes.index_model import (
    IndexOutcome,
    IndexPlan,
    LeakIndex,
    NoIndex,
    PlannedIndex,
    index_bytes,
    index_name,
    provable_markers,
)
from pgwatch_tests.leaks.indexes.index_survey import (
    IndexSurvey,
    LeafTable,
    forbidden,
    wanted_leaves,
)
from pgwatch_tests.leaks.markers.markers import markers
from pgwatch_tests.leaks.statements.marked_rows import MarkedRowStatements
from pgwatch_tests.postgres.guard import DatabaseFacts, refusal
from pgwatch_tests.postgres.server_messages import server_message
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.postgres.stored_text import quoted
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.text.sql_names import qualified, shown

_SAMPLE_PAGES = 2000
_PASSES = 2  # it reads the table once to build, once more for what came meanwhile
_CAUTION = 20  # how much longer than estimated it may take
_PAGE = 8192
# 'pgwl': whoever makes or drops these indexes in a database holds it.
_ONE_AT_A_TIME = b"SELECT pg_catalog.pg_try_advisory_lock(1885829996) AS ours"


@dataclass(frozen=True, slots=True)
class _Sample:
    rows: int
    marked: int


class LeakIndexes:
    """A session in one database, as a context manager; its methods raise what `session.running` does.

    Besides: NotCheckedError if the catalogs can't be read, ConfigurationError for markers that aren't any
    or tables that aren't there, and RefusedError where the guard (with `any_database`, whatever the name),
    the settings or the markers forbid it.
    """

    def __init__(self, settings: Settings, *, any_database: bool = False) -> None:
        self._settings = settings
        self._any_database = any_database
        self._markers = markers(settings.markers)
        self._session = DatabaseSession(settings, read_only=False, gives_way=False)
        self._role = ""
        self.left: tuple[str, ...] = ()
        """The statements that drop half-built indexes which couldn't be dropped."""

    def __enter__(self) -> Self:
        try:
            self._session.open()
        except BaseException:
            self._session.close()
            raise
        self._escaping = pq.Escaping(self._session.connection.pgconn)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def list(self, tables: Sequence[str] = ()) -> tuple[LeakIndex, ...]:
        """The indexes that are there, on all tables or on some (`schema.table`)."""
        survey = self._survey(tables)
        named = {leaf.oid for leaf, _ in survey.leaves}
        return tuple(index for index in survey.present if not tables or index.table_oid in named)

    def plan(self, tables: Sequence[str], smallest_bytes: int) -> IndexPlan:
        """Returns the indexes to create: on some tables (`schema.table`), or on all from a size on.

        Reads a sample of each.
        """
        facts = self.guard()
        indexed = MarkedRowStatements(self._escaping, provable_markers(self._markers))
        survey = self._survey(tables)
        planned: list[PlannedIndex] = []
        impossible: list[NoIndex] = []
        done: list[LeakIndex] = []
        small = 0
        for leaf, root in survey.leaves:
            there = tuple(index for index in survey.present if index.table_oid == leaf.oid)
            if any(index.fits for index in there):
                done.extend(index for index in there if index.fits)
            elif leaf.bytes < smallest_bytes and not tables and not there:
                small += 1
            else:
                outcome = forbidden(leaf, self._role) or self._planned(leaf, root, indexed, there)
                if isinstance(outcome, PlannedIndex):
                    planned.append(outcome)
                else:
                    impossible.append(outcome)
        return IndexPlan(
            facts.database, tuple(planned), tuple(done), tuple(impossible), small, smallest_bytes
        )

    def create(self, plan: IndexPlan) -> Iterator[IndexOutcome]:
        """Makes what is planned, one after the other, and gives way to whoever has to wait for that.

        Interrupted, it leaves none half made, or names it in `left`. Raises CannotConnectError too: it takes
        a second connection.
        """
        self.guard()
        self._alone()
        roots = {table.oid: table for table in self._discovered()}
        with IndexBuilds(self._session, self._settings) as work:
            for planned in plan.planned:
                root = roots.get(planned.root_oid)
                if root is None:
                    yield _outcome(planned, "failed", 0.0, "the table is gone")
                else:
                    yield from self._create(work, planned, root)

    def drop(self, indexes: Iterable[LeakIndex]) -> Iterator[IndexOutcome]:
        """Drops indexes, one after the other. Raises CannotConnectError too: it takes a second connection."""
        self.guard()
        self._alone()
        with IndexBuilds(self._session, self._settings) as work:
            for index in indexes:
                yield self._drop(work, index)

    def guard(self) -> DatabaseFacts:
        """Returns the facts about the database. Raises RefusedError if nothing may be changed in it."""
        if self._settings.read_only:
            raise RefusedError("no index created or dropped: read_only is set")
        self._session.connection.require_session("creating or dropping an index")
        facts = self._facts()
        reason = refusal(facts, any_database=self._any_database)
        if reason is not None:
            raise RefusedError(reason)
        return facts

    def _facts(self) -> DatabaseFacts:
        with reading_catalogs("nothing was done"):
            return self._session.ask("server/test_database", DatabaseFacts)[0]

    def _alone(self) -> None:
        with reading_catalogs("nothing was done"):
            if not self._session.fetch_values(_ONE_AT_A_TIME, bool)[0]:
                raise RefusedError("another pgwatch-tests is creating or dropping indexes in this database")

    def _discovered(self) -> Sequence[Table]:
        with reading_catalogs("nothing was done"):
            self._role = self._session.identity().role
            with self._session.running():
                return discover(self._session.connection, self._role, Ignores(self._settings.ignore)).tables

    def _survey(self, tables: Sequence[str]) -> IndexSurvey:
        """Returns all indexes, and the leaves of `tables` (roots or leaves; all leaves if empty)."""
        roots = {table.oid: table for table in self._discovered()}
        with reading_catalogs("nothing was done"):
            locked = self._session.ask_values("leaks/locked_tables", int)
            leaves = self._session.ask(
                "leaks/index_leaves", LeafTable, {"roots": list(roots), "locked": locked}
            )
            present = self._session.ask("leaks/indexes", LeakIndex, {"locked": locked})
        wanted = wanted_leaves([(leaf, roots[leaf.root]) for leaf in leaves], tables)
        try:
            indexed = MarkedRowStatements(self._escaping, provable_markers(self._markers))
        except RefusedError:
            names = {}
        else:
            names = {
                leaf.oid: index_name(leaf.table, indexed.index_predicate(roots[leaf.root])) for leaf in leaves
            }
        return IndexSurvey(
            wanted,
            tuple(replace(one, fits=one.valid and one.name == names.get(one.table_oid)) for one in present),
        )

    def _planned(
        self, leaf: LeafTable, root: Table, indexed: MarkedRowStatements, there: tuple[LeakIndex, ...]
    ) -> PlannedIndex | NoIndex:
        if root.forms:
            columns = ", ".join(shown(name) for name, _ in root.forms)
            return NoIndex(
                shown(leaf.schema),
                shown(leaf.table),
                f"{columns}: nested values have to be taken apart, which no index predicate can do",
                "--ignore these columns, if no test writes there",
            )
        condition = indexed.index_predicate(root)
        percent = min(100.0, 100.0 * _SAMPLE_PAGES * _PAGE / max(leaf.bytes, 1))
        statement = (
            b"SELECT pg_catalog.count(*) AS rows, pg_catalog.count(*) FILTER (WHERE %b) AS marked "
            b"FROM ONLY %b"
        ) % (
            indexed.condition(root),
            self._name(leaf.schema, leaf.table),
        )
        if percent < 100:
            statement += b" TABLESAMPLE pg_catalog.system (%f)" % percent
        try:
            sample = self._session.fetch(statement, _Sample)[0]
        except psycopg.Error as error:
            return NoIndex(shown(leaf.schema), shown(leaf.table), *_why(error))
        read_s = self._session.last_duration_s
        return PlannedIndex(
            root_oid=root.oid,
            table_oid=leaf.oid,
            schema=leaf.schema,
            table=leaf.table,
            name=index_name(leaf.table, condition),
            columns=len(root.columns),
            table_bytes=leaf.bytes,
            build_s=_PASSES * read_s * 100 / percent,
            index_bytes=index_bytes(sample.marked * 100 / percent),
            write_s=read_s / max(sample.rows, 1),
            replaces=there,
        )

    def _create(self, work: IndexBuilds, planned: PlannedIndex, root: Table) -> Iterator[IndexOutcome]:
        # What an interrupted run left of the very same index has its name.
        for remainder in (index for index in planned.replaces if index.name == planned.name):
            dropped = self._drop(work, remainder)
            yield dropped
            if dropped.result == "failed":
                return
        made = self._made(work, planned, root)
        yield made
        if made.result == "failed":
            return
        yield from (self._drop(work, index) for index in planned.replaces if index.name != planned.name)

    def _made(self, work: IndexBuilds, planned: PlannedIndex, root: Table) -> IndexOutcome:
        condition = MarkedRowStatements(self._escaping, provable_markers(self._markers)).index_predicate(root)
        begun = time.monotonic()
        statement = b"CREATE INDEX CONCURRENTLY %b ON ONLY %b ((true)) WHERE %b" % (
            quoted(planned.name, self._escaping),
            self._name(planned.schema, planned.table),
            condition,
        )
        longest_s = max(self._settings.count_timeout_s, _CAUTION * planned.build_s)
        try:
            gave_way = work.make(
                statement,
                longest_s,
                lambda: self._is_there(planned, valid=True),
                lambda: self._removed(work, planned),
            )
        except (psycopg.Error, IndexGivenUpError) as error:
            reason, hint = _why(error)
            remains = (
                ""
                if self._removed(work, planned)
                else f"it left an invalid index: {self._drop_words(planned)}"
            )
            detail = "; ".join(filter(None, (reason, hint, remains)))
            return _outcome(planned, "failed", time.monotonic() - begun, detail)
        except BaseException:
            # Interrupted or cancelled: writers shall not pay for an index that serves no scan.
            before, self.left = (
                self.left,
                (*self.left, self._drop_words(planned)),
            )  # in case of a second interrupt
            if self._is_removed_at_last(work, planned):
                self.left = before
            raise
        duration_s = time.monotonic() - begun
        if not self._is_used(planned, root):
            return _outcome(planned, "unused", duration_s, "the planner doesn't use it for a scan")
        told = f"after giving way {gave_way:,} times to sessions that waited for the table"
        return _outcome(planned, "made", duration_s, told if gave_way else "")

    def _removed(self, work: IndexBuilds, planned: PlannedIndex) -> bool:
        """Whether nothing is left of an index that couldn't be made."""
        try:
            if self._is_there(planned, valid=False):
                work.drop(planned.schema, planned.name)
        except (psycopg.Error, IndexGivenUpError):
            return False
        return True

    def _is_removed_at_last(self, work: IndexBuilds, planned: PlannedIndex) -> bool:
        try:
            return self._removed(work, planned)
        except PgwatchError:
            return work.drop_at_last(planned.schema, planned.name)

    def _is_there(self, planned: PlannedIndex, *, valid: bool) -> bool:
        """Whether there is an index of that name which is ours: another's may bear it."""
        bound: dict[str, object] = {"locked": []}
        indexes = self._session.ask("leaks/indexes", LeakIndex, bound)
        return any(
            (one.table_oid, one.name, one.valid) == (planned.table_oid, planned.name, valid)
            for one in indexes
        )

    def _drop_words(self, planned: PlannedIndex) -> str:
        return f"DROP INDEX {qualified(planned.schema, planned.name)}"

    def _is_used(self, planned: PlannedIndex, root: Table) -> bool:
        statements = MarkedRowStatements(self._escaping, self._markers)
        explained = b"EXPLAIN (COSTS OFF) " + statements.count([root])
        with suppress(psycopg.Error), self._session.running():
            lines = self._session.connection.execute(explained).fetchall()
            return any(planned.name in str(line) for (line,) in lines)
        return False

    def _drop(self, work: IndexBuilds, index: LeakIndex) -> IndexOutcome:
        begun = time.monotonic()
        if not index.owned:
            detail = f"only its owner may: {shown(index.owner)}"
            return IndexOutcome(index.schema, index.table, index.name, "failed", 0.0, detail)
        try:
            work.drop(index.schema, index.name)
        except (psycopg.Error, IndexGivenUpError) as error:
            detail = "; ".join(filter(None, _why(error)))
            return IndexOutcome(
                index.schema, index.table, index.name, "failed", time.monotonic() - begun, detail
            )
        return IndexOutcome(index.schema, index.table, index.name, "dropped", time.monotonic() - begun)

    def _name(self, schema: str, name: str) -> bytes:
        return quoted(schema, self._escaping) + b"." + quoted(name, self._escaping)


def _outcome(
    planned: PlannedIndex, result: Literal["made", "unused", "failed"], duration_s: float, detail: str = ""
) -> IndexOutcome:
    return IndexOutcome(planned.schema, planned.table, planned.name, result, duration_s, detail)


def _why(error: psycopg.Error | IndexGivenUpError) -> tuple[str, str]:
    """Returns why a build or drop failed, and what would help."""
    if isinstance(error, IndexGivenUpError):
        return f"gave way each time: {error} waited for the table", "run it again when no test changes it"
    if isinstance(error, errors.LockNotAvailable):
        reason = "locked, or a transaction that began before is still open"
        return reason, "`pgwatch-tests locks` shows sessions; run it again"
    if isinstance(error, errors.InvalidObjectDefinition):
        return f"a column's type can't be used in an index: {server_message(error)}", ""
    return server_message(error), ""
