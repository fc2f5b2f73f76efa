"""The survey that a sweep reads before it deletes, and between passes: marked rows and foreign keys."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import psycopg
from psycopg import pq

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.leaks.attribution.origins import evidence
from pgwatch_tests.leaks.catalog.discovery import discover
from pgwatch_tests.leaks.catalog.foreign_code import strange_plans
from pgwatch_tests.leaks.catalog.ignored_names import Ignores
from pgwatch_tests.leaks.catalog.obstacles import Obstacles
from pgwatch_tests.leaks.catalog.tables import KINDS, Table, full_name
from pgwatch_tests.leaks.leftovers import matches
from pgwatch_tests.leaks.markers.markers import markers
from pgwatch_tests.leaks.model import Skipped
from pgwatch_tests.leaks.statements.marked_rows import MarkedRowStatements
from pgwatch_tests.postgres.leases import live_lease_numbers
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.postgres.stored_text import quoted
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep.model import Kept
from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKey, ForeignKeyGraph, TableNode
from pgwatch_tests.sweep.plan.marked_rows import SeedReader, Seeds
from pgwatch_tests.sweep.plan.own_rows import OwnRows
from pgwatch_tests.sweep.plan.planned_catalog import Marks, read_marks
from pgwatch_tests.sweep.plan.refusals import name_of
from pgwatch_tests.sweep.plan.row_flags import RowFlags
from pgwatch_tests.sweep.plan.rules import Flagging
from pgwatch_tests.sweep.plan.since_baseline import SinceBaseline, SinceFindings
from pgwatch_tests.sweep.request import SweepRequest
from pgwatch_tests.sweep.tids import literal
from pgwatch_tests.text.sql_names import qualified, shown

_MATERIALIZED = KINDS["m"]
_NEW_PARTITIONS = Skipped("", "", "partitions created meanwhile", "run it again")


@dataclass(frozen=True, slots=True)
class _Server:
    """The row of queries/sweep/server.sql."""

    has_commit_timestamps: bool
    counts_rows: bool
    oldest: int


@dataclass(frozen=True, slots=True)
class _Marked:
    marked: bool


@dataclass(frozen=True, slots=True)
class Survey:
    """The survey of a database."""

    graph: ForeignKeyGraph
    flagging: Mapping[int, Flagging]
    """The flags of rows, by leaf or root."""
    marked: Sequence[Table]
    """The tables in which there are marked rows."""
    unmarked: Sequence[Table]
    """The tables without marked rows."""
    seeds: Seeds
    """The marked rows that are asked for."""
    counts: Mapping[int, int]
    """The number of marked rows by leaf, also of those that aren't asked for."""
    ignored: Collection[int]
    """The leaves that the settings leave out."""
    not_checked: tuple[Skipped, ...]
    """The tables that couldn't be searched for marked rows."""
    marks: Marks = field(default_factory=dict)
    """The catalogs' marks of all tables; empty if nothing is to be deleted."""
    oldest: int = 0
    """The oldest transaction that hadn't ended before all this was read, modulo 2^32."""
    live_runs: frozenset[int] = frozenset()
    """The numbers of the leases that were held (see `leases`)."""
    remembered: frozenset[int] = frozenset()
    """The tables, by their tops, that the settings say bear markers."""
    since: SinceFindings = field(default_factory=SinceFindings)
    """The findings since a baseline."""
    counts_rows: bool = True
    """Whether the server counts the rows that this session writes (track_counts)."""
    views: tuple[Kept, ...] = ()
    """The marked rows that materialized views go on to show until they are refreshed."""

    @property
    def bearing(self) -> frozenset[int]:
        """The leaves of tables in which there are marked rows."""
        tops = {self.graph.relations[leaf].top for leaf in self.counts}
        return frozenset(leaf for top in tops for leaf in self.graph.leaves(top))

    @property
    def unread(self) -> dict[int, str]:
        """The leaves of tables that couldn't be searched, and why."""
        why = {(one.schema, one.table): one.reason for one in self.not_checked}
        return {
            leaf: why[name]
            for relation in self.graph.relations.values()
            if (name := (shown(relation.schema), shown(relation.name))) in why
            for leaf in self.graph.leaves(relation.oid)
        }


class Surveyor:
    """Reads over the connection of a sweep. Its methods raise what `session.running` does."""

    def __init__(self, session: DatabaseSession, settings: Settings, request: SweepRequest) -> None:
        """Raises ConfigurationError for markers that aren't any, besides."""
        self._session = session
        self._settings = settings
        self._request = request
        self._escaping = pq.Escaping(session.connection.pgconn)
        obstacles = Obstacles(session, settings)
        usable = obstacles.usable(markers(settings.markers), self._escaping)
        self._usable = usable
        self._obstacles = obstacles
        self._since: SinceBaseline | OwnRows | None = None
        if request.since is not None:
            self._since = SinceBaseline(
                session, self._escaping, request.since, any_rows=request.any_rows, settle_s=request.settle_s
            )
        elif request.own_transactions:
            self._since = OwnRows(session, self._escaping, request.own_transactions)
        self._statements = (
            MarkedRowStatements(self._escaping, usable)
            if self._since is None
            else self._since.statements(usable)
        )
        self._reader = SeedReader(session, self._escaping, self._statements, obstacles)

    def survey(self, role: str) -> Survey:
        """Returns the survey of the database, for `role`."""
        ignores = Ignores(self._settings.ignore)
        [server] = self._session.ask("sweep/server", _Server)
        discovery = self._session.run(lambda connection: discover(connection, role, ignores))
        tables = [table for table in discovery.tables if table.kind != _MATERIALIZED]
        skipped = list(discovery.skipped)
        if self._since is not None:
            self._since.look_again()
            tables = self._since.tables(tables, role, ignores, skipped)
        skipped += self._unknown_part(tables, skipped)
        marked, more = self._reader.marked_tables(tables)
        skipped += more
        graph, marks = self._graph()
        live_runs = live_lease_numbers(self._session)
        flagging = self._flagging(graph, marked, server, live_runs)
        # What was made since they were read isn't in the graph.
        marked = [table for table in marked if table.oid in flagging]
        with_marked = {table.oid for table in marked}
        seeds, more = self._seeds(marked, flagging)
        return Survey(
            graph=graph,
            flagging=flagging,
            marked=marked,
            unmarked=[table for table in tables if table.oid not in with_marked],
            seeds=seeds,
            counts=seeds.counts,
            ignored=_ignored(graph, ignores),
            not_checked=(*skipped, *more),
            marks=marks,
            oldest=server.oldest,
            live_runs=live_runs,
            remembered=frozenset(
                relation.oid
                for relation in graph.relations.values()
                if not relation.ancestors and matches(name_of(relation), self._settings.marked_tables)
            ),
            since=self._findings(graph, tables, marked, seeds),
            counts_rows=server.counts_rows,
            views=self._views(discovery.tables),
        )

    def _views(self, tables: Iterable[Table]) -> tuple[Kept, ...]:
        if self._since is not None:
            return ()
        views = [
            table
            for table in tables
            if table.kind == _MATERIALIZED and self._request.asks_for("rows", full_name(table))
        ]
        # What can't be read of them is told where leaks are counted: nothing would go from there.
        numbers, _ = self._reader.numbers(views)
        return tuple(
            Kept(
                *(shown(view.schema), shown(view.name), rows, "refused"),
                "a materialized view shows them until it is refreshed: REFRESH MATERIALIZED VIEW "
                f"{qualified(view.schema, view.name)}",
            )
            for view, rows in numbers.items()
        )

    def _unknown_part(self, tables: Iterable[Table], skipped: Iterable[Skipped]) -> Iterator[Skipped]:
        """Says so where the only table that is asked for isn't one in which markers are looked for."""
        part = self._request.part
        if part is None or part.kind != "rows":
            return
        known = {full_name(table) for table in tables} | {f"{one.schema}.{one.table}" for one in skipped}
        if part.name not in known:
            yield Skipped("", part.name, "no such table with text that may be read", "name it SCHEMA.TABLE")

    def _findings(
        self, graph: ForeignKeyGraph, tables: Sequence[Table], marked: Sequence[Table], seeds: Seeds
    ) -> SinceFindings:
        if self._since is None:
            return SinceFindings()
        rows = [
            (table, number)
            for table in marked
            if (number := sum(len(seeds.rows.get(leaf, ())) for leaf in graph.leaves(table.oid)))
        ]
        return SinceFindings(
            self._since.refused(graph),
            self._since.unproven(tables, self._statements, self._obstacles),
            self._since.left_by(rows, self._usable, evidence(self._settings), self._obstacles),
        )

    def again(self, survey: Survey) -> Seeds:
        """The marked rows that are asked for as they are now, wherever there are any."""
        more = self._reader.marked_tables(survey.unmarked)[0]
        marked = [*survey.marked, *(table for table in more if table.oid in survey.graph.relations)]
        [server] = self._session.ask("sweep/server", _Server)
        flagging = self._flagging(survey.graph, marked, server, live_lease_numbers(self._session))
        return self._seeds(marked, flagging)[0]

    def is_stale(self, survey: Survey, leaf: int, tids: Sequence[int]) -> bool:
        """Whether what these rows, written since, say of themselves wasn't known when it was surveyed.

        Where no row was marked, flags don't tell a marked one; and leases may be held that weren't.
        """
        of_any_age = self._request.ended_leases or not self._request.min_age_s
        if of_any_age and not live_lease_numbers(self._session) <= survey.live_runs:
            return True
        if leaf in survey.bearing:
            return False
        top = survey.graph.relations[leaf].top
        table = next((table for table in survey.unmarked if table.oid == top), None)
        if table is None:
            return False
        relation = survey.graph.relations[leaf]
        statement = b"SELECT EXISTS (SELECT FROM ONLY %b.%b WHERE ctid OPERATOR(pg_catalog.=) ANY (%b::" % (
            quoted(relation.schema, self._escaping),
            quoted(relation.name, self._escaping),
            self._escaping.escape_literal(literal(tids).encode()),
        )
        statement += b"pg_catalog.tid[]) AND (%b)) AS marked" % self._statements.condition(table)
        return self._session.fetch(statement, _Marked)[0].marked

    def _graph(self) -> tuple[ForeignKeyGraph, Marks]:
        if self._request.dry_run:
            return self._read_graph(), {}
        # What is compared with the catalogs later has to be of one and the same moment.
        self._session.execute(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            graph = self._read_graph()
            marks = read_marks(self._session, [*graph.relations])
            self._session.execute(b"COMMIT")
        finally:
            self._roll_back()
        return graph, marks

    def _roll_back(self) -> None:
        connection = self._session.connection
        if not connection.closed and connection.info.transaction_status:
            with suppress(psycopg.Error, PgwatchError):
                self._session.execute(b"ROLLBACK")

    def _read_graph(self) -> ForeignKeyGraph:
        relations = self._session.ask("sweep/relations", TableNode)
        keys = self._session.ask("sweep/foreign_keys", ForeignKey)
        with self._session.running():
            strange = strange_plans(self._session.connection)
        reasons = {oid: plan.reason for oid, plan in strange.items()}
        for key in keys:
            if key.strange is not None:
                told = f"not read: comparing by foreign key {key.name} would run {key.strange}"
                reasons |= {key.child: told, key.parent: told}
        return ForeignKeyGraph(
            (replace(relation, unreadable=reasons.get(relation.oid, "")) for relation in relations), keys
        )

    def _flagging(
        self, graph: ForeignKeyGraph, marked: Iterable[Table], server: _Server, live_runs: frozenset[int]
    ) -> dict[int, Flagging]:
        flags = RowFlags(
            *(self._escaping, self._statements, self._request, server.has_commit_timestamps, live_runs),
            self._since,
        )
        by_top = {table.oid: table for table in marked}
        found: dict[int, Flagging] = {}
        # The leaves of a tree have it from their root, mostly.
        made: dict[tuple[int | None, int], Flagging | None] = {}
        for relation in graph.relations.values():
            table = by_top.get(relation.top)
            which = None if table is None else table.oid, relation.created_at
            if which not in made:
                made[which] = (
                    flags.of_others(relation.created_at)
                    if table is None
                    else flags.of_marked(table, relation.created_at)
                )
            flagging = made[which]
            if flagging is not None:
                found[relation.oid] = flagging
        return found

    def _seeds(
        self, marked: Iterable[Table], flagging: Mapping[int, Flagging]
    ) -> tuple[Seeds, list[Skipped]]:
        """The marked rows that are asked for, and how many there are in all."""
        seeds = Seeds()
        skipped: list[Skipped] = []
        for table in marked:
            skipped.extend(self._reader.read(table, flagging[table.oid], seeds))
        news = (seeds.rows.keys() | seeds.counts.keys()) - flagging.keys()
        if news:
            skipped.append(_NEW_PARTITIONS)
            seeds = seeds.without(news)
        return seeds, skipped


def with_graph(survey: Survey, graph: ForeignKeyGraph) -> Survey:
    """Returns the survey with a graph in which more keys have an index."""
    return replace(survey, graph=graph)


def _ignored(graph: ForeignKeyGraph, ignores: Ignores) -> Collection[int]:
    return {
        leaf
        for relation in graph.relations.values()
        if not relation.ancestors and ignores.ignored(shown(relation.schema), shown(relation.name), "")
        for leaf in graph.leaves(relation.oid)
    }
