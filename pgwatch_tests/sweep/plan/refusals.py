"""Refusals: why no row of a table can be deleted (triggers, rules, privileges, missing indexes). Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from pgwatch_tests.postgres.grants import grant, grant_usage, whole_schemas
from pgwatch_tests.sweep.model import KeptReason
from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKey, ForeignKeyGraph, TableNode
from pgwatch_tests.text import durations
from pgwatch_tests.text.sql_names import identifier, identifiers, qualified, shown

# To check one deleted row against a child without an index, the server reads all of it: 0.29 s for a million.
_S_A_ROW_READ = 0.29e-6
# What a sweep takes, of those that queries/sweep/relations.sql looks for.
_PRIVILEGES = ("SELECT", "UPDATE", "DELETE")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal: why rows stay."""

    reason: KeptReason
    detail: str
    unindexed: bool = False
    """Whether nothing is wrong but that an index is missing."""
    subject: str = ""
    """The beginning of `detail`, if an example can be named beside it."""
    example: tuple[int, int] | None = field(default=None, compare=False)
    """One row (leaf, tid) that is meant by it."""


@dataclass(frozen=True, slots=True)
class Refusals:
    """The tables and foreign keys that can't be swept."""

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


@dataclass(frozen=True, slots=True)
class Grants:
    """The statements that would give a role what it lacks."""

    role: str
    together: Mapping[str, Sequence[str]]
    """The schemas of which all tables are granted by one statement, and the privileges."""

    @staticmethod
    def of(graph: ForeignKeyGraph, reached: Collection[int], role: str) -> Grants:
        """Returns the grants for a sweep that may delete rows of the leaves in `reached`, and change what
        refers to these."""
        changed = (
            leaf
            for parent in reached
            for key in graph.referring_to(parent)
            if not key.takes_along
            for leaf in graph.leaves(key.child)
        )
        missing: dict[str, list[Sequence[str]]] = {}
        for leaf in {*reached, *changed}:
            relation = graph.relations[leaf]
            wanted = relation.missing if leaf in reached else [p for p in relation.missing if p != "DELETE"]
            if wanted:
                missing.setdefault(relation.schema, []).append(wanted)
        lacking = (one.schema for one in graph.relations.values() if one.kind == "r" and one.missing)
        meant = (schema for schema, tables in missing.items() for _ in tables)
        return Grants(
            role,
            {
                schema: [one for one in _PRIVILEGES if any(one in wanted for wanted in missing[schema])]
                for schema in whole_schemas(meant, lacking)
            },
        )

    def lacking(self, privileges: Sequence[str], relation: TableNode) -> str:
        """Returns the missing privileges on a table, and the GRANT that would help."""
        lacks = f"no {' and no '.join(privileges)} privilege on"
        if relation.schema in self.together:
            statement = grant(self.together[relation.schema], relation.schema, None, self.role)
            return f"{lacks} tables of schema {shown(relation.schema)}: {statement}"
        return f"{lacks} {name_of(relation)}: {grant(privileges, relation.schema, relation.name, self.role)}"


def refusals(
    graph: ForeignKeyGraph,
    marked: Mapping[int, int],
    ignored: Collection[int],
    unread: Mapping[int, str],
    patience_s: float,
    role: str,
    not_made: Mapping[int, str] = MappingProxyType({}),
) -> Refusals:
    """Returns the refusals; `marked` are the leaves with marked rows, and how many.

    `ignored` are the leaves that the settings leave out, `unread` those that couldn't be searched for marked
    rows, and why: which of their rows are real data can't be told. A sweep of a table isn't to take longer
    than `patience_s` for want of an index. `not_made`: why no temporary one could be made, by key.
    """
    tables: dict[int, Refusal] = {}
    keys: dict[int, Refusal] = {}
    slow: dict[int, float] = {}
    through: dict[int, Refusal] = {}
    expected = _expected(graph, marked)
    reached = graph.reached_from(marked)
    grants = Grants.of(graph, reached, role)
    for leaf in sorted(reached):
        own = _of_table(graph.relations[leaf], leaf in ignored, grants, unread.get(leaf))
        top = graph.relations.get(graph.relations[leaf].top)
        if own is None and top is not None and top.rules:
            own = _by_rule(top)
        if own is None and top is not None and (far := graph.foreign_beside(leaf)) is not None:
            own = _for_triggers(top, far)
        if own is not None:
            tables[leaf] = own
        for key in graph.referring_to(leaf):
            took_s = _check_s(graph, key, expected.get(leaf, 0.0))
            refusal = _of_key(graph, key, took_s, patience_s, grants, not_made.get(key.oid))
            if refusal is not None:
                keys[key.oid] = refusal
                through.setdefault(leaf, refusal)
                if refusal.unindexed:
                    slow[key.oid] = max(took_s, slow.get(key.oid, 0.0))
    return Refusals(through | tables, keys, slow)


def name_of(relation: TableNode) -> str:
    """`schema.table`, for people."""
    return f"{shown(relation.schema)}.{shown(relation.name)}"


def of_real_data(graph: ForeignKeyGraph, key: ForeignKey, leaf: int, tid: int, *, older: bool) -> Refusal:
    """Why a row stays that real data of `leaf` refers to by a key; `older`: than the row referred to."""
    subject = name_of(graph.relations[graph.relations[leaf].top])
    parent = name_of(graph.relations[key.parent])
    detail = (
        f"{subject} is older than the marked row of {parent} that it refers to"
        if older
        else f"{subject} bears no marker and refers to {parent}"
    )
    return Refusal("shared_with_real_data", detail, subject=subject, example=(leaf, tid))


def index_statement(graph: ForeignKeyGraph, key: ForeignKey) -> str:
    """Returns the CREATE INDEX statement for a foreign key that lacks an index."""
    child = graph.relations[key.child]
    columns = identifiers(key.child_columns)
    # On a root, an index can't be made so.
    how = "CREATE INDEX ON" if child.kind == "p" else "CREATE INDEX CONCURRENTLY ON"
    return f"{how} {qualified(child.schema, child.name)} ({columns})"


def _of_table(relation: TableNode, ignored: bool, grants: Grants, unread: str | None) -> Refusal | None:
    name = name_of(relation)
    if relation.kind == "f":
        return Refusal("not_checked", f"{name} is a foreign table")
    if ignored:
        return Refusal("refused", f"the settings ignore {name}")
    unreadable = _unreadable(relation, grants)
    if unreadable is not None:
        return unreadable
    if unread is not None:
        # Were there marked rows, the others would be real data.
        return Refusal("not_checked", f"{name} couldn't be searched for markers: {unread}")
    missing = [privilege for privilege in relation.missing if privilege != "SELECT"]
    if missing:
        return Refusal("refused", grants.lacking(missing, relation))
    if relation.rules:
        return _by_rule(relation)
    if relation.publication is not None:
        return Refusal(
            "refused",
            f"{name} has no replica identity, but publication {shown(relation.publication)} publishes its "
            f"deletes: ALTER TABLE {qualified(relation.schema, relation.name)} REPLICA IDENTITY FULL",
        )
    return None


def _by_rule(relation: TableNode) -> Refusal:
    detail = f"a rule of {name_of(relation)} replaces DELETE: {_list(relation.rules)}"
    return Refusal("refused", detail)


def _for_triggers(root: TableNode, far: TableNode) -> Refusal:
    single = len(root.statement_triggers) == 1
    triggers = f"{'trigger' if single else 'triggers'} {_list(root.statement_triggers)} of {name_of(root)}"
    return Refusal(
        "refused",
        f"{triggers}, FOR EACH STATEMENT, {'fires' if single else 'fire'} only for a DELETE that names "
        f"{name_of(root)}, and that would ask another server for {name_of(far)}",
    )


def _of_key(
    graph: ForeignKeyGraph,
    key: ForeignKey,
    took_s: float,
    patience_s: float,
    grants: Grants,
    not_made: str | None,
) -> Refusal | None:
    """Returns why rows that others may refer to by this key can't be deleted; None if they can."""
    child = graph.relations[key.child]
    unreadable = _unreadable(child, grants)
    if unreadable is not None and key.takes_along:
        return Refusal("not_checked", f"rows that refer to it can't be read: {unreadable.detail}")
    if not key.takes_along:
        for relation in (child, *(graph.relations[leaf] for leaf in graph.leaves(key.child))):
            unreadable = _unreadable(relation, grants)
            if unreadable is not None:
                return Refusal("not_checked", f"rows that it would change can't be read: {unreadable.detail}")
            if "UPDATE" in relation.missing:
                return Refusal(
                    "refused", f"rows that it would change: {grants.lacking(['UPDATE'], relation)}"
                )
    if took_s > patience_s:
        lacks = (
            f"about {durations.in_words(took_s)}, since {name_of(child)} has no usable index on "
            f"{', '.join(map(shown, key.child_columns))}"
        )
        statement = index_statement(graph, key)
        if not_made is not None:
            detail = f"{lacks}, and {not_made}; sweep again, or create it: {statement}"
            return Refusal("not_checked", detail, unindexed=True)
        return Refusal("no_index", f"{lacks}: {statement}, or --temp-index", unindexed=True)
    return None


def _unreadable(relation: TableNode, grants: Grants) -> Refusal | None:
    if not relation.schema_usage:
        usage = grant_usage(relation.schema, grants.role)
        return Refusal("not_checked", f"no USAGE on schema {shown(relation.schema)}: {usage}")
    if "SELECT" in relation.missing:
        return Refusal("not_checked", grants.lacking(["SELECT"], relation))
    if relation.row_security:
        alter = f"ALTER ROLE {identifier(grants.role)} BYPASSRLS"
        return Refusal("not_checked", f"row-level security on {name_of(relation)}: {alter}")
    if relation.unreadable:
        return Refusal("not_checked", f"{name_of(relation)}: {relation.unreadable}")
    return None


def left_dangling(graph: ForeignKeyGraph, key: ForeignKey) -> Refusal:
    """Returns why rows stay: a disabled SET NULL or SET DEFAULT would leave references to them."""
    child, parent = name_of(graph.relations[key.child]), name_of(graph.relations[key.parent])
    does = "SET NULL" if key.on_delete == "n" else "SET DEFAULT"
    return Refusal(
        "refused",
        f"{child} refers to {parent} ON DELETE {does}, which the server wouldn't do: a trigger of "
        f"{parent} is off (ALTER TABLE {parent} ENABLE TRIGGER ALL)",
    )


def _expected(graph: ForeignKeyGraph, marked: Mapping[int, int]) -> dict[int, float]:
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


def _check_s(graph: ForeignKeyGraph, key: ForeignKey, rows: float) -> float:
    if key.indexed:
        return 0.0
    read = sum(graph.relations[leaf].about_rows for leaf in graph.leaves(key.child))
    return rows * read * _S_A_ROW_READ


def _list(names: Collection[str]) -> str:
    return ", ".join(map(shown, names))
