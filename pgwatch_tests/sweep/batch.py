"""One transaction of a sweep: some clusters are locked, judged and deleted, or nothing is done."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg
from psycopg import errors

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.leaks.session import ScanSession
from pgwatch_tests.server.session_limits import for_code_of_others
from pgwatch_tests.sweep.clusters import BLOCKING, Clusters, Judged, Lock, Rules
from pgwatch_tests.sweep.database_rows import DatabaseRows
from pgwatch_tests.sweep.refusals import Refusal, name_of
from pgwatch_tests.sweep.seeds import Seed

RefusedRows = Mapping[int, Mapping[str, Refusal]]
"""Rows that can't go, by leaf and tid, and why."""
SeedsByLeaf = Mapping[int, Mapping[str, Seed]]
"""Marked rows, by leaf and tid."""


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What came of a batch."""

    judged: Judged
    seen: Mapping[int, frozenset[str]]
    """All rows that its clusters are of, by leaf: only of leaves with marked rows."""
    vanished: int
    """How many of its seeds aren't there any more, or not as they were read."""
    duration_s: float
    """Of its transaction."""


class DeleteFailedError(Exception):
    """A DELETE failed, or didn't delete what it should: everything was rolled back."""

    def __init__(self, leaves: frozenset[int], error: psycopg.Error) -> None:
        super().__init__(str(error))
        self.leaves = leaves
        self.error = error


class Batches:
    """Runs batches by the same rules. Methods raise what ScanSession.running does, and psycopg's errors."""

    def __init__(self, session: ScanSession, rows: DatabaseRows, rules: Rules) -> None:
        self._session = session
        self._rows = rows
        self._rules = rules

    def look(self, seeds: SeedsByLeaf, refused: RefusedRows) -> BatchOutcome:
        """Judges the clusters of some seeds as they are just now, without locks."""
        begun = time.monotonic()
        clusters, vanished = self._grown(seeds, "nothing")
        _refuse(clusters, refused)
        return self._outcome(clusters, clusters.judged(), vanished, begun)

    def sweep(self, seeds: SeedsByLeaf, refused: RefusedRows) -> BatchOutcome:
        """Deletes the clusters of some seeds that may go, in one transaction.

        `refused` are rows that can't be deleted, as was seen before. Raises DeleteFailedError; what couldn't
        be deleted though the server didn't mind is refused then.
        """
        # To lock a row costs as much as to delete it. Where nothing can come to refer to it, that only
        # matters if somebody else works on it, which DELETE runs into as well.
        try:
            outcome = self._attempt(seeds, refused, "parents")
        except DeleteFailedError as failure:
            if not isinstance(failure.error, errors.LockNotAvailable):
                raise
            outcome = None
        attempts = 0
        while not isinstance(outcome, BatchOutcome):
            refused = refused if outcome is None else _with(refused, outcome)
            # A trigger may stop another row each time: once it had its chance in each table, none goes.
            outcome = self._attempt(seeds, refused, "all", is_last=attempts > len(self._rules.graph.order))
            attempts += 1
        return outcome

    def _attempt(
        self,
        seeds: SeedsByLeaf,
        refused: RefusedRows,
        lock: Lock,
        *,
        is_last: bool = False,
    ) -> BatchOutcome | dict[int, dict[str, Refusal]] | None:
        """What came of it; else the rows that a DELETE didn't delete, or None if those may be somebody's.

        If it `is_last`, these are all that were to be deleted.
        """
        begun = time.monotonic()
        with self._transaction():
            clusters, vanished = self._grown(seeds, lock)
            _refuse(clusters, refused)
            judged = clusters.judged()
            survivors = self._delete(judged)
            if not survivors:
                self._commit(judged)
                return self._outcome(clusters, judged, vanished, begun)
            if is_last:
                refusal = next(iter(next(iter(survivors.values())).values()))
                survivors = {leaf: dict.fromkeys(tids, refusal) for leaf, tids in judged.going.items()}
        return None if lock == "parents" else survivors

    def _grown(self, seeds: SeedsByLeaf, lock: Lock) -> tuple[Clusters, int]:
        clusters = Clusters(self._rules, self._rows, lock)
        vanished = 0
        for leaf, read in seeds.items():
            held: dict[str, str] = {}
            there: Iterable[str] = read
            if leaf not in self._rules.unseen:
                if leaf not in self._rules.refused and self._rules.is_locked(leaf, lock):
                    free = [tid for tid, seed in read.items() if not seed.flags & BLOCKING]
                    held = self._rows.lock_versions(leaf, free)
                others = [tid for tid in read if tid not in held]
                versions = held | self._rows.versions(leaf, others)
                there = [tid for tid, seed in read.items() if versions.get(tid) == seed.version]
                vanished += len(read) - len(there)
            flags = {tid: read[tid].flags for tid in there}
            clusters.grow(leaf, flags, held.keys() & flags.keys())
        return clusters, vanished

    def _delete(self, judged: Judged) -> dict[int, dict[str, Refusal]]:
        """Deletes what may go, children first, and stops where something is still there: returns that."""
        # Of triggers: they may say no schema, or read dates as their database writes them.
        self._session.execute(for_code_of_others(self._session.connection.info.server_version))
        for together in self._rules.graph.deletion_order:
            going = {leaf: judged.going[leaf] for leaf in sorted(together) if leaf in judged.going}
            if not going:
                continue
            try:
                counts = self._rows.delete(going)
            except psycopg.Error as error:
                raise DeleteFailedError(frozenset(going), error) from error
            survivors = {
                leaf: self._survivors(leaf, tids) for leaf, tids in going.items() if counts[leaf] != len(tids)
            }
            if survivors:
                return survivors
        return {}

    def _commit(self, judged: Judged) -> None:
        try:
            self._session.execute(b"COMMIT")
        except psycopg.Error as error:
            # Of a trigger that waits until the end. The server doesn't say whose.
            relations = self._rules.graph.relations
            suspects = frozenset(leaf for leaf in judged.going if relations[leaf].triggers)
            raise DeleteFailedError(suspects or frozenset(judged.going), error) from error

    def _survivors(self, leaf: int, tids: Sequence[str]) -> dict[str, Refusal]:
        relation = self._rules.graph.relations[leaf]
        triggers = f" (triggers: {', '.join(relation.triggers)})" if relation.triggers else ""
        suppressed = Refusal("refused", f"a DELETE on {name_of(relation)} doesn't delete it{triggers}")
        # What is gone all the same, something else has deleted: then nothing says what else it did.
        there = self._rows.still_there(leaf, tids) or tids
        return dict.fromkeys(there, suppressed)

    def _outcome(self, clusters: Clusters, judged: Judged, vanished: int, begun: float) -> BatchOutcome:
        seen = {leaf: frozenset(clusters.rows_of(leaf)) for leaf in self._rules.bearing}
        return BatchOutcome(judged, seen, vanished, time.monotonic() - begun)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Rolls back what isn't committed at its end."""
        # The open cursor keeps its snapshot, and so the server from giving the place of a row that is
        # deleted meanwhile to another one: until the end, a ctid that was read names that row or none.
        self._session.execute(b"BEGIN; DECLARE pgwatch_tests_sweep CURSOR FOR SELECT")
        try:
            yield
        finally:
            if not self._session.connection.closed and self._session.connection.info.transaction_status:
                with suppress(psycopg.Error, PgwatchError):
                    self._session.execute(b"ROLLBACK")


def _with(refused: RefusedRows, more: RefusedRows) -> dict[int, dict[str, Refusal]]:
    return {leaf: {**refused.get(leaf, {}), **more.get(leaf, {})} for leaf in {*refused, *more}}


def _refuse(clusters: Clusters, refused: RefusedRows) -> None:
    for leaf, rows in refused.items():
        for tid, refusal in rows.items():
            clusters.block(leaf, tid, refusal)
