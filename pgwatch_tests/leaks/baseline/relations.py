"""Relations: all tables of a database, with the writes that the statistics count: one statement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pgwatch_tests.leaks.baseline.baseline import Fingerprint
from pgwatch_tests.leaks.catalog.tables import KINDS, CatalogVersion, Definition, Discovery, Table
from pgwatch_tests.leaks.model import Skipped
from pgwatch_tests.postgres.grants import grant, grant_usage, whole_schemas
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.text.sql_names import identifier, shown


@dataclass(frozen=True, slots=True)
class Relation:
    """A row of queries/baseline/relations.sql."""

    oid: int
    schema: str
    table: str
    kind: str
    filenode: int
    written: int
    updated: int
    parent: int | None
    pages: int
    populated: bool
    keys: list[str] | None
    schema_usage: bool | None
    readable: bool | None
    row_security: bool
    owner: str
    xmin: int
    others: str

    @property
    def fingerprint(self) -> Fingerprint:
        """Returns the fingerprint to compare it by, with names as people see them."""
        return Fingerprint(
            self.oid,
            shown(self.schema),
            shown(self.table),
            self.kind,
            self.filenode,
            self.written,
            self.updated,
        )


class Relations:
    """The tables that were there at one moment."""

    def __init__(self, relations: Iterable[Relation]) -> None:
        self._by_oid = {relation.oid: relation for relation in relations}
        self._children: defaultdict[int, list[Relation]] = defaultdict(list)
        for relation in self._by_oid.values():
            if relation.parent is not None:
                self._children[relation.parent].append(relation)

    def __iter__(self) -> Iterator[Relation]:
        return iter(self._by_oid.values())

    def get(self, oid: int) -> Relation | None:
        """Returns the relation with that oid; None if there is none."""
        return self._by_oid.get(oid)

    def tree(self, oid: int) -> list[Relation]:
        """Returns the table and its partitions at every depth; empty if it doesn't exist."""
        relation = self._by_oid.get(oid)
        found = [] if relation is None else [relation]
        for each in found:
            found.extend(self._children[each.oid])
        return found

    def discovery(self, role: str) -> Discovery:
        """The tables in which any row counts, as `discover` has those with string columns.

        Their `columns` are the primary key, to name a row by.
        """
        denied = [one.schema for one in self if one.parent is None and one.readable is False]
        together = whole_schemas(denied, denied)
        tables: list[Table] = []
        skipped: list[Skipped] = []
        for relation in self:
            if relation.parent is not None or (relation.kind == "m" and not relation.populated):
                continue
            tree = self.tree(relation.oid)
            forbidden = _forbidden(relation, tree, role, relation.schema in together)
            if forbidden is not None:
                skipped.append(forbidden)
            else:
                tables.append(_table(relation, tree))
        return Discovery(tuple(tables), tuple(skipped))


def read(session: DatabaseSession) -> Relations:
    """The tables of the session's database. Raises what `session.running` does, and psycopg's errors."""
    return Relations(session.ask("baseline/relations", Relation))


def no_row_versions(schema: str, table: str, role: str, *, together: bool = False) -> Skipped:
    """Returns why a table is skipped whose columns may be read, but not the xmin of its rows.

    `together`: whether the tables of its schema are granted by one statement.
    """
    hint = grant(["SELECT"], schema, None if together else table, role)
    return Skipped(shown(schema), shown(table), "no SELECT privilege on the table as a whole", hint)


def _table(relation: Relation, tree: Sequence[Relation]) -> Table:
    return Table(
        oid=relation.oid,
        schema=relation.schema,
        name=relation.table,
        kind=KINDS[relation.kind],
        columns=tuple(relation.keys or ()),
        has_created_at=False,
        relations=len(tree),
        pages=sum(partition.pages for partition in tree),
        definition=Definition(
            frozenset(
                CatalogVersion(partition.oid, partition.xmin, partition.filenode) for partition in tree
            ),
            frozenset(partition.others for partition in tree),
        ),
    )


def _forbidden(relation: Relation, tree: Sequence[Relation], role: str, together: bool) -> Skipped | None:
    schema, table = shown(relation.schema), shown(relation.table)
    if relation.kind == "f":
        return Skipped(schema, table, "foreign table: not checked", "check the server that it stands for")
    if any(partition.kind == "f" for partition in tree):
        return Skipped(
            schema, table, "foreign partitions: not checked", "check the servers that they stand for"
        )
    if relation.schema_usage is False:
        return Skipped(schema, table, "no USAGE privilege", grant_usage(relation.schema, role))
    if relation.readable is False:
        return no_row_versions(relation.schema, relation.table, role, together=together)
    if relation.row_security:
        hint = f"ALTER ROLE {identifier(role)} BYPASSRLS, or check as the table's owner"
        return Skipped(schema, table, "row-level security", hint)
    return None
