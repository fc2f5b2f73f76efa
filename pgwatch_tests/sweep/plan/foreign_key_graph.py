"""The foreign key graph: tables, leaves, and the order in which their rows are deleted. Pure.

Rows are in leaves: ordinary tables and the leaves of partition trees. A foreign key is declared on one of
these or on a root above them, and holds for all leaves below it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from pgwatch_tests.strong_components import strongly_connected
from pgwatch_tests.text.sql_names import shown

OnDelete = Literal["a", "r", "c", "n", "d"]
"""NO ACTION, RESTRICT, CASCADE, SET NULL, SET DEFAULT: pg_constraint.confdeltype."""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A row of queries/sweep/foreign_keys.sql: `child` refers to `parent` (both oids)."""

    oid: int
    name: str
    child: int
    parent: int
    on_delete: OnDelete
    child_columns: list[str]
    parent_columns: list[str]
    equal_schemas: list[str]
    equal_names: list[str]
    collation_schemas: list[str | None]
    collation_names: list[str | None]
    indexed: bool
    strange: str | None = None
    """Another role's function that comparing by it would run."""
    enforced: bool = True
    """False for NOT ENFORCED (from 18): the server neither checks it nor acts on it."""
    fires: bool = True
    """Whether deleting a parent's row fires the key's own trigger, in whichever leaf the row is."""
    checks: bool = True
    """Whether writing a child's row looks for the parent's, in whichever leaf the row is."""
    set_columns: list[str] = field(default_factory=list)
    """The child's columns that SET NULL or SET DEFAULT changes: all, or those declared with it (from 15)."""

    @property
    def takes_along(self) -> bool:
        """Whether rows that refer to a row must go for it to go; else they are only changed."""
        return self.enforced and self.on_delete in ("a", "r", "c")

    @property
    def changes(self) -> bool:
        """Whether the server changes rows that refer to a row that goes: SET NULL, SET DEFAULT."""
        return self.enforced and self.on_delete in ("n", "d")

    @property
    def overlaps(self) -> bool:
        """Whether a row may refer to several: to all whose periods overlap with its own (PERIOD, from 18)."""
        return "&&" in self.equal_names


@dataclass(frozen=True, slots=True)
class TableNode:
    """A row of queries/sweep/relations.sql."""

    oid: int
    schema: str
    name: str
    kind: Literal["r", "p", "f"]
    ancestors: list[int]
    created_at: int
    schema_usage: bool
    missing: list[str]
    row_security: bool
    rules: list[str]
    triggers: list[str]
    publication: str | None
    rows: float
    live_rows: float
    unreadable: str = ""
    """Why its rows must not be read, in a clause, beside privileges."""
    trigger_functions: list[str] = field(default_factory=list)
    """The function of each of `triggers`: `schema.function`."""
    statement_triggers: list[str] = field(default_factory=list)
    """Those of `triggers` that a statement on this very table fires, once."""
    also: list[str] = field(default_factory=list)
    """The rules on DELETE that do something besides."""
    file: int = 0
    """Its pg_class.relfilenode."""
    stops_delete: bool = False
    stops_update: bool = False
    """Whether a trigger or rule may let a row stay as it is, also where the server acts for a key."""

    @property
    def about_rows(self) -> float:
        """The number of rows, by the server's statistics."""
        return max(self.rows, self.live_rows)

    @property
    def top(self) -> int:
        """The root of its partition tree, or itself."""
        return self.ancestors[-1] if self.ancestors else self.oid


class ForeignKeyGraph:
    """The graph of a database's foreign keys."""

    def __init__(self, relations: Iterable[TableNode], keys: Iterable[ForeignKey]) -> None:
        self.relations = {relation.oid: relation for relation in relations}
        self.keys = tuple(key for key in keys if key.child in self.relations and key.parent in self.relations)
        self._by_parent: defaultdict[int, list[ForeignKey]] = defaultdict(list)
        self._by_child: defaultdict[int, list[ForeignKey]] = defaultdict(list)
        for key in self.keys:
            self._by_parent[key.parent].append(key)
            self._by_child[key.child].append(key)
        self._referring: dict[int, Sequence[ForeignKey]] = {}
        self._groups: dict[frozenset[int], Sequence[Sequence[int]]] = {}
        self._of: dict[int, Sequence[ForeignKey]] = {}
        self._stopped: dict[int, bool] = {}
        self._leaves: defaultdict[int, list[int]] = defaultdict(list)
        for relation in self.relations.values():
            if relation.kind != "p":
                for oid in (relation.oid, *relation.ancestors):
                    self._leaves[oid].append(relation.oid)

    def with_former(self, former: ForeignKeyGraph) -> ForeignKeyGraph:
        """Returns this graph with the dropped tables and keys of an earlier one."""
        keys = {key.oid: key for key in (*former.keys, *self.keys)}
        return ForeignKeyGraph((former.relations | self.relations).values(), keys.values())

    def leaves(self, oid: int) -> Sequence[int]:
        """Returns the leaves that hold the rows of a table."""
        return self._leaves[oid]

    def deleted_from(self, leaf: int) -> int:
        """The table to name to delete rows of a leaf: itself, or a root that has triggers for statements.

        Whoever names a partition doesn't fire these (PostgreSQL manual, Overview of Trigger Behavior). Where
        a part is another server's, that would be asked too: see `foreign_beside`.
        """
        return leaf if self.foreign_beside(leaf) is not None else self._firing(leaf)

    def foreign_beside(self, leaf: int) -> TableNode | None:
        """A part that is another server's, for which a DELETE from a leaf can't fire all triggers."""
        top = self._firing(leaf)
        parts = (self.relations[part] for part in (self.leaves(top) if top != leaf else ()))
        return next((part for part in parts if part.kind == "f"), None)

    def _firing(self, leaf: int) -> int:
        """The table to name so that all triggers fire."""
        top = self.relations[leaf].top
        return top if top in self.relations and self.relations[top].statement_triggers else leaf

    def writers(self, leaf: int) -> list[str]:
        """The names of what may write besides as rows of a leaf are deleted: triggers, rules."""
        relation, named = self.relations[leaf], self.relations[self.deleted_from(leaf)]
        above = named.statement_triggers if named is not relation else ()
        return [*relation.triggers, *above, *(f"rule {rule}" for rule in relation.also)]

    def may_be_stopped(self, key: ForeignKey) -> bool:
        """Whether what the server does by a key to rows that refer may be kept from them, without a word."""
        found = self._stopped.get(key.oid)
        if found is None:
            children = [self.relations[leaf] for leaf in self.leaves(key.child)]
            found = (key.on_delete == "c" and any(one.stops_delete for one in children)) or (
                key.changes and any(one.stops_update for one in children)
            )
            self._stopped[key.oid] = found
        return found

    def referring_to(self, leaf: int) -> Sequence[ForeignKey]:
        """The foreign keys by which rows may refer to a row of a leaf."""
        found = self._referring.get(leaf)
        if found is None:
            found = [key for oid in self._lineage(leaf) for key in self._by_parent[oid]]
            self._referring[leaf] = found
        return found

    def of(self, leaf: int) -> Sequence[ForeignKey]:
        """The foreign keys by which a row of a leaf may refer to others."""
        found = self._of.get(leaf)
        if found is None:
            found = self._of[leaf] = [key for oid in self._lineage(leaf) for key in self._by_child[oid]]
        return found

    def reached_from(self, leaves: Collection[int]) -> frozenset[int]:
        """These leaves, and all in which rows may have to go with theirs."""
        reached: set[int] = set()
        followed: set[int] = set()
        todo = list(leaves)
        while todo:
            leaf = todo.pop()
            if leaf not in reached:
                reached.add(leaf)
                for key in self.referring_to(leaf):
                    # All partitions of a table are referred to by the same key.
                    if key.takes_along and key.oid not in followed:
                        followed.add(key.oid)
                        todo.extend(self.leaves(key.child))
        return frozenset(reached)

    @cached_property
    def order(self) -> tuple[frozenset[int], ...]:
        """All leaves, children first. Together: those that refer to each other in a ring, and partitions."""
        return self._ordered(key for key in self.keys if key.takes_along)

    def deletion_groups(self, leaves: Collection[int]) -> Sequence[Sequence[int]]:
        """Returns the groups of leaves in the order of deletion: children first, by all keys.

        SET NULL and SET DEFAULT change rows, which then have another ctid. Together are those that refer to
        each other in a ring, as far as it is of these leaves, and partitions of one table whose rows concern
        nobody: no key refers to them, no trigger is called, and no rule does more.
        """
        which = frozenset(leaves)
        found = self._groups.get(which)
        if found is None:
            by_top: defaultdict[int, list[int]] = defaultdict(list)
            for leaf in sorted(which):
                by_top[self.relations[leaf].top].append(leaf)
            below = {top: self._below[top] & by_top.keys() for top in by_top}
            groups: list[list[int]] = []
            for tops in strongly_connected(below):
                together = [leaf for top in sorted(tops) for leaf in by_top[top]]
                is_ring = len(tops) > 1 or any(top in below[top] for top in tops)
                alone = set() if is_ring else {leaf for leaf in together if self._concerns_others(leaf)}
                groups.extend([leaf] for leaf in together if leaf in alone)
                if rest := [leaf for leaf in together if leaf not in alone]:
                    groups.append(rest)
            found = self._groups[which] = groups
        return found

    def _concerns_others(self, leaf: int) -> bool:
        """Whether something else may happen, or keep a row, as it is deleted."""
        return bool(self.writers(leaf) or self.referring_to(leaf))

    @cached_property
    def _below(self) -> Mapping[int, set[int]]:
        """Returns by table (its top) those that refer to it by enforced keys."""
        below: dict[int, set[int]] = {relation.top: set() for relation in self.relations.values()}
        for key in self.keys:
            if key.enforced:
                below[self.relations[key.parent].top].add(self.relations[key.child].top)
        return below

    @cached_property
    def by_oid(self) -> dict[int, ForeignKey]:
        """Returns the keys by oid."""
        return {key.oid: key for key in self.keys}

    @cached_property
    def in_rings(self) -> frozenset[int]:
        """The leaves whose rows may refer, in the end, to rows of the same table."""
        tops = {leaf: relation.top for leaf, relation in self.relations.items()}
        taking = (key for key in self.keys if key.takes_along)
        to_itself = {tops[key.child] for key in taking if tops[key.child] == tops[key.parent]}
        found: set[int] = set()
        for together in self.order:
            members = {tops[leaf] for leaf in together}
            if len(members) > 1 or members & to_itself:
                found.update(together)
        return frozenset(found)

    def _ordered(self, keys: Iterable[ForeignKey]) -> tuple[frozenset[int], ...]:
        successors: dict[int, set[int]] = {relation.top: set() for relation in self.relations.values()}
        for key in keys:
            successors[self.relations[key.parent].top].add(self.relations[key.child].top)
        return tuple(
            frozenset(leaf for top in component for leaf in self.leaves(top))
            for component in strongly_connected(successors)
        )

    def _lineage(self, leaf: int) -> tuple[int, ...]:
        return (leaf, *self.relations[leaf].ancestors)


def table_of(graph: ForeignKeyGraph, leaf: int) -> tuple[str, str]:
    """The schema and name of the table that a leaf belongs to."""
    relation = graph.relations[graph.relations[leaf].top]
    return shown(relation.schema), shown(relation.name)
