"""One pass of a sweep over marked rows: plans without locks, deletes in small transactions.

What fails alone stays alone: where a portion is refused, its halves are tried, down to the cluster that it
is.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import psycopg
from psycopg import errors

from pgwatch_tests.postgres.server_messages import server_message
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.sweep.model import SweepPhase
from pgwatch_tests.sweep.plan.clusters import Clusters
from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKey
from pgwatch_tests.sweep.plan.marked_rows import Seeds
from pgwatch_tests.sweep.plan.planned_catalog import Oid
from pgwatch_tests.sweep.plan.refusals import Refusal, name_of
from pgwatch_tests.sweep.plan.related_rows import CatalogChangedError, Seed
from pgwatch_tests.sweep.plan.rules import LOCKED, MARKED, Rules
from pgwatch_tests.sweep.rows.batch import Batches, BatchFailedError
from pgwatch_tests.sweep.rows.database_rows import GONE, DatabaseRows
from pgwatch_tests.sweep.rows.portions import Estimate, Portion, Upcoming, ordered
from pgwatch_tests.sweep.rows.real_parents import add_referring
from pgwatch_tests.sweep.rows.tally import PassTally, Remembered, marked_leaves
from pgwatch_tests.sweep.rows.witnesses import Witnesses

PassProgressCallback = Callable[[SweepPhase, int, int], None]
"""Told the phase, how many seeds are done, and how many rows went."""
SeedsByLeaf = Mapping[int, Mapping[int, Seed]]
"""Marked rows, by leaf and tid."""

# So many marked rows are planned at once. More are planned in parts: each reads the tables again, and what is
# planned takes about 300 bytes per row. The first part tells how many rows come with a marked one.
_PLANNED_AT_ONCE, _FIRST_PART = 40_000, 20_000
_ROWS_OF_A_PART = 330_000
_LEAST_PART, _MOST_PART = 1_000, 40_000
# A lock on a table that is gone by the time it is looked for.
_ATTEMPTS = 3
# After so many clusters in a row that the same tables wouldn't let go, no more are tried there. Where the
# last sweep was refused as well, fewer will do.
_HOPELESS, _HOPELESS_AS_BEFORE = 20, 3
_TRANSIENT = (errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure)
_INTERRUPTED = Refusal("interrupted", "")
_FUNCTION = re.compile(r"function (?P<name>.+?)\([^()]*\) line ")


class RowPass:
    """Deletes with `batches`, or only looks without. Its methods raise what `session.running` does.

    CatalogChangedError ends it early: `tally` is true all the same, and `left` what wasn't done.
    """

    def __init__(
        self,
        session: DatabaseSession,
        rows: DatabaseRows,
        rules: Rules,
        batches: Batches | None,
        estimate: Estimate,
        clusters_at_once: int,
        stopped: Callable[[], bool],
        told: PassProgressCallback,
        is_stale: Callable[[int, Sequence[int]], bool],
        oldest: int,
        remembered: Remembered,
        refused_before: Collection[int] = (),
    ) -> None:
        """`is_stale` is asked of rows that may be newer than what was surveyed: those that transactions from
        `oldest` on wrote. Of the leaves `refused_before`, the last sweep was refused rows.
        """
        self._session = session
        self._rows = rows
        self._rules = rules
        self._batches = batches
        self._estimate = estimate
        self._most = max(1, clusters_at_once)
        self._stopped = stopped
        self._told = told
        self._is_stale = is_stale
        self._oldest = oldest
        self._remembered = remembered
        if remembered.hopeless:
            self._rules = replace(rules, refused={**remembered.hopeless, **rules.refused})
        self._before = frozenset(refused_before)
        self._seen: dict[int, set[int]] = {leaf: set() for leaf in rules.bearing}
        """Marked rows that were come upon before their turn."""
        self._failures: Counter[frozenset[int]] = Counter()
        """The successive refusals, by tables."""
        self._waits: Counter[frozenset[int]] = Counter()
        """The number of timeouts for rows, by tables."""
        self._said_first: dict[str, str] = {}
        """By trigger."""
        self._done = 0
        self._part_size = _FIRST_PART
        self.tally = PassTally(rules.bearing)

    def run(self, seeds: Seeds) -> PassTally:
        """Deletes, or counts, what may go."""
        witnesses = Witnesses(self._rules, seeds.counts)
        climbing = seeds.total > _PLANNED_AT_ONCE
        for part in self._parts(seeds, climbing=climbing):
            if not self._stopped():
                self._plan_and_do(part, witnesses, climbing=climbing)
        going, staying = witnesses.settle(self.tally.real, self.tally.marked)
        for refusal, held in staying:
            self._keep(held, refusal, None)
        for held in going:
            if self._stopped():
                self._keep(held, _INTERRUPTED, None)
            else:
                self._work(held, None)
        if self._stopped():
            self._interrupted(seeds)
        self._told(self._phase, seeds.total, self.tally.rows)
        return self.tally

    @property
    def _phase(self) -> SweepPhase:
        return "plan" if self._batches is None else "delete"

    def _parts(self, seeds: Seeds, *, climbing: bool) -> Iterator[dict[int, dict[int, Seed]]]:
        """The seeds, parents first, but for those that were come upon already."""
        rank = {leaf: rank for rank, leaves in enumerate(self._rules.graph.order) for leaf in leaves}
        part: dict[int, dict[int, Seed]] = {}
        size = 0
        for leaf in sorted(seeds.rows, key=lambda leaf: (-rank[leaf], leaf)):
            for tid, seed in seeds.rows[leaf].items():
                if tid in self._seen[leaf]:
                    self._seen[leaf].discard(tid)
                    continue
                part.setdefault(leaf, {})[tid] = seed
                size += 1
                if climbing and size >= self._part_size:
                    yield part
                    part, size = {}, 0
        if part:
            yield part

    def _plan_and_do(self, part: SeedsByLeaf, witnesses: Witnesses, *, climbing: bool) -> None:
        self._told("plan", self._done, self.tally.rows)
        clusters = self._planned(part, climbing=climbing)
        seeds = sum(map(len, part.values()))
        by_rows = _ROWS_OF_A_PART * seeds // max(1, len(clusters.tids))
        self._part_size = min(_MOST_PART, max(_LEAST_PART, by_rows))
        settled = clusters.settled()
        self.tally.keep_settled(clusters, settled)
        for (leaf, _), nodes in settled.kept.items():
            if any(clusters.flags[node] & MARKED for node in nodes):
                witnesses.note_staying(leaf)
        if climbing:
            for leaf, seen in self._seen.items():
                seen.update(clusters.rows_of(leaf) - part.get(leaf, {}).keys())
        if clusters.has_loose:
            leaves, tids = clusters.leaves, clusters.tids
            self.tally.planned.update((leaves[node], tids[node]) for nodes in settled.going for node in nodes)
        self._compare_ages(clusters, settled.going)
        going, released = witnesses.hold_back(clusters, settled.going, None if climbing else self.tally.real)
        self._done += seeds - Portion(clusters, settled.going).seeds_count
        for one in released:
            self._work(one, witnesses)
        if self._batches is None:
            self._work(Portion(clusters, going), witnesses)
            return
        portions = Upcoming(self._estimate.cuts(clusters, ordered(clusters, going), self._most))
        for one in portions:
            if self._stopped():
                self._keep(one, _INTERRUPTED, witnesses)
            else:
                self._work(one, witnesses, portions.look)

    def _compare_ages(self, clusters: Clusters, going: Sequence[Sequence[int]]) -> None:
        """Raises CatalogChangedError if a row was written since the survey, by a test that runs."""
        oldest, xmins, leaves = self._oldest, clusters.xmins, clusters.leaves
        # Transaction ids are compared on a circle (TransactionIdPrecedes in transam.c).
        new_xmins = {xmin for xmin in set(xmins) if (xmin - oldest) & 0xFFFFFFFF < 0x80000000}
        news: dict[int, list[int]] = {}
        for nodes in going if new_xmins else ():
            for node in nodes:
                if xmins[node] in new_xmins:
                    news.setdefault(leaves[node], []).append(clusters.tids[node])
        for _, leaf, tid, xmin in clusters.all_loose():
            if (xmin - oldest) & 0xFFFFFFFF < 0x80000000:
                news.setdefault(leaf, []).append(tid)
        if any(self._is_stale(leaf, tids) for leaf, tids in news.items()):
            raise CatalogChangedError

    def _planned(self, part: SeedsByLeaf, *, climbing: bool) -> Clusters:
        """Returns the clusters of some marked rows. Refuses foreign keys that can't be followed."""
        failures: Counter[int] = Counter()
        while True:
            clusters = Clusters(self._rules, self._rows, climbing=climbing)
            try:
                clusters.grow(part)
            except psycopg.Error as error:
                if isinstance(error, GONE):
                    raise CatalogChangedError from error
                if isinstance(error, errors.LockNotAvailable) and self._leave_locked_tables():
                    continue
                if clusters.asking is None:
                    raise
                failures[clusters.asking.oid] += 1
                transient = isinstance(error, _TRANSIENT)
                if not transient or failures[clusters.asking.oid] >= _ATTEMPTS:
                    self._refuse_key(
                        clusters.asking,
                        LOCKED if transient else Refusal("not_checked", server_message(error)),
                    )
            else:
                return clusters

    def _refuse_key(self, key: ForeignKey, refusal: Refusal) -> None:
        """Lets all rows stay that a key leads to: it can't be followed."""
        graph = self._rules.graph
        leaves = graph.leaves(key.parent)
        self._rules = replace(
            self._rules,
            refused={**dict.fromkeys(leaves, refusal), **self._rules.refused},
            skipped=self._rules.skipped | {key.oid},
            unseen=self._rules.unseen.union(leaves),
        )

    def _interrupted(self, seeds: Seeds) -> None:
        """Counts the seeds whose turn didn't come."""
        gone = self.tally.marked
        for leaf, rows in seeds.rows.items():
            left = len(rows) - gone[leaf] - len(self.tally.staying.get(leaf, ()))
            if left > 0:
                self.tally.kept[leaf, _INTERRUPTED] += left

    # One portion, and what is left of it.

    def _work(
        self, one: Portion, witnesses: Witnesses | None, meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        parts = deque([one])
        while parts:
            part = self._as_far_as_allowed(parts.popleft(), witnesses)
            part = self._as_not_refused(part, witnesses)
            if not part:
                continue
            if self._batches is None:
                self.tally.go(part)
                # For a remark alone: what can't be read for it spoils no plan.
                with suppress(psycopg.Error):
                    add_referring(part, self._rules, self._rows, self.tally.also_refer)
                self._advance(part)
                continue
            try:
                outcome = self._batches.sweep(part, meanwhile)
            except BatchFailedError as failure:
                parts.extendleft(self._after(part, failure, witnesses))
                continue
            self.tally.longest_s = max(self.tally.longest_s, outcome.longest_s)
            self.tally.go(outcome.gone)
            self.tally.add_effects(outcome.effects)
            self.tally.changed.update(outcome.more_loose)
            if outcome.gone:
                self._advance(outcome.gone)
                for leaves in [one for one in self._failures if not one.isdisjoint(outcome.gone.rows)]:
                    del self._failures[leaves]
            for refusal, stays in outcome.kept:
                self._refuse(stays, refusal, witnesses)
            self.tally.leave(outcome.elsewhere)
            for changed in outcome.changed:
                self._leave(changed)

    def _as_far_as_allowed(self, part: Portion, witnesses: Witnesses | None) -> Portion:
        """Returns the portion without clusters that were refused since it was planned."""
        for leaf in part.rows.keys() & self._rules.refused.keys():
            stays = part.owners_in([leaf])
            if stays:
                self._keep(part.only(stays), self._rules.refused[leaf], witnesses)
                part = part.without(stays)
        return part

    def _advance(self, part: Portion) -> None:
        self._done += part.seeds_count
        self._told(self._phase, self._done, self.tally.rows)

    def _keep(self, stays: Portion, refusal: Refusal, witnesses: Witnesses | None) -> None:
        self.tally.keep(stays, refusal)
        self._advance(stays)
        if witnesses is not None:
            for leaf in marked_leaves(stays):
                witnesses.note_staying(leaf)

    def _refuse(self, stays: Portion, refusal: Refusal, witnesses: Witnesses | None) -> None:
        self._keep(stays, refusal, witnesses)
        if refusal.reason == "refused":
            for leaf, rows in stays.seeds().items():
                for tid, seed in rows.items():
                    self._remembered.refused[leaf, tid] = seed.xmin, refusal

    def _as_not_refused(self, part: Portion, witnesses: Witnesses | None) -> Portion:
        """Returns the portion without clusters that an earlier pass was refused: these aren't tried again."""
        known = self._remembered.refused
        by_reason: dict[Refusal, set[int]] = {}
        for leaf in part.rows if known else ():
            owners = part.owners(leaf)
            for tid, xmin in part.versions(leaf).items():
                then = known.get((leaf, tid))
                if then is not None and then[0] == xmin:
                    by_reason.setdefault(then[1], set()).add(owners[tid])
        for refusal, stays in by_reason.items():
            self._keep(part.only(stays), refusal, witnesses)
            part = part.without(stays)
        return part

    def _leave(self, part: Portion) -> None:
        """Leaves to the next pass what isn't as it was read: that reads all anew."""
        self.tally.leave(part.seeds())
        self._advance(part)

    def _after(
        self, part: Portion, failure: BatchFailedError, witnesses: Witnesses | None
    ) -> Sequence[Portion]:
        """Returns the portions to try again after nothing was done; counts hopeless ones as kept."""
        error, leaves = failure.error, failure.leaves
        if isinstance(error, errors.LockNotAvailable) and self._leave_locked_tables():
            return [part]
        if len(part) > 1:
            return part.halves(leaves)
        if isinstance(error, errors.ForeignKeyViolation) and self._is_new(part):
            self._leave(part)
            return []
        passes_by_itself = isinstance(error, _TRANSIENT)
        refusal = LOCKED if passes_by_itself else Refusal("refused", self._why(error, leaves))
        self._refuse(part, refusal, witnesses)
        failures = self._waits if passes_by_itself else self._failures
        failures[leaves] += 1
        most = _HOPELESS_AS_BEFORE if leaves & self._before else _HOPELESS
        if failures[leaves] >= most:
            if not passes_by_itself:
                self._remembered.hopeless |= dict.fromkeys(leaves, refusal)
            self._rules = replace(
                self._rules, refused={**dict.fromkeys(leaves, refusal), **self._rules.refused}
            )
        return []

    def _is_new(self, part: Portion) -> bool:
        """Whether a cluster wasn't left to another pass already since something unknown refers to it."""
        spots = {(leaf, tid) for leaf, rows in part.seeds().items() for tid in rows}
        news = not spots <= self._remembered.referred_to
        self._remembered.referred_to |= spots
        return news

    def _why(self, error: psycopg.Error, leaves: Collection[int]) -> str:
        """Returns the server's message, and the trigger that raised it, as far as that can be told.

        Of what one trigger says of each row, the first stands for all: it is one cause.
        """
        graph = self._rules.graph
        oids = {oid: None for leaf in sorted(leaves) for oid in (leaf, graph.deleted_from(leaf))}
        relations = [graph.relations[oid] for oid in oids]
        called = {match["name"] for match in _FUNCTION.finditer(error.diag.context or "")}
        for relation in relations:
            for trigger, function in zip(relation.triggers, relation.trigger_functions, strict=True):
                if function in called or function.rpartition(".")[2] in called:
                    why = f"trigger {trigger} of {name_of(relation)} (function {function}) refuses"
                    return self._said_first.setdefault(why, f"{why}: {server_message(error)}")
        triggers = [f"{trigger} of {name_of(one)}" for one in relations for trigger in one.triggers]
        if not triggers or error.sqlstate is None or error.sqlstate.startswith("23"):
            return server_message(error)
        return f"{server_message(error)} (triggers: {', '.join(triggers)})"

    def _leave_locked_tables(self) -> bool:
        """Refuses what a lock on a table keeps from us just now. Returns whether that is anything new."""
        graph = self._rules.graph
        locked = {row.oid for row in self._session.ask("sweep/locked_tables", Oid)}
        refused, skipped = dict(self._rules.refused), set(self._rules.skipped)
        unseen = set(self._rules.unseen)
        for oid in locked & graph.relations.keys():
            name = name_of(graph.relations[oid])
            for leaf in graph.leaves(oid):
                refused.setdefault(leaf, Refusal("locked", f"table {name} is locked"))
                unseen.add(leaf)
                for key in graph.of(leaf):
                    skipped.add(key.oid)
                    for parent in graph.leaves(key.parent):
                        refused.setdefault(
                            parent, Refusal("locked", f"table {name}, which refers to it, is locked")
                        )
        news = refused.keys() - self._rules.refused.keys()
        self._rules = replace(
            self._rules, refused=refused, skipped=frozenset(skipped), unseen=frozenset(unseen)
        )
        return bool(news & self._rules.reached)
