"""The rows of a table that a transaction has changed or locked, as far as others see them.

Each row that a transaction changes, deletes or locks bears its id, or a multixact's, as `xmax`; the version
from before is visible to others until it commits. A table is read to its end, so only small ones are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from psycopg import AsyncConnection, sql

from pgwatch_tests.locks.naming.relation_facts import Relation
from pgwatch_tests.locks.waits.transaction_wait import ChangedRow
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.session_settings import Row

_MOST_BYTES = 8 * 1024**2
_MOST_ROWS = 4
_LIVE_S = 5.0

ChangesKey = tuple[int, int, int]
"""Database, table, transaction."""


@dataclass(frozen=True, slots=True)
class _Seen:
    rows: tuple[ChangedRow, ...] | None
    """None if the table is too large to be read."""
    at_s: float


class ChangedRows:
    """What was read a moment ago. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[ChangesKey, _Seen] = {}

    def of(self, key: ChangesKey) -> tuple[ChangedRow, ...] | None:
        """The rows, at most a few of them; None if they aren't known."""
        seen = self._seen.get(key)
        return None if seen is None else seen.rows

    def is_fresh(self, key: ChangesKey) -> bool:
        """Whether it needn't be read again."""
        return key in self._seen and self._clock() - self._seen[key].at_s < _LIVE_S

    def forget_old(self) -> None:
        """Forgets what may have changed since; what is wanted is read again."""
        now_s = self._clock()
        self._seen = {key: seen for key, seen in self._seen.items() if now_s - seen.at_s < 2 * _LIVE_S}

    async def read(self, key: ChangesKey, relation: Relation, connection: AsyncConnection[Row]) -> None:
        """Reads them. Raises psycopg's errors: a timeout, if it takes too long."""
        _, oid, transaction = key
        cursor = await connection.execute(queries.load("locks/relation_extent"), {"oid": oid})
        extent = cast(tuple[int | None, int] | None, await cursor.fetchone())
        if extent is None or extent[0] is None or extent[0] > _MOST_BYTES:
            self._seen[key] = _Seen(None, self._clock())
            return
        statement = sql.SQL(
            "SELECT pg_catalog.split_part(place, ',', 1)::pg_catalog.int8,"
            " pg_catalog.split_part(place, ',', 2)::pg_catalog.int8, xmax"
            " FROM (SELECT pg_catalog.btrim(ctid::pg_catalog.text, '()') AS place,"
            " xmax::pg_catalog.text AS xmax FROM ONLY {table} WHERE CASE"
            " WHEN xmax OPERATOR(pg_catalog.=) {transaction}::pg_catalog.xid THEN true"
            " WHEN pg_catalog.mxid_age(xmax) OPERATOR(pg_catalog.>=) 1"
            " AND pg_catalog.mxid_age(xmax) OPERATOR(pg_catalog.<=) {multixacts}"
            " THEN EXISTS (SELECT FROM pg_catalog.pg_get_multixact_members(xmax) AS member"
            " WHERE member.xid OPERATOR(pg_catalog.=) {transaction}::pg_catalog.xid)"
            " ELSE false END LIMIT {most}) AS changed"
        ).format(
            table=relation.name,
            transaction=sql.Literal(str(transaction)),
            multixacts=sql.Literal(extent[1]),
            most=sql.Literal(_MOST_ROWS),
        )
        cursor = await connection.execute(statement.as_bytes(None))
        found = []
        for page, offset, xmax in cast(list[tuple[int, int, str]], await cursor.fetchall()):
            pids: frozenset[int] = frozenset()
            if xmax != str(transaction):
                cursor = await connection.execute(
                    queries.load("locks/row_lockers"), {"multixact": xmax, "transaction": str(transaction)}
                )
                pids = frozenset(cast(int, pid) for pid, *_ in await cursor.fetchall())
            found.append(ChangedRow(page, offset, pids))
        self._seen[key] = _Seen(tuple(found), self._clock())
