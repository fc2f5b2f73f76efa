"""The statements of a scan, one for many tables: values inlined, every operator the server's own.

Inlined, since a plan made for unknown patterns can't use a partial index; and as bytes, since
names must reach a SQL_ASCII database as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.pq.abc import Escaping

from pgwatch_tests.leaks.discover import PARTITIONED, Table, quoted
from pgwatch_tests.leaks.markers import Condition, Marker

# Milliseconds since 1970 (2001 to 2033) as the id forms have them: `user_1717171717171_a1b2`.
_STAMP = rb"'[_-](1[0-9]{12})(?![0-9A-Za-z])'"
# A sample is cut again for display; this only spares the wire.
_SAMPLE_CHARACTERS = 200
_CREATED_AT = b"extract(epoch FROM CASE WHEN isfinite(created_at) THEN created_at::timestamptz END)::float8"


class Statements:
    """Composes statements for a connection, whose way of escaping it uses, and for some markers."""

    def __init__(self, escaping: Escaping, markers: Sequence[Marker], unseen: bytes | None = None) -> None:
        """With `unseen` (see `baseline.unseen`), rows that it doesn't hold for are counted apart."""
        self._escaping = escaping
        self._unseen = unseen
        self._predicate = self._pieces(markers)

    def probe(self, condition: Condition) -> bytes:
        """Fails if the server can't use the condition on any value."""
        return b"SELECT ''" + self._operation(condition) + b" AS fits"

    def count(self, tables: Sequence[Table]) -> bytes:
        """One row a table: its position in `tables`, how many of its rows bear a marker, and how many
        do so but were there before.
        """
        return b"\nUNION ALL ".join(self._count(*numbered) for numbered in enumerate(tables))

    def details(self, tables: Sequence[Table]) -> bytes:
        """One row a table: its position, which columns match, oldest and newest (epoch, s), two samples."""
        return b"\nUNION ALL ".join(self._details(*numbered) for numbered in enumerate(tables))

    def _count(self, position: int, table: Table) -> bytes:
        matches = b" OR ".join(self._matches(column) for column in self._columns(table))
        # In FILTER, it is only asked of rows that match.
        counted = (
            b"count(*) AS rows, 0::bigint AS before"
            if self._unseen is None
            else b"count(*) FILTER (WHERE %b) AS rows, count(*) FILTER (WHERE NOT %b) AS before"
            % (self._unseen, self._unseen)
        )
        return b"SELECT %d AS position, %b FROM %b WHERE %b" % (
            position,
            counted,
            source(table, self._escaping),
            matches,
        )

    def _details(self, position: int, table: Table) -> bytes:
        value, flag, stamp, sample = [], [], [], []
        for number, column in enumerate(self._columns(table)):
            value.append(
                b'%b COLLATE "C" AS v%d, %b AS m%d' % (column, number, self._matches(column), number)
            )
            flag.append(b"m%d" % number)
            stamp.append(
                b"CASE WHEN m%d THEN substring(v%d FROM %b)::float8 / 1000 END" % (number, number, _STAMP)
            )
            sample.append(b"WHEN m%d THEN left(v%d, %d)" % (number, number, _SAMPLE_CHARACTERS))
        return (
            b"SELECT %d AS position, ARRAY[%b] AS matched, min(at) AS oldest, max(at) AS newest, "
            b"min(sample) AS first_sample, max(sample) AS last_sample "
            b"FROM (SELECT *, coalesce(%b, created) AS at, CASE %b END AS sample "
            b"FROM (SELECT %b, %b AS created, %b AS counts FROM %b) AS value WHERE (%b) AND counts) AS hit"
        ) % (
            position,
            b", ".join(b"bool_or(%b)" % name for name in flag),
            b", ".join(stamp),
            b" ".join(sample),
            b", ".join(value),
            _CREATED_AT if table.has_created_at else b"NULL::float8",
            self._unseen or b"true",
            source(table, self._escaping),
            b" OR ".join(flag),
        )

    def _columns(self, table: Table) -> list[bytes]:
        # As text: the trailing blanks of char(n) go, citext and domains become plain strings.
        return [quoted(name, self._escaping) + b"::pg_catalog.text" for name in table.columns]

    def _matches(self, column: bytes) -> bytes:
        return b"(" + column.join(self._predicate) + b")"

    def _pieces(self, markers: Sequence[Marker]) -> list[bytes]:
        """The predicate on one column, in pieces that belong around each mention of the column."""
        if not markers:
            return [b"false"]
        pieces = [b""]
        for position, marker in enumerate(markers):
            pieces[-1] += b" OR (" if position else b"("
            for number, condition in enumerate(marker.conditions):
                pieces[-1] += b" AND " if number else b""
                pieces.append(self._operation(condition))
            pieces[-1] += b")"
        return pieces

    def _operation(self, condition: Condition) -> bytes:
        return b' COLLATE "%b" %b %b' % (
            condition.collation.encode(),
            condition.operator.encode(),
            self._escaping.escape_literal(condition.pattern.encode()),
        )


def source(table: Table, escaping: Escaping) -> bytes:
    """A table as it stands after FROM, so that no row is read twice."""
    name = b"%b.%b" % (quoted(table.schema, escaping), quoted(table.name, escaping))
    # Tables that inherit are counted by themselves; partitions are read through their root.
    return name if table.kind == PARTITIONED else b"ONLY " + name
