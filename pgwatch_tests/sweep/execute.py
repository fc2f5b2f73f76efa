"""Sweeps the rows of a database batch by batch: small transactions, and whatever fails alone stays alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import psycopg
from psycopg import errors

from pgwatch_tests import queries
from pgwatch_tests.leaks.session import ScanSession
from pgwatch_tests.server.said import said
from pgwatch_tests.sweep.batch import Batches, BatchOutcome, DeleteFailedError
from pgwatch_tests.sweep.clusters import LOCKED, Judged, Rules
from pgwatch_tests.sweep.database_rows import DatabaseRows
from pgwatch_tests.sweep.refusals import Refusal, name_of
from pgwatch_tests.sweep.seeds import Seed, Seeds
from pgwatch_tests.sweep.witnesses import HELD_BACK, candidates, needed

Part = Sequence[tuple[int, str, Seed]]
"""Some marked rows: leaf and tid."""
Told = Callable[[int, int], None]
"""Told how many seeds are done, and how many rows went."""

# A writer that needs a row of a batch waits as long as its transaction takes.
_AIM_S = 0.04
_FIRST_CLUSTERS = 25
_AT_ONCE_WITHOUT_LOCKS = 1000
# After so many clusters in a row that the same tables wouldn't let go, no more are tried there.
_HOPELESS = 20
_TRANSIENT = (errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure)


@dataclass(frozen=True, slots=True)
class _Oid:
    oid: int


@dataclass(slots=True)
class Tally:
    """What came of all batches so far. Rows are counted by leaf."""

    marked: Counter[int] = field(default_factory=Counter)
    dependent: Counter[int] = field(default_factory=Counter)
    kept: Counter[tuple[int, Refusal]] = field(default_factory=Counter)
    clusters: int = 0
    vanished: int = 0
    longest_s: float = 0.0
    real: set[int] = field(default_factory=set)
    """The leaves with real rows, because of which some stay."""
    staying: dict[int, set[str]] = field(default_factory=dict)
    """The rows that stay, as far as they were named."""

    @property
    def rows(self) -> int:
        """How many went, or may go."""
        return self.marked.total() + self.dependent.total()

    @property
    def leaves(self) -> frozenset[int]:
        """Those that rows went from."""
        return frozenset(self.marked) | frozenset(self.dependent)

    def add(self, outcome: BatchOutcome) -> None:
        """Counts a batch that was done."""
        judged = outcome.judged
        self.marked.update(judged.marked)
        self.dependent.update(judged.dependent)
        self._keep(judged)
        self.clusters += judged.clusters
        self.real |= judged.real
        self.vanished += outcome.vanished
        self.longest_s = max(self.longest_s, outcome.duration_s)

    def keep(self, judged: Judged, refusal: Refusal) -> None:
        """Counts what would have gone, but for something that came in between."""
        self._keep(judged)
        self.real |= judged.real
        for leaf, tids in judged.going.items():
            self.keep_rows(leaf, refusal, tids)

    def keep_rows(self, leaf: int, refusal: Refusal, tids: Iterable[str]) -> None:
        """Counts rows that stay, each once: a cluster that stays may be come upon from several sides."""
        before = self.staying.setdefault(leaf, set())
        news = {*tids} - before
        before |= news
        if news:
            self.kept[leaf, refusal] += len(news)

    def _keep(self, judged: Judged) -> None:
        for (leaf, refusal), tids in judged.kept.items():
            if refusal != HELD_BACK:
                self.keep_rows(leaf, refusal, tids)


class Execution:
    """One pass over marked rows. Its methods raise what ScanSession.running does.

    `counts` are the marked rows of each leaf, also those that aren't asked for.
    """

    def __init__(
        self,
        session: ScanSession,
        rows: DatabaseRows,
        rules: Rules,
        counts: Mapping[int, int],
        clusters_at_once: int,
        stopped: Callable[[], bool],
        told: Told,
    ) -> None:
        self._session = session
        self._rows = rows
        self._rules = rules
        self._counts = counts
        self._most = max(1, clusters_at_once)
        self._stopped = stopped
        self._told = told
        self._seen: dict[int, set[str]] = {leaf: set() for leaf in rules.bearing}
        self._held_back: dict[int, dict[str, Refusal]] = {}
        self._failures: Counter[frozenset[int]] = Counter()
        """How often in a row tables wouldn't let rows go."""
        self._waits: Counter[frozenset[int]] = Counter()
        """How often rows of tables couldn't be had in time."""
        self.tally = Tally()

    def look(self, seeds: Seeds) -> Tally:
        """Counts what may go, without locks."""
        return self._through(seeds, self._look, lambda _: _AT_ONCE_WITHOUT_LOCKS, _AT_ONCE_WITHOUT_LOCKS)

    def sweep(self, seeds: Seeds) -> Tally:
        """Deletes what may go."""
        return self._through(seeds, self._sweep, self._next_size, min(_FIRST_CLUSTERS, self._most))

    def _through(
        self,
        seeds: Seeds,
        work: Callable[[Part], float],
        next_size: Callable[[tuple[int, float]], int],
        size: int,
    ) -> Tally:
        done = 0
        held_back = candidates(self._rules, seeds, self._counts)
        for leaf, tid in held_back.values():
            self._held_back[leaf] = {tid: HELD_BACK}
        for leaf in self._parents_first(seeds):
            waiting = [one for one in seeds.rows[leaf].items() if one[0] not in self._held_back.get(leaf, ())]
            place = 0
            while place < len(waiting):
                if self._stopped():
                    self._interrupted(leaf, [tid for tid, _ in waiting[place:]])
                    break
                seen = self._seen[leaf]
                batch: list[tuple[int, str, Seed]] = []
                while place < len(waiting) and len(batch) < size:
                    tid, seed = waiting[place]
                    if tid not in seen:
                        batch.append((leaf, tid, seed))
                    place += 1
                if batch:
                    duration_s = work(batch)
                    if len(batch) == size:
                        size = next_size((size, duration_s))
                self._told(done + place, self.tally.rows)
            done += len(waiting)
        self._release(seeds, held_back, work)
        self._told(sum(seeds.counts.values()), self.tally.rows)
        return self.tally

    def _release(
        self, seeds: Seeds, held_back: Mapping[int, tuple[int, str]], work: Callable[[Part], float]
    ) -> None:
        """Lets what was held back go as well, unless it is the last that tells real rows from test data."""
        part = [
            (leaf, tid, seeds.rows[leaf][tid])
            for leaf, tid in held_back.values()
            if tid not in self._seen[leaf]
        ]
        if not part:
            return
        if self._stopped():
            for leaf, tid, _ in part:
                self._interrupted(leaf, [tid])
            return
        try:
            real = self.tally.real | self._batches().look(_by_leaf(part), {}).judged.real
        except psycopg.Error:
            # What they would take along can't be told: it is tried when they are.
            real = self.tally.real
        self._held_back = needed(self._rules, held_back, real, self.tally.staying, seeds)
        work(part)

    def _parents_first(self, seeds: Seeds) -> list[int]:
        rank = {leaf: rank for rank, leaves in enumerate(self._rules.graph.order) for leaf in leaves}
        return sorted(seeds.rows, key=lambda leaf: (-rank[leaf], leaf))

    def _next_size(self, last: tuple[int, float]) -> int:
        size, duration_s = last
        factor = min(2.0, max(0.25, _AIM_S / max(duration_s, 0.001)))
        return max(1, min(self._most, round(size * factor)))

    def _interrupted(self, leaf: int, tids: Sequence[str]) -> None:
        left = sum(tid not in self._seen[leaf] for tid in tids)
        if left:
            self.tally.kept[leaf, Refusal("interrupted", "")] += left

    def _look(self, batch: Part) -> float:
        return self._work(batch, lambda part: self._batches().look(_by_leaf(part), self._held_back))

    def _sweep(self, batch: Part) -> float:
        return self._work(batch, lambda part: self._batches().sweep(_by_leaf(part), self._held_back))

    def _batches(self) -> Batches:
        return Batches(self._session, self._rows, self._rules)

    def _work(self, batch: Part, attempt: Callable[[Part], BatchOutcome]) -> float:
        """Returns how long the longest transaction of it took."""
        longest_s = 0.0
        parts = [batch]
        while parts:
            part = parts.pop()
            try:
                outcome = attempt(part)
            except DeleteFailedError as failure:
                parts.extend(self._after(part, failure.error, failure.leaves))
            except psycopg.Error as error:
                parts.extend(self._after(part, error, frozenset(leaf for leaf, _, _ in part)))
            else:
                self._absorb(outcome)
                longest_s = max(longest_s, outcome.duration_s)
        return longest_s

    def _absorb(self, outcome: BatchOutcome) -> None:
        self.tally.add(outcome)
        self._remember(outcome)
        for leaf in outcome.judged.going:
            for leaves in [one for one in self._failures if leaf in one]:
                del self._failures[leaves]

    def _remember(self, outcome: BatchOutcome) -> None:
        later = {leaf for leaf, refusal in outcome.judged.kept if refusal == HELD_BACK}
        for leaf, tids in outcome.seen.items():
            # From the row that was held back, all of its cluster is come upon again.
            self._seen[leaf].update(tids - self._held_back.get(leaf, {}).keys() if leaf in later else tids)

    def _after(self, part: Part, error: psycopg.Error, leaves: frozenset[int]) -> Sequence[Part]:
        """What to try again after nothing was done; what is hopeless is counted as kept."""
        if isinstance(error, errors.LockNotAvailable) and self._leave_locked_tables():
            return [part]
        if len(part) > 1:
            middle = len(part) // 2
            return [part[middle:], part[:middle]]
        passes_by_itself = isinstance(error, _TRANSIENT)
        refusal = LOCKED if passes_by_itself else Refusal("refused", said(error))
        self._give_up(part, refusal)
        failures = self._waits if passes_by_itself else self._failures
        failures[leaves] += 1
        if failures[leaves] >= _HOPELESS:
            self._rules = replace(
                self._rules, refused={**dict.fromkeys(leaves, refusal), **self._rules.refused}
            )
        return []

    def _give_up(self, part: Part, refusal: Refusal) -> None:
        try:
            outcome = self._batches().look(_by_leaf(part), self._held_back)
        except psycopg.Error:
            # Then what hangs on it can't be counted either.
            for leaf, tid, _ in part:
                self.tally.keep_rows(leaf, refusal, [tid])
                self._seen[leaf].add(tid)
        else:
            self.tally.keep(outcome.judged, refusal)
            self._remember(outcome)

    def _leave_locked_tables(self) -> bool:
        """Refuses what a lock on a table keeps from us just now. Returns whether that is anything new."""
        graph = self._rules.graph
        locked = {row.oid for row in self._session.fetch(queries.load("sweep_locked").encode(), _Oid)}
        refused, skipped = dict(self._rules.refused), set(self._rules.skipped)
        unseen = set(self._rules.unseen)
        for oid in locked & graph.relations.keys():
            name = name_of(graph.relations[oid])
            for leaf in graph.leaves(oid):
                refused.setdefault(leaf, Refusal("locked", f"{name} is locked as a whole"))
                unseen.add(leaf)
                for key in graph.of(leaf):
                    skipped.add(key.oid)
                    for parent in graph.leaves(key.parent):
                        refused.setdefault(
                            parent, Refusal("locked", f"{name}, which refers to it, is locked")
                        )
        news = refused.keys() - self._rules.refused.keys()
        self._rules = replace(
            self._rules, refused=refused, skipped=frozenset(skipped), unseen=frozenset(unseen)
        )
        return bool(news & self._rules.reached)


def _by_leaf(part: Part) -> dict[int, dict[str, Seed]]:
    found: dict[int, dict[str, Seed]] = {}
    for leaf, tid, seed in part:
        found.setdefault(leaf, {})[tid] = seed
    return found
