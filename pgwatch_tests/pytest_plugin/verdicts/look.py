"""A look at a database after a test: which tables were written to, and which of their rows are whose."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import pq
from psycopg.pq.abc import Escaping
from psycopg.rows import class_row

from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.stored_text import exact_names, quoted
from pgwatch_tests.sweep.orphans.orphan_names import is_orphan_name
from pgwatch_tests.text.sql_names import shown

MOST_ROWS = 200
"""The rows of a table that are looked at one by one; others are only counted."""

_CIRCLE = 1 << 32
_COUNTS_AT_ONCE_SINCE = 150000
_MOST_OF_THE_STRINGS = 4000


@dataclass(frozen=True, slots=True)
class Writes:
    """How often a table was written to, and by which file and catalog row it is known."""

    oid: int
    filenode: int
    inserted: int
    updated: int
    deleted: int
    version: int

    def has_moved_since(self, before: Writes | None) -> bool:
        """Whether rows may have come, or changed, since then; None: it wasn't there."""
        if before is None:
            return self.inserted > 0 or self.updated > 0
        return (before.inserted, before.updated, before.filenode) != (
            self.inserted,
            self.updated,
            self.filenode,
        )

    def is_rewritten_since(self, before: Writes | None) -> bool:
        """Whether it may have been written anew as a whole, which gives all rows one transaction's id."""
        return before is not None and before.filenode != self.filenode


@dataclass(frozen=True, slots=True)
class Counters:
    """The writes that the server has counted, at one moment."""

    snapshot: str
    has_commit_times: bool
    now_us: int
    """The server's clock, µs since 1970."""
    counts_at_once: bool
    """Whether what was committed just now is counted."""
    tables: dict[int, Writes]
    """By oid; only what a role may see, which is all tables."""

    @property
    def next_xid(self) -> int:
        """All later transactions have this id or a later one."""
        return int(self.snapshot.split(":")[1])


@dataclass(frozen=True, slots=True)
class _Counted:
    snapshot: str
    is_counted: bool
    has_commit_times: bool
    now_us: int
    tables: str


@dataclass(frozen=True, slots=True)
class Shape:
    """A table to look at: a row of queries/verdicts/tables.sql. Names are as the server has them."""

    oid: int
    schema: str
    table: str
    root_schema: str
    root_table: str
    root_oid: int
    keys: list[str]
    strings: list[str]
    created: str | None
    generated: str | None
    sequence_schema: str | None
    sequence: str | None
    born: int
    """The lower 32 bits of the id of the transaction that made it."""
    readable: bool
    row_security: bool

    @property
    def name(self) -> str:
        """`public.users`, as people see it; of a partition, its root's."""
        return f"{shown(self.root_schema)}.{shown(self.root_table)}"


@dataclass(frozen=True, slots=True)
class FoundRow:
    """A row that was found."""

    xmin: int
    key: str
    strings: str
    created_us: int | None
    generated: int | None


@dataclass(frozen=True, slots=True)
class FoundRows:
    """The rows of a table that were found, of which at most MOST_ROWS are told."""

    shape: Shape
    rows: int = 0
    told: tuple[FoundRow, ...] = ()
    last_number: int | None = None
    """The last number of the key's sequence; None if none fills it."""
    why_not: str = ""
    """Why the table couldn't be looked at."""


@dataclass(frozen=True, slots=True)
class RowsWanted:
    """Which rows are looked for: those of these transactions, and those of `since` and later."""

    xids: Collection[int] = ()
    since: int | None = None

    def condition(self) -> bytes:
        """The condition on a row, with the placeholders of `values`: the server plans it only once."""
        parts = []
        if self.xids:
            parts.append(b"xmin OPERATOR(pg_catalog.=) ANY (%(ids)s::pg_catalog.xid[])")
        if self.since is not None:
            # 1 and 2 are no transactions, but what initdb and old servers' freezing wrote.
            parts.append(
                b"(((xmin::pg_catalog.text::bigint OPERATOR(pg_catalog.-) %%(since)s::bigint)"
                b" OPERATOR(pg_catalog.&) %d::bigint) OPERATOR(pg_catalog.<) %d::bigint"
                b" AND xmin::pg_catalog.text::bigint OPERATOR(pg_catalog.>) 2)" % (_CIRCLE - 1, _CIRCLE // 2)
            )
        return b" OR ".join(parts) or b"false"

    @property
    def values(self) -> dict[str, object]:
        """The values of the condition: the lower halves of ids, which have 64 bits."""
        ids = ",".join(str(xid % _CIRCLE) for xid in sorted(self.xids))
        return {"ids": f"{{{ids}}}", "since": (self.since or 0) % _CIRCLE}

    def covers(self, xmin: int) -> bool:
        """Whether the condition holds for a row of this transaction."""
        if self.since is not None and xmin > 2 and (xmin - self.since) % _CIRCLE < _CIRCLE // 2:
            return True
        return any(xid % _CIRCLE == xmin for xid in self.xids)


@dataclass(slots=True)
class Shapes:
    """The shapes of tables that were looked at, as long as their catalog rows are the same."""

    _known: dict[int, tuple[int, Shape]] = field(default_factory=dict)

    @property
    def known(self) -> dict[int, Shape]:
        """Those that were looked at, by oid; also of tables that are gone."""
        return {oid: shape for oid, (_, shape) in self._known.items()}

    def of(self, connection: OwnConnection, tables: Sequence[Writes]) -> list[Shape]:
        """Returns the shapes of these tables, but for those that are gone, or in a schema of a test's own:
        that goes with all that is in it. Raises psycopg's errors."""
        missing = [one.oid for one in tables if self._known.get(one.oid, (None,))[0] != one.version]
        if missing:
            versions = {one.oid: one.version for one in tables}
            with connection.cursor(row_factory=class_row(Shape)) as cursor:
                exact_names(cursor)
                found = cursor.execute(queries.load("verdicts/tables"), {"oids": missing}).fetchall()
            for shape in found:
                self._known[shape.oid] = versions[shape.oid], shape
        shapes = [self._known[one.oid][1] for one in tables if one.oid in self._known]
        return sorted((one for one in shapes if not is_orphan_name(one.schema)), key=lambda one: one.name)


def read_counters(connection: OwnConnection) -> Counters:
    """Returns the counters of now. Raises psycopg's errors."""
    with connection.cursor(row_factory=class_row(_Counted)) as cursor:
        [counted] = cursor.execute(queries.load("verdicts/counters"), prepare=True).fetchall()
    rows = (tuple(map(int, row.split())) for row in counted.tables.split(",") if row)
    tables = {row[0]: Writes(*row) for row in rows}
    counts_at_once = counted.is_counted and connection.info.server_version >= _COUNTS_AT_ONCE_SINCE
    return Counters(counted.snapshot, counted.has_commit_times, counted.now_us, counts_at_once, tables)


def find_rows(
    connection: OwnConnection, shapes: Sequence[Shape], wanted: RowsWanted, most: int = MOST_ROWS
) -> Iterator[FoundRows]:
    """Yields what was found in each table: in one message, or each by its own if one can't be read.

    At most `most` rows of a table are told.

    Raises psycopg's errors of a connection that is lost.
    """
    readable = [shape for shape in shapes if shape.readable and not shape.row_security]
    for shape in shapes:
        if not shape.readable:
            yield FoundRows(shape, why_not="no SELECT privilege on it")
        elif shape.row_security:
            yield FoundRows(shape, why_not="row-level security hides rows")
    if not readable:
        return
    try:
        yield from _found(connection, readable, wanted, most)
        return
    except psycopg.Error as error:
        if connection.closed:
            raise
        refusal = error
    for shape in readable:
        try:
            yield from _found(connection, [shape], wanted, most)
        except psycopg.errors.LockNotAvailable:
            yield FoundRows(shape, why_not="somebody holds it locked")
        except psycopg.errors.UndefinedTable:
            continue
        except psycopg.Error as error:
            if connection.closed:
                raise refusal from None
            yield FoundRows(shape, why_not=str(error).splitlines()[0])


@dataclass(frozen=True, slots=True)
class _Found:
    """How many rows of a table are looked for, what the first of them are, and its sequence's position."""

    position: int
    rows: int
    told: list[list[str | None]] | None
    last_number: int | None


def _found(
    connection: OwnConnection, shapes: Sequence[Shape], wanted: RowsWanted, most: int
) -> list[FoundRows]:
    """Reads each table once, in one round trip. Most tests leave no row, and then nothing is put together."""
    escaping = pq.Escaping(connection.pgconn)
    condition = wanted.condition()
    statement = b" UNION ALL ".join(
        _rows_in(position, shape, condition, most, escaping) for position, shape in enumerate(shapes)
    )
    with connection.cursor(row_factory=class_row(_Found)) as cursor:
        found = {one.position: one for one in cursor.execute(statement, wanted.values, prepare=True)}
    return [
        FoundRows(shape, one.rows, tuple(map(_row, one.told or ())), one.last_number)
        for position, shape in enumerate(shapes)
        for one in [found[position]]
    ]


def _row(values: Sequence[str | None]) -> FoundRow:
    xmin, key, strings, created_us, generated = values
    return FoundRow(
        int(xmin or 0),
        key or "",
        strings or "",
        None if created_us is None else int(created_us),
        None if generated is None else int(generated),
    )


def _rows_in(position: int, shape: Shape, condition: bytes, most: int, escaping: Escaping) -> bytes:
    """What a row is known by is read of the first rows only: of others it may be much."""
    keys = b", ', ', ".join(
        b"'%b=', %b" % (shown(key).encode().replace(b"'", b"''").replace(b"%", b"%%"), _quoted(key, escaping))
        for key in shape.keys
    )
    strings = b", ".join(_quoted(name, escaping) for name in shape.strings)
    created = b"" if shape.created is None else _quoted(shape.created, escaping)
    columns = dict.fromkeys((*shape.keys, *shape.strings, *filter(None, (shape.created, shape.generated))))
    return (
        b"SELECT %d::bigint AS position, pg_catalog.count(*) AS rows, pg_catalog.array_agg(ARRAY[%b])"
        b" FILTER (WHERE pgwatch_number OPERATOR(pg_catalog.<=) %d) AS told, %b AS last_number"
        b" FROM (SELECT pg_catalog.row_number() OVER () AS pgwatch_number, xmin AS pgwatch_xmin%b"
        b" FROM ONLY %b.%b WHERE %b) AS rows"
    ) % (
        position,
        b", ".join(
            (
                b"pgwatch_xmin::pg_catalog.text",
                b"pg_catalog.concat(%b)" % keys if keys else b"NULL",
                b"pg_catalog.left(pg_catalog.concat_ws(' ', %b), %d)" % (strings, _MOST_OF_THE_STRINGS)
                if strings
                else b"NULL",
                b"CASE WHEN pg_catalog.isfinite(%b) THEN ((extract(epoch FROM %b)"
                b" OPERATOR(pg_catalog.*) 1000000)::bigint)::pg_catalog.text END" % (created, created)
                if created
                else b"NULL",
                b"%b::pg_catalog.text" % _quoted(shape.generated, escaping) if shape.generated else b"NULL",
            )
        ),
        most,
        _last_number(shape, escaping),
        b"".join(b", " + _quoted(name, escaping) for name in columns),
        _quoted(shape.schema, escaping),
        _quoted(shape.table, escaping),
        condition,
    )


def _last_number(shape: Shape, escaping: Escaping) -> bytes:
    if shape.sequence is None:
        return b"NULL::bigint"
    # Read like a table: pg_sequence_last_value() would take a lock that is more in others' way.
    return b"(SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM %b.%b)" % (
        _quoted(shape.sequence_schema or "", escaping),
        _quoted(shape.sequence, escaping),
    )


def _quoted(name: str, escaping: Escaping) -> bytes:
    """A name in a statement with placeholders."""
    return quoted(name, escaping).replace(b"%", b"%%")
