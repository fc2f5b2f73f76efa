"""Which marked rows stay so that real rows can still be told from test data the next time. Pure.

An unmarked row is real data where there are marked rows beside it: then marked rows that it refers to stay.
If the last marked row of its table went, the next sweep would take it for test data, and delete it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pgwatch_tests.sweep.clusters import BLOCKING, Rules
from pgwatch_tests.sweep.refusals import Refusal, name_of
from pgwatch_tests.sweep.seeds import Seeds

HELD_BACK = Refusal("interrupted", "held back until the end")
"""What stays until it is known whether a witness is needed."""


def candidates(rules: Rules, seeds: Seeds, counts: Mapping[int, int]) -> dict[int, tuple[int, str]]:
    """One marked row (leaf, tid) of each table, by its top, whose last marked row may go and may be needed.

    `counts` are the marked rows of each leaf, also those that aren't asked for, which stay.
    """
    graph = rules.graph
    found: dict[int, tuple[int, str]] = {}
    for top in {graph.relations[leaf].top for leaf in rules.bearing}:
        leaves = [leaf for leaf in graph.leaves(top) if leaf in seeds.rows]
        asked = sum(len(seeds.rows[leaf]) for leaf in leaves)
        stays = any(
            leaf in rules.refused or any(seed.flags & BLOCKING for seed in seeds.rows[leaf].values())
            for leaf in leaves
        )
        marked = sum(counts.get(leaf, 0) for leaf in graph.leaves(top))
        if leaves and not stays and marked == asked and _may_protect(rules, top):
            leaf = leaves[-1]
            found[top] = (leaf, next(reversed(seeds.rows[leaf])))
    return found


def needed(
    rules: Rules,
    candidates: Mapping[int, tuple[int, str]],
    real: Collection[int],
    staying: Mapping[int, Collection[str]],
    seeds: Seeds,
) -> dict[int, dict[str, Refusal]]:
    """Those of the candidates that have to stay, by leaf and tid.

    `real` are the leaves with unmarked rows that keep marked ones of other tables; `staying`, by leaf, all
    rows that stay anyway.
    """
    graph = rules.graph
    tops = {graph.relations[leaf].top for leaf in real}
    found: dict[int, dict[str, Refusal]] = {}
    for top, (leaf, tid) in candidates.items():
        others = any(
            not seeds.rows[one].keys().isdisjoint(staying.get(one, ()))
            for one in graph.leaves(top)
            if one in seeds.rows
        )
        if top in tops and not others:
            name = name_of(graph.relations[top])
            detail = f"the last marked row of {name}: without it, real rows there would pass for test data"
            found.setdefault(leaf, {})[tid] = Refusal("shared_with_real_data", detail)
    return found


def _may_protect(rules: Rules, top: int) -> bool:
    graph = rules.graph
    return any(
        key.takes_along
        and key.on_delete != "c"
        and graph.relations[key.child].top == top
        and not rules.reached.isdisjoint(graph.leaves(key.parent))
        for key in graph.keys
    )
