"""What has to go and what has to stay, by the sweep's rules, the slow way: row by row, no batches."""

from __future__ import annotations

from dataclasses import dataclass

from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKey
from pgwatch_tests.sweep.plan.rules import AGELESS, ALIVE, ENDED, FUTURE, IN_TIME, OTHERS, SEEN, SWEPT, YOUNG
from tests.sweep.plan.worlds import MINUTE_S, Spot, World, WorldRow


@dataclass(frozen=True, slots=True)
class Truth:
    """What becomes of rows."""

    clusters: tuple[frozenset[Spot], ...]
    """Those that go."""
    staying: frozenset[Spot]
    """The rows of the others."""
    hidden: frozenset[Spot]
    """Those of them that are come to through real rows alone, which would have to go for others of these."""

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


def truth(world: World) -> Truth:
    """What has to become of the rows that hang on marked ones."""
    closures = [_closure(world, spot) for spot, row in sorted(world.rows.items()) if row.flags & SWEPT]
    going: list[frozenset[Spot]] = []
    staying: set[Spot] = set()
    hidden: set[Spot] = set()
    for cluster in _clusters(closures):
        rows = frozenset().union(*(closure.rows for closure in cluster))
        blocked = any(closure.real for closure in cluster) or any(_keeps(world, spot) for spot in rows)
        if not all(world.rows[spot].flags & ENDED for spot in rows if world.rows[spot].is_marked):
            blocked |= any(_is_in_time(world, spot) for spot in rows)
        if blocked:
            staying |= rows
            real = frozenset().union(*(closure.real for closure in cluster))
            hidden |= rows - _come_to(world, {spot for spot in rows if world.rows[spot].flags & SWEPT}, real)
        else:
            going.append(rows)
    return Truth(tuple(going), frozenset(staying), frozenset(hidden))


def _closure(world: World, seed: Spot) -> _Closure:
    """Breadth doesn't matter: each row is looked at once for each marked row that it was come to from."""
    by_oid = {key.oid: key for key in world.graph.keys}
    rows, real = {seed}, set[Spot]()
    todo = [(seed, seed)]
    passed = {*todo}
    while todo:
        parent, marked = todo.pop()
        for child, row in world.rows.items():
            for oid in [oid for oid, above in row.refers.items() if above == parent]:
                key = by_oid[oid]
                if not key.takes_along:
                    continue
                if _is_real(world, key, child, world.rows[marked]):
                    real.add(child)
                    continue
                rows.add(child)
                onward = (child, child if row.is_marked else marked)
                if onward not in passed:
                    passed.add(onward)
                    todo.append(onward)
    return _Closure(frozenset(rows), frozenset(real))


def _come_to(world: World, seeds: set[Spot], real: frozenset[Spot]) -> set[Spot]:
    """The rows that hang on these without real ones in between."""
    by_oid = {key.oid: key for key in world.graph.keys}
    found, todo = {*seeds}, [*seeds]
    while todo:
        parent = todo.pop()
        for child, row in world.rows.items():
            by = [oid for oid, above in row.refers.items() if above == parent and by_oid[oid].takes_along]
            if by and child not in found | real:
                found.add(child)
                todo.append(child)
    return found


def _is_real(world: World, key: ForeignKey, child: Spot, marked: WorldRow) -> bool:
    """Whether a row isn't test data, though it refers to what hangs on the marked row."""
    row = world.rows[child]
    if row.is_marked:
        return False
    if child[0] in world.bearing and (key.on_delete != "c" or world.keep_unmarked):
        return True
    return row.born_s != 0 and row.born_s + MINUTE_S < marked.born_s


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


def _keeps(world: World, spot: Spot) -> bool:
    return bool(
        world.rows[spot].flags & (YOUNG | FUTURE | ALIVE | AGELESS | SEEN | OTHERS)
        or spot[0] in world.all_refused
        or _changes_what_is_needed(world, spot)
    )


def _is_in_time(world: World, spot: Spot) -> bool:
    """Whether it is young, or changes a young row, but before the end of a lease."""
    row, changing = world.rows[spot], {key.oid for key in world.graph.keys if key.changes}
    return bool(not row.is_marked and row.flags & IN_TIME) or any(
        other.flags & IN_TIME
        and any(above == spot and oid in changing for oid, above in other.refers.items())
        for other in world.rows.values()
    )


def _changes_what_is_needed(world: World, spot: Spot) -> bool:
    """Whether columns would be set of somebody else's row or a young one, or should be and wouldn't."""
    changing = {key.oid: key for key in world.graph.keys if key.changes}
    return any(
        above == spot
        and oid in changing
        and (not changing[oid].fires or row.flags & (YOUNG | FUTURE | ALIVE | OTHERS))
        for row in world.rows.values()
        for oid, above in row.refers.items()
    )
