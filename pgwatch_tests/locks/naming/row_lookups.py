"""Row look-ups behind a wait, one by one: keys, lockers, and the rows that a transaction changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from psycopg import AsyncConnection, sql

from pgwatch_tests.locks.model import SAME_MOMENT_S, EdgeGroup, LockSnapshot, Party, Subject
from pgwatch_tests.locks.naming.relation_facts import RelationFacts
from pgwatch_tests.locks.waits import lock_modes
from pgwatch_tests.locks.waits.statement_text import as_written
from pgwatch_tests.locks.waits.transaction_wait import ChangedRow
from pgwatch_tests.locks.waits.wait_target import COLUMNS_CATALOG, OBJECT_CATALOGS
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.session_settings import Row
from pgwatch_tests.text.secret_words import is_credential
from pgwatch_tests.text.secrets import MASK

_ROW_LIVES_S = 10.0
_LOCKERS_LIVE_S = 5.0
# Where nothing tells whether a locker is still in the transaction that was looked up.
_UNSURE_LIVES_S = 2.0
_INVISIBLE_LIVES_S = 120.0
_KEY_CHARACTERS = 40
_MOST_BYTES = 8 * 1024**2
_MOST_CHANGED_ROWS = 4
_CHANGES_LIVE_S = 5.0

Address = tuple[int, int, int, int]
"""Database, relation, page, tuple."""


@dataclass(frozen=True, slots=True)
class _RowSeen:
    words: str
    at_s: float


@dataclass(frozen=True, slots=True)
class _Locker:
    modes: frozenset[str]
    began_s: float | None
    """When its transaction began, since the epoch; None if hidden."""


@dataclass(frozen=True, slots=True)
class _LockersSeen:
    by_pid: Mapping[int, _Locker]
    at_s: float


class LockedRows:
    """The rows that are waited for, as they were a moment ago. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rows: dict[Address, _RowSeen] = {}
        self._lockers: dict[tuple[Address, int], _LockersSeen] = {}
        self._invisible: dict[Address, float] = {}
        """Addresses of rows that others don't see (changed by their own transaction, or dead), and when each
        was read."""

    def words(self, address: Address) -> str | None:
        """A row's primary key, `id=42`, or for a catalog's row the object: `table users`."""
        seen = self._rows.get(address)
        return seen.words if seen and seen.words and self._clock() - seen.at_s < _ROW_LIVES_S else None

    def is_invisible(self, address: Address | None) -> bool:
        """Whether no row was to be seen there."""
        return address in self._invisible

    def is_known(self, address: Address, transactions: Iterable[int]) -> bool:
        """Whether it needn't be read again, for waits for these transactions."""
        return address in self._rows and all((address, one) in self._lockers for one in transactions)

    def forget_old(self) -> None:
        """Forgets what may have changed since."""
        now_s = self._clock()
        self._rows = {key: seen for key, seen in self._rows.items() if now_s - seen.at_s < _ROW_LIVES_S}
        self._lockers = {
            key: seen for key, seen in self._lockers.items() if now_s - seen.at_s < _LOCKERS_LIVE_S
        }
        self._invisible = {
            key: at_s for key, at_s in self._invisible.items() if now_s - at_s < _INVISIBLE_LIVES_S
        }

    def also_held_by(self, group: EdgeGroup, snapshot: LockSnapshot) -> tuple[Party, ...]:
        """Returns the other holders of a conflicting lock on the row of `group`, if still in that
        transaction."""
        address = None if group.subject is None else row_address(group.subject)
        if address is None or group.subject is None or group.subject.transaction is None:
            return ()
        seen = self._lockers.get((address, group.subject.transaction))
        if seen is None or self._clock() - seen.at_s > 2 * _LOCKERS_LIVE_S:
            return ()
        locked = []
        for session in snapshot.sessions:
            party = Party(session.pid)
            locker = seen.by_pid.get(session.pid)
            if locker is None or party == group.waiter or party in group.blockers:
                continue
            if not any(lock_modes.row_conflict(group.subject.wanted_mode, mode) for mode in locker.modes):
                continue
            began_s, begins_s = locker.began_s, snapshot.began_s(session.xact_age_s)
            if (
                self._clock() - seen.at_s < _UNSURE_LIVES_S
                if began_s is None or begins_s is None
                else abs(begins_s - began_s) < SAME_MOMENT_S
            ):
                locked.append(party)
        return tuple(locked)

    async def read(
        self,
        address: Address,
        transactions: Iterable[int],
        relation: RelationFacts,
        connection: AsyncConnection[Row],
    ) -> bool:
        """Reads a row, and who has locked it; whether it could be seen. Raises psycopg's errors."""
        columns = _columns(relation)
        statement = sql.SQL(
            "SELECT {} FROM ONLY {} WHERE ctid OPERATOR(pg_catalog.=) {}::pg_catalog.tid"
        ).format(
            sql.SQL(", ").join([sql.SQL("xmax::pg_catalog.text"), *columns.values()]),
            relation.name,
            sql.Literal("({},{})".format(*address[2:])),
        )
        # As UTF-8, not as the connection's SQL_ASCII: that has no letters beyond ASCII.
        cursor = await connection.execute(statement.as_bytes(None))
        row = await cursor.fetchone()
        if row is None:
            self._invisible[address] = self._clock()
            return False
        xmax, *values = row
        words = ", ".join(
            _shown(column, str(value))
            for column, value in zip(columns, values, strict=True)
            if value is not None
        )
        self._rows[address] = _RowSeen(words, self._clock())
        self._invisible.pop(address, None)
        for transaction in transactions:
            lockers: dict[int, _Locker] = {}
            self._lockers[address, transaction] = _LockersSeen(lockers, self._clock())
            # With a single locker, xmax is its transaction id, not that of a multixact.
            if xmax not in ("0", str(transaction)):
                cursor = await connection.execute(
                    queries.load("locks/row_lockers"), {"multixact": xmax, "transaction": str(transaction)}
                )
                rows = cast(list[tuple[int, str, float | None]], await cursor.fetchall())
                for pid, mode, began_s in rows:
                    before = lockers[pid].modes if pid in lockers else frozenset()
                    lockers[pid] = _Locker(before | {mode}, began_s)
        return True


def row_address(subject: Subject) -> Address | None:
    """Returns the address of the waited-for row; None if not known, or if the wait isn't for a row."""
    if subject.kind not in ("row", "row_or_key") or subject.database is None:
        return None
    if subject.page is None or subject.offset is None:
        return None
    return subject.database, subject.relations[0], subject.page, subject.offset


def _columns(relation: RelationFacts) -> dict[str, sql.Composable]:
    """The values that name a row, by column; of a catalog's row, the object by an empty name."""
    if relation.table.oid == COLUMNS_CATALOG:
        return {"": sql.SQL("pg_catalog.pg_describe_object(1259, attrelid, attnum)")}
    if relation.table.oid in OBJECT_CATALOGS:
        return {"": sql.SQL("pg_catalog.pg_describe_object(tableoid, oid, 0)")}
    # By what they print: a cast to text is whatever the type's owner says.
    return {
        column: sql.SQL("pg_catalog.concat({})").format(sql.Identifier(column))
        for column in relation.key_columns
    }


def _shown(column: str, value: str) -> str:
    if not column:
        # As tables are named: without the schema that goes without saying.
        return value.replace(" public.", " ", 1)
    if is_credential(column):
        return f"{as_written(column)}={MASK}"
    short = value if len(value) <= _KEY_CHARACTERS else f"{value[: _KEY_CHARACTERS - 1]}…"
    return f"{as_written(column)}={short}"


ChangesKey = tuple[int, int, int]
"""Database, table, transaction."""


@dataclass(frozen=True, slots=True)
class _ChangesSeen:
    rows: tuple[ChangedRow, ...] | None
    """None if the table is too large to be read."""
    at_s: float


class TransactionRows:
    """The rows of a table that a transaction has changed or locked, as they were a moment ago.

    Each such row bears the transaction's id, or a multixact's, as `xmax`; others see the version from before
    until it commits. A table is read to its end, so only small ones are. `clock` is monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[ChangesKey, _ChangesSeen] = {}

    def of(self, key: ChangesKey) -> tuple[ChangedRow, ...] | None:
        """The rows, at most a few of them; None if they aren't known."""
        seen = self._seen.get(key)
        return None if seen is None else seen.rows

    def is_fresh(self, key: ChangesKey) -> bool:
        """Whether it needn't be read again."""
        return key in self._seen and self._clock() - self._seen[key].at_s < _CHANGES_LIVE_S

    def forget_old(self) -> None:
        """Forgets what may have changed since; what is wanted is read again."""
        due_s = self._clock() - 2 * _CHANGES_LIVE_S
        self._seen = {key: seen for key, seen in self._seen.items() if seen.at_s > due_s}

    async def read(self, key: ChangesKey, relation: RelationFacts, connection: AsyncConnection[Row]) -> None:
        """Reads them. Raises psycopg's errors: a timeout, if it takes too long."""
        _, oid, transaction = key
        cursor = await connection.execute(queries.load("locks/relation_extent"), {"oid": oid})
        extent = cast(tuple[int | None, int] | None, await cursor.fetchone())
        if extent is None or extent[0] is None or extent[0] > _MOST_BYTES:
            self._seen[key] = _ChangesSeen(None, self._clock())
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
            most=sql.Literal(_MOST_CHANGED_ROWS),
        )
        cursor = await connection.execute(statement.as_bytes(None))
        changed = []
        for page, offset, xmax in cast(list[tuple[int, int, str]], await cursor.fetchall()):
            pids: frozenset[int] = frozenset()
            if xmax != str(transaction):
                cursor = await connection.execute(
                    queries.load("locks/row_lockers"), {"multixact": xmax, "transaction": str(transaction)}
                )
                pids = frozenset(cast(int, pid) for pid, *_ in await cursor.fetchall())
            changed.append(ChangedRow(page, offset, pids))
        self._seen[key] = _ChangesSeen(tuple(changed), self._clock())
