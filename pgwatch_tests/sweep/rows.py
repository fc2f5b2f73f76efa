"""The rows' part of a sweep: which rows are marked, what hangs on them, and what of that goes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from psycopg import pq

from pgwatch_tests import queries
from pgwatch_tests.config import Settings
from pgwatch_tests.errors import RefusedError
from pgwatch_tests.leaks.compose import Statements
from pgwatch_tests.leaks.discover import KINDS, Table, discover, shown
from pgwatch_tests.leaks.ignore import Ignores
from pgwatch_tests.leaks.markers import markers
from pgwatch_tests.leaks.model import Skipped
from pgwatch_tests.leaks.obstacles import Obstacles
from pgwatch_tests.leaks.session import ScanSession
from pgwatch_tests.sweep.clusters import SWEPT, Rules
from pgwatch_tests.sweep.database_rows import DatabaseRows
from pgwatch_tests.sweep.execute import Execution, Tally
from pgwatch_tests.sweep.flagging import Flags
from pgwatch_tests.sweep.foreign_keys import ForeignKey, ForeignKeys, Relation
from pgwatch_tests.sweep.leases import held_numbers
from pgwatch_tests.sweep.model import Kept, SweepProgress, SweepRequest, TableRows
from pgwatch_tests.sweep.refusals import Refusal, Refusals, refusals
from pgwatch_tests.sweep.seeds import Seed, SeedReader, Seeds
from pgwatch_tests.sweep.statements import Flagging, SweepStatements
from pgwatch_tests.sweep.temporary_index import TemporaryIndexes

# A batch that waits for a lock keeps others waiting for what it has locked.
_LOCK_TIMEOUT_S = 0.02
_MATERIALIZED = KINDS["m"]
_NEW_PARTITIONS = Skipped("", "", "partitions that were made meanwhile", "run it again")


@dataclass(frozen=True, slots=True)
class _Server:
    has_commit_timestamps: bool


@dataclass(frozen=True, slots=True)
class SweptRows:
    """What came of the rows' part."""

    planned: tuple[TableRows, ...] = ()
    deleted: tuple[TableRows, ...] = ()
    kept: tuple[Kept, ...] = ()
    not_checked: tuple[str, ...] = ()
    passes: int = 0
    longest_transaction_s: float = 0.0


class RowSweep:
    """Sweeps the rows of one database. Its methods raise what ScanSession.running does."""

    def __init__(
        self,
        session: ScanSession,
        settings: Settings,
        request: SweepRequest,
        stopped: Callable[[], bool],
        told: Callable[[SweepProgress], None],
    ) -> None:
        self._session = session
        self._settings = settings
        self._request = request
        self._stopped = stopped
        self._told = told
        self._escaping = pq.Escaping(session.connection.pgconn)
        self._obstacles = Obstacles(session, settings)
        wanted = self._obstacles.usable(markers(settings.markers), self._escaping)
        self._statements = Statements(self._escaping, wanted)
        self._reader = SeedReader(session, self._escaping, self._statements, self._obstacles)

    def run(self, role: str) -> SweptRows:
        """Sweeps, or says what it would do. Raises RefusedError if there is more than `max_rows` of it."""
        ignores = Ignores(self._settings.ignore)
        with self._session.running():
            discovery = discover(self._session.connection, role, ignores)
        tables = [table for table in discovery.tables if table.kind != _MATERIALIZED]
        marked, skipped = self._reader.marked_tables(tables)
        not_checked = [*discovery.skipped, *skipped]
        if not marked:
            return SweptRows(not_checked=_sentences(not_checked), passes=1)
        graph = self._graph()
        flags = Flags(
            self._escaping,
            self._statements,
            self._request,
            self._session.fetch(queries.load("sweep_server").encode(), _Server)[0].has_commit_timestamps,
            held_numbers(self._session),
        )
        flagging = self._flagging(graph, marked, flags)
        marked = [table for table in marked if table.oid in flagging]
        seeds, more_skipped = self._seeds(marked, flagging)
        not_checked += more_skipped
        ignored, unchecked = _ignored(graph, ignores), _unchecked(graph, not_checked)
        refused = refusals(graph, seeds.counts, ignored, self._request.patience_s, role, unchecked)
        if self._request.temp_index and refused.slow and not self._request.dry_run:
            with TemporaryIndexes(self._session, graph, refused.slow) as made:
                graph = made.graph
                refused = refusals(graph, seeds.counts, ignored, self._request.patience_s, role, unchecked)
                return self._sweep(graph, flagging, marked, seeds, refused, not_checked)
        return self._sweep(graph, flagging, marked, seeds, refused, not_checked)

    def _sweep(
        self,
        graph: ForeignKeys,
        flagging: dict[int, Flagging],
        marked: list[Table],
        seeds: Seeds,
        refused: Refusals,
        not_checked: list[Skipped],
    ) -> SweptRows:
        rows = DatabaseRows(self._session, SweepStatements(graph, flagging))
        bearing = frozenset(leaf for table in seeds.rows for leaf in graph.leaves(graph.relations[table].top))
        seeds = _asked_for(seeds)
        rules = Rules.of(graph, bearing, refused.tables, refused.keys, refused.unseen)
        if self._request.dry_run or self._request.max_rows is not None:
            planned = self._pass(rows, rules, seeds).look(seeds)
            if self._request.dry_run:
                return SweptRows(
                    _by_table(graph, planned), (), _kept(graph, [planned]), _sentences(not_checked), 1
                )
            if self._request.max_rows is not None and planned.rows > self._request.max_rows:
                raise RefusedError(
                    f"{planned.rows} rows would go, and --max-rows allows {self._request.max_rows}: nothing "
                    "was done"
                )
        self._session.limit(
            self._settings.count_timeout_s, min(_LOCK_TIMEOUT_S, self._settings.lock_timeout_s)
        )
        tally = self._pass(rows, rules, seeds).sweep(seeds)
        tallies = [tally]
        touched = [leaf for leaf in tally.leaves if graph.relations[leaf].triggers]
        recreated: tuple[Kept, ...] = ()
        if (touched or tally.vanished) and not self._stopped():
            left, more_skipped = self._seeds(marked, flagging)
            not_checked = [*not_checked, *more_skipped]
            again = _asked_for(left)
            tallies.append(self._pass(rows, rules, again).sweep(again))
            recreated = self._recreated(graph, marked, flagging, tallies[-1])
        deleted = _by_table(graph, *tallies)
        return SweptRows(
            planned=deleted,
            deleted=deleted,
            kept=(*_kept(graph, tallies[-1:]), *recreated),
            not_checked=_sentences(not_checked),
            passes=len(tallies),
            longest_transaction_s=max(one.longest_s for one in tallies),
        )

    def _pass(self, rows: DatabaseRows, rules: Rules, seeds: Seeds) -> Execution:
        total = max(1, sum(seeds.counts.values()))

        def told(done: int, rows_done: int) -> None:
            self._told(SweepProgress(done, total, rows_done, done / total))

        return Execution(self._session, rows, rules, self._request.clusters_at_once, self._stopped, told)

    def _recreated(
        self, graph: ForeignKeys, marked: list[Table], flagging: dict[int, Flagging], last: Tally
    ) -> tuple[Kept, ...]:
        """What is there again after two passes, where triggers may have brought it back."""
        touched = {leaf for leaf in last.leaves if graph.relations[leaf].triggers}
        if not touched:
            return ()
        there = _asked_for(self._seeds(marked, flagging)[0])
        staying: defaultdict[int, int] = defaultdict(int)
        for (leaf, _), rows in last.kept.items():
            staying[leaf] += rows
        found = []
        for leaf in touched:
            rows = len(there.rows.get(leaf, ())) - staying[leaf]
            if rows > 0:
                relation = graph.relations[leaf]
                detail = f"triggers: {', '.join(map(shown, relation.triggers))}"
                found.append(Kept(shown(relation.schema), shown(relation.name), rows, "recreated", detail))
        return tuple(found)

    def _graph(self) -> ForeignKeys:
        relations = self._session.fetch(queries.load("sweep_relations").encode(), Relation)
        keys = self._session.fetch(queries.load("sweep_foreign_keys").encode(), ForeignKey)
        return ForeignKeys(relations, keys)

    def _flagging(self, graph: ForeignKeys, marked: Iterable[Table], flags: Flags) -> dict[int, Flagging]:
        by_top = {table.oid: table for table in marked}
        found: dict[int, Flagging] = {}
        for relation in graph.relations.values():
            table = by_top.get(relation.top)
            flagging = (
                flags.of_others(relation.created_at)
                if table is None
                else flags.of_marked(table, relation.created_at)
            )
            if flagging is not None:
                found[relation.oid] = flagging
        return found

    def _seeds(
        self, marked: Iterable[Table], flagging: Mapping[int, Flagging]
    ) -> tuple[Seeds, list[Skipped]]:
        """The marked rows, also those that aren't asked for."""
        rows: dict[int, dict[str, Seed]] = {}
        skipped: list[Skipped] = []
        for table in marked:
            skipped.extend(self._reader.read(table, flagging[table.oid], rows))
        if rows.keys() - flagging.keys():
            skipped.append(_NEW_PARTITIONS)
        return Seeds({leaf: rows[leaf] for leaf in rows.keys() & flagging.keys()}), skipped


def _asked_for(seeds: Seeds) -> Seeds:
    asked = {
        leaf: {tid: seed for tid, seed in found.items() if seed.flags & SWEPT}
        for leaf, found in seeds.rows.items()
    }
    return Seeds({leaf: rows for leaf, rows in asked.items() if rows})


def _ignored(graph: ForeignKeys, ignores: Ignores) -> Collection[int]:
    return {
        leaf
        for relation in graph.relations.values()
        if not relation.ancestors and ignores.ignored(shown(relation.schema), shown(relation.name), "")
        for leaf in graph.leaves(relation.oid)
    }


def _unchecked(graph: ForeignKeys, skipped: Iterable[Skipped]) -> dict[int, str]:
    """The leaves of tables that weren't searched for markers, and why."""
    why = {(one.schema, one.table): one.reason for one in skipped}
    return {
        leaf: why[name]
        for relation in graph.relations.values()
        if (name := (shown(relation.schema), shown(relation.name))) in why
        for leaf in graph.leaves(relation.oid)
    }


def _by_table(graph: ForeignKeys, *tallies: Tally) -> tuple[TableRows, ...]:
    """Rows by table; those of partitions by their root."""
    marked: defaultdict[tuple[str, str], int] = defaultdict(int)
    dependent: defaultdict[tuple[str, str], int] = defaultdict(int)
    for tally in tallies:
        for leaf, rows in tally.marked.items():
            marked[_name(graph, leaf)] += rows
        for leaf, rows in tally.dependent.items():
            dependent[_name(graph, leaf)] += rows
    return tuple(TableRows(*name, marked[name], dependent[name]) for name in sorted({*marked, *dependent}))


def _kept(graph: ForeignKeys, tallies: Iterable[Tally]) -> tuple[Kept, ...]:
    counted: defaultdict[tuple[tuple[str, str], Refusal], int] = defaultdict(int)
    for tally in tallies:
        for (leaf, refusal), rows in tally.kept.items():
            counted[_name(graph, leaf), refusal] += rows
    ordered = sorted(counted.items(), key=lambda one: (one[0][0], one[0][1].reason, one[0][1].detail))
    return tuple(Kept(*name, rows, refusal.reason, refusal.detail) for (name, refusal), rows in ordered)


def _name(graph: ForeignKeys, leaf: int) -> tuple[str, str]:
    relation = graph.relations[graph.relations[leaf].top]
    return shown(relation.schema), shown(relation.name)


def _sentences(skipped: Iterable[Skipped]) -> tuple[str, ...]:
    return tuple(
        f"{f'{one.schema}.{one.table}: ' if one.table else ''}{one.reason}"
        f"{f' ({one.hint})' if one.hint else ''}"
        for one in skipped
    )
