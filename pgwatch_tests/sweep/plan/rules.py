"""Rules on which rows a sweep may delete: flags of a row, refused tables, reasons to keep rows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pgwatch_tests.sweep.model import SEEN_BY_BASELINE, KeptReason
from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKeyGraph
from pgwatch_tests.sweep.plan.refusals import Refusal

# Flags of a row, as bits.
MARKED = 1
SWEPT = 2
"""It is asked for: marked, and of the run or test that is asked for."""
ALIVE = 4
FUTURE = 8
YOUNG = 16
AGELESS = 32
OTHERS = 64
"""It isn't asked for, and says that it is of another run or test."""
SEEN = 128
"""It was there when the baseline was taken."""
ENDED = 256
"""It is marked, and of a run whose lease has ended since it was written."""
IN_TIME = 512
"""It is young, but was written before the last such end: too young only among rows of other runs."""
WRITTEN_AT = 1024
"""The next 21 bits tell of a row that is YOUNG or IN_TIME when it was written: see `young_rows`."""
BORN_BIT = 31
BORN_AT = 1 << BORN_BIT
"""The bits above are the time of creation: seconds since 1970, 0 if nothing tells."""
WRITTEN = BORN_AT - WRITTEN_AT

TOO_YOUNG = Refusal("too_young", "")
BLOCKS: Sequence[tuple[int, Refusal]] = (
    (SEEN, Refusal("shared_with_real_data", SEEN_BY_BASELINE)),
    (OTHERS, Refusal("shared_with_real_data", "rows of another run or test refer to it")),
    (FUTURE, Refusal("in_future", "its time is in the future: a clock is wrong")),
    (AGELESS, Refusal("age_unknown", "no stamp in the value, no created_at, no commit timestamp")),
    (ALIVE, Refusal("run_alive", "its run's lease is held")),
    (YOUNG, TOO_YOUNG),
)
BLOCKING = SEEN | ALIVE | FUTURE | YOUNG | AGELESS | OTHERS
"""Flags of which each keeps a row."""
# The order of reasons where a row has several: those that don't pass by themselves first.
URGENCY: Mapping[KeptReason, int] = {
    reason: rank
    for rank, reason in enumerate[KeptReason](
        (
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
    )
}
LOCKED = Refusal("locked", "another session has locked it")
CHANGED = Refusal("changed", "another session changed it during the sweep")


@dataclass(frozen=True, slots=True)
class Flagging:
    """SQL for the flags of a row, of one table."""

    columns: tuple[str, ...]
    """Those that it needs; `ctid`, `xmin` and the like among them."""
    expression: str
    """Over these columns, not qualified."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules for all clusters of a sweep."""

    graph: ForeignKeyGraph
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
    keep_unmarked: bool = False
    """Whether an unmarked row of a bearing table isn't taken along by ON DELETE CASCADE either."""
    remembered: frozenset[int] = frozenset()
    """The tables, by their tops, that the settings say bear markers."""

    @staticmethod
    def of(
        graph: ForeignKeyGraph,
        bearing: frozenset[int],
        refused: Mapping[int, Refusal],
        skipped: Iterable[int] = (),
        unseen: frozenset[int] = frozenset(),
        *,
        keep_unmarked: bool = False,
        remembered: frozenset[int] = frozenset(),
    ) -> Rules:
        """The rules where marked rows are in `bearing`."""
        bearing |= {leaf for top in remembered for leaf in graph.leaves(top)}
        reached = graph.reached_from(bearing)
        parents = {key.parent for key in graph.keys if key.takes_along}
        reached_parents = {parent for parent in parents if not reached.isdisjoint(graph.leaves(parent))}
        taking = {
            leaf: [key for key in graph.of(leaf) if key.takes_along and key.parent in reached_parents]
            for leaf in reached
        }
        upward = frozenset(
            leaf
            for leaf, keys in taking.items()
            if len(keys) > 1 or any(key.overlaps for key in keys) or (keys and leaf in graph.in_rings)
        )
        return Rules(
            graph, bearing, refused, frozenset(skipped), unseen, reached, upward, keep_unmarked, remembered
        )
