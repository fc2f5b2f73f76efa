"""Clusters: marked rows, with all rows that must be deleted along with them. Pure, but for `Rows`.

A cluster is all that hangs together by foreign keys that take rows along (NO ACTION, RESTRICT, CASCADE). It
goes as a whole or stays as a whole: were a row deleted that somebody else's row needs to be kept for, a test
that runs would lose a part of its data.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence

from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKey
from pgwatch_tests.sweep.plan.refusals import Refusal, left_dangling, of_real_data
from pgwatch_tests.sweep.plan.related_rows import (
    CatalogChangedError,
    Loose,
    Related,
    Rows,
    Seed,
)
from pgwatch_tests.sweep.plan.row_forest import RowForest
from pgwatch_tests.sweep.plan.rules import (
    ALIVE,
    BLOCKING,
    BORN_BIT,
    FUTURE,
    IN_TIME,
    MARKED,
    OTHERS,
    SWEPT,
    WRITTEN,
    YOUNG,
    Rules,
)

# The tolerated difference of two machines' clocks.
_CLOCKS_APART_S = 60
# What counts of rows that stay but are changed.
_OF_CHANGED = ALIVE | FUTURE | YOUNG | IN_TIME | OTHERS | WRITTEN


class Clusters(RowForest):
    """The clusters that some marked rows are in. Nothing keeps them from changing meanwhile.

    With `climbing`, the marked rows further up that would take rows along are looked for: needed unless all
    marked rows there are grow in the same clusters.
    """

    def __init__(self, rules: Rules, rows: Rows, *, climbing: bool = True) -> None:
        super().__init__()
        self._rules = rules
        self._rows = rows
        # What can't be followed downward is found from below.
        self._climbing = climbing or bool(rules.unseen & rules.reached) or bool(rules.skipped)
        self._seeds: set[int] = set()
        self.asking: ForeignKey | None = None
        """The key that is being followed: it tells whose fault an error is."""
        self.real: set[int] = set()
        """The leaves with real rows, because of which others stay."""
        self._kept_for: defaultdict[int, dict[int, int]] = defaultdict(dict)
        """The real rows that others stay for, by leaf and tid: one of these others."""
        self._pending: defaultdict[int, list[int]] = defaultdict(list)
        self._followed: set[int] = set()
        """Those of which it was asked what refers to them, where more may turn out of what they hang on."""
        self._simple: dict[int, bool] = {}
        self._upward: dict[int, frozenset[int] | None] = {}
        self._shared: dict[tuple[int, int, bool], Refusal] = {}
        self._rank = {
            leaf: rank for rank, together in enumerate(reversed(rules.graph.order)) for leaf in together
        }

    def grow(self, seeds: Mapping[int, Mapping[int, Seed]]) -> None:
        """Adds marked rows, by leaf and tid, and all that belongs to them."""
        for leaf, rows in seeds.items():
            for tid, seed in rows.items():
                self._seeds.add(self._add(leaf, tid, seed.xmin, seed.flags))
        while self._pending:
            # Parents first: what several of them lead to is asked for together.
            first = min(map(self._rank.__getitem__, self._pending))
            for following in [leaf for leaf in self._pending if self._rank[leaf] == first]:
                self._follow(following, self._pending.pop(following))

    def _add(self, leaf: int, tid: int, xmin: int, flags: int) -> int:
        known = self._known[leaf]
        node = known.get(tid)
        if node is None:
            node = known[tid] = len(self._up)
            self._up.append(node)
            self.tids.append(tid)
            self.xmins.append(xmin)
            self.flags.append(flags)
            self.leaves.append(leaf)
            self._since.append(flags >> BORN_BIT)
            self._pending[leaf].append(node)
            self._heed(node, leaf, flags)
        return node

    def _follow(self, leaf: int, nodes: list[int]) -> None:
        """Adds what refers to rows of a leaf, and what else leads to them."""
        rules = self._rules
        refused = rules.refused.get(leaf)
        if refused is not None:
            for node in nodes:
                self._block(node, refused)
        if leaf in rules.unseen:
            return
        tids = [self.tids[node] for node in nodes]
        if self._climbing or leaf in rules.graph.in_rings:
            self._followed.update(nodes)
        for key in rules.graph.referring_to(leaf):
            if key.oid in rules.skipped:
                continue
            self.asking = key
            if key.takes_along:
                self._descend(key, leaf, nodes, tids)
            elif refused is None:
                self._note(key, leaf, nodes, tids)
        if not self._climbing:
            return
        # A seed is climbed from in any case, also one found on the way up: nobody asked yet what is above.
        climbing = nodes if leaf in rules.upward else [node for node in nodes if node in self._seeds]
        if climbing:
            self._climb(leaf, climbing)

    def _note(self, key: ForeignKey, leaf: int, nodes: list[int], tids: list[int]) -> None:
        """Notes rows that stay, but refer to these: a test that runs doesn't want them changed."""
        for place, child_leaf, tid, xmin, flags in self._rows.children(key, leaf, tids):
            self._loose[nodes[place]][Loose(key.oid, child_leaf, tid, xmin)] = None
            if key.changes and not key.fires:
                self._block(nodes[place], left_dangling(self._rules.graph, key))
            elif key.changes:
                self._heed(nodes[place], child_leaf, flags & _OF_CHANGED)

    def _descend(self, key: ForeignKey, leaf: int, nodes: list[int], tids: list[int]) -> None:
        # For each of what may be a million rows: no call, as long as nothing is special about one.
        up, all_tids, all_xmins, all_flags = self._up, self.tids, self.xmins, self.flags
        leaves, since = self.leaves, self._since
        stays = key.on_delete != "c" or self._rules.keep_unmarked
        rows = self._rows.children(key, leaf, tids)
        if rows and self._are_plain(key, rows, only_marked=stays and key.child in self._rules.bearing):
            self._add_all(key.child, nodes, rows)
            return
        at, touched = -1, set[int]()
        for place, child_leaf, tid, xmin, flags in rows:
            if child_leaf != at:
                if child_leaf not in self._rank:
                    raise CatalogChangedError
                touched.add(child_leaf)
                at, known, pending = child_leaf, self._known[child_leaf], self._pending[child_leaf]
                only_marked = stays and child_leaf in self._rules.bearing
                kept_for = self._kept_for[child_leaf]
            parent = nodes[place]
            if not flags & MARKED and (
                only_marked or 0 < flags >> BORN_BIT < since[parent] - _CLOCKS_APART_S
            ):
                self._block(parent, self._of_real_data(key, child_leaf, tid, older=not only_marked))
                if only_marked:
                    self.real.add(child_leaf)
                # By another key, or from a row that isn't as young, it may be taken along: then all stay.
                node = known.get(tid)
                self._join(parent, kept_for.setdefault(tid, parent) if node is None else node)
            elif (node := known.get(tid)) is not None:
                self._join(parent, node)
                if since[node] < since[parent] and not flags & MARKED:
                    since[node] = since[parent]
                    if node in self._followed:
                        self._followed.discard(node)
                        pending.append(node)
            else:
                node = known[tid] = len(up)
                up.append(parent)
                all_tids.append(tid)
                all_xmins.append(xmin)
                all_flags.append(flags)
                leaves.append(child_leaf)
                since.append(flags >> BORN_BIT if flags & MARKED else since[parent])
                pending.append(node)
                if tid in kept_for:
                    self._join(node, kept_for[tid])
                if flags & (BLOCKING | IN_TIME):
                    self._heed(node, child_leaf, flags)
        for child_leaf in touched:
            if not self._pending[child_leaf]:
                del self._pending[child_leaf]

    def _are_plain(self, key: ForeignKey, rows: Related, *, only_marked: bool) -> bool:
        """Whether rows are of one leaf, say nothing of themselves, and are come upon but once."""
        child = key.child
        return (
            not only_marked
            and self._is_simple(child)
            and not self._kept_for.get(child)
            and not any(rows.flags)
        )

    def _is_simple(self, leaf: int) -> bool:
        """Whether each row of a leaf hangs on one other row at most, and that one likewise."""
        known = self._simple.get(leaf)
        if known is None:
            graph, rules = self._rules.graph, self._rules
            taking = [key for key in graph.of(leaf) if key.takes_along]
            known = self._simple[leaf] = (
                leaf in graph.relations
                and graph.relations[leaf].kind == "r"
                and leaf not in graph.in_rings
                and leaf not in rules.upward
                and len(taking) <= 1
                and (not taking or leaf not in rules.bearing)
                and all(self._is_simple(key.parent) for key in taking)
            )
        return known

    def _add_all(self, leaf: int, parents: Sequence[int], rows: Related) -> None:
        """Adds such rows, column by column: a million of them in a tenth of the time."""
        first, since = len(self._up), self._since
        above = [parents[one] for one in rows.places]
        nodes = range(first, first + len(rows))
        self._up.extend(above)
        self.tids.extend(rows.tids)
        self.xmins.extend(rows.xmins)
        self.flags.extend(rows.flags)
        self.leaves.extend(array("I", [leaf]) * len(rows))
        since.extend([since[one] for one in above])
        self._pending[leaf].extend(nodes)
        # Who climbs, and whom a key would change, is looked for by tid.
        if self._climbing or any(key.changes for key in self._rules.graph.of(leaf)):
            self._known[leaf].update(zip(rows.tids, nodes, strict=True))

    def _climb(self, leaf: int, nodes: list[int]) -> None:
        """Adds the marked rows further up that would take these along."""
        rules = self._rules
        climbing = [(leaf, nodes, [self.tids[node] for node in nodes], [0] * len(nodes), False)]
        passed: set[tuple[int, int, int, int]] = set()
        while climbing:
            at, origins, here, births, only_cascades = climbing.pop()
            onward: defaultdict[tuple[int, bool], tuple[list[int], list[int], list[int]]]
            onward = defaultdict(lambda: ([], [], []))
            for key in rules.graph.of(at):
                # Those that can't be followed downward lead upward all the same.
                if not key.takes_along or (only_cascades and key.on_delete != "c"):
                    continue
                unseen = self._leads_up(key)
                for origin in origins if unseen else ():
                    self._block(origin, rules.refused[min(unseen or ())])
                if unseen is None or unseen:
                    continue
                self.asking = key
                for place, above, tid, xmin, flags in self._rows.parents(key, at, here):
                    if above not in self._rank:
                        raise CatalogChangedError
                    origin, born = origins[place], births[place]
                    known = self._known[above].get(tid) if above in self._known else None
                    since = flags >> BORN_BIT if known is None else self._since[known]
                    if born and (known is not None or flags & MARKED) and born < since - _CLOCKS_APART_S:
                        # What leads there was there before.
                        continue
                    if known is not None:
                        self._join(origin, known)
                    elif flags & SWEPT:
                        seed = self._add(above, tid, xmin, flags)
                        self._seeds.add(seed)
                        self._join(origin, seed)
                    elif above in rules.reached:
                        # An unmarked row among marked ones only goes along where it is deleted by CASCADE.
                        real = above in rules.bearing and not flags & MARKED
                        if flags & MARKED:
                            born = 0
                        elif since:
                            born = min(born or since, since)
                        if (above, tid, origin, born) in passed or (real and rules.keep_unmarked):
                            continue
                        passed.add((above, tid, origin, born))
                        for into, one in zip(onward[above, real], (origin, tid, born), strict=True):
                            into.append(one)
            climbing.extend((above, *rows, real) for (above, real), rows in onward.items())

    def _leads_up(self, key: ForeignKey) -> frozenset[int] | None:
        """The leaves above that can't be read; None if no row has to go from any of those above."""
        if key.oid not in self._upward:
            above = frozenset(self._rules.graph.leaves(key.parent))
            self._upward[key.oid] = above & self._rules.unseen if above & self._rules.reached else None
        return self._upward[key.oid]

    def _of_real_data(self, key: ForeignKey, leaf: int, tid: int, *, older: bool) -> Refusal:
        refusal = self._shared.get((key.oid, leaf, older))
        if refusal is None:
            refusal = of_real_data(self._rules.graph, key, leaf, tid, older=older)
            self._shared[key.oid, leaf, older] = refusal
        return refusal
