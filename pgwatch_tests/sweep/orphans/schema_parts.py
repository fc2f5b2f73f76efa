"""Parts of a schema, and the statements that drop them in portions. Pure.

One DROP SCHEMA … CASCADE holds a lock for everything in it until it ends: with 3,000 tables the server's lock
table, which all sessions share, is full ("out of shared memory").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from psycopg.pq.abc import Escaping

from pgwatch_tests.postgres.stored_text import quoted

PARTS_AT_ONCE = 50
LOCKS_AT_ONCE = 1_000
"""A server has room for 6,400 locks with its default settings, for all sessions together."""


@dataclass(frozen=True, slots=True)
class SchemaPart:
    """A row of queries/sweep/schema_parts.sql: what is dropped by itself."""

    kind: str
    """As in a DROP statement: `TABLE`, `MATERIALIZED VIEW`, `ROUTINE` …"""
    name: str
    argument_schemas: list[str]
    argument_types: list[str]
    locks: int
    """About how many locks its drop takes."""
    can_lock: bool
    """Whether it can be locked beforehand."""


def portions(parts: Iterable[SchemaPart]) -> Iterator[tuple[SchemaPart, ...]]:
    """Yields portions of one kind, in the given order: at most 50, and 1,000 locks, but always one."""
    for _, same in groupby(parts, key=lambda part: part.kind):
        portion: list[SchemaPart] = []
        locks = 0
        for part in same:
            if portion and (len(portion) >= PARTS_AT_ONCE or locks + part.locks > LOCKS_AT_ONCE):
                yield tuple(portion)
                portion, locks = [], 0
            portion.append(part)
            locks += part.locks
        yield tuple(portion)


def halves(portion: Sequence[SchemaPart]) -> Iterator[tuple[SchemaPart, ...]]:
    """Returns the two halves of a portion that proved too large."""
    middle = len(portion) // 2
    yield tuple(portion[:middle])
    yield tuple(portion[middle:])


def lock_statement(schema: str, portion: Sequence[SchemaPart], escaping: Escaping) -> bytes | None:
    """Returns the statement that locks the lockable parts of a portion: from then on nobody makes anything
    that depends on it."""
    names = [_qualified(schema, part.name, escaping) for part in portion if part.can_lock]
    if not names:
        return None
    # Without ONLY, a partitioned table's partitions would be locked as well: those are gone by then.
    return b"LOCK TABLE ONLY %b IN ACCESS EXCLUSIVE MODE" % b", ONLY ".join(names)


def drop_statement(schema: str, portion: Sequence[SchemaPart], escaping: Escaping) -> bytes:
    """Returns the statement that drops a portion, and what of the schema depends on it; parts that are gone
    by now are no error."""
    names = [_qualified(schema, part.name, escaping) + _arguments(part, escaping) for part in portion]
    return b"DROP %b IF EXISTS %b CASCADE" % (portion[0].kind.encode(), b", ".join(names))


def drop_rest_statement(schema: str, escaping: Escaping) -> bytes:
    """Returns the statement that drops the schema with what is still in it."""
    return b"DROP SCHEMA IF EXISTS %b CASCADE" % quoted(schema, escaping)


def _qualified(schema: str, name: str, escaping: Escaping) -> bytes:
    return b"%b.%b" % (quoted(schema, escaping), quoted(name, escaping))


def _arguments(part: SchemaPart, escaping: Escaping) -> bytes:
    if part.kind != "ROUTINE":
        return b""
    pairs = zip(part.argument_schemas, part.argument_types, strict=True)
    # Without IN, `p(int, int)` may as well be the procedure with the second one as OUT.
    return b"(%b)" % b", ".join(b"IN " + _qualified(schema, type_, escaping) for schema, type_ in pairs)
