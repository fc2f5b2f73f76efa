"""Discovery of the tables and columns that may hold markers, and of those that can't be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeVar

from psycopg import Connection
from psycopg.rows import class_row

from pgwatch_tests.leaks.catalog.foreign_code import strange_plans
from pgwatch_tests.leaks.catalog.ignored_names import Ignores
from pgwatch_tests.leaks.catalog.tables import (
    KINDS,
    CatalogVersion,
    Definition,
    Discovery,
    Partition,
    Table,
    below_roots,
)
from pgwatch_tests.leaks.markers.value_forms import Form, Leaf, LeafKind, Place, Step, form, leaves
from pgwatch_tests.leaks.model import Ignored, Skipped, UnreadColumn
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.session_settings import Row
from pgwatch_tests.postgres.grants import grant, grant_usage, whole_schemas
from pgwatch_tests.postgres.stored_text import exact_names
from pgwatch_tests.text.sql_names import identifier, identifiers, shown

T = TypeVar("T")

# src/include/catalog/pg_type.dat: name, text, bpchar, varchar.
_STRING_TYPES = frozenset({19, 25, 1042, 1043})
# And of those that aren't looked into, the server's own.
_UNREAD_TYPES = {17: "bytea", 142: "xml", 3614: "tsvector", 3615: "tsquery", 4072: "jsonpath"}
# Those that are in most tables and have no string inside: bool, "char", int8, int2, int4, oid, tid, xid,
# cid, float4, float8, date, time, timestamp, timestamptz, interval, timetz, numeric, uuid.
_PLAIN_TYPES = [
    *(16, 18, 20, 21, 23, 26, 27, 28, 29, 700, 701),
    *(1082, 1083, 1114, 1184, 1186, 1266, 1700, 2950),
]
# The tables of the history (history/store.py).
HISTORY_SCHEMA, HISTORY_TABLES = "pgwatch_tests", ("sweeps", "layout")


@dataclass(frozen=True, slots=True)
class _PlaceRow:
    """A row of queries/leaks/types.sql."""

    type: int
    steps: list[Step]
    fields: list[int | None]
    types: list[int]
    leaf: LeafKind
    name: str


@dataclass(frozen=True, slots=True)
class _TableRow:
    """A row of queries/leaks/columns.sql."""

    oid: int
    schema: str
    table: str
    kind: str
    is_partition: bool
    columns: list[str]
    types: list[int]
    readable: list[bool]
    has_created_at: bool
    reads_all: bool
    schema_usage: bool | None
    row_security: bool
    owner_too: bool
    owner: str
    pages: int
    indexes: int
    xmin: int
    filenode: int
    others: str
    has_functions: bool
    below: Sequence[Partition] = ()
    """The tables that are read through it."""


def discover(connection: Connection[Row], role: str, ignores: Ignores) -> Discovery:
    """Returns the tables to count in, in the order of names, for `role`. Raises psycopg's errors."""
    with connection.cursor(row_factory=class_row(_TableRow)) as cursor:
        exact_names(cursor)
        rows = cursor.execute(queries.load("leaks/columns"), {"plain": _PLAIN_TYPES}).fetchall()
    may_be_strange = bool(rows) and rows[0].has_functions
    rows.sort(key=lambda row: (row.schema, row.table))
    rows, history = _without_history(rows)
    if any(row.kind == "p" or row.is_partition for row in rows):
        rows = _through_roots(connection, rows)
    forms = _forms(connection, rows)
    everything = rows
    rows = [row for row in _kept(rows, lambda row, place: row.types[place] in forms) if row.columns]
    looked_into = {row.oid for row in rows}
    without_strings = tuple(
        f"{shown(row.schema)}.{shown(row.table)}" for row in everything if row.oid not in looked_into
    )
    unread: tuple[UnreadColumn, ...] = ()
    if ignores:
        rows = _kept(
            rows,
            lambda row, place: (
                not ignores.ignored(shown(row.schema), shown(row.table), shown(row.columns[place]))
            ),
        )
    if not all(map(_is_string, forms.values())):
        unread = tuple(_unread(rows, forms))
        holding = {type_ for type_, form in forms.items() if _holds_strings(form)}
        rows = _kept(rows, lambda row, place: row.types[place] in holding)
    together = whole_schemas(
        (row.schema for row in rows if not any(row.readable)),
        (row.schema for row in everything if row.oid in looked_into and not all(row.readable)),
    )
    tables: list[Table] = []
    skipped: list[Skipped] = []
    for row in rows:
        forbidden = _forbidden(row, role, row.schema in together)
        if forbidden is not None:
            skipped.append(forbidden)
            continue
        tables.append(_table(row, forms, ignores))
        if not all(row.readable):
            skipped.append(_unreadable_columns(row, role))
    ignored = (*_history(history), *ignores.report())
    discovery = Discovery(tuple(tables), tuple(skipped), ignored, unread, without_strings)
    return without_strange_plans(connection, discovery) if may_be_strange else discovery


def _without_history(rows: list[_TableRow]) -> tuple[list[_TableRow], int]:
    """Returns the tables without our own history of sweeps, which holds markers, and the number left out."""
    ours = {row.table: row for row in rows if row.schema == HISTORY_SCHEMA and row.kind == "r"}
    if "layout" not in ours:
        return rows, 0
    tables = {ours[name].oid for name in HISTORY_TABLES if name in ours}
    return [row for row in rows if row.oid not in tables], len(tables)


def _history(tables: int) -> tuple[Ignored, ...]:
    return (Ignored(HISTORY_SCHEMA, "the history of sweeps", tables),) if tables else ()


def _unread(rows: Iterable[_TableRow], forms: Mapping[int, Form]) -> Iterator[UnreadColumn]:
    for row in rows:
        for column, type_ in zip(row.columns, row.types, strict=True):
            for name in dict.fromkeys(leaf.name for leaf in leaves(forms[type_]) if leaf.kind == "unread"):
                yield UnreadColumn(shown(row.schema), shown(row.table), shown(column), name)


def _holds_strings(form: Form) -> bool:
    return any(leaf.kind != "unread" for leaf in leaves(form))


def _through_roots(connection: Connection[Row], rows: Sequence[_TableRow]) -> list[_TableRow]:
    """Returns the discovery with partitions as parts of the roots that they are read through."""
    with connection.cursor(row_factory=class_row(Partition)) as cursor:
        partitions = cursor.execute(queries.load("leaks/partitions")).fetchall()
    below = below_roots(partitions, frozenset(row.oid for row in rows))
    parts = {partition.oid for inside in below.values() for partition in inside}
    return [replace(row, below=below.get(row.oid, ())) for row in rows if row.oid not in parts]


def _forms(connection: Connection[Row], tables: Sequence[_TableRow]) -> dict[int, Form]:
    """Returns the types of columns, by oid, that hold strings."""
    used = {type_ for row in tables for type_ in row.types}
    if used <= _STRING_TYPES | _UNREAD_TYPES.keys():
        # As in most databases; to take the types apart would be half of a scan that an index serves.
        return {
            type_: Leaf("unread", name=_UNREAD_TYPES[type_]) if type_ in _UNREAD_TYPES else Leaf("string")
            for type_ in used
        }
    with connection.cursor(row_factory=class_row(_PlaceRow)) as cursor:
        exact_names(cursor)
        places = cursor.execute(queries.load("leaks/types"), {"used": sorted(used)}).fetchall()
    return {type_: form(map(_place, rows)) for type_, rows in groupby(places, key=lambda row: row.type)}


def _place(row: _PlaceRow) -> Place:
    leaf = Leaf(
        row.leaf,
        row.types[-1] if row.leaf == "cast" else 0,
        shown(row.name) if row.leaf == "unread" else "",
    )
    return Place(tuple(row.steps), tuple(row.fields), tuple(row.types), leaf)


def without_strange_plans(connection: Connection[Row], discovery: Discovery) -> Discovery:
    """Returns the discovery without tables whose plans may run foreign code; these are skipped.

    Raises psycopg's errors.
    """
    strange = strange_plans(connection)
    skipped = tuple(
        Skipped(
            shown(table.schema),
            shown(table.name),
            row.reason,
            row.help,
        )
        for table in discovery.tables
        if (row := strange.get(table.oid)) is not None
    )
    return replace(
        discovery,
        tables=tuple(table for table in discovery.tables if table.oid not in strange),
        skipped=(*discovery.skipped, *skipped),
    )


def without_ignored(discovery: Discovery, ignores: Ignores) -> Discovery:
    """Returns the discovery without wholly ignored tables, and lists what was ignored."""
    tables = tuple(
        table for table in discovery.tables if not ignores.ignored(shown(table.schema), shown(table.name), "")
    )
    return replace(discovery, tables=tables, ignored=ignores.report())


def _kept(rows: Iterable[_TableRow], wanted: Callable[[_TableRow, int], bool]) -> list[_TableRow]:
    """Returns the tables with the wanted columns only, by place; without tables that have none."""
    kept = []
    for row in rows:
        places = [place for place in range(len(row.columns)) if wanted(row, place)]
        if len(places) == len(row.columns):
            kept.append(row)
        elif places:
            kept.append(
                replace(
                    row,
                    columns=[row.columns[place] for place in places],
                    types=[row.types[place] for place in places],
                    readable=[row.readable[place] for place in places],
                )
            )
    return kept


def _table(row: _TableRow, forms: Mapping[int, Form], ignores: Ignores) -> Table:
    columns = [
        (name, forms[type_])
        for name, type_, can_read in zip(row.columns, row.types, row.readable, strict=True)
        if can_read
    ]
    version, others = CatalogVersion(row.oid, row.xmin, row.filenode), row.others
    return Table(
        oid=row.oid,
        schema=row.schema,
        name=row.table,
        kind=KINDS[row.kind],
        columns=tuple(name for name, _ in columns),
        has_created_at=row.has_created_at
        and not ignores.ignored(shown(row.schema), shown(row.table), "created_at"),
        reads_all=row.reads_all,
        relations=1 + len(row.below),
        pages=sum((partition.pages for partition in row.below), row.pages),
        indexes=sum((partition.indexes for partition in row.below), row.indexes),
        forms=tuple((name, form) for name, form in columns if not _is_string(form)),
        definition=Definition(
            frozenset((version, *(CatalogVersion(one.oid, one.xmin, one.filenode) for one in row.below))),
            frozenset((others, *(one.others for one in row.below))),
        ),
    )


def _is_string(form: Form) -> bool:
    return isinstance(form, Leaf) and form.kind == "string"


def _forbidden(row: _TableRow, role: str, together: bool) -> Skipped | None:
    """Returns why nothing of a table may be read, and what would help; None if something may.

    `together`: whether the tables of its schema are granted by one statement.
    """
    if row.kind == "f":
        return _skipped(row, "foreign table: not checked", "check the server that it stands for")
    if any(partition.is_foreign for partition in row.below):
        return _skipped(row, "foreign partitions: not checked", "check the servers that they stand for")
    # `schema_usage` is NULL if the schema is gone by now.
    missing = {} if row.schema_usage is not False else {"USAGE": grant_usage(row.schema, role)}
    if not any(row.readable):
        missing["SELECT"] = grant(["SELECT"], row.schema, None if together else row.table, role)
    if missing:
        return _skipped(row, f"no {' and no '.join(missing)} privilege", "; ".join(missing.values()))
    if row.row_security:
        owner = "" if row.owner_too else f", or check as the table's owner {identifier(row.owner)}"
        return _skipped(row, "row-level security", f"ALTER ROLE {identifier(role)} BYPASSRLS{owner}")
    return None


def _unreadable_columns(row: _TableRow, role: str) -> Skipped:
    columns = [name for name, can_read in zip(row.columns, row.readable, strict=True) if not can_read]
    return _skipped(
        row,
        f"no SELECT privilege on {', '.join(map(shown, columns))}; the other columns were checked",
        grant([f"SELECT ({identifiers(columns)})"], row.schema, row.table, role),
    )


def _skipped(row: _TableRow, reason: str, hint: str) -> Skipped:
    return Skipped(shown(row.schema), shown(row.table), reason, hint)
