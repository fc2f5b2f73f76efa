"""The statements of a scan, one for many tables: values inlined, every operator the server's own.

Inlined, since a plan made for unknown patterns can't use a partial index; and as bytes, since
names must reach a SQL_ASCII database as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.pq.abc import Escaping

from pgwatch_tests.leaks.attribute import TOKEN
from pgwatch_tests.leaks.discover import PARTITIONED, Table, quoted
from pgwatch_tests.leaks.markers import Condition, Marker

# Milliseconds since 1970 (2001 to 2033) as the id forms have them: `user_1717171717171_a1b2`.
_STAMP = rb"'[_-](1[0-9]{12})(?![0-9A-Za-z])'"
# A sample is cut again for display; this only spares the wire.
_SAMPLE_CHARACTERS = 200
_CREATED_AT = b"extract(epoch FROM CASE WHEN isfinite(created_at) THEN created_at::timestamptz END)::float8"
_MICROSECONDS = b"round(extract(epoch FROM %b) * 1000000)::bigint"
# Without a time zone, it is anybody's guess when it was.
_CREATED_US = (
    b"CASE WHEN pg_typeof(created_at)::oid = 1184 AND created_at BETWEEN '1970-01-02' AND '2200-01-01' "
    b"THEN %b END"
) % (_MICROSECONDS % b"created_at")
# A new table's file has its own oid for a name, until it is rewritten.
_ONLY_INSERTED = (
    b"(SELECT current_setting('track_counts') = 'on' AND pg_stat_get_tuples_updated(%d) = 0 "
    b"AND pg_stat_get_tuples_inserted(%d) >= %d AND pg_relation_filenode(%d) = %d)"
)
_SEARCHED_CHARACTERS = 4000
# What a materialised view holds, whoever refreshed it wrote.
_WRITTEN = ("table", PARTITIONED)


class Statements:
    """Composes statements for a connection, whose way of escaping it uses, and for some markers."""

    def __init__(self, escaping: Escaping, markers: Sequence[Marker]) -> None:
        self._escaping = escaping
        self._predicate = self._pieces(markers)

    def probe(self, condition: Condition) -> bytes:
        """Fails if the server can't use the condition on any value."""
        return b"SELECT ''" + self._operation(condition) + b" AS fits"

    def count(self, tables: Sequence[Table]) -> bytes:
        """One row a table: its position in `tables`, and how many of its rows bear a marker."""
        return b"\nUNION ALL ".join(self._count(*numbered) for numbered in enumerate(tables))

    def details(self, tables: Sequence[Table]) -> bytes:
        """One row a table: its position, which columns match, oldest and newest (epoch, s), two samples."""
        return b"\nUNION ALL ".join(self._details(*numbered) for numbered in enumerate(tables))

    def origins(
        self, tables: Sequence[Table], limits: Sequence[int], with_writers: bool, with_commit_times: bool
    ) -> bytes:
        """One row a marked row, of each table at most so many: its table's position, and where it is from."""
        return b"\nUNION ALL ".join(
            self._origins(position, table, limit, with_writers and table.kind in _WRITTEN, with_commit_times)
            for position, (table, limit) in enumerate(zip(tables, limits, strict=True))
        )

    def _count(self, position: int, table: Table) -> bytes:
        matches = b" OR ".join(self._matches(column) for column in self._columns(table))
        return b"SELECT %d AS position, count(*) AS rows FROM %b WHERE %b" % (
            position,
            self._source(table),
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
            b"FROM (SELECT %b, %b AS created FROM %b) AS value WHERE %b) AS hit"
        ) % (
            position,
            b", ".join(b"bool_or(%b)" % name for name in flag),
            b", ".join(stamp),
            b" ".join(sample),
            b", ".join(value),
            _CREATED_AT if table.has_created_at else b"NULL::float8",
            self._source(table),
            b" OR ".join(flag),
        )

    def _origins(
        self, position: int, table: Table, limit: int, with_writer: bool, with_commit_time: bool
    ) -> bytes:
        value, flag, marked = [], [], []
        for number, column in enumerate(self._columns(table)):
            value.append(
                b'%b COLLATE "C" AS v%d, %b AS m%d' % (column, number, self._matches(column), number)
            )
            flag.append(b"m%d" % number)
            marked.append(b"CASE WHEN m%d THEN left(v%d, %d) END" % (number, number, _SEARCHED_CHARACTERS))
        commit_time = _MICROSECONDS % b"pg_catalog.pg_xact_commit_timestamp(xmin)"
        return (
            b"(SELECT %d AS position, ARRAY(SELECT DISTINCT found[1] FROM unnest(ARRAY[%b]) AS one (marked), "
            b"regexp_matches(marked, %b, 'gi') AS found) AS tokens, "
            b"created_us, writer AS xmin, committed_us, %b AS only_inserted "
            b"FROM (SELECT %b, %b AS created_us, %b AS writer, %b AS committed_us FROM %b) AS value "
            b"WHERE %b LIMIT %d)"
        ) % (
            position,
            b", ".join(marked),
            self._escaping.escape_literal(TOKEN.encode()),
            _ONLY_INSERTED % (table.oid, table.oid, limit, table.oid, table.oid)
            if table.kind != PARTITIONED
            else b"false",
            b", ".join(value),
            _CREATED_US if table.has_created_at else b"NULL::bigint",
            b"xmin::text::bigint" if with_writer else b"NULL::bigint",
            commit_time if with_writer and with_commit_time else b"NULL::bigint",
            self._source(table),
            b" OR ".join(flag),
            limit,
        )

    def _columns(self, table: Table) -> list[bytes]:
        # As text: the trailing blanks of char(n) go, citext and domains become plain strings.
        return [quoted(name, self._escaping) + b"::pg_catalog.text" for name in table.columns]

    def _source(self, table: Table) -> bytes:
        name = b"%b.%b" % (quoted(table.schema, self._escaping), quoted(table.name, self._escaping))
        # Tables that inherit are counted by themselves; partitions are read through their root.
        return name if table.kind == PARTITIONED else b"ONLY " + name

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
