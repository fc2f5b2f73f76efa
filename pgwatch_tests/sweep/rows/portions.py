"""Portions: the clusters that one transaction deletes, and how many these are. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from pgwatch_tests.strong_components import strongly_connected
from pgwatch_tests.sweep.plan.clusters import Clusters
from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKeyGraph
from pgwatch_tests.sweep.plan.related_rows import Loose, Seed
from pgwatch_tests.sweep.plan.rules import IN_TIME, MARKED, SWEPT

# A writer that needs a row of a batch waits as long as its transaction takes.
_AIM_S = 0.05
# Guesses, until it is known: what a transaction takes besides its rows; a table in it, a row, each key that
# refers to that; and what it takes the server to plan the check of a key, the first time in a session.
_BATCH_S, _TABLE_S, _ROW_S, _KEY_S, _FIRST_CHECK_S = 0.004, 0.0015, 15e-6, 4e-6, 0.0008
# The first portions are cut by guesses: each as late as can be.
_GUESSED = 3
# So many statements of a transaction are about no rows: see `batch`.
_STATEMENTS = 6
_LEAST_FACTOR, _MOST_FACTOR = 0.3, 20.0

Cluster = Sequence[int]
"""Its nodes (see `Clusters`)."""


class Portion:
    """Some clusters of those that were grown together. Rows are the same clusters' nodes, by leaf."""

    def __init__(
        self,
        clusters: Clusters,
        some: Sequence[Cluster],
        gone_before: frozenset[tuple[int, int]] = frozenset(),
    ) -> None:
        self._clusters = clusters
        self._some = some
        self._gone_before = gone_before
        rows: defaultdict[int, list[int]] = defaultdict(list)
        leaves = clusters.leaves
        for nodes in some:
            for node in nodes:
                rows[leaves[node]].append(node)
        self.rows: Mapping[int, Sequence[int]] = rows
        self._owner: dict[int, int] | None = None
        self.guessed_s = 0.0
        """Seconds that its rows and tables should take; 0 if not estimated."""

    def __len__(self) -> int:
        return len(self._some)

    @property
    def clusters(self) -> frozenset[int]:
        """The clusters, each by the first of its nodes."""
        return frozenset(nodes[0] for nodes in self._some)

    @property
    def count(self) -> int:
        """The number of rows."""
        return sum(map(len, self._some))

    @property
    def seeds_count(self) -> int:
        """The number of rows that are asked for."""
        flags = self._clusters.flags
        return sum([flags[node] & SWEPT for nodes in self._some for node in nodes]) // SWEPT

    def tids(self, leaf: int) -> list[int]:
        """Returns the tids of a leaf's rows."""
        tids = self._clusters.tids
        return [tids[node] for node in self.rows[leaf]]

    def versions(self, leaf: int) -> dict[int, int]:
        """Returns the tids of a leaf's rows, each with its xmin."""
        tids, xmins = self._clusters.tids, self._clusters.xmins
        return {tids[node]: xmins[node] for node in self.rows[leaf]}

    def dependents(self, leaf: int) -> list[int]:
        """Returns the tids of a leaf's rows without a marker."""
        tids, flags = self._clusters.tids, self._clusters.flags
        return [tids[node] for node in self.rows[leaf] if not flags[node] & MARKED]

    def holds(self, leaf: int, tid: int) -> bool:
        """Whether a row is in one of the clusters that were grown together with these."""
        return self._clusters.find(leaf, tid) is not None

    def halves(self, leaves: Collection[int]) -> list[Portion]:
        """Returns two portions: those that have to do with what failed, and the others; or halves of them."""
        affected = self.owners_in(leaves)
        if not affected or affected == self.clusters:
            ordered = sorted(self.clusters)
            affected = frozenset(ordered[len(ordered) // 2 :])
        return [self.only(affected), self.without(affected)]

    def marked(self, leaf: int) -> int:
        """Returns the number of a leaf's rows that bear a marker."""
        flags = self._clusters.flags
        return sum([flags[node] & MARKED for node in self.rows[leaf]])

    def in_spite_of_age(self) -> int:
        """The number of rows deleted in spite of their age."""
        flags = self._clusters.flags
        return sum([flags[node] & IN_TIME for nodes in self._some for node in nodes]) // IN_TIME

    def owners(self, leaf: int) -> dict[int, int]:
        """The cluster of each row (tid) of a leaf."""
        if self._owner is None:
            self._owner = {node: nodes[0] for nodes in self._some for node in nodes}
        tids, owner = self._clusters.tids, self._owner
        return {tids[node]: owner[node] for node in self.rows[leaf]}

    def owners_in(self, leaves: Iterable[int]) -> frozenset[int]:
        """The clusters that have rows in some leaves."""
        return frozenset(
            owner for leaf in leaves if leaf in self.rows for owner in self.owners(leaf).values()
        )

    @property
    def loose(self) -> Iterator[tuple[int, Loose]]:
        """Returns the loose references to rows: cluster and row."""
        if self._clusters.has_loose:
            for nodes in self._some:
                for node in nodes:
                    for one in self._clusters.loose(node):
                        if (one.leaf, one.tid) not in self._gone_before:
                            yield nodes[0], one

    def without(self, clusters: Collection[int]) -> Portion:
        """Returns the portion without some clusters."""
        left = [nodes for nodes in self._some if nodes[0] not in clusters]
        return Portion(self._clusters, left, self._gone_before)

    def only(self, clusters: Collection[int]) -> Portion:
        """Returns the portion with only these clusters."""
        left = [nodes for nodes in self._some if nodes[0] in clusters]
        return Portion(self._clusters, left, self._gone_before)

    def without_rows(self, rows: Mapping[int, Collection[int]]) -> Portion:
        """Returns the portion without some rows (tids, by leaf), which stay though their clusters go."""
        if not rows:
            return self
        leaves, tids = self._clusters.leaves, self._clusters.tids
        some = [
            [node for node in nodes if tids[node] not in rows.get(leaves[node], ())] for nodes in self._some
        ]
        return Portion(self._clusters, [nodes for nodes in some if nodes], self._gone_before)

    def forgetting(self, gone: Iterable[tuple[int, int]]) -> Portion:
        """Returns the portion without loose references from rows (leaf, tid) that are gone."""
        return Portion(self._clusters, self._some, self._gone_before.union(gone))

    def seeds(self) -> dict[int, dict[int, Seed]]:
        """The rows that are asked for, as they were read: by leaf and tid."""
        found: defaultdict[int, dict[int, Seed]] = defaultdict(dict)
        for nodes in self._some:
            for node in nodes:
                leaf, tid, xmin, flags = self._clusters.node(node)
                if flags & SWEPT:
                    found[leaf][tid] = Seed(flags, xmin)
        return dict(found)


class Upcoming:
    """Portions, one of which may be cut before it is its turn."""

    def __init__(self, portions: Iterator[Portion]) -> None:
        self._portions = portions
        self._next: Portion | None = None
        self._count = 0

    def __iter__(self) -> Iterator[Portion]:
        while True:
            one, self._next = self._next, None
            if one is None and (one := next(self._portions, None)) is None:
                return
            self._count += 1
            yield one

    def look(self) -> None:
        """Cuts the next one."""
        if self._next is None and self._count >= _GUESSED:
            self._next = next(self._portions, None)


def ordered(clusters: Clusters, going: Sequence[Cluster]) -> list[list[Cluster]]:
    """These clusters, those of the same tables beside each other: so a batch has few tables.

    What SET NULL would change goes before what it refers to, so that no row is changed before it goes; what
    would change each other, in a ring, goes together.
    """
    leaves = clusters.leaves
    levels = _levels(clusters, going)
    # Most have the leaves of many others: told apart once, they needn't be compared.
    by_shape: defaultdict[tuple[tuple[int, int], frozenset[int]], list[Cluster]] = defaultdict(list)
    for nodes in going:
        shape = frozenset([leaves[node] for node in nodes])
        by_shape[levels.get(nodes[0], (0, 0)) if levels else (0, 0), shape].append(nodes)
    bits: dict[int, int] = {leaf: 1 << place for place, leaf in enumerate(set(leaves))}

    def rank(key: tuple[tuple[int, int], frozenset[int]]) -> tuple[tuple[int, int], int]:
        level, shape = key
        return level, sum(map(bits.__getitem__, shape))

    groups: list[list[Cluster]] = []
    ring = 0
    for key in sorted(by_shape, key=rank):
        now = key[0][1]
        for nodes in by_shape[key]:
            if now and now == ring:
                groups[-1].append(nodes)
            else:
                groups.append([nodes])
            ring = now
    return groups


def _levels(clusters: Clusters, going: Sequence[Cluster]) -> dict[int, tuple[int, int]]:
    """Returns how many clusters must go before each, one after the other, and its ring (0: none)."""
    if not clusters.has_loose:
        return {}
    owner = {node: nodes[0] for nodes in going for node in nodes}
    before: defaultdict[int, set[int]] = defaultdict(set)
    for nodes in going:
        for node in nodes:
            for loose in clusters.loose(node):
                referring = clusters.find(loose.leaf, loose.tid)
                if referring in owner and owner[referring] != nodes[0]:
                    before[nodes[0]].add(owner[referring])
    levels: dict[int, tuple[int, int]] = {}
    for number, ring in enumerate(strongly_connected(before), start=1):
        first = {one for each in ring for one in before.get(each, ())} - ring
        level = 1 + max((levels[one][0] for one in first), default=-1)
        levels.update(dict.fromkeys(ring, (level, number if len(ring) > 1 else 0)))
    return levels


class Estimate:
    """An estimate of a transaction's seconds, learnt from the ones before."""

    def __init__(self, graph: ForeignKeyGraph) -> None:
        self._graph = graph
        self._row_s: dict[int, float] = {}
        self._measured: set[int] = set()
        self._factor = 1.0
        self._besides_s = _BATCH_S
        """Seconds that a transaction takes without rows: on a busy machine, more than its rows."""
        self._statement_s = _BATCH_S / _STATEMENTS
        """Seconds that a statement takes which does next to nothing."""

    def cuts(self, clusters: Clusters, groups: Sequence[Sequence[Cluster]], most: int) -> Iterator[Portion]:
        """These clusters, in portions that take about as long as they may, and are of at most so many.

        What is in one group is in one portion.
        """
        leaves = clusters.leaves
        for leaf in set(leaves):
            self._row_s.setdefault(leaf, _ROW_S + _KEY_S * len(self._graph.referring_to(leaf)))
        last = 0
        while last < len(groups):
            some: list[Cluster] = []
            there, cost_s = set[int](), 0.0
            # Where little time is left for rows, fewer of them would only make for more transactions.
            for_rows_s = max(_AIM_S - self._besides_s, _AIM_S / 2)
            row_s, most_s = self._row_s, for_rows_s / self._factor
            while last < len(groups) and (not some or len(some) + len(groups[last]) <= most):
                of_nodes = [leaves[node] for cluster in groups[last] for node in cluster]
                more_s = sum(map(row_s.__getitem__, of_nodes))
                news = set(of_nodes) - there
                for leaf in news:
                    more_s += _TABLE_S + self._first_s(leaf)
                if some and cost_s + more_s > most_s:
                    break
                there |= news
                cost_s += more_s
                some.extend(groups[last])
                last += 1
            one = Portion(clusters, some)
            one.guessed_s = cost_s
            yield one

    def learn_rows(self, leaf: int, rows: int, duration_s: float, tables: int = 1) -> None:
        """Learns how long a DELETE took, of so many rows in so many tables, one of which this is."""
        for_rows_s = duration_s - _TABLE_S * tables - self._statement_s
        each_s = max(_ROW_S, for_rows_s / max(1, rows))
        before = self._row_s.get(leaf)
        self._row_s[leaf] = each_s if before is None or leaf not in self._measured else (each_s + before) / 2
        self._measured.add(leaf)

    def learn(self, part: Portion, rows_s: float, statements: int, besides_s: float) -> None:
        """Learns how long a transaction took: so many statements about its rows, and the others."""
        self._statement_s = (self._statement_s + besides_s / _STATEMENTS) / 2
        nothing_s = statements * self._statement_s
        self._besides_s = (self._besides_s + besides_s + min(rows_s, nothing_s)) / 2
        if part.guessed_s:
            factor = (self._factor + max(0.0, rows_s - nothing_s) / part.guessed_s) / 2
            self._factor = min(_MOST_FACTOR, max(_LEAST_FACTOR, factor))

    def _first_s(self, leaf: int) -> float:
        if leaf in self._measured:
            return 0.0
        return _FIRST_CHECK_S * len(self._graph.referring_to(leaf))
