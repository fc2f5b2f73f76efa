"""The rows' part of a sweep: what of the marked rows, and of what hangs on them, goes."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import psycopg

from pgwatch_tests.config import Settings
from pgwatch_tests.counts import many
from pgwatch_tests.errors import PgwatchError, RefusedError
from pgwatch_tests.leaks.discover import shown
from pgwatch_tests.leaks.model import Skipped
from pgwatch_tests.leaks.session import ScanCancelledError, ScanSession
from pgwatch_tests.server.said import said
from pgwatch_tests.sweep.batch import Batches
from pgwatch_tests.sweep.catalog import Catalog
from pgwatch_tests.sweep.clusters import CatalogChangedError
from pgwatch_tests.sweep.database_rows import DatabaseRows
from pgwatch_tests.sweep.examples import Examples
from pgwatch_tests.sweep.execute import Execution
from pgwatch_tests.sweep.foreign_keys import ForeignKeys
from pgwatch_tests.sweep.model import (
    ChangedRows,
    Kept,
    SideEffects,
    SweepPhase,
    SweepProgress,
    SweepRequest,
    TableRows,
)
from pgwatch_tests.sweep.portions import Estimate
from pgwatch_tests.sweep.refusals import Refusals, refusals
from pgwatch_tests.sweep.rules import BLOCKING, Rules
from pgwatch_tests.sweep.seeds import Seeds
from pgwatch_tests.sweep.statements import SweepStatements
from pgwatch_tests.sweep.sums import (
    changed_rows,
    kept_by_table,
    rows_by_table,
    sentences,
    side_effects,
    table_of,
)
from pgwatch_tests.sweep.survey import Survey, Surveyor, with_graph
from pgwatch_tests.sweep.tally import Tally
from pgwatch_tests.sweep.temporary_index import TemporaryIndexes

# A batch that waits for a lock keeps others waiting for what it has locked.
_LOCK_TIMEOUT_S = 0.02
# For the rows of a batch, the planner would rather read a table of 100 MB than use its index.
_BY_INDEX = {"random_page_cost": "1.0"}
# Where keys, triggers or partitions are made all the time, a sweep would never end.
_SURVEYS = 6
_ALTERED = Skipped("", "", "tables, keys, triggers or partitions were changed while it swept", "run it again")
# A statement is prepared once it was run so often; a batch has two for each table.
_PREPARED_AFTER, _PREPARED_AT_MOST = 2, 4000


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
    """Why it ended early, though rows had gone already."""
    changed: tuple[ChangedRows, ...] = ()
    side_effects: tuple[SideEffects, ...] = ()


@dataclass(slots=True)
class _Passes:
    """What came of the passes so far."""

    survey: Survey
    tallies: list[Tally] = field(default_factory=list)
    more_skipped: list[Skipped] = field(default_factory=list)
    new: tuple[Kept, ...] = ()
    error: str = ""


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
        self._surveyor = Surveyor(session, settings, request)

    def run(self, role: str) -> SweptRows:
        """Sweeps, or says what it would do. Raises RefusedError if there is more than `max_rows` of it."""
        self._told(SweepProgress(0, 0, 0, 0.0, "survey"))
        survey = self._surveyor.survey(role)
        self._session.set(_BY_INDEX)
        if not self._request.dry_run:
            self._session.connection.prepare_threshold = _PREPARED_AFTER
            self._session.connection.prepared_max = _PREPARED_AT_MOST
        refused = self._refused(survey, role)
        if not self._request.temp_index or self._request.dry_run:
            return self._sweep(survey, refused, role)
        with TemporaryIndexes(self._session, self._settings, survey.graph, refused.slow) as made:
            survey = with_graph(survey, made.graph)
            swept = self._sweep(survey, self._refused(survey, role, made.not_made), role)
        return replace(swept, not_checked=(*swept.not_checked, *made.left))

    def _refused(
        self, survey: Survey, role: str, not_made: Mapping[int, str] = MappingProxyType({})
    ) -> Refusals:
        # What a dry run tells is what is done once those indexes are there.
        patient = self._request.dry_run and self._request.temp_index
        patience_s = math.inf if patient else self._request.patience_s
        return refusals(
            survey.graph, survey.counts, survey.ignored, survey.unread, patience_s, role, not_made
        )

    def _sweep(self, survey: Survey, refused: Refusals, role: str) -> SweptRows:
        if self._request.dry_run or self._request.max_rows is not None:
            looked = _Passes(survey)
            self._all_looks(looked, refused, role)
            planned = looked.tallies[-1]
            if self._request.dry_run:
                return self._swept(looked)
            if self._request.max_rows is not None and planned.rows > self._request.max_rows:
                raise RefusedError(
                    f"{many(planned.rows, 'row')} would go, and --max-rows allows "
                    f"{self._request.max_rows:,}: nothing was done"
                )
        # Nor shall a trigger that takes its time keep them.
        self._session.limit(
            min(self._settings.count_timeout_s, max(self._request.patience_s, 1.0)),
            min(self._settings.lock_timeout_s, _LOCK_TIMEOUT_S),
        )
        passes = _Passes(survey)
        try:
            self._all_passes(passes, refused, role)
        except ScanCancelledError:
            raise
        except (PgwatchError, psycopg.Error) as failure:
            if not any(tally.rows for tally in passes.tallies):
                raise
            passes.error = said(failure) if isinstance(failure, psycopg.Error) else str(failure)
        except Exception as failure:
            # A fault of ours. What went has to be told all the same.
            if not any(tally.rows for tally in passes.tallies):
                raise
            passes.error = f"internal error: {type(failure).__name__}: {failure}"
        return self._swept(passes)

    def _all_looks(self, passes: _Passes, refused: Refusals, role: str) -> None:
        """Counts what may go."""
        for _ in range(_SURVEYS):
            execution = self._pass(passes.survey, refused, passes.survey.seeds, deletes=False)
            passes.tallies = [execution.tally]
            try:
                execution.run(passes.survey.seeds)
            except CatalogChangedError:
                passes.survey = self._surveyor.survey(role)
                refused = self._refused(passes.survey, role)
            else:
                return
        passes.more_skipped.append(_ALTERED)

    def _all_passes(self, passes: _Passes, refused: Refusals, role: str) -> None:
        """Deletes, and once more what is there again, or was changed while it was looked at."""
        for _ in range(_SURVEYS):
            survey = passes.survey
            execution = self._pass(survey, refused, survey.seeds)
            passes.tallies.append(execution.tally)
            try:
                first = execution.run(survey.seeds)
            except CatalogChangedError:
                if self._stopped():
                    return
                passes.survey = self._surveyor.survey(role)
                refused = self._refused(passes.survey, role)
            else:
                break
        else:
            passes.more_skipped.append(_ALTERED)
            return
        if not (_with_triggers(survey.graph, first) or first.vanished) or self._stopped():
            return
        again, passes.more_skipped = self._surveyor.again(survey)
        execution = self._pass(survey, refused, again)
        passes.tallies.append(execution.tally)
        try:
            execution.run(again)
        except CatalogChangedError:
            passes.more_skipped.append(_ALTERED)
            return
        passes.new = self._new(survey, again, (first, execution.tally))

    def _swept(self, passes: _Passes) -> SweptRows:
        graph, tallies = passes.survey.graph, passes.tallies
        counts: list[Tally] = [tally for tally in tallies if tally.rows] or tallies[-1:]
        there = rows_by_table(graph, counts)
        is_dry = self._request.dry_run
        return SweptRows(
            planned=there,
            deleted=() if is_dry else there,
            kept=(
                *kept_by_table(graph, tallies[-1], Examples(self._session, self._statements(passes.survey))),
                *passes.new,
            ),
            not_checked=sentences((*passes.survey.not_checked, *passes.more_skipped)),
            passes=len(tallies),
            longest_transaction_s=max(tally.longest_s for tally in tallies),
            error=passes.error,
            changed=changed_rows(graph, counts),
            side_effects=side_effects(graph, counts),
        )

    def _statements(self, survey: Survey) -> SweepStatements:
        return SweepStatements(survey.graph, survey.flagging)

    def _pass(self, survey: Survey, refused: Refusals, seeds: Seeds, *, deletes: bool = True) -> Execution:
        total = max(1, seeds.total)

        def told(phase: SweepPhase, done: int, rows_done: int) -> None:
            self._told(SweepProgress(done, total, rows_done, min(1.0, done / total), phase))

        graph = survey.graph
        statements = self._statements(survey)
        rows = DatabaseRows(self._session, statements)
        rules = Rules.of(
            graph,
            survey.bearing,
            refused.tables,
            refused.keys,
            refused.unseen,
            keep_unmarked=self._request.keep_unmarked,
            remembered=survey.remembered,
        )
        estimate = Estimate(graph)
        batches = None
        if deletes:
            catalog = Catalog(self._session, graph, survey.marks)
            batches = Batches(self._session, rows, statements, graph, catalog, estimate)
        before = {
            (leaf, detail)
            for leaf, relation in graph.relations.items()
            for schema, table, detail in self._request.refused_before
            if (schema, table) == table_of(graph, leaf) and relation.kind == "r"
        }
        return Execution(
            self._session,
            rows,
            rules,
            batches,
            estimate,
            self._request.clusters_at_once,
            self._stopped,
            told,
            before,
        )

    def _new(self, survey: Survey, before: Seeds, tallies: tuple[Tally, Tally]) -> tuple[Kept, ...]:
        """What there is after two passes that wasn't there before the second: of triggers, or changed since.

        What is too young is of tests that run.
        """
        graph, last = survey.graph, tallies[1]
        touched = _with_triggers(graph, *tallies)
        if not touched and not last.vanished:
            return ()
        found = []
        # What is deleted may be copied to where nothing was marked before.
        seeds, _ = self._surveyor.again(survey, everywhere=bool(touched))
        for leaf, there in sorted(seeds.rows.items()):
            was_there = leaf in before.rows
            known = dict(before.rows[leaf].items()) if was_there else {}
            rows = sum(
                not seed.flags & BLOCKING and (tid not in known or known[tid].xmin != seed.xmin)
                for tid, seed in there.items()
            )
            if rows and leaf in touched:
                triggers = ", ".join(map(shown, graph.relations[leaf].triggers))
                found.append(Kept(*table_of(graph, leaf), rows, "recreated", f"triggers: {triggers}"))
            elif rows and touched and not was_there:
                detail = "written meanwhile: run it again"
                found.append(Kept(*table_of(graph, leaf), rows, "recreated", detail))
            elif rows and last.vanished:
                found.append(Kept(*table_of(graph, leaf), rows, "changed", "somebody changed it meanwhile"))
        return tuple(found)


def _with_triggers(graph: ForeignKeys, *tallies: Tally) -> Collection[int]:
    """The leaves that rows went from, where triggers may have brought some back."""
    return {leaf for tally in tallies for leaf in tally.leaves if graph.relations[leaf].triggers}
