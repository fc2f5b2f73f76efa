"""What has to go and what has to stay, by the sweep's rules, the slow way: row by row, no batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pgwatch_tests.sweep.clusters import AGELESS, ALIVE, FUTURE, MARKED, SWEPT, YOUNG
from tests.sweep.worlds import Spot, World


@dataclass(frozen=True, slots=True)
class Truth:
    """What becomes of rows."""

    clusters: tuple[frozenset[Spot], ...]
    """Those that go."""
    staying: frozenset[Spot]
    """The rows of the others."""

    @property
    def going(self) -> frozenset[Spot]:
        """All rows that go."""
        return frozenset().union(*self.clusters)


@dataclass(frozen=True, slots=True)
class _Closure:
    rows: frozenset[Spot]
    """A marked row, and all that has to go with it."""
    real: frozenset[Spot]
    """Real rows that would have to go too, but mustn't."""


def truth(world: World, *, locks: bool = True) -> Truth:
    """What has to become of the rows that hang on marked ones; without `locks`, of nobody else's."""
    closures = [_closure(world, spot) for spot, row in sorted(world.rows.items()) if row.flags & SWEPT]
    going: list[frozenset[Spot]] = []
    staying: set[Spot] = set()
    for cluster in _clusters(closures):
        rows = frozenset().union(*(closure.rows for closure in cluster))
        blocked = any(closure.real for closure in cluster) or any(_keeps(world, spot, locks) for spot in rows)
        if blocked:
            staying |= rows
        else:
            going.append(rows)
    return Truth(tuple(going), frozenset(staying))


def _closure(world: World, seed: Spot) -> _Closure:
    by_oid = {key.oid: key for key in world.graph.keys}
    bearing = world.bearing
    rows, real, todo = {seed}, set(), [seed]
    while todo:
        parent = todo.pop()
        for child, row in world.rows.items():
            for oid in [oid for oid, above in row.refers.items() if above == parent]:
                key = by_oid[oid]
                if not key.takes_along:
                    continue
                if key.on_delete != "c" and child[0] in bearing and not row.flags & MARKED:
                    real.add(child)
                elif child not in rows:
                    rows.add(child)
                    todo.append(child)
    return _Closure(frozenset(rows), frozenset(real))


def _clusters(closures: list[_Closure]) -> list[list[_Closure]]:
    """Those that share a row, together, until none share one."""
    clusters: list[tuple[set[Spot], list[_Closure]]] = []
    for closure in closures:
        rows, members = set(closure.rows | closure.real), [closure]
        apart = []
        for other_rows, others in clusters:
            if rows & other_rows:
                rows |= other_rows
                members += others
            else:
                apart.append((other_rows, others))
        # What it has now may touch what was passed before.
        while True:
            touched = [one for one in apart if one[0] & rows]
            if not touched:
                break
            apart = [one for one in apart if not one[0] & rows]
            for other_rows, others in touched:
                rows |= other_rows
                members += others
        clusters = [*apart, (rows, members)]
    return [members for _, members in clusters]


def _keeps(world: World, spot: Spot, locks: bool) -> bool:
    flags = world.rows[spot].flags
    return bool(
        flags & (YOUNG | FUTURE | ALIVE | AGELESS)
        or flags & (MARKED | SWEPT) == MARKED
        or spot[0] in world.all_refused
        or (locks and (spot in world.locked or _changes_a_locked_one(world, spot)))
    )


def _changes_a_locked_one(world: World, spot: Spot) -> bool:
    loose = {key.oid for key in world.graph.keys if not key.takes_along}
    return any(_refers(row.refers, loose, spot) for one, row in world.rows.items() if one in world.locked)


def _refers(refers: Mapping[int, Spot], keys: set[int], spot: Spot) -> bool:
    return any(above == spot for key, above in refers.items() if key in keys)
