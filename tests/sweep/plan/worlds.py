"""Made-up databases: tables, foreign keys and rows in memory, and what a sweep may ask of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from hypothesis import strategies as st

from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKey, ForeignKeyGraph, OnDelete, TableNode
from pgwatch_tests.sweep.plan.refusals import Refusal
from pgwatch_tests.sweep.plan.related_rows import Related, Seed
from pgwatch_tests.sweep.plan.rules import (
    AGELESS,
    ALIVE,
    BORN_AT,
    ENDED,
    FUTURE,
    IN_TIME,
    MARKED,
    OTHERS,
    SEEN,
    SWEPT,
    YOUNG,
    Rules,
)

Spot = tuple[int, int]
"""A row, by leaf and tid."""

REFUSED = Refusal("refused", "a rule")
MINUTE_S = 60
T = TypeVar("T")
_ON_DELETE: Sequence[OnDelete] = ("a", "r", "c", "n", "d")


@dataclass(frozen=True, slots=True)
class WorldRow:
    """What a row says of itself, and which rows it refers to, by foreign key."""

    flags: int
    refers: Mapping[int, Spot]

    @property
    def is_marked(self) -> bool:
        """Whether it bears a marker."""
        return bool(self.flags & MARKED)

    @property
    def born_s(self) -> int:
        """When it was made; 0 if nothing tells."""
        return self.flags // BORN_AT


@dataclass(slots=True)
class World:
    """A database in memory. As `Rows`, it is what `Clusters` asks."""

    graph: ForeignKeyGraph
    rows: dict[Spot, WorldRow]
    refused: frozenset[int] = frozenset()
    skipped: frozenset[int] = frozenset()
    keep_unmarked: bool = False
    remembered: frozenset[int] = frozenset()
    """The tables, by their tops, that the settings say bear markers."""

    @property
    def bearing(self) -> frozenset[int]:
        """The leaves of tables with marked rows, or of which the settings say so."""
        tops = {self.graph.relations[leaf].top for (leaf, _), row in self.rows.items() if row.is_marked}
        return frozenset(leaf for top in tops | self.remembered for leaf in self.graph.leaves(top))

    @property
    def all_refused(self) -> dict[int, Refusal]:
        """The leaves that no row may go from, also those that a skipped foreign key refers to."""
        behind = [leaf for key in self.graph.keys if key.oid in self.skipped for leaf in self.parents_of(key)]
        return dict.fromkeys([*self.refused, *behind], REFUSED)

    def rules(self, unseen: frozenset[int] = frozenset()) -> Rules:
        """What holds for its clusters."""
        marked = {self.graph.relations[leaf].top for (leaf, _), row in self.rows.items() if row.is_marked}
        return Rules.of(
            self.graph,
            frozenset(leaf for top in marked for leaf in self.graph.leaves(top)),
            self.all_refused,
            self.skipped,
            unseen & self.refused,
            keep_unmarked=self.keep_unmarked,
            remembered=self.remembered,
        )

    def parents_of(self, key: ForeignKey) -> Sequence[int]:
        """The leaves that a foreign key refers to."""
        return self.graph.leaves(key.parent)

    def seeds(self) -> dict[int, dict[int, Seed]]:
        """The rows that are asked for, by leaf and tid."""
        found: dict[int, dict[int, Seed]] = {}
        for (leaf, tid), row in self.rows.items():
            if row.flags & SWEPT:
                found.setdefault(leaf, {})[tid] = Seed(row.flags, xmin_of((leaf, tid)))
        return found

    def children(self, key: ForeignKey, leaf: int, tids: Sequence[int]) -> Related:
        """See `Rows`."""
        places = {(leaf, tid): place for place, tid in enumerate(tids) if (leaf, tid) in self.rows}
        return Related.of(
            (places[above], *spot, xmin_of(spot), row.flags)
            for spot, row in self.rows.items()
            if (above := row.refers.get(key.oid, (0, 0))) in places
        )

    def parents(self, key: ForeignKey, leaf: int, tids: Sequence[int]) -> Related:
        """See `Rows`."""
        return Related.of(
            (place, *above, xmin_of(above), self.rows[above].flags)
            for place, tid in enumerate(tids)
            if (leaf, tid) in self.rows and (above := self.rows[leaf, tid].refers.get(key.oid)) is not None
        )

    def delete(self, spots: Iterable[Spot]) -> None:
        """Deletes rows, as the server would: other rows forget those that their keys don't hold to."""
        for spot in spots:
            del self.rows[spot]
        loose = {key.oid for key in self.graph.keys if not key.takes_along}
        for spot, row in self.rows.items():
            kept = {key: above for key, above in row.refers.items() if key not in loose or above in self.rows}
            self.rows[spot] = WorldRow(row.flags, kept)

    def dangling(self) -> list[tuple[Spot, Spot]]:
        """References to rows that aren't there."""
        return [
            (spot, above)
            for spot, row in self.rows.items()
            for above in row.refers.values()
            if above not in self.rows
        ]


def xmin_of(spot: Spot) -> int:
    """The transaction that wrote a row: another one for each."""
    return spot[0] * 1000 + spot[1]


def relation(
    oid: int, kind: Literal["r", "p", "f"] = "r", ancestors: Sequence[int] = (), rows: float = 0.0
) -> TableNode:
    """A table that nothing is wrong with."""
    return TableNode(
        oid=oid,
        schema="public",
        name=f"t{oid}",
        kind=kind,
        ancestors=list(ancestors),
        created_at=0,
        schema_usage=True,
        missing=[],
        row_security=False,
        rules=[],
        triggers=[],
        publication=None,
        rows=rows,
        live_rows=0.0,
    )


def foreign_key(
    oid: int,
    child: int,
    parent: int,
    on_delete: OnDelete = "a",
    indexed: bool = True,
    enforced: bool = True,
    fires: bool = True,
) -> ForeignKey:
    """A foreign key over one column."""
    return ForeignKey(
        oid=oid,
        name=f"k{oid}",
        child=child,
        parent=parent,
        on_delete=on_delete,
        child_columns=["parent"],
        parent_columns=["id"],
        equal_schemas=["pg_catalog"],
        equal_names=["="],
        collation_schemas=[None],
        collation_names=[None],
        indexed=indexed,
        enforced=enforced,
        fires=fires,
    )


@st.composite
def graphs(draw: st.DrawFn, with_loose_ends: bool = True) -> ForeignKeyGraph:
    """Up to five tables, some of them partitioned, and foreign keys between any of all these.

    With loose ends, some of the keys are not enforced, or the server doesn't act on them.
    """
    relations: list[TableNode] = []
    for top in range(10, 10 * draw(st.integers(2, 6)), 10):
        if draw(st.integers(0, 4)):
            relations.append(relation(top))
        else:
            relations.append(relation(top, "p"))
            relations.append(relation(top + 1, ancestors=[top]))
            relations.append(relation(top + 2, "p", [top]))
            relations.append(relation(top + 3, ancestors=[top + 2, top]))
    oids = st.sampled_from([one.oid for one in relations])
    works = st.sampled_from([*[True] * 9, not with_loose_ends])
    ends = draw(st.lists(st.tuples(oids, oids, st.sampled_from(_ON_DELETE), works, works), max_size=7))
    return ForeignKeyGraph(
        relations,
        [
            foreign_key(100 + n, child, parent, on_delete, enforced=enforced, fires=fires)
            for n, (child, parent, on_delete, enforced, fires) in enumerate(ends)
        ],
    )


_ASKED = MARKED | SWEPT
# What rows say of themselves, marked ones and others: in some databases all is fine, in others nothing is.
_SORTS: Sequence[tuple[Sequence[int], Sequence[int]]] = (
    ((_ASKED,), (0,)),
    ((_ASKED, MARKED, MARKED | OTHERS), (0,)),
    ((_ASKED, _ASKED, _ASKED, _ASKED | YOUNG), (0,)),
    (
        (
            *[_ASKED] * 8,
            *(MARKED, MARKED | OTHERS, MARKED | YOUNG, _ASKED | AGELESS, _ASKED | ALIVE, _ASKED | SEEN),
        ),
        (*[0] * 8, YOUNG, FUTURE, SEEN),
    ),
    ((_ASKED | ENDED, _ASKED | ENDED | IN_TIME, _ASKED), (0, IN_TIME)),
)
# When rows were made: nothing tells, or about then, before, or after. A minute is nothing.
_BIRTHS_S = (0, 0, *(10**9 + ago * MINUTE_S for ago in (-60, -1, 0, 0, 1, 60)), 10**9 + MINUTE_S + 1)


@st.composite
def worlds(draw: st.DrawFn, with_obstacles: bool = True) -> World:
    """Databases of some rows, some of them marked; with obstacles, some that mustn't go."""
    graph = draw(graphs(with_obstacles))
    leaves = sorted(one.oid for one in graph.relations.values() if one.kind != "p")
    markable = draw(st.sets(st.sampled_from(leaves), min_size=1))
    marked, others = draw(st.sampled_from(_SORTS if with_obstacles else _SORTS[:2]))
    births = st.sampled_from(_BIRTHS_S) if with_obstacles and draw(st.booleans()) else st.just(0)
    spots = [(leaf, place) for leaf in leaves for place in range(1, 1 + draw(st.integers(1, 3)))]
    rows: dict[Spot, WorldRow] = {}
    for spot in spots:
        flags = (*marked, *others) if spot[0] in markable else others
        refers: dict[int, Spot] = {}
        for key in graph.of(spot[0]):
            above = [None, *(one for one in spots if one[0] in graph.leaves(key.parent))]
            chosen = draw(st.sampled_from(above))
            if chosen is not None:
                refers[key.oid] = chosen
        rows[spot] = WorldRow(draw(st.sampled_from(flags)) + BORN_AT * draw(births), refers)
    if not with_obstacles:
        return World(graph, rows)
    return World(
        graph,
        rows,
        draw(_few(leaves)),
        draw(_few([key.oid for key in graph.keys if key.enforced])),
        draw(st.booleans()),
        draw(_few(sorted({graph.relations[leaf].top for leaf in leaves}))),
    )


def _few(of: Sequence[T]) -> st.SearchStrategy[frozenset[T]]:
    return (
        st.just(frozenset()) | st.frozensets(st.sampled_from(of), max_size=2) if of else st.just(frozenset())
    )
