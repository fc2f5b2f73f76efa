"""The rows' part of a sweep: which rows are marked, what hangs on them, and what of that goes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import psycopg
from psycopg import pq

from pgwatch_tests import queries
from pgwatch_tests.config import Settings
from pgwatch_tests.errors import ConnectionLostError, RefusedError
from pgwatch_tests.leaks.compose import Statements
from pgwatch_tests.leaks.discover import KINDS, Table, discover, shown
from pgwatch_tests.leaks.ignore import Ignores
from pgwatch_tests.leaks.markers import markers
from pgwatch_tests.leaks.model import Skipped
from pgwatch_tests.leaks.obstacles import Obstacles, said
from pgwatch_tests.leaks.session import ScanSession
from pgwatch_tests.sweep.clusters import BLOCKING, SWEPT, Rules
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
    error: str = ""
    """Why it ended early, if rows had gone by then."""


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
        self._flags: Flags | None = None
        self._without_marked: list[Table] = []
        """The tables in which no marked rows were found."""

    def run(self, role: str) -> SweptRows:
        """Sweeps, or says what it would do. Raises RefusedError if there is more than `max_rows` of it."""
        ignores = Ignores(self._settings.ignore)
        with self._session.running():
            discovery = discover(self._session.connection, role, ignores)
        tables = [table for table in discovery.tables if table.kind != _MATERIALIZED]
        marked, skipped = self._reader.marked_tables(tables)
        not_checked = [*discovery.skipped, *skipped]
        makes_indexes = self._request.temp_index and not self._request.dry_run
        if not marked and not makes_indexes:
            return SweptRows(not_checked=_sentences(not_checked), passes=1)
        graph = self._graph()
        flags = Flags(
            self._escaping,
            self._statements,
            self._request,
            self._session.fetch(queries.load("sweep_server").encode(), _Server)[0].has_commit_timestamps,
            held_numbers(self._session),
        )
        self._flags = flags
        self._without_marked = [table for table in tables if table not in marked]
        flagging = self._flagging(graph, marked, flags)
        marked = [table for table in marked if table.oid in flagging]
        seeds, more_skipped = self._seeds(marked, flagging)
        not_checked += more_skipped
        ignored, unread = _ignored(graph, ignores), _unread(graph, not_checked)
        refused = refusals(graph, seeds.counts, ignored, unread, self._request.patience_s, role)
        if makes_indexes:
            with TemporaryIndexes(self._session, graph, refused.slow) as made:
                graph = made.graph
                refused = refusals(graph, seeds.counts, ignored, unread, self._request.patience_s, role)
                swept = self._sweep(graph, flagging, marked, seeds, refused, not_checked)
            return replace(swept, not_checked=(*swept.not_checked, *made.left))
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
        return self._passes(graph, flagging, marked, seeds, rows, rules, _sentences(not_checked))

    def _passes(
        self,
        graph: ForeignKeys,
        flagging: dict[int, Flagging],
        marked: list[Table],
        seeds: Seeds,
        rows: DatabaseRows,
        rules: Rules,
        not_checked: tuple[str, ...],
    ) -> SweptRows:
        """Deletes, and once more what is there again, or was changed while it was looked at."""
        passes = [self._pass(rows, rules, seeds)]
        new: tuple[Kept, ...] = ()
        error = ""
        try:
            first = passes[0].sweep(seeds)
            if (_with_triggers(graph, first) or first.vanished) and not self._stopped():
                left, more_skipped = self._seeds(marked, flagging)
                not_checked = (*not_checked, *_sentences(more_skipped))
                again = _asked_for(left)
                passes.append(self._pass(rows, rules, again))
                new = self._new(graph, marked, flagging, again, (first, passes[1].sweep(again)))
        except (ConnectionLostError, psycopg.Error) as failure:
            if not any(one.tally.rows for one in passes):
                raise
            error = said(failure) if isinstance(failure, psycopg.Error) else str(failure)
        tallies = [one.tally for one in passes]
        deleted = _by_table(graph, *tallies)
        return SweptRows(
            planned=deleted,
            deleted=deleted,
            kept=(*_kept(graph, tallies[-1:]), *new),
            not_checked=not_checked,
            passes=len(passes),
            longest_transaction_s=max(one.longest_s for one in tallies),
            error=error,
        )

    def _pass(self, rows: DatabaseRows, rules: Rules, seeds: Seeds) -> Execution:
        total = max(1, sum(seeds.counts.values()))

        def told(done: int, rows_done: int) -> None:
            self._told(SweepProgress(done, total, rows_done, done / total))

        return Execution(self._session, rows, rules, self._request.clusters_at_once, self._stopped, told)

    def _new(
        self,
        graph: ForeignKeys,
        marked: list[Table],
        flagging: dict[int, Flagging],
        before: Seeds,
        tallies: tuple[Tally, Tally],
    ) -> tuple[Kept, ...]:
        """What there is after two passes that wasn't there before the second: of triggers, or changed since.

        What is too young is of tests that run.
        """
        last = tallies[1]
        touched = _with_triggers(graph, *tallies)
        if not touched and not last.vanished:
            return ()
        found = []
        if touched and self._flags is not None:
            # What is deleted may be copied to where nothing was marked before.
            more = self._reader.marked_tables(self._without_marked)[0]
            marked = [*marked, *(table for table in more if table.oid in graph.relations)]
            flagging = self._flagging(graph, marked, self._flags)
        for leaf, there in sorted(_asked_for(self._seeds(marked, flagging)[0]).rows.items()):
            known = before.rows.get(leaf, {})
            rows = sum(
                not seed.flags & BLOCKING and (tid not in known or known[tid].version != seed.version)
                for tid, seed in there.items()
            )
            if rows and leaf in touched:
                triggers = ", ".join(map(shown, graph.relations[leaf].triggers))
                found.append(Kept(*_name(graph, leaf), rows, "recreated", f"triggers: {triggers}"))
            elif rows and touched and leaf not in before.rows:
                found.append(Kept(*_name(graph, leaf), rows, "recreated", "written meanwhile: run it again"))
            elif rows and last.vanished:
                found.append(Kept(*_name(graph, leaf), rows, "changed", "somebody changed it meanwhile"))
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


def _with_triggers(graph: ForeignKeys, *tallies: Tally) -> Collection[int]:
    """The leaves that rows went from, where triggers may have brought some back."""
    return {leaf for tally in tallies for leaf in tally.leaves if graph.relations[leaf].triggers}


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


def _unread(graph: ForeignKeys, skipped: Iterable[Skipped]) -> dict[int, str]:
    """The leaves of tables that couldn't be searched, and why."""
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
