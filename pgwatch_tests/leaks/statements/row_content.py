"""SQL that hashes the rows of tables and compares them with those of a baseline.

A row's hash is that of its values' text, as the types' output functions print it: those of base types are the
server's or an extension's, and no cast is looked for, so no code of the database's users runs. The session's
settings must be the same each time (see `content_reader.pinned`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg.pq.abc import Escaping

from pgwatch_tests.leaks.baseline.content import MOST_ROWS
from pgwatch_tests.leaks.catalog.tables import Table
from pgwatch_tests.leaks.statements.marked_rows import source
from pgwatch_tests.postgres.stored_text import quoted

_TEXT = b"pg_catalog.textin(pg_catalog.record_out(ROW(%b)))"
_HASH = b'pg_catalog.hashtextextended(%b COLLATE pg_catalog."C", 0::pg_catalog.int8)'
_KEY_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Hashed:
    """A table whose rows are hashed: its columns and its primary key, names as the server has them."""

    table: Table
    columns: tuple[str, ...]
    key: tuple[str, ...]


class ContentStatements:
    """Composes statements for a connection; `unseen` is true of rows from after the baseline's snapshot."""

    def __init__(self, escaping: Escaping, unseen: bytes) -> None:
        self._escaping = escaping
        self._unseen = unseen

    def contents(self, tables: Sequence[Hashed]) -> bytes:
        """One row per table: its position, and number, sum and hashes of its rows.

        Of one that has more than may be kept, one more is read.
        """
        return b"\nUNION ALL ".join(
            b"SELECT %d AS position, pg_catalog.count(*) AS rows, pg_catalog.sum(hash) AS total,"
            b" pg_catalog.string_agg(packed, ''::pg_catalog.bytea) AS hashes"
            b" FROM (SELECT hash, %b AS packed FROM (SELECT %b AS key, %b AS hash FROM %b AS one"
            b" WHERE NOT (%b) LIMIT %d) AS few) AS row_hashes"
            % (
                position,
                b"pg_catalog.int8send(key) OPERATOR(pg_catalog.||) pg_catalog.int8send(hash)"
                if one.key
                else b"pg_catalog.int8send(hash)",
                self._hash(one.key) if one.key else b"NULL",
                self._hash(one.columns),
                source(one.table, self._escaping),
                self._unseen,
                MOST_ROWS + 1,
            )
            for position, one in enumerate(tables)
        )

    def sums(self, tables: Sequence[Hashed], *, everything: bool) -> bytes:
        """One row per table: its position, number and sum of its rows; of the baseline's, or of all."""
        condition = b"" if everything else b" WHERE NOT (%b)" % self._unseen
        return b"\nUNION ALL ".join(
            b"SELECT %d AS position, pg_catalog.count(*) AS rows, pg_catalog.sum(%b) AS total,"
            b" NULL::pg_catalog.bytea AS hashes FROM %b AS one%b"
            % (position, self._hash(one.columns), source(one.table, self._escaping), condition)
            for position, one in enumerate(tables)
        )

    def untouched(self, tables: Sequence[Table]) -> bytes:
        """One row per table: its position, and how many of the baseline's rows nobody has written since."""
        return b"\nUNION ALL ".join(
            b"SELECT %d AS position, pg_catalog.count(*) AS rows FROM %b WHERE NOT (%b)"
            % (position, source(table, self._escaping), self._unseen)
            for position, table in enumerate(tables)
        )

    def by_key(self, one: Hashed, before: Sequence[tuple[int, int]], *, compares: bool) -> bytes:
        """Asks how many keys of `before` are gone, how many have another row, and one of these.

        Other rows are 0 unless it `compares`. `before` has the hash of each row's key and of the row.
        """
        same = b"pg_catalog.bool_or(now.hash OPERATOR(pg_catalog.=) before.hash)" if compares else b"true"
        return (
            b"SELECT pg_catalog.count(*) FILTER (WHERE NOT there) AS gone,"
            b" pg_catalog.count(*) FILTER (WHERE there AND NOT same) AS changed,"
            b" pg_catalog.left(pg_catalog.min(text) FILTER (WHERE there AND NOT same), %d) AS example"
            b" FROM (SELECT pg_catalog.count(now.key) OPERATOR(pg_catalog.>) 0 AS there, %b AS same,"
            b" pg_catalog.min(now.text) AS text"
            b" FROM %b LEFT JOIN (SELECT %b AS key, %b AS hash, %b AS text FROM %b AS one) AS now"
            b" ON now.key OPERATOR(pg_catalog.=) before.key GROUP BY before.key) AS each_key"
        ) % (
            _KEY_CHARACTERS,
            same,
            _before(before),
            self._hash(one.key),
            self._hash(one.columns) if compares else b"NULL::pg_catalog.int8",
            _TEXT % self._values(one.key),
            source(one.table, self._escaping),
        )

    def by_row(self, one: Hashed, before: Sequence[tuple[int, int]]) -> bytes:
        """Asks how many rows of `before` are gone or changed; of equal ones, each counts."""
        return (
            b"SELECT pg_catalog.sum(missing)::pg_catalog.int8 AS gone, 0::pg_catalog.int8 AS changed,"
            b" NULL::pg_catalog.text AS example"
            b" FROM (SELECT GREATEST(before.number OPERATOR(pg_catalog.-) pg_catalog.count(now.hash), 0)"
            b" AS missing FROM (SELECT hash, pg_catalog.count(*) AS number FROM %b GROUP BY hash) AS before"
            b" LEFT JOIN (SELECT %b AS hash FROM %b AS one) AS now"
            b" ON now.hash OPERATOR(pg_catalog.=) before.hash"
            b" GROUP BY before.hash, before.number) AS each_hash"
        ) % (_before(before), self._hash(one.columns), source(one.table, self._escaping))

    def _hash(self, columns: Sequence[str]) -> bytes:
        return _HASH % (_TEXT % self._values(columns))

    def _values(self, columns: Sequence[str]) -> bytes:
        return b", ".join(b"one.%b" % quoted(column, self._escaping) for column in columns)


def _before(rows: Sequence[tuple[int, int]]) -> bytes:
    numbers = b"pg_catalog.unnest('{%b}'::pg_catalog.int8[])"
    return b"ROWS FROM (%b, %b) AS before (key, hash)" % (
        numbers % b",".join(b"%d" % key for key, _ in rows),
        numbers % b",".join(b"%d" % row for _, row in rows),
    )
