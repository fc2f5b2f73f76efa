"""The rows' part of a sweep: what of the marked rows, and of what hangs on them, goes."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import psycopg

from pgwatch_tests.config import Settings
from pgwatch_tests.counts import many
from pgwatch_tests.errors import ConnectionLostError, RefusedError
from pgwatch_tests.leaks.discover import shown
from pgwatch_tests.leaks.model import Skipped
from pgwatch_tests.leaks.session import ScanSession
from pgwatch_tests.server.said import said
from pgwatch_tests.sweep.clusters import BLOCKING, Rules
from pgwatch_tests.sweep.database_rows import DatabaseRows
from pgwatch_tests.sweep.execute import Execution, Tally
from pgwatch_tests.sweep.foreign_keys import ForeignKeys
from pgwatch_tests.sweep.model import Kept, SweepProgress, SweepRequest, TableRows
from pgwatch_tests.sweep.refusals import Refusals, refusals
from pgwatch_tests.sweep.seeds import Seeds
from pgwatch_tests.sweep.statements import SweepStatements
from pgwatch_tests.sweep.sums import kept_by_table, rows_by_table, sentences, table_of
from pgwatch_tests.sweep.survey import Survey, Surveyor, with_graph
from pgwatch_tests.sweep.temporary_index import TemporaryIndexes

# A batch that waits for a lock keeps others waiting for what it has locked.
_LOCK_TIMEOUT_S = 0.02
# For the rows of a batch, the planner would rather read a table of 100 MB than use its index.
_BY_INDEX = {"random_page_cost": "1.0"}


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
        survey = self._surveyor.survey(role)
        self._session.set(_BY_INDEX)
        refused = self._refused(survey, role)
        if not self._request.temp_index or self._request.dry_run:
            return self._sweep(survey, refused)
        with TemporaryIndexes(self._session, self._settings, survey.graph, refused.slow) as made:
            survey = with_graph(survey, made.graph)
            swept = self._sweep(survey, self._refused(survey, role, made.not_made))
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

    def _sweep(self, survey: Survey, refused: Refusals) -> SweptRows:
        rows = DatabaseRows(self._session, SweepStatements(survey.graph, survey.flagging))
        rules = Rules.of(survey.graph, survey.bearing, refused.tables, refused.keys, refused.unseen)
        if self._request.dry_run or self._request.max_rows is not None:
            planned = self._pass(rows, rules, survey, survey.seeds).look(survey.seeds)
            if self._request.dry_run:
                return SweptRows(
                    rows_by_table(survey.graph, [planned]),
                    kept=kept_by_table(survey.graph, planned),
                    not_checked=sentences(survey.not_checked),
                    passes=1,
                )
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
        return self._passes(survey, rows, rules)

    def _passes(self, survey: Survey, rows: DatabaseRows, rules: Rules) -> SweptRows:
        """Deletes, and once more what is there again, or was changed while it was looked at."""
        graph = survey.graph
        passes = [self._pass(rows, rules, survey, survey.seeds)]
        more_skipped: list[Skipped] = []
        new: tuple[Kept, ...] = ()
        error = ""
        try:
            first = passes[0].sweep(survey.seeds)
            if (_with_triggers(graph, first) or first.vanished) and not self._stopped():
                again, more_skipped = self._surveyor.again(survey)
                passes.append(self._pass(rows, rules, survey, again))
                new = self._new(survey, again, (first, passes[1].sweep(again)))
        except (ConnectionLostError, psycopg.Error) as failure:
            if not any(one.tally.rows for one in passes):
                raise
            error = said(failure) if isinstance(failure, psycopg.Error) else str(failure)
        tallies = [one.tally for one in passes]
        deleted = rows_by_table(graph, tallies)
        return SweptRows(
            planned=deleted,
            deleted=deleted,
            kept=(*kept_by_table(graph, tallies[-1]), *new),
            not_checked=sentences((*survey.not_checked, *more_skipped)),
            passes=len(passes),
            longest_transaction_s=max(one.longest_s for one in tallies),
            error=error,
        )

    def _pass(self, rows: DatabaseRows, rules: Rules, survey: Survey, seeds: Seeds) -> Execution:
        total = max(1, sum(seeds.counts.values()))

        def told(done: int, rows_done: int) -> None:
            self._told(SweepProgress(done, total, rows_done, done / total))

        others = {leaf: rows - len(survey.seeds.rows.get(leaf, ())) for leaf, rows in survey.counts.items()}
        counts = {leaf: others.get(leaf, 0) + len(seeds.rows.get(leaf, ())) for leaf in rules.bearing}
        return Execution(
            self._session, rows, rules, counts, self._request.clusters_at_once, self._stopped, told
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
            known = before.rows.get(leaf, {})
            rows = sum(
                not seed.flags & BLOCKING and (tid not in known or known[tid].version != seed.version)
                for tid, seed in there.items()
            )
            if rows and leaf in touched:
                triggers = ", ".join(map(shown, graph.relations[leaf].triggers))
                found.append(Kept(*table_of(graph, leaf), rows, "recreated", f"triggers: {triggers}"))
            elif rows and touched and leaf not in before.rows:
                detail = "written meanwhile: run it again"
                found.append(Kept(*table_of(graph, leaf), rows, "recreated", detail))
            elif rows and last.vanished:
                found.append(Kept(*table_of(graph, leaf), rows, "changed", "somebody changed it meanwhile"))
        return tuple(found)


def _with_triggers(graph: ForeignKeys, *tallies: Tally) -> Collection[int]:
    """The leaves that rows went from, where triggers may have brought some back."""
    return {leaf for tally in tallies for leaf in tally.leaves if graph.relations[leaf].triggers}
