"""Batches: one transaction that locks, compares and deletes the rows of some clusters, or does nothing.

The plan was made without locks. So before anything goes, the tables are locked against whoever would change
keys, triggers, rules or partitions, and compared with the catalogs that the plan was made on; and each row
that others may come to refer to is locked, and must be the version that was read. From then on nothing new
can refer to it. What had come to refer to it before, the server refuses (NO ACTION, RESTRICT), or its counts
of rows written tell (CASCADE, SET NULL): then nothing is done, and the next attempt asks for it by itself.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import psycopg
from psycopg import errors

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.postgres.connections.session_settings import for_code_of_others
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKey, ForeignKeyGraph
from pgwatch_tests.sweep.plan.planned_catalog import Catalog, TupleCounts, written_since
from pgwatch_tests.sweep.plan.refusals import Refusal, name_of
from pgwatch_tests.sweep.plan.related_rows import CatalogChangedError
from pgwatch_tests.sweep.plan.rules import CHANGED, LOCKED
from pgwatch_tests.sweep.rows.database_rows import GONE, DatabaseRows
from pgwatch_tests.sweep.rows.effects import side_effects
from pgwatch_tests.sweep.rows.portions import Estimate, Portion
from pgwatch_tests.sweep.rows.statements import SweepStatements
from pgwatch_tests.sweep.rows.tally import Attempt, BatchOutcome

# So often a trigger may move a row away from a DELETE, or let another one of the batch stay.
_ROUNDS = 3
_ATTEMPTS = 25


class BatchFailedError(Exception):
    """A statement failed, and nothing was done. `leaves` are those that it was about."""

    def __init__(self, leaves: frozenset[int], error: psycopg.Error) -> None:
        super().__init__(str(error))
        self.leaves = leaves
        self.error = error


class _AgainError(Exception):
    """Nothing was done: to be tried again without what stays, and more carefully."""

    def __init__(
        self,
        stays: Mapping[int, Refusal] | None = None,
        *,
        lock_all: bool = False,
        in_turn: bool = False,
        ask: frozenset[int] = frozenset(),
    ) -> None:
        super().__init__()
        self.stays = stays or {}
        self.lock_all = lock_all
        self.in_turn = in_turn
        self.ask = ask


class Batches:
    """Deletes portions. Methods raise what `session.running` does, and CatalogChangedError."""

    def __init__(
        self,
        session: DatabaseSession,
        rows: DatabaseRows,
        statements: SweepStatements,
        graph: ForeignKeyGraph,
        catalog: Catalog,
        estimate: Estimate,
    ) -> None:
        self._session = session
        self._rows = rows
        self._statements = statements
        self._graph = graph
        self._catalog = catalog
        self._estimate = estimate
        self._asked_always: frozenset[int] = frozenset()
        """The leaves in which more was written than was known: by triggers, or the server doesn't count."""
        self._own: set[int] = set()
        """The transactions of batches before, as rows have them in xmin."""
        self._moving: set[int] = set()
        """The leaves of which a DELETE has left rows: there, one goes after the other."""

    def sweep(self, portion: Portion, meanwhile: Callable[[], None] = lambda: None) -> BatchOutcome:
        """Deletes the clusters of a portion that may go; `meanwhile` may be called while the server does so.

        Raises BatchFailedError if a statement failed.
        """
        outcome = BatchOutcome(portion.without(portion.clusters))
        lock_all, in_turn, ask = False, False, self._asked_always
        for attempt in range(_ATTEMPTS + 1):
            if not portion:
                return outcome
            begun = time.monotonic()
            in_turn = in_turn or not self._moving.isdisjoint(portion.rows)
            state = Attempt(portion, lock_all, ask, in_turn, meanwhile)
            try:
                self._transact(state)
            except _AgainError as again:
                stays: Mapping[int, Refusal] = again.stays
                if attempt == _ATTEMPTS and stays:
                    stays = dict.fromkeys(portion.clusters, next(iter(stays.values())))
                self._sort_out(outcome, portion, {**stays})
                portion = portion.without(stays)
                lock_all, ask = lock_all or again.lock_all, ask | again.ask
                in_turn = in_turn or again.in_turn
            except BatchFailedError as failure:
                # A DELETE waits for a row that somebody works on; who locks first passes it by.
                if lock_all or not isinstance(failure.error, errors.LockNotAvailable):
                    raise
                lock_all = True
            else:
                self._sort_out(outcome, portion, state.stays)
                outcome.gone = state.portion.without_rows(state.elsewhere)
                outcome.elsewhere = state.elsewhere
                outcome.effects = state.effects
                outcome.more_loose = state.more_loose
                portion = portion.without(portion.clusters)
            finally:
                outcome.longest_s = max(outcome.longest_s, time.monotonic() - begun)
        if portion:
            # Something unknown was written each time.
            outcome.changed.append(portion)
        return outcome

    def _sort_out(self, outcome: BatchOutcome, portion: Portion, stays: Mapping[int, Refusal]) -> None:
        by_reason: defaultdict[Refusal, list[int]] = defaultdict(list)
        for cluster, refusal in stays.items():
            by_reason[refusal].append(cluster)
        for refusal, clusters in by_reason.items():
            part = portion.only(clusters)
            if refusal == CHANGED:
                outcome.changed.append(part)
            else:
                outcome.kept.append((refusal, part))

    def _transact(self, state: Attempt) -> None:
        leaves = sorted(state.portion.rows)
        begun_s = time.monotonic()
        with self._rolled_back_otherwise(), _failing(leaves):
            with _failing(leaves, gone=CatalogChangedError):
                before = self._catalog.begin(self._statements.lock_tables(leaves), leaves)
                rows_since_s = time.monotonic()
                self._lock(state)
                self._ask(state)
            if state.portion:
                self._delete(state)
                self._count(state, leaves, before)
                with _failing(self._with_triggers(state)):
                    self._rows.commit(sum(map(len, state.portion.rows.values())))
                rows_s = state.rows_done_s - rows_since_s
                took_s = time.monotonic() - begun_s
                self._estimate.learn(state.portion, rows_s, state.statements, took_s - rows_s)

    def _with_triggers(self, state: Attempt) -> Sequence[int]:
        """What may go wrong at the end is a trigger's doing. The server doesn't say whose."""
        leaves = state.portion.rows
        return [leaf for leaf in leaves if self._graph.writers(leaf)] or list(leaves)

    # Before anything goes.

    def _lock(self, state: Attempt) -> None:
        """Locks rows, and leaves out the clusters of those that can't be had, or aren't what was read."""
        # To lock a row costs as much as to delete it. Where nothing can come to refer to it, DELETE itself
        # tells which version went.
        leaves = [leaf for leaf in state.portion.rows if state.lock_all or self._graph.referring_to(leaf)]
        state.statements += 1
        for leaf, held in self._rows.lock({leaf: state.portion.tids(leaf) for leaf in leaves}).items():
            if leaf not in state.portion.rows:
                continue
            # Some of those asked for may have been left out meanwhile.
            wanted = state.portion.versions(leaf)
            if held == wanted:
                continue
            wrong = {tid: xmin for tid, xmin in wanted.items() if held.get(tid) != xmin}
            if wrong:
                state.leave_out(self._why(leaf, wrong, state.portion.owners(leaf)))
        by_leaf: defaultdict[int, dict[int, tuple[int, int]]] = defaultdict(dict)
        for owner, loose in state.portion.loose:
            if self._key(loose.key).changes:
                by_leaf[loose.leaf][loose.tid] = loose.xmin, owner
        now_held = self._rows.lock_for_change({leaf: list(referring) for leaf, referring in by_leaf.items()})
        for leaf, held in now_held.items():
            referring = by_leaf[leaf]
            wrong = {tid: xmin for tid, (xmin, _) in referring.items() if held.get(tid) != xmin}
            if wrong:
                now = self._rows.versions(leaf, list(wrong))
                # One that went with a batch before this one; or it is another version by now, which will be
                # counted as something unknown.
                gone = {tid for tid, xmin in wrong.items() if now.get(tid) != xmin}
                state.portion = state.portion.forgetting((leaf, tid) for tid in gone)
                locked = {referring[tid][1]: LOCKED for tid in wrong.keys() - gone}
                state.leave_out(locked)

    def _why(self, leaf: int, wrong: Mapping[int, int], owners: Mapping[int, int]) -> dict[int, Refusal]:
        """Of each cluster with such rows: whether somebody else has one, or has changed one."""
        now = self._rows.versions(leaf, list(wrong))
        why = {owners[tid]: LOCKED for tid in wrong}
        why.update({owners[tid]: CHANGED for tid, xmin in wrong.items() if now.get(tid) != xmin})
        return why

    def _ask(self, state: Attempt) -> None:
        """Leaves out clusters that something refers to by now which wasn't known when they were judged."""
        known: dict[int, set[int]] | None = None
        for leaf in list(state.portion.rows):
            for key in self._graph.referring_to(leaf):
                if leaf not in state.portion.rows or not self._is_asked(key, state.ask):
                    continue
                if known is None:
                    known = _known(state.portion)
                tids = state.portion.tids(leaf)
                news = set()
                for place, child, tid, xmin in self._rows.referring(key, leaf, tids):
                    if tid in known.get(child, ()):
                        continue
                    if key.changes and xmin in self._own:
                        state.more_loose[child, key.oid] += 1
                        state.moved[child] += 1
                    else:
                        news.add(tids[place])
                if news:
                    owners = state.portion.owners(leaf)
                    state.leave_out({owners[tid]: CHANGED for tid in news})

    def _is_asked(self, key: ForeignKey, ask: frozenset[int]) -> bool:
        if not key.enforced:
            return False
        if not (key.fires and key.checks) or self._graph.may_be_stopped(key):
            return True
        return (key.on_delete == "c" or key.changes) and not ask.isdisjoint(self._graph.leaves(key.child))

    # Deleting.

    def _delete(self, state: Attempt) -> None:
        """Deletes, children first. Raises _AgainError if something is still there."""
        # Of triggers: they may say no schema, or read dates as their database writes them.
        settings: Sequence[bytes] = (for_code_of_others(self._session.connection.info.server_version),)
        groups = self._graph.deletion_groups(state.portion.rows.keys())
        for some in [[group] for group in groups] if state.in_turn else [groups]:
            self._delete_groups(state, some, settings)
            settings = ()

    def _delete_groups(
        self, state: Attempt, groups: Sequence[Sequence[int]], settings: Sequence[bytes]
    ) -> None:
        """Deletes these without a look in between."""
        wanted = [{leaf: state.portion.versions(leaf) for leaf in group} for group in groups]
        going = [{leaf: list(versions) for leaf, versions in group.items()} for group in wanted]
        state.statements += 1
        deleted, error = self._rows.delete(going, state.meanwhile, settings)
        for group, one in zip(wanted, deleted, strict=False):
            for leaf, versions in group.items():
                if one.took_s is not None:
                    rows = sum(map(len, group.values()))
                    self._estimate.learn_rows(leaf, rows, one.took_s, len(group))
                if one.rows[leaf] != versions:
                    if len(groups) > 1:
                        # What came after it didn't go as it would have.
                        self._moving.add(leaf)
                        raise _AgainError(lock_all=True, in_turn=True)
                    self._follow(state, leaf, versions, one.rows[leaf])
        if error is not None:
            raise BatchFailedError(frozenset(groups[len(deleted)]), error) from error

    def _follow(self, state: Attempt, leaf: int, wanted: Mapping[int, int], gone: Mapping[int, int]) -> None:
        """Deletes what triggers have moved meanwhile. Raises _AgainError if something is still there."""
        if not state.lock_all and not self._graph.referring_to(leaf):
            # Then it may be somebody else's doing.
            raise _AgainError(lock_all=True)
        owners = state.portion.owners(leaf)
        others = {tid for tid, xmin in wanted.items() if gone.get(tid, xmin) != xmin}
        if others or not gone.keys() <= wanted.keys():
            raise _AgainError(dict.fromkeys(map(owners.__getitem__, others or wanted), CHANGED))
        missing = {tid: tid for tid in wanted if tid not in gone}
        for _ in range(_ROUNDS):
            now = self._rows.current(leaf, list(missing.values()))
            there = {tid: place for tid, last in missing.items() if (place := now.get(last)) is not None}
            state.note_unfound(leaf, missing.keys() - there.keys())
            if any(place == missing[tid] for tid, place in there.items()):
                missing = there
                break
            if not there:
                return
            state.moved[leaf] += len(there)
            deleted, error = self._rows.delete([{leaf: list(there.values())}])
            if error is not None:
                raise BatchFailedError(frozenset((leaf,)), error) from error
            missing = {tid: place for tid, place in there.items() if place not in deleted[0].rows[leaf]}
            if not missing:
                return
        relation = self._graph.relations[leaf]
        triggers = f" (triggers: {', '.join(relation.triggers)})" if relation.triggers else ""
        refusal = Refusal("refused", f"DELETE on {name_of(relation)} doesn't delete it{triggers}")
        raise _AgainError({owners[tid]: refusal for tid in missing})

    # Afterwards.

    def _count(self, state: Attempt, leaves: Sequence[int], before: Mapping[int, TupleCounts]) -> None:
        """Compares what was written with what was meant. Raises _AgainError if keys may have done more."""
        # What waits for the end would write after it was counted.
        with _failing(self._with_triggers(state)):
            of_triggers = any(map(self._graph.writers, leaves))
            transaction, counts = self._catalog.check(leaves, of_triggers=of_triggers)
            state.rows_done_s = time.monotonic()
            if transaction.skips_triggers:
                raise errors.RaiseException("a trigger disables all triggers, and with them foreign keys")
        self._compare_changed(state)
        written = {one.oid: one for one in written_since(before, counts)}
        rows = state.portion.rows
        emptied = self._catalog.emptied(written) if transaction.has_exclusive else frozenset()
        state.effects = [TupleCounts(oid, 0, 0, 0, emptied=True) for oid in emptied]
        if any(
            leaf not in written or written[leaf].deleted < len(rows[leaf]) for leaf in rows.keys() - emptied
        ):
            # Not even our own rows are counted.
            self._asked_always = frozenset(self._graph.relations)
            if state.ask != self._asked_always:
                raise _AgainError(ask=self._asked_always)
            return
        loose = Counter(one.leaf for _, one in state.portion.loose if self._key(one.key).changes)
        unfound = {leaf: tids for leaf, tids in state.unfound.items() if leaf not in emptied}
        besides, state.elsewhere = side_effects(
            self._graph, written, {leaf: len(rows[leaf]) for leaf in rows}, loose + state.moved, unfound
        )
        state.effects += besides
        suspects = self._may_be_of_keys(state) - state.ask if state.effects else None
        if suspects:
            self._asked_always |= suspects
            raise _AgainError(ask=suspects)
        self._own.add(transaction.id)

    def _compare_changed(self, state: Attempt) -> None:
        """Raises _AgainError if what refers loosely goes on doing so: a trigger or rule may see to that."""
        loose: defaultdict[tuple[int, int], dict[int, int]] = defaultdict(dict)
        for owner, one in state.portion.loose:
            if self._key(one.key).changes:
                loose[one.key, one.leaf][one.tid] = owner
        stays: dict[int, Refusal] = {}
        dangling = self._rows.dangling(
            [(self._key(oid), leaf, list(loose[oid, leaf])) for oid, leaf in loose]
        )
        for ((_, leaf), owners), tids in zip(loose.items(), dangling, strict=True):
            keeps = f"a trigger or rule keeps {name_of(self._graph.relations[leaf])} referring to it"
            stays.update({owners[tid]: Refusal("refused", keeps) for tid in tids})
        if stays:
            raise _AgainError(stays)

    def _may_be_of_keys(self, state: Attempt) -> frozenset[int]:
        """The leaves in which ON DELETE CASCADE or SET NULL may have written more than was known."""
        deleted = {one.oid for one in state.effects if one.deleted}
        updated = {one.oid for one in state.effects if one.updated}
        found: set[int] = set()
        for leaf in state.portion.rows:
            for key in self._graph.referring_to(leaf):
                touched = deleted if key.on_delete == "c" else updated if key.changes else ()
                if touched:
                    found.update(touched.intersection(self._graph.leaves(key.child)))
        return frozenset(found)

    def _key(self, oid: int) -> ForeignKey:
        return self._graph.by_oid[oid]

    @contextmanager
    def _rolled_back_otherwise(self) -> Iterator[None]:
        """Rolls back what isn't committed at its end."""
        try:
            yield
        finally:
            if not self._session.connection.closed and self._session.connection.info.transaction_status:
                with suppress(psycopg.Error, PgwatchError):
                    self._session.execute(b"ROLLBACK")


@contextmanager
def _failing(leaves: Iterable[int], gone: type[CatalogChangedError] | None = None) -> Iterator[None]:
    """Raises BatchFailedError for a statement that fails, or `gone` where something named isn't there."""
    try:
        yield
    except psycopg.Error as error:
        if gone is not None and isinstance(error, GONE):
            raise gone from error
        raise BatchFailedError(frozenset(leaves), error) from error


def _known(portion: Portion) -> dict[int, set[int]]:
    known = {leaf: set(portion.tids(leaf)) for leaf in portion.rows}
    for _, loose in portion.loose:
        known.setdefault(loose.leaf, set()).add(loose.tid)
    return known
