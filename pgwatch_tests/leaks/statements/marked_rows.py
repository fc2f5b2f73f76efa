"""SQL that counts and describes marked rows: composed here, for many tables per statement.

`queries/` can't hold it: tables, columns and markers differ per database. Values are inlined, since a plan
made for unknown patterns can't use a partial index. A statement is bytes, since names must reach a SQL_ASCII
database as they are. Every operator is the server's own. `any_rows` composes the same for rows without a
marker; a scan without a second session adds `postgres.sessions.self_lookout` to both.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

from psycopg.pq.abc import Escaping

from pgwatch_tests.identity.value_tokens import TOKEN
from pgwatch_tests.leaks.catalog.tables import PARTITIONED, Table
from pgwatch_tests.leaks.markers.markers import Condition, Marker
from pgwatch_tests.leaks.markers.value_forms import Form, leaves
from pgwatch_tests.leaks.statements.nested_strings import is_of, only_strings, printed, strings, text
from pgwatch_tests.postgres.sessions import self_lookout
from pgwatch_tests.postgres.stored_text import quoted

# Milliseconds since 1970 (2001 to 2033) as the id forms have them: `user_1717171717171_a1b2`.
_STAMP = rb"'[_-](1[0-9]{12})(?![0-9A-Za-z])'"
# A sample is cut again for display; this only spares the wire.
_SAMPLE_CHARACTERS = 200
# Asked of the value, since the column may have another type by now: timestamp, timestamptz.
_CREATED_AT = (
    b"CASE WHEN %b OR %b THEN extract(epoch FROM CASE WHEN pg_catalog.isfinite(created_at) "
    b"THEN created_at::pg_catalog.timestamptz END)::float END"
) % (is_of(b"created_at", 1114), is_of(b"created_at", 1184))
# Asked of each row: without the setting, the function raises an error.
_COMMITTED_AT = (
    b"CASE WHEN pg_catalog.current_setting('track_commit_timestamp') OPERATOR(pg_catalog.=) 'on' "
    b"THEN extract(epoch FROM pg_catalog.pg_xact_commit_timestamp(xmin))::float END"
)
_MICROSECONDS = b"pg_catalog.round(extract(epoch FROM %b) OPERATOR(pg_catalog.*) 1000000)::bigint"
# Without a time zone, the moment is unknown.
_CREATED_US = (
    b"CASE WHEN %b THEN CASE WHEN created_at OPERATOR(pg_catalog.>=) '1970-01-02'::pg_catalog.timestamptz "
    b"AND created_at OPERATOR(pg_catalog.<=) '2200-01-01'::pg_catalog.timestamptz THEN %b END END"
) % (is_of(b"created_at", 1184), _MICROSECONDS % b"created_at")
# A new table's file has its own oid for a name, until it is rewritten.
_ONLY_INSERTED = (
    b"(SELECT pg_catalog.current_setting('track_counts') OPERATOR(pg_catalog.=) 'on' "
    b"AND pg_catalog.pg_stat_get_tuples_updated(%d) OPERATOR(pg_catalog.=) 0 "
    b"AND pg_catalog.pg_stat_get_tuples_inserted(%d) OPERATOR(pg_catalog.>=) %d "
    b"AND pg_catalog.pg_relation_filenode(%d) OPERATOR(pg_catalog.=) %d::pg_catalog.oid)"
)
_SEARCHED_CHARACTERS = 4000
_X = b"\0"  # stands for a value, and is in no statement
# The rows of a materialised view are written by who refreshes it.
_WRITTEN = ("table", PARTITIONED)
_OPERATORS = {
    "LIKE": b"OPERATOR(pg_catalog.~~)",
    "ILIKE": b"OPERATOR(pg_catalog.~~*)",
    "~": b"OPERATOR(pg_catalog.~)",
}


class MarkedRowStatements:
    """Composes statements for a connection, whose way of escaping it uses, and for some markers."""

    def __init__(self, escaping: Escaping, markers: Sequence[Marker], unseen: bytes | None = None) -> None:
        """With `unseen` (see `baseline.unseen`), rows that it doesn't hold for are counted apart."""
        self._escaping = escaping
        self._unseen = unseen
        self._predicate = self._pieces(markers)
        self._of_strings = (b"(%b AND (%b))" % (only_strings(_X), text(_X).join(self._predicate))).split(_X)
        self.compares = unseen is not None
        """Whether rows that were there before are counted apart."""
        self._looks_out = False
        self._traces = [marker.trace for marker in markers]

    def looking_out(self) -> MarkedRowStatements:
        """Returns a variant whose `counts` and `details` end once somebody waits for them: see
        self_lookout."""
        other = copy(self)
        other._looks_out = True
        return other

    def probe(self, condition: Condition) -> bytes:
        """Fails if the server can't use the condition on any value."""
        return b"SELECT ''" + self._operation(condition) + b" AS fits"

    def probe_all(self, values: Sequence[str]) -> bytes:
        """One row: whether each of the values bears a marker."""
        literals = b", ".join(bytes(self._escaping.escape_literal(value.encode())) for value in values)
        return b"SELECT pg_catalog.bool_and(%b) AS fits FROM pg_catalog.unnest(ARRAY[%b]) AS given (v)" % (
            self._matches(b"v"),
            literals,
        )

    def count(self, tables: Sequence[Table]) -> bytes:
        """Returns all that `counts` asks, as one statement."""
        return b"\nUNION ALL ".join(self.counts(tables))

    def counts(self, tables: Sequence[Table]) -> list[bytes]:
        """One statement per table, of one row: its position in `tables`, how many of its rows bear a marker,
        and how many do so but were there before.
        """
        return [self._count(*numbered) for numbered in enumerate(tables)]

    def details(self, tables: Sequence[Table]) -> list[bytes]:
        """Asks what `counts` does, and the matching columns, oldest and newest (epoch, s), the last commit
        if the server keeps its time, and two samples."""
        return [self._details(*numbered) for numbered in enumerate(tables)]

    def rows(self, table: Table, keys: Sequence[str], limit: int) -> bytes:
        """Up to `limit` marked rows: the values of `keys`, of each column a string that bears a marker (NULL
        if none does), and when the row came to be (epoch, s)."""
        printed_keys = (printed(quoted(key, self._escaping)) for key in keys)
        return (
            b'SELECT key, ARRAY(SELECT pg_catalog."left"(one, %d) FROM pg_catalog.unnest(v) WITH ORDINALITY '
            b"AS of (one, place) ORDER BY place) AS marked, coalesce(%b, created) AS at "
            b"FROM (SELECT %b::pg_catalog.text[] AS v, ARRAY[%b]::pg_catalog.text[] AS key, %b AS created "
            b"FROM %b WHERE %b LIMIT %d) AS value"
        ) % (
            _SEARCHED_CHARACTERS,
            b", ".join([_stamped(b"v[%d]" % place) for place in range(1, len(table.columns) + 1)]),
            self.marked_values(table),
            b", ".join(b'pg_catalog."left"(%b, %d)' % (key, _SAMPLE_CHARACTERS) for key in printed_keys),
            _CREATED_AT if table.has_created_at else b"NULL::float",
            source(table, self._escaping),
            self.condition(table),
            limit,
        )

    def condition(self, table: Table) -> bytes:
        """Returns the condition that rows with a marker fulfil."""
        forms = dict(table.forms)
        return b" OR ".join(self.matches(column, forms.get(column)) for column in table.columns)

    def index_predicate(self, table: Table) -> bytes:
        """Returns `condition` as an index can have it, for a table of which all columns are strings."""
        return b" OR ".join(self._matches(text(quoted(column, self._escaping))) for column in table.columns)

    def marks(self, table: Table, condition: bytes, since_s: float) -> bytes:
        """One row: of the rows that `condition` holds for, how many bear a marker, in which columns, how many
        say that they are older than `since_s`, and the oldest and newest (epoch, s). A stamp may be a fixed
        one of the test's, so the row's latest evidence tells.
        """
        places = [b"v[%d]" % number for number in range(1, len(table.columns) + 1)]
        return (
            b"SELECT pg_catalog.count(*) FILTER (WHERE pg_catalog.num_nonnulls(VARIADIC v) "
            b"OPERATOR(pg_catalog.>) 0) AS marked, ARRAY[%b]::pg_catalog.bool[] AS matched, "
            b"pg_catalog.count(*) FILTER (WHERE GREATEST(at, created) "
            b"OPERATOR(pg_catalog.<) '%f'::float) AS earlier, "
            b"pg_catalog.min(at) AS oldest, pg_catalog.max(at) AS newest "
            b"FROM (SELECT v, created, coalesce(%b) AS at "
            b"FROM (SELECT %b::pg_catalog.text[] AS v, %b AS created FROM %b WHERE %b OFFSET 0) AS value) "
            b"AS hit"
        ) % (
            b", ".join(b"pg_catalog.bool_or(%b IS NOT NULL)" % place for place in places),
            since_s,
            b", ".join((*map(_stamped, places), b"created")),
            self.marked_values(table),
            _CREATED_AT if table.has_created_at else b"NULL::float",
            source(table, self._escaping),
            condition,
        )

    def values(self, table: Table) -> bytes:
        """The elements of `marked_values`; empty for a table without columns."""
        forms = dict(table.forms)
        return b", ".join(self._match(column, forms.get(column)) for column in table.columns)

    def marked_values(self, table: Table) -> bytes:
        """An array: of each column, a string that bears a marker, NULL if none does."""
        return b"ARRAY[%b]" % self.values(table)

    def matches(self, column: str, form: Form | None) -> bytes:
        """Whether a string in a value of the column bears a marker; without a form, it is a string."""
        value = quoted(column, self._escaping)
        if form is None:
            return value.join(self._of_strings)
        bears = b"EXISTS (SELECT FROM (%b) AS s WHERE %b)" % (strings(value, form), self._matches(b"v"))
        cheap = self.may_match(column, form)
        return bears if cheap is None else b"(%b AND %b)" % (cheap, bears)

    def may_match(self, column: str, form: Form) -> bytes | None:
        """A cheap condition that holds wherever `matches` does; None if there is none.

        Only for what is slow to take apart: 1M documents of 130 characters take 0.8 s (json) and 1.5 s
        (jsonb) so, and 8 s without, while arrays and composites are faster taken apart than printed.
        """
        kinds = {leaf.kind for leaf in leaves(form)}
        if not kinds & {"json", "jsonb", "hstore"} or "cast" in kinds or None in self._traces:
            return None
        traces = dict.fromkeys(trace for trace in self._traces if trace is not None)
        if "json" in kinds:
            traces[r"%\\u%"] = None  # as it was written, any character may be escaped
        # Once for all markers: printing costs more than comparing.
        return b'%b COLLATE pg_catalog."C" OPERATOR(pg_catalog.~~) ANY (ARRAY[%b])' % (
            printed(quoted(column, self._escaping)),
            b", ".join(bytes(self._escaping.escape_literal(trace.encode())) for trace in traces)
            or b"NULL::pg_catalog.text",
        )

    def origins(
        self, tables: Sequence[Table], limits: Sequence[int], with_writers: bool, with_commit_times: bool
    ) -> bytes:
        """One row per marked row, at most so many per table: its table's position, and its origin."""
        return b"\nUNION ALL ".join(
            self._origins(position, table, limit, with_writers, with_commit_times)
            for position, (table, limit) in enumerate(zip(tables, limits, strict=True))
        )

    def _count(self, position: int, table: Table) -> bytes:
        counted = (
            b"pg_catalog.count(*) AS rows"
            if self._unseen is None
            # In FILTER, it is only asked of rows that match.
            else b"pg_catalog.count(*) FILTER (WHERE %b) AS rows, "
            b"pg_catalog.count(*) FILTER (WHERE NOT %b) AS before" % (self._unseen, self._unseen)
        )
        return b"SELECT %d AS position, %b FROM %b WHERE %b" % (
            position,
            counted,
            self._source(table),
            self.condition(table),
        )

    def _details(self, position: int, table: Table) -> bytes:
        places = [b"v[%d]" % number for number in range(1, len(table.columns) + 1)]
        return (
            b"SELECT %d AS position, pg_catalog.count(*) AS rows, ARRAY[%b] AS matched, "
            b"pg_catalog.min(at) AS oldest, pg_catalog.max(at) AS newest, "
            b"pg_catalog.max(committed) AS committed, "
            b"pg_catalog.min(sample) AS first_sample, pg_catalog.max(sample) AS last_sample "
            b"FROM (SELECT v, committed, coalesce(%b, created) AS at, "
            b'pg_catalog."left"(coalesce(%b), %d) AS sample '
            # One array, since a row of more than 1664 values can't be; and no row that doesn't match.
            b"FROM (SELECT %b AS v, %b AS created, %b AS committed FROM %b WHERE %b OFFSET 0) AS value) "
            b"AS hit"
        ) % (
            position,
            b", ".join(b"pg_catalog.bool_or(%b IS NOT NULL)" % place for place in places),
            b", ".join(map(_stamped, places)),
            b", ".join(places),
            _SAMPLE_CHARACTERS,
            self.marked_values(table),
            _CREATED_AT if table.has_created_at else b"NULL::float",
            _COMMITTED_AT if table.reads_all else b"NULL::float",
            self._source(table),
            self._new_ones(table),
        )

    def _source(self, table: Table) -> bytes:
        plain = source(table, self._escaping)
        if not self._looks_out:
            return plain
        columns = [quoted(column, self._escaping) for column in table.columns]
        columns += [b"created_at"] if table.has_created_at else []
        columns += [b"xmin"] if self._unseen is not None or not columns else []
        return self_lookout.with_lookout(plain, columns)

    def _new_ones(self, table: Table) -> bytes:
        """Returns the condition on rows that bear a marker and weren't there before."""
        condition = self.condition(table)
        return condition if self._unseen is None else b"(%b) AND %b" % (condition, self._unseen)

    def _match(self, column: str, form: Form | None) -> bytes:
        """A string of a column that bears a marker, NULL if none does."""
        value = quoted(column, self._escaping)
        if form is not None:
            value = b"(SELECT v FROM (%b) AS s WHERE %b LIMIT 1)" % (
                strings(value, form),
                self._matches(b"v"),
            )
            cheap = self.may_match(column, form) or b"true"
        else:
            value, cheap = text(value), self.matches(column, None)
        return b'CASE WHEN %b THEN %b COLLATE pg_catalog."C" END' % (cheap, value)

    def _origins(
        self, position: int, table: Table, limit: int, with_writer: bool, with_commit_time: bool
    ) -> bytes:
        return OriginStatements(self._escaping, self.values(table), self._new_ones(table)).of(
            position, table, limit, with_writer, with_commit_time
        )

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
        return b' COLLATE pg_catalog."%b" %b %b' % (
            condition.collation.encode(),
            _OPERATORS[condition.operator],
            self._escaping.escape_literal(condition.pattern.encode()),
        )


def _stamped(place: bytes) -> bytes:
    """The time stamp in a value, in seconds since 1970; NULL where there is none."""
    return b"pg_catalog.substring(%b, %b)::float OPERATOR(pg_catalog./) 1000" % (place, _STAMP)


def source(table: Table, escaping: Escaping) -> bytes:
    """A table as it stands after FROM, so that no row is read twice."""
    name = b"%b.%b" % (quoted(table.schema, escaping), quoted(table.name, escaping))
    # Tables that inherit are counted by themselves; partitions are read through their root.
    return name if table.kind == PARTITIONED else b"ONLY " + name


@dataclass(frozen=True, slots=True)
class OriginStatements:
    """Composes what tells where rows are from: the rows that `condition` holds for."""

    escaping: Escaping
    values: bytes
    """The strings that may hold a test's token, one per column; empty without any."""
    condition: bytes

    def of(self, position: int, table: Table, limit: int, with_writer: bool, with_commit_time: bool) -> bytes:
        """One row per row of the table, at most so many; who wrote it only if that may be asked."""
        with_writer = with_writer and table.kind in _WRITTEN
        commit_time = _MICROSECONDS % b"pg_catalog.pg_xact_commit_timestamp(xmin)"
        return (
            b"(SELECT %d AS position, ARRAY(SELECT DISTINCT found[1] "
            b"FROM pg_catalog.unnest(v) AS one (marked), "
            b"pg_catalog.regexp_matches(pg_catalog.\"left\"(marked, %d), %b, 'gi') AS found) AS tokens, "
            b"created_us, writer AS xmin, committed_us, %b AS only_inserted "
            b"FROM (SELECT ARRAY[%b]::pg_catalog.text[] AS v, %b AS created_us, %b AS writer, "
            b"%b AS committed_us FROM %b WHERE %b LIMIT %d) AS value)"
        ) % (
            position,
            _SEARCHED_CHARACTERS,
            self.escaping.escape_literal(TOKEN.encode()),
            _ONLY_INSERTED % (table.oid, table.oid, limit, table.oid, table.oid)
            if table.kind != PARTITIONED
            else b"false",
            self.values,
            _CREATED_US if table.has_created_at else b"NULL::bigint",
            b"xmin::pg_catalog.text::bigint" if with_writer else b"NULL::bigint",
            commit_time if with_writer and with_commit_time else b"NULL::bigint",
            source(table, self.escaping),
            self.condition,
            limit,
        )
