"""Which rows belong together: marked rows, and all that has to go for them to go. Pure, but for `Rows`.

A cluster is all that hangs together by foreign keys that take rows along (NO ACTION, RESTRICT, CASCADE). It
goes as a whole or stays as a whole: were a row deleted that somebody else's row needs to be kept for, a test
that runs would lose a part of its data.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import eq
from typing import Literal, Protocol

from pgwatch_tests.sweep.foreign_keys import ForeignKey, ForeignKeys
from pgwatch_tests.sweep.model import KeptReason
from pgwatch_tests.sweep.refusals import Refusal, name_of

# What a row says of itself, as bits.
MARKED = 1
SWEPT = 2
"""It is asked for: marked, and of the run or test that is asked for."""
ALIVE = 4
FUTURE = 8
YOUNG = 16
AGELESS = 32

_BLOCKS: Sequence[tuple[int, Refusal]] = (
    (ALIVE, Refusal("run_alive", "its run's lease is held")),
    (FUTURE, Refusal("in_future", "its time is yet to come: a clock is wrong")),
    (YOUNG, Refusal("too_young", "")),
    (AGELESS, Refusal("age_unknown", "no stamp in the value, no created_at, no commit timestamp")),
)
BLOCKING = ALIVE | FUTURE | YOUNG | AGELESS
"""Any of these keeps it where it is."""
# Which reason is told where there are several: what doesn't pass by itself, first.
_URGENCY: Sequence[KeptReason] = (
    "shared_with_real_data",
    "not_checked",
    "refused",
    "no_index",
    "in_future",
    "age_unknown",
    "run_alive",
    "too_young",
    "changed",
    "locked",
    "interrupted",
)
_OF_OTHERS = Refusal("shared_with_real_data", "rows of another run or test refer to it")
LOCKED = Refusal("locked", "somebody else works on it")


ChildRow = tuple[int, int, str, int]
"""The place of a row in what was asked about, and one that it leads to: leaf, tid, flags."""


Lock = Literal["nothing", "parents", "all"]
"""Which rows to lock: none; those that others may come to refer to; all."""


class Rows(Protocol):
    """What is asked of a database; `tids` are of rows of one leaf."""

    def children(self, key: ForeignKey, leaf: int, tids: Sequence[str]) -> Iterable[ChildRow]:
        """The rows that refer to these by the key; the place is that of the one referred to."""

    def parents(self, key: ForeignKey, leaf: int, tids: Sequence[str]) -> Iterable[ChildRow]:
        """The rows that these refer to by the key; the place is that of the one that refers."""

    def not_locked(self, leaf: int, tids: Sequence[str]) -> Collection[str]:
        """Locks the rows, without waiting. Returns those that couldn't be."""

    def hold_referring(self, key: ForeignKey, leaf: int, tids: Sequence[str]) -> Collection[int]:
        """Locks the rows that would be changed. Returns the places of rows for which that isn't possible."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for all clusters of a sweep."""

    graph: ForeignKeys
    bearing: frozenset[int]
    """The leaves in which there are marked rows: an unmarked one there is real data."""
    refused: Mapping[int, Refusal]
    """Leaves of which no row may go."""
    skipped: frozenset[int]
    """Foreign keys, by oid, that can't be followed: all that they refer to is refused."""
    unseen: frozenset[int]
    """The refused leaves of which nothing can be read."""
    reached: frozenset[int]
    """All leaves that rows may have to go from."""
    upward: frozenset[int]
    """Those whose rows may hang together with several rows above them."""

    @staticmethod
    def of(
        graph: ForeignKeys,
        bearing: frozenset[int],
        refused: Mapping[int, Refusal],
        skipped: Iterable[int] = (),
        unseen: frozenset[int] = frozenset(),
    ) -> Rules:
        """The rules where marked rows are in `bearing`."""
        reached = graph.reached_from(bearing)
        taking = {
            leaf: [
                key for key in graph.of(leaf) if key.takes_along and reached & set(graph.leaves(key.parent))
            ]
            for leaf in reached
        }
        upward = frozenset(
            leaf
            for leaf, keys in taking.items()
            if len(keys) > 1 or any(key.overlaps for key in keys) or (keys and leaf in graph.in_rings)
        )
        return Rules(graph, bearing, refused, frozenset(skipped), unseen, reached, upward)

    def is_locked(self, leaf: int, lock: Lock) -> bool:
        """Whether rows of a leaf are locked."""
        return lock == "all" or (lock == "parents" and bool(self.graph.referring_to(leaf)))


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of some clusters. Rows are by leaf."""

    going: Mapping[int, Sequence[str]]
    """The rows (tids) that may go."""
    marked: Counter[int]
    dependent: Counter[int]
    kept: Mapping[tuple[int, Refusal], Sequence[str]]
    """Those that stay."""
    clusters: int
    """How many may go."""
    real: frozenset[int]
    """The leaves with real rows, because of which some stay."""


class Clusters:
    """The clusters that some marked rows are in. Without locks, nothing keeps them from changing."""

    def __init__(self, rules: Rules, rows: Rows, lock: Lock) -> None:
        self._rules = rules
        self._rows = rows
        self._lock = lock
        self._tid: list[str] = []
        self._flags: list[int] = []
        self._up: list[int] = []
        """A forest of rows: those with the same root belong together."""
        self._known: defaultdict[int, dict[str, int]] = defaultdict(dict)
        self._marked: Counter[int] = Counter()
        self._seeds: set[int] = set()
        self._held: set[int] = set()
        self._blocked: dict[int, Refusal] = {}
        self._real: set[int] = set()
        self._pending: defaultdict[int, list[int]] = defaultdict(list)
        self._rank = {
            leaf: rank for rank, together in enumerate(reversed(rules.graph.order)) for leaf in together
        }

    def grow(self, leaf: int, seeds: Mapping[str, int], held: Collection[str] = ()) -> None:
        """Adds marked rows (tid: flags) of a leaf, and all that belongs to them. `held` are locked."""
        for tid, flags in seeds.items():
            self._seeds.add(self._add(leaf, tid, flags))
        self._held.update(self._known[leaf][tid] for tid in held)
        while self._pending:
            # Parents first: what several of them lead to is asked for together.
            following = min(self._pending, key=self._rank.__getitem__)
            self._follow(following, self._pending.pop(following))

    def rows_of(self, leaf: int) -> Collection[str]:
        """All rows of a leaf that are in one of the clusters."""
        return self._known[leaf].keys()

    def block(self, leaf: int, tid: str, refusal: Refusal) -> None:
        """Lets the cluster that a row is in stay, if it is in one of these."""
        node = self._known[leaf].get(tid)
        if node is not None:
            self._block(node, refusal)

    def judged(self) -> Judged:
        """Which of them may go."""
        why = self._reasons()
        going: dict[int, Sequence[str]] = {}
        marked: Counter[int] = Counter()
        dependent: Counter[int] = Counter()
        kept: defaultdict[tuple[int, Refusal], list[str]] = defaultdict(list)
        for leaf, known in self._known.items():
            tids: Sequence[str] = list(known)
            bearing = self._marked[leaf]
            if why:
                tids, bearing = self._unblocked(leaf, why, kept)
            if tids:
                going[leaf] = tids
                marked[leaf] = bearing
                dependent[leaf] = len(tids) - bearing
        roots = sum(map(eq, self._up, range(len(self._up))))
        return Judged(going, +marked, +dependent, kept, roots - len(why), frozenset(self._real))

    def _reasons(self) -> dict[int, Refusal]:
        """Why clusters, by their root, stay."""
        why: dict[int, Refusal] = {}
        for node, refusal in self._blocked.items():
            root = self._root(node)
            before = why.get(root)
            if before is None or _urgency(refusal) < _urgency(before):
                why[root] = refusal
        return why

    def _unblocked(
        self, leaf: int, why: Mapping[int, Refusal], kept: Mapping[tuple[int, Refusal], list[str]]
    ) -> tuple[list[str], int]:
        """The rows of a leaf that may go, and how many of them are marked; adds the others to `kept`."""
        tids, marked = [], 0
        for tid, node in self._known[leaf].items():
            refusal = why.get(self._root(node))
            if refusal is not None:
                kept[leaf, refusal].append(tid)
            else:
                tids.append(tid)
                marked += self._flags[node] & MARKED
        return tids, marked

    def _add(self, leaf: int, tid: str, flags: int) -> int:
        known = self._known[leaf]
        node = known.get(tid)
        if node is None:
            node = known[tid] = len(self._up)
            self._up.append(node)
            self._tid.append(tid)
            self._flags.append(flags)
            self._pending[leaf].append(node)
            if flags:
                self._heed(leaf, node, flags)
        return node

    def _heed(self, leaf: int, node: int, flags: int) -> None:
        self._marked[leaf] += flags & MARKED
        if flags & BLOCKING:
            self._block(node, next(refusal for bit, refusal in _BLOCKS if flags & bit))
        if flags & (MARKED | SWEPT) == MARKED:
            self._block(node, _OF_OTHERS)

    def _root(self, node: int) -> int:
        up = self._up
        while up[node] != node:
            up[node] = node = up[up[node]]
        return node

    def _join(self, one: int, other: int) -> None:
        first, second = self._root(one), self._root(other)
        if first != second:
            self._up[max(first, second)] = min(first, second)

    def _block(self, node: int, refusal: Refusal) -> None:
        before = self._blocked.get(node)
        if before is None or _urgency(refusal) < _urgency(before):
            self._blocked[node] = refusal

    def _follow(self, leaf: int, nodes: list[int]) -> None:
        """Locks rows of a leaf and adds what refers to them, and what else leads to them."""
        rules = self._rules
        refused = rules.refused.get(leaf)
        if refused is not None:
            for node in nodes:
                self._block(node, refused)
        if leaf in rules.unseen:
            return
        tids = [self._tid[node] for node in nodes]
        referring = rules.graph.referring_to(leaf)
        if refused is None and self._rules.is_locked(leaf, self._lock):
            self._take(leaf, nodes)
        for key in referring:
            if key.oid in rules.skipped:
                continue
            if key.takes_along:
                self._descend(key, leaf, nodes, tids)
            elif self._lock != "nothing" and refused is None:
                for place in self._rows.hold_referring(key, leaf, tids):
                    self._block(nodes[place], LOCKED)
        # A seed is climbed from in any case, also one found on the way up: nobody asked yet what is above.
        climbing = nodes if leaf in rules.upward else [node for node in nodes if node in self._seeds]
        if climbing:
            self._climb(leaf, climbing)

    def _take(self, leaf: int, nodes: list[int]) -> None:
        # What stays anyway is left to whoever works on it.
        wanted = [node for node in nodes if node not in self._held and node not in self._blocked]
        if wanted:
            for tid in self._rows.not_locked(leaf, [self._tid[node] for node in wanted]):
                self._block(self._known[leaf][tid], LOCKED)

    def _descend(self, key: ForeignKey, leaf: int, nodes: list[int], tids: list[str]) -> None:
        # For each of what may be a million rows: no call, as long as nothing is special about one.
        up, all_tids, all_flags = self._up, self._tid, self._flags
        at = -1
        for place, child_leaf, tid, flags in self._rows.children(key, leaf, tids):
            if child_leaf != at:
                at, known, pending = child_leaf, self._known[child_leaf], self._pending[child_leaf]
                only_marked = key.on_delete != "c" and child_leaf in self._rules.bearing
            if only_marked and not flags & MARKED:
                self._block(nodes[place], self._shared(child_leaf))
                self._real.add(child_leaf)
            elif (node := known.get(tid)) is not None:
                self._join(nodes[place], node)
            else:
                node = known[tid] = len(up)
                up.append(nodes[place])
                all_tids.append(tid)
                all_flags.append(flags)
                pending.append(node)
                if flags:
                    self._heed(child_leaf, node, flags)
        self._forget_empty()

    def _forget_empty(self) -> None:
        for leaf in [leaf for leaf, nodes in self._pending.items() if not nodes]:
            del self._pending[leaf]

    def _climb(self, leaf: int, nodes: list[int]) -> None:
        """Adds the marked rows further up that would take these along."""
        rules = self._rules
        climbing = [(leaf, nodes, [self._tid[node] for node in nodes], False)]
        passed: set[tuple[int, str, int]] = set()
        while climbing:
            at, origins, here, only_cascades = climbing.pop()
            onward: defaultdict[tuple[int, bool], tuple[list[int], list[str]]] = defaultdict(lambda: ([], []))
            for key in rules.graph.of(at):
                # Those that can't be followed downward lead upward all the same.
                if not key.takes_along or (only_cascades and key.on_delete != "c"):
                    continue
                above_it = set(rules.graph.leaves(key.parent))
                if not rules.reached & above_it:
                    continue
                if unseen := rules.unseen & above_it:
                    for origin in origins:
                        self._block(origin, rules.refused[min(unseen)])
                    continue
                for place, above, tid, flags in self._rows.parents(key, at, here):
                    origin = origins[place]
                    known = self._known[above].get(tid)
                    if known is not None:
                        self._join(origin, known)
                    elif flags & SWEPT:
                        seed = self._add(above, tid, flags)
                        self._seeds.add(seed)
                        self._join(origin, seed)
                    elif above in rules.reached and (above, tid, origin) not in passed:
                        passed.add((above, tid, origin))
                        # An unmarked row among marked ones only goes along where it is deleted by CASCADE.
                        real = above in rules.bearing and not flags & MARKED
                        onward[above, real][0].append(origin)
                        onward[above, real][1].append(tid)
            climbing.extend((above, *rows, real) for (above, real), rows in onward.items())

    def _shared(self, leaf: int) -> Refusal:
        name = name_of(self._rules.graph.relations[leaf])
        return Refusal("shared_with_real_data", f"rows of {name} that bear no marker refer to it")


def _urgency(refusal: Refusal) -> int:
    return _URGENCY.index(refusal.reason)
