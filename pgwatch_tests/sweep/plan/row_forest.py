"""Row forests: rows of clusters, which of them hang together, what keeps some, and so the verdict. Pure."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from pgwatch_tests.sweep.plan.refusals import Refusal
from pgwatch_tests.sweep.plan.related_rows import ClusterRow, Loose, Settled
from pgwatch_tests.sweep.plan.rules import (
    BLOCKING,
    BLOCKS,
    ENDED,
    IN_TIME,
    MARKED,
    TOO_YOUNG,
    URGENCY,
    WRITTEN,
    WRITTEN_AT,
    YOUNG,
)


class RowForest:
    """Rows as nodes, numbered as they came, each with one above it: those with the same root are a cluster.

    Nothing keeps the rows from changing meanwhile.
    """

    def __init__(self) -> None:
        # Of each node, for whoever goes through a million of them.
        self.tids = array("Q")
        self.xmins = array("I")
        self.flags = array("Q")
        self.leaves = array("I")
        self._since = array("Q")
        """When the marked row was made that a row hangs on; of several, the latest."""
        self._up: list[int] = []
        """A forest of rows: those with the same root belong together."""
        self._known: defaultdict[int, dict[int, int]] = defaultdict(dict)
        self._blocked: dict[int, Refusal] = {}
        self._in_time: list[int] = []
        self._young: list[tuple[int, int, int]] = []  # kept nodes, the young rows' leaves, when written
        self._loose: defaultdict[int, dict[Loose, None]] = defaultdict(dict)

    def rows_of(self, leaf: int) -> Iterable[int]:
        """The tids of all rows of a leaf that are in one of the clusters."""
        return self._known[leaf].keys() if leaf in self._known else ()

    def node(self, node: int) -> ClusterRow:
        """A row."""
        return ClusterRow(self.leaves[node], self.tids[node], self.xmins[node], self.flags[node])

    def loose(self, node: int) -> Collection[Loose]:
        """Returns the loose references to a row: by keys that don't delete the referring row."""
        return self._loose.get(node, ())

    def find(self, leaf: int, tid: int) -> int | None:
        """The node of a row, if it is in one of the clusters."""
        return self._known[leaf].get(tid) if leaf in self._known else None

    def all_loose(self) -> Iterator[Loose]:
        """All loose references."""
        for rows in self._loose.values():
            yield from rows

    @property
    def has_loose(self) -> bool:
        """Whether there are loose references."""
        return bool(self._loose)

    def settled(self) -> Settled:
        """Returns which clusters may go, and why the other ones stay."""
        up = self._up
        # A row's `up` never comes after it: in this order, it is a root by then.
        for node, above in enumerate(up):
            up[node] = up[above]
        why = self._reasons()
        together: dict[int, list[int]] = {}
        for node, root in enumerate(up):
            if root == node:
                together[root] = [node]
            else:
                together[root].append(node)
        kept: defaultdict[tuple[int, Refusal], list[int]] = defaultdict(list)
        for root, refusal in why.items():
            for node in together.pop(root):
                kept[self.leaves[node], refusal].append(node)
        young = {(leaf, at) for node, leaf, at in self._young if why.get(self._root(node)) == TOO_YOUNG}
        return Settled(list(together.values()), kept, young)

    def _reasons(self) -> dict[int, Refusal]:
        """Returns the reasons of clusters that stay, by root."""
        why: dict[int, Refusal] = {}
        for node, refusal in self._blocked.items():
            root = self._root(node)
            before = why.get(root)
            if before is None or URGENCY[refusal.reason] < URGENCY[before.reason]:
                why[root] = refusal
        if self._in_time:
            flags = self.flags
            others = {
                self._root(node) for node in range(len(flags)) if flags[node] & (MARKED | ENDED) == MARKED
            }
            for root in others & set(map(self._root, self._in_time)):
                why.setdefault(root, TOO_YOUNG)
        return why

    def _heed(self, node: int, leaf: int, flags: int) -> None:
        if flags & BLOCKING:
            self._block(node, next(refusal for bit, refusal in BLOCKS if flags & bit))
        if in_time := flags & (IN_TIME | MARKED) == IN_TIME:
            self._in_time.append(node)
        if in_time or flags & YOUNG:
            self._young.append((node, leaf, (flags & WRITTEN) // WRITTEN_AT))

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
        if before is None or URGENCY[refusal.reason] < URGENCY[before.reason]:
            self._blocked[node] = refusal
