"""Looks names up apart from the poll: lazily, cached, in the right database, never waiting for a lock long.

The catalogs, and the tables whose primary keys are read, may be locked by the very session that is being
diagnosed. So every look-up has a `lock_timeout` of 50 ms; what couldn't be had stays an OID and is asked
again later.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar, cast

import psycopg
from psycopg import AsyncConnection, sql

from pgwatch_tests import queries
from pgwatch_tests.config import Settings
from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.server.connect import Row, SessionLimits, connect_async

LIMITS = SessionLimits(statement_timeout_s=0.25, lock_timeout_s=0.05, any_bytes=True)
# The server ends a look-up sooner by itself; this is for a server that has stopped.
_DEADLINE_S = 2.0
_ASK_AGAIN_S = 2.0
# A backend that a locked catalog keeps waiting stays until authentication_timeout: no second one meanwhile.
_CONNECT_AGAIN_S = 60.0
_ROW_KEY_LIVES_S = 10.0
_MOST_DATABASES = 4
_MOST_ROWS_AT_ONCE = 20
_KEY_CHARACTERS = 40
_SIMPLE_NAME = re.compile(r"[a-z_][a-z0-9_$]*")

_Address = tuple[int, int, int, int]
"""Database, relation, page, tuple."""

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class _Relation:
    name: sql.Identifier
    words: str
    kind: str
    key_columns: tuple[str, ...]


@dataclass(slots=True)
class _Failures:
    """What couldn't be looked up, and when it may be asked for again."""

    until: dict[object, float] = field(default_factory=dict)

    def due(self, keys: Iterable[K], now_s: float) -> list[K]:
        return [key for key in keys if self.until.get(key, 0.0) <= now_s]

    def note(self, keys: Iterable[object], now_s: float, pause_s: float = _ASK_AGAIN_S) -> None:
        self.until = {key: until for key, until in self.until.items() if until > now_s}
        self.until |= dict.fromkeys(keys, now_s + pause_s)


class NameCache:
    """Names of databases, roles, relations and rows; `resolve` fills it, the look-ups never wait."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._databases: dict[int, str] = {}
        self._roles: dict[int, str] = {}
        self._relations: dict[tuple[int, int], _Relation] = {}
        self._row_keys: dict[_Address, tuple[str, float]] = {}
        self._failed = _Failures()
        self._unreachable = _Failures()
        self._connections: dict[str, AsyncConnection[Row]] = {}
        self._home = ""

    def adopt(self, connection: AsyncConnection[Row]) -> None:
        """Takes over an open connection to the DSN's own database, with this module's LIMITS set."""
        self.stay_in(connection.info.dbname)
        self._connections[self._home] = connection

    def stay_in(self, database: str) -> None:
        """Says where databases and roles are looked up; forgets which databases couldn't be reached."""
        self._home = database
        self._unreachable = _Failures()

    def uses(self, connection: AsyncConnection[Row]) -> bool:
        """Whether `connection` was adopted and is still in use."""
        return any(one is connection for one in self._connections.values())

    def database(self, oid: int | None) -> str | None:
        """A database's name."""
        return self._databases.get(oid or 0)

    def role(self, oid: int | None) -> str | None:
        """A role's name."""
        return self._roles.get(oid or 0)

    def relation(self, database: int, oid: int) -> str | None:
        """`users`; with its schema unless that is public."""
        found = self._relations.get((database, oid))
        return None if found is None else found.words

    def relation_kind(self, database: int, oid: int) -> str | None:
        """`table`, `index`, `view` …"""
        found = self._relations.get((database, oid))
        return None if found is None else found.kind

    def row_key(self, database: int, oid: int, page: int, tuple_: int) -> str | None:
        """A row's primary key, `id=42`, as it was a moment ago."""
        key, seen_s = self._row_keys.get((database, oid, page, tuple_), ("", 0.0))
        return key if key and self._clock() - seen_s < _ROW_KEY_LIVES_S else None

    async def resolve(self, snapshot: LockSnapshot) -> None:
        """Looks up what `snapshot` needs and isn't known. Failures leave gaps; none is raised."""
        await self._resolve_databases(snapshot)
        await self._resolve_roles(snapshot)
        subjects = [edge.subject for edge in snapshot.edges if edge.subject is not None]
        wanted: dict[int, set[int]] = {}
        for subject in subjects:
            if subject.database is not None and subject.relations:
                wanted.setdefault(subject.database, set()).update(subject.relations)
        for database, oids in wanted.items():
            missing = [oid for oid in oids if (database, oid) not in self._relations]
            for_now = self._failed.due([(database, oid) for oid in missing], self._clock())
            if for_now:
                await self._attempt(database, for_now, partial(self._read_relations, database, for_now))
        rows = {
            (subject.database, subject.relations[0], subject.page, subject.offset)
            for subject in subjects
            if subject.kind == "row"
            and subject.database is not None
            and subject.page is not None
            and subject.offset is not None
        }
        due = self._failed.due([row for row in sorted(rows) if self.row_key(*row) is None], self._clock())
        for row in due[:_MOST_ROWS_AT_ONCE]:
            await self._attempt(row[0], [row], partial(self._read_row_key, row))

    async def ask(self, key: object, read: Callable[[AsyncConnection[Row]], Awaitable[None]]) -> None:
        """Runs another module's look-up on the home connection. A failure leaves it unfinished, no more."""
        await self._attempt(None, [key], read)

    async def _resolve_databases(self, snapshot: LockSnapshot) -> None:
        oids = {session.database_oid for session in snapshot.sessions}
        oids |= {prepared.database_oid for prepared in snapshot.prepared}
        oids |= {edge.subject.database for edge in snapshot.edges if edge.subject}
        await self._resolve_globals("database_names", oids - {None, 0}, self._databases)

    async def _resolve_roles(self, snapshot: LockSnapshot) -> None:
        oids = {session.user_oid for session in snapshot.sessions}
        oids |= {prepared.user_oid for prepared in snapshot.prepared}
        await self._resolve_globals("role_names", oids - {None, 0}, self._roles)

    async def _resolve_globals(self, query: str, oids: set[int | None], known: dict[int, str]) -> None:
        missing = self._failed.due([(query, oid) for oid in oids if oid not in known], self._clock())
        if not missing:
            return

        async def read(connection: AsyncConnection[Row]) -> None:
            cursor = await connection.execute(queries.load(query))
            for oid, name, *_ in await cursor.fetchall():
                known[cast(int, oid)] = str(name)
            # Dropped in the meantime, then: not to be asked for with every poll.
            self._failed.note([key for key in missing if key[1] not in known], self._clock())

        await self._attempt(None, missing, read)

    async def _read_relations(
        self, database: int, keys: list[tuple[int, int]], connection: AsyncConnection[Row]
    ) -> None:
        oids = [oid for _, oid in keys]
        cursor = await connection.execute(queries.load("relation_names"), {"oids": oids})
        rows = cast(list[tuple[int, str, str, str, list[str]]], await cursor.fetchall())
        for oid, schema, name, kind, key_columns in rows:
            words = (
                _quoted(name) if schema in ("public", "pg_catalog") else f"{_quoted(schema)}.{_quoted(name)}"
            )
            self._relations[database, oid] = _Relation(
                sql.Identifier(schema, name), words, kind, tuple(key_columns)
            )
        self._failed.note([key for key in keys if key not in self._relations], self._clock())

    async def _read_row_key(self, row: _Address, connection: AsyncConnection[Row]) -> None:
        database, oid, page, tuple_ = row
        relation = self._relations.get((database, oid))
        if relation is None or not relation.key_columns:
            self._failed.note([row], self._clock())
            return
        columns = sql.SQL(", ").join(
            sql.SQL("{}::pg_catalog.text").format(sql.Identifier(column)) for column in relation.key_columns
        )
        statement = sql.SQL("SELECT {} FROM ONLY {} WHERE ctid = {}::pg_catalog.tid").format(
            columns, relation.name, sql.Literal(f"({page},{tuple_})")
        )
        # As UTF-8, not as the connection's SQL_ASCII: that has no letters beyond ASCII.
        cursor = await connection.execute(statement.as_bytes(None))
        values = await cursor.fetchone()
        if values is None:
            self._failed.note([row], self._clock())
            return
        pairs = zip(relation.key_columns, values, strict=True)
        words = ", ".join(f"{_quoted(column)}={_shortened(str(value))}" for column, value in pairs)
        now_s = self._clock()
        self._row_keys = {
            key: entry for key, entry in self._row_keys.items() if now_s - entry[1] < _ROW_KEY_LIVES_S
        }
        self._row_keys[row] = words, now_s

    async def _attempt(
        self,
        database: int | None,
        keys: Iterable[object],
        read: Callable[[AsyncConnection[Row]], Awaitable[None]],
    ) -> None:
        """Runs one look-up; if it fails or takes too long, `keys` aren't asked for again for a while."""
        name = self._databases.get(database) if database else self._home
        if name is None or not self._unreachable.due([name], self._clock()):
            self._failed.note(keys, self._clock())
            return
        connection: AsyncConnection[Row] | None = None
        try:
            connection = await self._connection(name)
            async with asyncio.timeout(_DEADLINE_S):
                await read(connection)
        except (psycopg.Error, PgwatchError, TimeoutError):
            self._failed.note(keys, self._clock())
            if connection is None:
                self._unreachable.note([name], self._clock(), _CONNECT_AGAIN_S)
            elif connection.broken or connection.pgconn.transaction_status:
                self._forget(name)

    async def _connection(self, name: str) -> AsyncConnection[Row]:
        connection = self._connections.get(name)
        if connection is not None and not connection.closed:
            return connection
        while len(self._connections) >= _MOST_DATABASES:
            self._forget(next(one for one in self._connections if one != self._home))
        connection = await connect_async(
            self._settings.dsn,
            LIMITS,
            connect_timeout_s=min(1.0, self._settings.connect_timeout_s),
            database=name,
        )
        self._connections[name] = connection
        return connection

    def _forget(self, name: str) -> None:
        connection = self._connections.pop(name, None)
        if connection is not None:
            connection.pgconn.finish()

    def close(self) -> None:
        """Closes the connections at once, whatever they are waiting for."""
        for name in list(self._connections):
            self._forget(name)


def _quoted(name: str) -> str:
    return name if _SIMPLE_NAME.fullmatch(name) else '"{}"'.format(name.replace('"', '""'))


def _shortened(value: str) -> str:
    return value if len(value) <= _KEY_CHARACTERS else f"{value[: _KEY_CHARACTERS - 1]}…"
