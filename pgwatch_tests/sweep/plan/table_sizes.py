"""Table sizes in rows, to say `6 of 6 rows`: counted where they are few, else the server's estimate.

Statistics lag, and of a table that was never analysed the server only knows the size of its file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import psycopg
from psycopg import pq
from psycopg.pq.abc import Escaping

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.postgres.sessions.session import DatabaseSession, WorkCancelledError
from pgwatch_tests.postgres.stored_text import quoted
from pgwatch_tests.sweep.model import TableRows
from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKeyGraph, TableNode, table_of

_FEW = 10_000
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class _Counted:
    oid: int
    rows: int


class TableSizes:
    """Counts over the connection of a sweep; where that isn't possible, an estimate does."""

    def __init__(self, session: DatabaseSession, graph: ForeignKeyGraph) -> None:
        self._session = session
        self._graph = graph

    def told(self, tables: Sequence[TableRows], *, are_gone: bool) -> tuple[TableRows, ...]:
        """Returns the tables with their numbers of rows, those just deleted included.

        Raises WorkCancelledError, but not where there is something to be told that was done.
        """
        names = {(one.schema, one.table) for one in tables}
        leaves = [
            relation
            for relation in self._graph.relations.values()
            if relation.kind == "r" and table_of(self._graph, relation.oid) in names
        ]
        try:
            sizes = self._counted([leaf for leaf in leaves if leaf.about_rows <= _FEW])
        except WorkCancelledError:
            if not are_gone:
                raise
            sizes = {}
        counted: dict[tuple[str, str], int | None] = {}
        for leaf in leaves:
            name, rows = table_of(self._graph, leaf.oid), sizes.get(leaf.oid)
            before = counted.get(name, 0)
            # One part that isn't counted leaves the table to its estimate.
            counted[name] = None if rows is None or before is None else before + rows
        return tuple(_with_size(one, counted.get((one.schema, one.table)), are_gone) for one in tables)

    def _counted(self, leaves: Sequence[TableNode]) -> Mapping[int, int]:
        escaping = pq.Escaping(self._session.connection.pgconn)
        found: dict[int, int] = {}
        rest = iter(leaves)
        try:
            while part := list(islice(rest, _AT_ONCE)):
                rows = self._session.fetch(b"\nUNION ALL ".join(_counting(part, escaping)), _Counted)
                found |= {one.oid: one.rows for one in rows if one.rows <= _FEW}
        except WorkCancelledError:
            raise
        except (psycopg.Error, PgwatchError):
            return {}
        return found


def _counting(leaves: Sequence[TableNode], escaping: Escaping) -> Iterator[bytes]:
    for leaf in leaves:
        # Its statistics may be old: more than few are of no interest.
        yield b"SELECT %d AS oid, pg_catalog.count(*) AS rows FROM (SELECT FROM ONLY %b.%b LIMIT %d) AS t" % (
            leaf.oid,
            quoted(leaf.schema, escaping),
            quoted(leaf.name, escaping),
            _FEW + 1,
        )


def _with_size(one: TableRows, counted: int | None, are_gone: bool) -> TableRows:
    if counted is None:
        return one
    return replace(one, of=max(one.total, counted + one.total if are_gone else counted))
