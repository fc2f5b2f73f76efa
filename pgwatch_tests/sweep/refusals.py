"""Why no row of a table can be swept: what its users built, or what can't be seen. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pgwatch_tests import durations
from pgwatch_tests.leaks.discover import shown
from pgwatch_tests.server.sql_names import identifier, identifiers, qualified
from pgwatch_tests.sweep.foreign_keys import ForeignKey, ForeignKeys, Relation
from pgwatch_tests.sweep.model import KeptReason

# To check one deleted row against a child without an index, the server reads all of it: 0.29 s for a million.
_S_A_ROW_READ = 0.29e-6


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why rows stay."""

    reason: KeptReason
    detail: str
    unindexed: bool = False
    """Whether nothing is wrong but that an index is missing."""


@dataclass(frozen=True, slots=True)
class Refusals:
    """What can't be swept."""

    tables: Mapping[int, Refusal]
    """The leaves of which no row may go, and why."""
    keys: Mapping[int, Refusal]
    """The foreign keys that can't be followed, by oid: then no row that they refer to may go."""
    slow: Mapping[int, float]
    """Those of them that only lack an index, and how long it would take: seconds."""

    @property
    def unseen(self) -> frozenset[int]:
        """The leaves that can't even be read."""
        return frozenset(
            leaf
            for leaf, refusal in self.tables.items()
            if refusal.reason == "not_checked" and not refusal.unindexed
        )


def refusals(
    graph: ForeignKeys,
    marked: Mapping[int, int],
    ignored: Collection[int],
    unread: Mapping[int, str],
    patience_s: float,
    role: str,
    not_made: Mapping[int, str] = MappingProxyType({}),
) -> Refusals:
    """What can't be swept; `marked` are the leaves with marked rows, and how many.

    `ignored` are the leaves that the settings leave out, `unread` those that couldn't be searched for marked
    rows, and why: which of their rows are real data can't be told. A sweep of a table isn't to take longer
    than `patience_s` for want of an index. `not_made`: why no temporary one could be made, by key.
    """
    tables: dict[int, Refusal] = {}
    keys: dict[int, Refusal] = {}
    slow: dict[int, float] = {}
    through: dict[int, Refusal] = {}
    expected = _expected(graph, marked)
    for leaf in sorted(graph.reached_from(marked)):
        own = _of_table(graph.relations[leaf], leaf in ignored, role, unread.get(leaf))
        if own is not None:
            tables[leaf] = own
        for key in graph.referring_to(leaf):
            took_s = _check_s(graph, key, expected.get(leaf, 0.0))
            refusal = _of_key(graph, key, took_s, patience_s, role, not_made.get(key.oid))
            if refusal is not None:
                keys[key.oid] = refusal
                through.setdefault(leaf, refusal)
                if refusal.unindexed:
                    slow[key.oid] = max(took_s, slow.get(key.oid, 0.0))
    return Refusals(through | tables, keys, slow)


def name_of(relation: Relation) -> str:
    """`schema.table`, for people."""
    return f"{shown(relation.schema)}.{shown(relation.name)}"


def index_statement(graph: ForeignKeys, key: ForeignKey) -> str:
    """The statement that makes the index which a foreign key lacks."""
    child = graph.relations[key.child]
    columns = identifiers(key.child_columns)
    # On a root, an index can't be made so.
    how = "CREATE INDEX ON" if child.kind == "p" else "CREATE INDEX CONCURRENTLY ON"
    return f"{how} {qualified(child.schema, child.name)} ({columns})"


def _of_table(relation: Relation, ignored: bool, role: str, unread: str | None) -> Refusal | None:
    name = name_of(relation)
    if relation.kind == "f":
        return Refusal("not_checked", f"{name} is a foreign table")
    if ignored:
        return Refusal("refused", f"the settings ignore {name}")
    unreadable = _unreadable(relation, role)
    if unreadable is not None:
        return unreadable
    if unread is not None:
        # Were there marked rows, the others would be real data.
        return Refusal("not_checked", f"{name} couldn't be searched for markers: {unread}")
    missing = [privilege for privilege in relation.missing if privilege != "SELECT"]
    if missing:
        return Refusal("refused", _lacking(missing, relation, role))
    if relation.rules:
        return Refusal(
            "refused", f"a rule of {name} does something instead of DELETE: {_list(relation.rules)}"
        )
    if relation.publication is not None:
        return Refusal(
            "refused",
            f"{name} has no replica identity, but {shown(relation.publication)} publishes what is deleted: "
            f"ALTER TABLE {qualified(relation.schema, relation.name)} REPLICA IDENTITY FULL",
        )
    return None


def _of_key(
    graph: ForeignKeys, key: ForeignKey, took_s: float, patience_s: float, role: str, not_made: str | None
) -> Refusal | None:
    """Why rows that others may refer to by this key can't go."""
    child = graph.relations[key.child]
    unreadable = _unreadable(child, role)
    if unreadable is not None and key.takes_along:
        return Refusal("not_checked", f"what refers to it can't be seen: {unreadable.detail}")
    if not key.takes_along:
        for relation in (child, *(graph.relations[leaf] for leaf in graph.leaves(key.child))):
            unreadable = _unreadable(relation, role)
            if unreadable is not None:
                return Refusal("not_checked", f"what it would change can't be seen: {unreadable.detail}")
            if "UPDATE" in relation.missing:
                return Refusal("refused", f"it would be changed: {_lacking(['UPDATE'], relation, role)}")
    if took_s > patience_s:
        lacks = (
            f"about {durations.in_words(took_s)}, since {name_of(child)} has no usable index on "
            f"{', '.join(map(shown, key.child_columns))}"
        )
        statement = index_statement(graph, key)
        if not_made is not None:
            detail = f"{lacks}, and {not_made}; sweep again, or make it: {statement}"
            return Refusal("not_checked", detail, unindexed=True)
        return Refusal("no_index", f"{lacks}: {statement}, or --temp-index", unindexed=True)
    return None


def _unreadable(relation: Relation, role: str) -> Refusal | None:
    if not relation.schema_usage:
        grant = f"GRANT USAGE ON SCHEMA {identifier(relation.schema)} TO {identifier(role)}"
        return Refusal("not_checked", f"no USAGE on schema {shown(relation.schema)}: {grant}")
    if "SELECT" in relation.missing:
        return Refusal("not_checked", _lacking(["SELECT"], relation, role))
    if relation.row_security:
        alter = f"ALTER ROLE {identifier(role)} BYPASSRLS"
        return Refusal("not_checked", f"row-level security on {name_of(relation)}: {alter}")
    if relation.unreadable:
        return Refusal("not_checked", f"{name_of(relation)}: {relation.unreadable}")
    return None


def _lacking(privileges: Sequence[str], relation: Relation, role: str) -> str:
    """What is missing, and the statement that would help."""
    grant = (
        f"GRANT {', '.join(privileges)} ON {qualified(relation.schema, relation.name)} TO {identifier(role)}"
    )
    return f"no {' and no '.join(privileges)} privilege on {name_of(relation)}: {grant}"


def _expected(graph: ForeignKeys, marked: Mapping[int, int]) -> dict[int, float]:
    """About how many rows of each leaf have to go, if rows are spread evenly."""
    expected = {leaf: float(rows) for leaf, rows in marked.items()}
    reached = graph.reached_from(marked)
    for together in reversed(graph.order):
        for parent in together & reached:
            for key in graph.referring_to(parent):
                if not key.takes_along or together & set(graph.leaves(key.child)):
                    continue
                share = min(1.0, expected.get(parent, 0.0) / max(1.0, graph.relations[parent].about_rows))
                for child in graph.leaves(key.child):
                    rows = share * graph.relations[child].about_rows
                    expected[child] = max(expected.get(child, 0.0), rows)
    return expected


def _check_s(graph: ForeignKeys, key: ForeignKey, rows: float) -> float:
    if key.indexed:
        return 0.0
    read = sum(graph.relations[leaf].about_rows for leaf in graph.leaves(key.child))
    return rows * read * _S_A_ROW_READ


def _list(names: Collection[str]) -> str:
    return ", ".join(map(shown, names))
