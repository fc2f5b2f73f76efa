"""What a transaction wrote besides the rows that it was to delete, by the server's counts of it. Pure.

An UPDATE that moves a row to another partition counts as a DELETE there and an INSERT here, and the version
chain ends (heap_delete in heapam.c, `changingPart`): what a trigger moved looks as if it had deleted it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKeyGraph
from pgwatch_tests.sweep.plan.planned_catalog import TupleCounts


def side_effects(
    graph: ForeignKeyGraph,
    written: Mapping[int, TupleCounts],
    deleted: Mapping[int, int],
    updated: Mapping[int, int],
    unfound: Mapping[int, Collection[int]],
) -> tuple[list[TupleCounts], dict[int, set[int]]]:
    """What was written besides, by leaf; and those of `unfound` that are in another partition now.

    `written` is all, `deleted` and `updated` what was meant to be, by leaf. `unfound` are rows (tids, by
    leaf) that were to go, and were gone before their DELETE. Which of them a trigger moved and which it
    deleted isn't known where it did both: the last ones pass for moved.
    """
    inserts = Counter({oid: one.inserted for oid, one in written.items()})
    deletes = Counter({oid: one.deleted - deleted.get(oid, 0) for oid, one in written.items()})
    reached = {
        child
        for leaf in deleted
        for key in graph.referring_to(leaf)
        if key.on_delete == "c"
        for child in graph.leaves(key.child)
    }
    there: dict[int, set[int]] = {}
    by_top: dict[int, list[tuple[int, int]]] = {}
    for leaf, tids in unfound.items():
        if graph.relations[leaf].ancestors:
            by_top.setdefault(graph.relations[leaf].top, []).extend((leaf, tid) for tid in tids)
    for top, rows in by_top.items():
        leaves = graph.leaves(top)
        moved = _take(inserts, leaves, len(rows))
        # ON DELETE CASCADE may have reached them where they are now.
        moved -= _take(deletes, [leaf for leaf in leaves if leaf in reached], moved)
        for leaf, tid in rows[len(rows) - moved :]:
            there.setdefault(leaf, set()).add(tid)
    besides = [
        TupleCounts(oid, inserts[oid], max(0, one.updated - updated.get(oid, 0)), max(0, deletes[oid]))
        for oid, one in written.items()
    ]
    return [one for one in besides if one.inserted or one.updated or one.deleted], there


def _take(counts: Counter[int], leaves: Sequence[int], most: int) -> int:
    """Takes up to so many from the counts of some leaves. Returns how many."""
    left = most
    for leaf in leaves:
        taken = min(left, max(0, counts[leaf]))
        counts[leaf] -= taken
        left -= taken
    return most - left
