"""Witnesses: marked rows that stay, so that the next sweep still tells real rows from test data. Pure.

An unmarked row is real data where there are marked rows beside it: then marked rows that it refers to stay.
If the last marked row of its table went, the next sweep would take it for test data, and delete it. So one
stays, of the smallest cluster there is, unless the settings say that the table bears markers: the database
itself remembers it then, on whatever machine the next sweep runs, and without a comment or table of ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from pgwatch_tests.sweep.plan.clusters import Clusters
from pgwatch_tests.sweep.plan.refusals import Refusal, name_of
from pgwatch_tests.sweep.plan.rules import MARKED, Rules
from pgwatch_tests.sweep.rows.portions import Portion

# More than any cluster has rows.
_RATHER_NOT = 1 << 40


class Witnesses:
    """Holds back one cluster for each table (by its top) that may need one, until all others are done.

    `counts` are the marked rows of each leaf, also those that aren't asked for: some of these go along.
    """

    def __init__(self, rules: Rules, counts: Mapping[int, int]) -> None:
        self._rules = rules
        self._counts = counts
        self._staying: set[int] = set()
        """The tops of which a marked row stays in any case."""
        self._held: dict[int, Portion] = {}
        self._size: dict[int, int] = {}
        """Of what is held back for each table."""
        graph = rules.graph
        for leaf in rules.bearing:
            if leaf in rules.refused and counts.get(leaf, 0):
                self._staying.add(graph.relations[leaf].top)
        tops = {graph.relations[leaf].top for leaf in rules.bearing} - rules.remembered
        tops &= _may_protect(rules) - self._staying
        self._tops = {leaf: top for top in tops for leaf in graph.leaves(top)}

    def note_staying(self, leaf: int) -> None:
        """Records that a marked row of a leaf stays."""
        self._staying.add(self._rules.graph.relations[leaf].top)

    def hold_back(
        self, clusters: Clusters, going: Sequence[Sequence[int]], all_real: Collection[int] | None = None
    ) -> tuple[Sequence[Sequence[int]], list[Portion]]:
        """Those of some clusters that may go now, and what was held back before and may go now.

        `all_real` are the leaves with real rows, once there can't be any more of them.
        """
        if all_real is not None:
            tops = {self._rules.graph.relations[leaf].top for leaf in all_real} - self._staying
            self._tops = {leaf: top for leaf, top in self._tops.items() if top in tops}
        if not self._tops:
            return going, []
        loose = {clusters.find(one.leaf, one.tid) for one in clusters.all_loose()}
        best: dict[int, Sequence[int]] = {}
        for nodes in going:
            # What others would change as they go would have to be read anew.
            size = len(nodes) + (0 if loose.isdisjoint(nodes) else _RATHER_NOT)
            for top in self._tops_of(clusters, nodes):
                if size < self._size.get(top, 2 * _RATHER_NOT):
                    self._size[top] = size
                    best[top] = nodes
        if not best:
            return going, []
        held = {id(nodes) for nodes in best.values()}
        before = list(self._held.values())
        made = {id(nodes): Portion(clusters, [nodes]) for nodes in best.values()}
        self._held.update({top: made[id(nodes)] for top, nodes in best.items()})
        kept = {id(one) for one in self._held.values()}
        released = {id(one): one for one in before if id(one) not in kept}
        return [nodes for nodes in going if id(nodes) not in held], list(released.values())

    def settle(
        self, real: Collection[int], gone: Mapping[int, int]
    ) -> tuple[list[Portion], list[tuple[Refusal, Portion]]]:
        """What was held back: what may go, and what stays.

        `real` are the leaves with real rows, `gone` the marked rows of each leaf that went.
        """
        graph = self._rules.graph
        left: Counter[int] = Counter()
        """The marked rows that aren't held back either, by top."""
        for leaf, count in self._counts.items():
            held_back = {id(one): one.marked(leaf) for one in self._held.values() if leaf in one.rows}
            left[graph.relations[leaf].top] += count - gone.get(leaf, 0) - sum(held_back.values())
        tops = {graph.relations[leaf].top for leaf in real}
        portions = {id(one): one for one in self._held.values()}
        kept: dict[int, Refusal] = {}
        for top, held in self._held.items():
            if top in tops and top not in self._staying and left[top] <= 0:
                name = name_of(graph.relations[top])
                kept.setdefault(
                    id(held),
                    Refusal(
                        "shared_with_real_data",
                        f"the last marked row of {name}: without it, real rows there would pass for test "
                        f'data. To delete it too, set marked_tables = ["{name}"]',
                    ),
                )
        self._held = {}
        return (
            [one for which, one in portions.items() if which not in kept],
            [(refusal, portions[which]) for which, refusal in kept.items()],
        )

    def _tops_of(self, clusters: Clusters, nodes: Sequence[int]) -> set[int]:
        found = set()
        for node in nodes:
            if clusters.flags[node] & MARKED and clusters.leaves[node] in self._tops:
                found.add(self._tops[clusters.leaves[node]])
        return found


def _may_protect(rules: Rules) -> set[int]:
    """The tops of the tables whose real rows may keep what they refer to."""
    graph = rules.graph
    return {
        graph.relations[key.child].top
        for key in graph.keys
        if key.takes_along
        and (key.on_delete != "c" or rules.keep_unmarked)
        and not rules.reached.isdisjoint(graph.leaves(key.parent))
    }
