"""Passes over marked rows: survey, plan and delete, again while rows come back, up to a limit."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import psycopg
from psycopg import errors

from pgwatch_tests.errors import PgwatchError, RefusedError
from pgwatch_tests.leaks.attribution.rows_by_test import TestLeak
from pgwatch_tests.leaks.model import Skipped
from pgwatch_tests.postgres.server_messages import server_message
from pgwatch_tests.postgres.sessions.session import DatabaseSession, WorkCancelledError
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep.model import (
    AlsoReferring,
    ChangedRows,
    Kept,
    SideEffects,
    SweepPhase,
    SweepProgress,
    TableRows,
)
from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKeyGraph, table_of
from pgwatch_tests.sweep.plan.marked_rows import Seeds
from pgwatch_tests.sweep.plan.planned_catalog import Catalog
from pgwatch_tests.sweep.plan.refusals import Refusals, refusals
from pgwatch_tests.sweep.plan.related_rows import CatalogChangedError
from pgwatch_tests.sweep.plan.rules import BLOCKING, Rules
from pgwatch_tests.sweep.plan.survey import Survey, Surveyor, with_graph
from pgwatch_tests.sweep.plan.table_sizes import TableSizes
from pgwatch_tests.sweep.request import SweepRequest
from pgwatch_tests.sweep.rows.batch import Batches
from pgwatch_tests.sweep.rows.database_rows import DatabaseRows
from pgwatch_tests.sweep.rows.portions import Estimate
from pgwatch_tests.sweep.rows.row_pass import RowPass
from pgwatch_tests.sweep.rows.statements import SweepStatements
from pgwatch_tests.sweep.rows.table_totals import (
    Examples,
    also_referring,
    changed_rows,
    kept_by_table,
    rows_by_table,
    sentences,
    side_effects,
)
from pgwatch_tests.sweep.rows.tally import PassTally, Remembered
from pgwatch_tests.sweep.rows.temporary_indexes import TemporaryIndexes
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.sql_names import shown

# A batch that waits for a lock keeps others waiting for what it has locked.
_LOCK_TIMEOUT_S = 0.02
# For the rows of a batch, the planner would rather read a table of 100 MB than use its index.
_BY_INDEX = {"random_page_cost": "1.0"}
# Where keys, triggers or partitions are made all the time, a sweep would never end.
_SURVEYS = 8
# What others change all the time is left to them.
_PASSES = 4
_TOO_MANY = Skipped("", "", "more rows came meanwhile than --max-rows allows", "run it again")
_ALTERED = Skipped(
    "", "", "tables, keys, triggers or partitions were changed during the sweep", "run it again"
)
_UNCOUNTED = Skipped(
    "",
    "",
    "what triggers wrote besides isn't counted: track_counts is off for this role, which may not turn it on",
    "ALTER ROLE … SET track_counts = on, as a superuser",
)
# A statement is prepared once it was run so often; a batch has two for each table.
_PREPARED_AFTER, _PREPARED_AT_MOST = 2, 4000


@dataclass(frozen=True, slots=True)
class SweptRows:
    """The outcome of a sweep of rows."""

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
    left_by: tuple[TestLeak, ...] = ()
    in_spite_of_age: int = 0
    young: frozenset[tuple[tuple[str, str], int]] = frozenset()
    """The rows that some stay for as too young: table, and when written (see `plan.young_rows`)."""
    held_back: int = 0
    also_refer: tuple[AlsoReferring, ...] = ()


@dataclass(slots=True)
class _Passes:
    """The passes so far, and what they left."""

    survey: Survey
    """The latest survey."""
    left_by: tuple[TestLeak, ...]
    """The survey before anything was deleted."""
    former: ForeignKeyGraph | None = None
    """The tables and keys of the surveys before, some of which may have been dropped since."""
    tallies: list[PassTally] = field(default_factory=list)
    more_skipped: list[Skipped] = field(default_factory=list)
    new: tuple[Kept, ...] = ()
    error: str = ""

    @property
    def graph(self) -> ForeignKeyGraph:
        """The tables and keys of all surveys."""
        return self.survey.graph if self.former is None else self.survey.graph.with_former(self.former)

    def go_on(self, survey: Survey) -> None:
        """Goes on with another survey."""
        self.former, self.survey = self.graph, survey


class RowSweep:
    """Sweeps the rows of one database. Its methods raise what `session.running` does."""

    def __init__(
        self,
        session: DatabaseSession,
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
        self._not_made: Mapping[int, str] = MappingProxyType({})
        """The temporary indexes that couldn't be made, by foreign key, and why."""
        self._remembered = Remembered()
        self._is_counted = True
        """Whether the server counts what triggers write."""

    def run(self, role: str) -> SweptRows:
        """Sweeps, or says what it would do. Raises RefusedError if there is more than `max_rows` of it."""
        self._told(SweepProgress(0, 0, 0, 0.0, "survey"))
        survey = self._surveyor.survey(role)
        self._session.set(_BY_INDEX)
        if not self._request.dry_run:
            self._is_counted = survey.counts_rows or self._count_rows()
            self._session.connection.prepare_threshold = _PREPARED_AFTER
            self._session.connection.prepared_max = _PREPARED_AT_MOST
        refused = self._refused(survey, role)
        if not self._request.temp_index or self._request.dry_run:
            return self._sweep(survey, refused, role)
        with TemporaryIndexes(self._session, self._settings, survey.graph, refused.slow) as made:
            survey = with_graph(survey, made.graph)
            self._not_made = made.not_made
            swept = self._sweep(survey, self._refused(survey, role), role)
        return replace(swept, not_checked=(*swept.not_checked, *made.left))

    def _count_rows(self) -> bool:
        """Has the server count what is written. Returns whether it does."""
        try:
            self._session.set({"track_counts": "on"})
        except errors.InsufficientPrivilege:
            return False
        return True

    def _refused(self, survey: Survey, role: str) -> Refusals:
        # What a dry run tells is what is done once those indexes are there.
        patient = self._request.dry_run and self._request.temp_index
        patience_s = math.inf if patient else self._request.patience_s
        found = refusals(
            survey.graph, survey.counts, survey.ignored, survey.unread, patience_s, role, self._not_made
        )
        return replace(found, tables={**found.tables, **survey.since.refused})

    def _sweep(self, survey: Survey, refused: Refusals, role: str) -> SweptRows:
        if self._request.dry_run or self._request.max_rows is not None:
            looked = _Passes(survey, survey.since.left_by)
            planned = self._all_looks(looked, refused, role)
            if self._request.dry_run:
                return self._swept(looked)
            if self._request.max_rows is not None and planned > self._request.max_rows:
                raise RefusedError(
                    f"{plural(planned, 'row')} would go, but --max-rows allows "
                    f"{self._request.max_rows:,}: no row was deleted"
                )
            survey, refused = looked.survey, self._refused(looked.survey, role)
        # Nor shall a trigger that takes its time keep them.
        self._session.limit(
            min(self._settings.count_timeout_s, max(self._request.patience_s, 1.0)),
            min(self._settings.lock_timeout_s, _LOCK_TIMEOUT_S),
        )
        passes = _Passes(survey, survey.since.left_by)
        try:
            self._all_passes(passes, refused, role)
        except WorkCancelledError:
            raise
        except (PgwatchError, psycopg.Error) as failure:
            if not any(tally.rows for tally in passes.tallies):
                raise
            passes.error = server_message(failure) if isinstance(failure, psycopg.Error) else str(failure)
        except Exception as failure:
            # A fault of ours. What went has to be told all the same.
            if not any(tally.rows for tally in passes.tallies):
                raise
            passes.error = f"internal error: {type(failure).__name__}: {failure}"
        return self._swept(passes)

    def _all_looks(self, passes: _Passes, refused: Refusals, role: str) -> int:
        """Counts what may go: how many rows."""
        for _ in range(_SURVEYS):
            row_pass = self._pass(passes.survey, refused, passes.survey.seeds, deletes=False)
            passes.tallies = [row_pass.tally]
            try:
                row_pass.run(passes.survey.seeds)
            except CatalogChangedError:
                passes.survey = self._surveyor.survey(role)
                refused = self._refused(passes.survey, role)
            else:
                return passes.tallies[-1].rows
        passes.more_skipped.append(_ALTERED)
        return passes.tallies[-1].rows

    def _all_passes(self, passes: _Passes, refused: Refusals, role: str) -> None:
        """Deletes, and once more what is there again, or was changed while it was looked at."""
        complete: list[tuple[Survey, PassTally]] = []
        for _ in range(_SURVEYS):
            survey = passes.survey
            row_pass = self._pass(survey, refused, survey.seeds)
            passes.tallies.append(row_pass.tally)
            is_stale = False
            try:
                row_pass.run(survey.seeds)
                complete.append((survey, row_pass.tally))
            except CatalogChangedError:
                is_stale = True
            if self._stopped() or not (is_stale or self._is_another_needed(complete)):
                break
            passes.go_on(self._surveyor.survey(role))
            refused = self._refused(passes.survey, role)
            if self._is_too_much(passes, refused, role):
                passes.more_skipped.append(_TOO_MANY)
                break
        else:
            passes.more_skipped.append(_ALTERED)
            passes.new = self._left(passes.survey)
            return
        if len(complete) > 1 and not self._stopped():
            last_survey, last = complete[-1]
            passes.new = self._new(last_survey, last, [tally for _, tally in complete])

    def _is_too_much(self, passes: _Passes, refused: Refusals, role: str) -> bool:
        """Whether more would go, with what went already, than `max_rows`."""
        if self._request.max_rows is None:
            return False
        more = self._all_looks(_Passes(passes.survey, ()), refused, role)
        return sum(tally.rows for tally in passes.tallies) + more > self._request.max_rows

    def _is_another_needed(self, complete: Sequence[tuple[Survey, PassTally]]) -> bool:
        survey, last = complete[-1]
        if last.vanished:
            return len(complete) < _PASSES
        # Of triggers, one more look is enough to tell that they bring rows back each time.
        return len(complete) == 1 and bool(_with_triggers(survey.graph, [last]))

    def _swept(self, passes: _Passes) -> SweptRows:
        graph, tallies = passes.graph, passes.tallies
        counts: list[PassTally] = [tally for tally in tallies if tally.rows] or tallies[-1:]
        is_dry = self._request.dry_run
        if not self._is_counted and _with_triggers(graph, counts):
            passes.more_skipped.append(_UNCOUNTED)
        there = TableSizes(self._session, passes.survey.graph).told(
            rows_by_table(graph, counts), are_gone=not is_dry
        )
        examples = Examples(self._session, self._statements(passes.survey))
        return SweptRows(
            planned=there,
            deleted=() if is_dry else there,
            kept=(
                *kept_by_table(graph, tallies[-1], examples),
                *passes.new,
                *passes.survey.since.unproven,
                *passes.survey.views,
            ),
            not_checked=sentences((*passes.survey.not_checked, *passes.more_skipped)),
            passes=len(tallies),
            longest_transaction_s=max(tally.longest_s for tally in tallies),
            error=passes.error,
            changed=changed_rows(graph, counts),
            side_effects=side_effects(graph, counts),
            left_by=passes.left_by,
            in_spite_of_age=sum(tally.in_spite_of_age for tally in counts),
            young=frozenset((table_of(graph, leaf), written) for leaf, written in tallies[-1].young),
            held_back=tallies[-1].held_back,
            also_refer=also_referring(graph, tallies[-1], examples),
        )

    def _statements(self, survey: Survey) -> SweepStatements:
        return SweepStatements(survey.graph, survey.flagging)

    def _pass(self, survey: Survey, refused: Refusals, seeds: Seeds, *, deletes: bool = True) -> RowPass:
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
        refused_before = {(schema, table) for schema, table, _ in self._request.refused_before}
        before = {leaf for leaf in rules.reached if table_of(graph, leaf) in refused_before}
        return RowPass(
            self._session,
            rows,
            rules,
            batches,
            estimate,
            self._request.clusters_at_once,
            self._stopped,
            told,
            lambda leaf, tids: self._surveyor.is_stale(survey, leaf, tids),
            survey.oldest,
            self._remembered,
            before,
        )

    def _left(self, survey: Survey) -> tuple[Kept, ...]:
        """Returns the rows left over, as tables kept changing."""
        left = {
            leaf: sum(not seed.flags & BLOCKING for _, seed in rows.items())
            for leaf, rows in self._surveyor.again(survey).rows.items()
        }
        return tuple(
            Kept(*table_of(survey.graph, leaf), rows, "changed", "tables kept changing")
            for leaf, rows in sorted(left.items())
            if rows
        )

    def _new(self, survey: Survey, last: PassTally, tallies: Sequence[PassTally]) -> tuple[Kept, ...]:
        """Returns the rows that appeared since the last pass began: of triggers, or changed since.

        What is too young is of tests that run.
        """
        graph, before = survey.graph, survey.seeds
        touched = _with_triggers(graph, tallies)
        if not touched and not last.vanished:
            return ()
        found = []
        # What is deleted may be copied to where nothing was marked before.
        seeds = self._surveyor.again(survey)
        for leaf, there in sorted(seeds.rows.items()):
            was_there = leaf in before.rows
            known = dict(before.rows[leaf].items()) if was_there else {}
            left = last.left.get(leaf, ())
            rows = sum(
                not seed.flags & BLOCKING
                and (tid not in known or known[tid].xmin != seed.xmin or tid in left)
                for tid, seed in there.items()
            )
            if rows and leaf in touched:
                triggers = ", ".join(map(shown, graph.writers(leaf)))
                found.append(Kept(*table_of(graph, leaf), rows, "recreated", f"triggers: {triggers}"))
            elif rows and touched and not (was_there and last.vanished):
                detail = "written during the sweep: run it again"
                found.append(Kept(*table_of(graph, leaf), rows, "recreated", detail))
            elif rows and last.vanished:
                found.append(
                    Kept(
                        *table_of(graph, leaf), rows, "changed", "another session changed it during the sweep"
                    )
                )
        return tuple(found)


def _with_triggers(graph: ForeignKeyGraph, tallies: Iterable[PassTally]) -> Collection[int]:
    """The leaves that rows went from, where triggers may have brought some back."""
    return {
        leaf for tally in tallies for leaf in tally.leaves if leaf in graph.relations and graph.writers(leaf)
    }
