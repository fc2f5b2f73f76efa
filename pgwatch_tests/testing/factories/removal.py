"""The removal of rows by their primary keys, with all that refers to them, in one transaction."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy
from sqlalchemy import ColumnClause, Connection, Engine, TextClause, Transaction, column, select, text, tuple_
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import quoted_name

from pgwatch_tests.postgres import queries
from pgwatch_tests.strong_components import strongly_connected
from pgwatch_tests.testing.factories.made_rows import MadeRow
from pgwatch_tests.testing.isolation.rollbacks.rollback_transaction import RollbackEngine
from pgwatch_tests.testing.removed_rows import RemovedRows, StayingRows

LOCK_TIMEOUT_S = 5.0
"""How long a removal waits for a lock that somebody holds on one of the rows."""
_ROUNDS = 3
"""Triggers may write anew what is about to be deleted: then it is looked for again."""
_KEYS_AT_ONCE = 1000
_PARAMETER = re.compile(r"%\((\w+)\)s")
_SQLSTATES = {
    "55P03": "another session has locked it",
    "40P01": "another session waits for it, in a deadlock",
}

_SET_LOCK_TIMEOUT = text(
    "SELECT pg_catalog.current_setting('lock_timeout'), pg_catalog.set_config('lock_timeout', :timeout, true)"
)

_NO_TRANSLATION: Mapping[str, Any] = {"schema_translate_map": None}
"""Schemas are as the server says."""

Rows = dict[int, dict[str, None]]
"""Rows by the oid of their table: ctids, each once."""


@dataclass(frozen=True, slots=True)
class _Key:
    """A row of queries/factories/referring_keys.sql."""

    oid: int
    on_delete: str
    parent: int
    child: int
    child_name: str
    is_partitioned: bool
    matches: str

    @property
    def takes_along(self) -> bool:
        return self.on_delete in "arc"


def remove(made: Iterable[MadeRow]) -> RemovedRows:
    """Deletes rows, and first those that refer to them. What isn't there any more is left out.

    In a transaction for each engine, of its own; nothing is deleted there if something can't be. Those of a
    session that is bound to a connection are deleted on that, within its transaction.
    """
    by_bind: defaultdict[Engine | Connection, list[MadeRow]] = defaultdict(list)
    for row in made:
        by_bind[row.bind].append(row)
    outcome = RemovedRows({})
    for bind, rows in by_bind.items():
        if isinstance(bind, Connection):
            outcome += _remove_on(bind, rows)
        elif not (isinstance(bind, RollbackEngine) and bind.transaction.is_lost):
            with bind.connect() as connection:
                if not isinstance(bind, RollbackEngine):
                    # Engines may be set to autocommit.
                    connection.execution_options(isolation_level="READ COMMITTED")
                outcome += _remove_on(connection, rows)
    return outcome


def _remove_on(connection: Connection, made: Sequence[MadeRow]) -> RemovedRows:
    transaction: Transaction | None = None
    try:
        transaction = connection.begin_nested() if connection.in_transaction() else connection.begin()
        timeout = {"timeout": f"{LOCK_TIMEOUT_S * 1000:.0f}"}
        timeout_before = connection.execute(_SET_LOCK_TIMEOUT, timeout).scalar_one()
        removed, left = _Removal(connection, made).run()
        if not left:
            # It would last as long as a transaction around this one.
            connection.execute(_SET_LOCK_TIMEOUT, {"timeout": timeout_before})
    except DBAPIError as error:
        if transaction is not None:
            transaction.rollback()
        counts = Counter(row.table.fullname for row in made)
        reason = _reason(error)
        return RemovedRows({}, tuple(StayingRows(table, rows, reason) for table, rows in counts.items()))
    except BaseException:
        if transaction is not None:
            transaction.rollback()
        raise
    if left:
        transaction.rollback()
        reason = "a rule or trigger keeps it"
        return RemovedRows({}, tuple(StayingRows(table, rows, reason) for table, rows in left.items()))
    transaction.commit()
    return RemovedRows(removed)


class _Removal:
    """One transaction's removal."""

    def __init__(self, connection: Connection, made: Sequence[MadeRow]) -> None:
        self._connection = connection
        self._made = made
        self._names: dict[int, str] = {}

    def run(self) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """Returns the rows that were deleted and those that are still there, by table."""
        removed: Counter[str] = Counter()
        found = self._find()
        for _ in range(_ROUNDS):
            if not found:
                break
            keys = self._keys(found)
            self._follow(keys, found)
            self._name(found)
            asked = sum(map(len, found.values()))
            deleted = self._delete(keys, found)
            removed += deleted
            if deleted.total() == asked:
                return removed, {}
            found = self._find()
        self._name(found)
        return removed, {self._names[table]: len(rows) for table, rows in found.items()}

    def _find(self) -> Rows:
        """Finds and locks the rows that are still there. A row that refers to them then has to wait."""
        found: Rows = {}
        by_table: defaultdict[int, list[MadeRow]] = defaultdict(list)
        for row in self._made:
            by_table[row.table_oid].append(row)
        names = {int(oid): name for oid, _, *name in self._ask("factories/table_names", by_table)}
        for oid, rows in by_table.items():
            if oid not in names:  # the table is dropped
                continue
            schema, table_name = (quoted_name(name, quote=True) for name in names[oid])
            key = [column(one.name, one.type) for one in rows[0].columns]
            in_it = sqlalchemy.table(table_name, *key, schema=schema)
            columns: tuple[ColumnClause[Any], ...] = (column("tableoid"), column("ctid"))
            statement = select(*columns).select_from(in_it).with_for_update()
            for first in range(0, len(rows), _KEYS_AT_ONCE):
                keys = [row.key for row in rows[first : first + _KEYS_AT_ONCE]]
                of_these = statement.where(tuple_(*in_it.c).in_(keys))
                _add(found, self._connection.execute(of_these, execution_options=_NO_TRANSLATION))
        return found

    def _keys(self, tables: Collection[int]) -> list[_Key]:
        return [_Key(*row) for row in self._ask("factories/referring_keys", tables)]

    def _follow(self, keys: Sequence[_Key], found: Rows) -> None:
        """Adds the rows that refer to these by keys that don't let go of them, and so on."""
        news = {table: dict(rows) for table, rows in found.items()}
        while news:
            self._name(news)
            referring: Rows = {}
            for key in keys:
                if key.takes_along and (rows := news.get(key.parent)):
                    only = "" if key.is_partitioned else "ONLY "
                    statement = (
                        f"SELECT c.tableoid, c.ctid FROM ONLY {self._names[key.parent]} AS p "  # noqa: S608
                        f"JOIN {only}{key.child_name} AS c ON {key.matches} "
                        f"WHERE p.ctid OPERATOR(pg_catalog.=) ANY ({_tids(rows)}) FOR UPDATE OF c"
                    )
                    _add(referring, self._connection.execute(_literal(statement)))
            news = {}
            for table, rows in referring.items():
                known = found.setdefault(table, {})
                if fresh := {tid: None for tid in rows if tid not in known}:
                    news[table] = fresh
                    known.update(fresh)

    def _delete(self, keys: Sequence[_Key], found: Rows) -> Counter[str]:
        """Deletes the rows, children first; those of tables that refer to each other in one statement."""
        below: dict[int, set[int]] = {table: set() for table in found}
        for key in keys:
            if key.parent in found:
                below[key.parent] |= self._holding(key, found)
        deleted: Counter[str] = Counter()
        for group in strongly_connected(below):
            tables = [table for table in sorted(group) if found.get(table)]
            if not tables:
                continue
            parts = ", ".join(
                f"d{table} AS (DELETE FROM ONLY {self._names[table]} "  # noqa: S608
                f"WHERE ctid OPERATOR(pg_catalog.=) ANY ({_tids(found[table])}) RETURNING 1)"
                for table in tables
            )
            counts = ", ".join(f"(SELECT pg_catalog.count(*) FROM d{table})" for table in tables)  # noqa: S608
            row = self._connection.execute(_literal(f"WITH {parts} SELECT {counts}")).one()
            for table, count in zip(tables, row, strict=True):
                deleted[self._names[table]] += count
        return deleted

    def _holding(self, key: _Key, found: Rows) -> set[int]:
        """Returns the tables that hold the rows of a key's child, of those that are concerned."""
        if not key.is_partitioned:
            return {key.child} & found.keys()
        statement = text(queries.load("factories/partitions").replace("%(table)s", str(key.child)))
        return {row[0] for row in self._connection.execute(statement)} & found.keys()

    def _name(self, tables: Collection[int]) -> None:
        if missing := [table for table in tables if table not in self._names]:
            self._names |= {row[0]: row[1] for row in self._ask("factories/table_names", missing)}

    def _ask(self, name: str, tables: Collection[int]) -> list[tuple[Any, ...]]:
        parameters = {"tables": ",".join(map(str, sorted(tables)))}
        return [tuple(row) for row in self._connection.execute(_statement(name), parameters)]


def _statement(name: str) -> TextClause:
    return text(_PARAMETER.sub(r":\1", queries.load(name)))


def _add(found: Rows, rows: Iterable[Sequence[object]]) -> None:
    for table, tid in rows:
        found.setdefault(int(str(table)), {})[_tid(tid)] = None


def _tid(tid: object) -> str:
    """Returns `(0,1)`: psycopg gives that text, asyncpg a tuple."""
    return f"({tid[0]},{tid[1]})" if isinstance(tid, tuple) else str(tid)


def _tids(tids: Iterable[str]) -> str:
    inside = ",".join(f'"{tid}"' for tid in tids)
    return f"CAST('{{{inside}}}' AS pg_catalog.tid[])"


def _literal(statement: str) -> TextClause:
    """Returns a statement without parameters, whatever is in the names of its tables."""
    return text(statement.replace(":", "\\:"))


def _reason(error: DBAPIError) -> str:
    sqlstate = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
    return _SQLSTATES.get(str(sqlstate), str(error.orig).strip().partition("\n")[0])
