"""A relation as the catalogs describe it: a row of queries/locks/relation_names.sql. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from pgwatch_tests.locks.waits.statement_text import as_written
from pgwatch_tests.locks.waits.transaction_wait import LockedTable, UniqueIndex

RelationRow = tuple[
    int,
    str,
    str,
    str,
    list[str],
    list[list[str]],
    list[int],
    bool,
    list[tuple[int, list[str] | None, bool]],
    list[tuple[str, str]],
    bool,
]


@dataclass(frozen=True, slots=True)
class RelationFacts:
    """A relation's name for statements and for people, and what is asked of it."""

    name: sql.Identifier
    words: str
    """`users`; with its schema unless that is public."""
    kind: str
    key_columns: tuple[str, ...]
    unique_keys: tuple[str, ...]
    """The columns of each in words: `email`, `(day, room)`."""
    is_readable: bool
    table: LockedTable
    ancestors: tuple[str, ...] = ()
    """The tables that it is a partition or child of, in words."""

    @classmethod
    def of(cls, row: RelationRow) -> RelationFacts:
        """The relation that a row describes."""
        oid, schema, name, kind, key_columns, unique_keys, referencing = row[:7]
        is_readable, unique_indexes, names, runs_code = row[7:]
        return cls(
            sql.Identifier(schema, name),
            _name_in_words(schema, name),
            kind,
            tuple(key_columns),
            tuple(map(_key_in_words, unique_keys)),
            is_readable,
            LockedTable(
                oid,
                frozenset((one, other) for one, other in names),
                kind,
                tuple(
                    UniqueIndex(index, None if columns is None else frozenset(columns), is_deferrable)
                    for index, columns, is_deferrable in unique_indexes
                ),
                frozenset(referencing),
                runs_code,
            ),
            tuple(sorted(_name_in_words(*one) for one in names if tuple(one) != (schema, name))),
        )


def _name_in_words(schema: str, name: str) -> str:
    is_plain = schema in ("public", "pg_catalog")
    return as_written(name) if is_plain else f"{as_written(schema)}.{as_written(name)}"


def _key_in_words(columns: Sequence[str]) -> str:
    words = ", ".join(map(as_written, columns))
    return words if len(columns) == 1 else f"({words})"
