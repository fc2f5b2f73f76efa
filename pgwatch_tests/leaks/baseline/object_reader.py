"""The reader of a database's objects, from its catalogs, and of the positions of its sequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import errors, pq
from psycopg.pq.abc import Escaping

from pgwatch_tests.leaks.baseline.objects import DatabaseObject, SequencePosition
from pgwatch_tests.postgres.server_messages import server_message
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.postgres.stored_text import quoted
from pgwatch_tests.text.sql_names import shown

# Each is locked until the statement ends.
_SEQUENCES_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class FoundObject:
    """A row of queries/baseline/objects.sql."""

    kind: str
    oid: int
    schema: str
    name: str
    owner: str
    relation: str | None
    part_of: int | None
    exact_schema: str | None

    @property
    def object(self) -> DatabaseObject:
        """The object without its owner, to compare with a baseline's."""
        return DatabaseObject(self.kind, self.oid, self.schema, self.name, self.part_of)


@dataclass(frozen=True, slots=True)
class UnreadSequence:
    """A sequence that can't be read. Names are as the server has them."""

    schema: str
    name: str
    obstacle: str | None
    """Why, in words; None if the role may not."""

    @property
    def shown(self) -> str:
        """Both names, as people see them."""
        return f"{shown(self.schema)}.{shown(self.name)}"


@dataclass(frozen=True, slots=True)
class Positions:
    """Positions of sequences, and those that can't be read."""

    read: tuple[SequencePosition, ...]
    unread: tuple[UnreadSequence, ...]


@dataclass(frozen=True, slots=True)
class _Position:
    oid: int
    last: int | None


def read_objects(session: DatabaseSession) -> list[FoundObject]:
    """Returns all objects. Raises what `session.running` does, and psycopg's errors."""
    return session.ask("baseline/objects", FoundObject)


def read_positions(session: DatabaseSession, objects: Sequence[FoundObject]) -> Positions:
    """Returns the positions of the sequences among `objects`. Raises what `session.running` does."""
    sequences = [one for one in objects if one.kind == "sequence"]
    by_oid = {one.oid: one for one in sequences}
    escaping = pq.Escaping(session.connection.pgconn)
    positions: list[SequencePosition] = []
    unread: list[UnreadSequence] = []
    pending = [
        sequences[start : start + _SEQUENCES_AT_ONCE]
        for start in range(0, len(sequences), _SEQUENCES_AT_ONCE)
    ]
    while pending:
        part = pending.pop()
        try:
            rows = session.fetch(_statement(part, escaping), _Position)
        except psycopg.Error as error:
            if len(part) == 1:
                unread += _unread(part[0], error)
            else:
                pending += [part[: len(part) // 2], part[len(part) // 2 :]]
            continue
        for row in rows:
            one = by_oid[row.oid]
            positions.append(SequencePosition(one.oid, one.schema, one.name, row.last))
    by_name = sorted(unread, key=lambda one: (one.schema, one.name))
    return Positions(tuple(sorted(positions, key=lambda one: one.shown)), tuple(by_name))


def _unread(one: FoundObject, error: psycopg.Error) -> list[UnreadSequence]:
    obstacle: str | None = server_message(error)
    if isinstance(error, (errors.UndefinedTable, errors.InvalidSchemaName)):
        return []  # dropped, or renamed, since the catalogs were read
    if isinstance(error, errors.InsufficientPrivilege):
        obstacle = None
    elif isinstance(error, errors.LockNotAvailable):
        obstacle = "locked"
    return [UnreadSequence(one.exact_schema or "", one.relation or "", obstacle)]


def _statement(sequences: Sequence[FoundObject], escaping: Escaping) -> bytes:
    # Read like tables: pg_sequence_last_value() would take a lock that is more in others' way.
    return b"\nUNION ALL ".join(
        b"SELECT %d::pg_catalog.int8 AS oid, CASE WHEN is_called THEN last_value END AS last FROM %b.%b"
        % (
            one.oid,
            quoted(one.exact_schema or "", escaping),
            quoted(one.relation or "", escaping),
        )
        for one in sequences
    )
