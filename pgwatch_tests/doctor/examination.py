"""The examination of a server as the role of the connection string. It asks and never changes anything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Literal, TypeVar, cast

import psycopg
from psycopg import AsyncConnection, errors
from psycopg.rows import class_row

from pgwatch_tests.doctor import features
from pgwatch_tests.doctor.model import (
    Advice,
    Clock,
    ConnectionLimit,
    Endpoint,
    Examination,
    Maintenance,
    PreparedTransactions,
    Role,
    Sessions,
    TableAccess,
    Unread,
    Usage,
)
from pgwatch_tests.doctor.settings_advice import Setting, advise
from pgwatch_tests.errors import CannotConnectError, ConnectionLostError
from pgwatch_tests.locks.snapshot.connection_usage import ConnectionGroup
from pgwatch_tests.locks.snapshot.snapshot_query import read
from pgwatch_tests.postgres import queries, version
from pgwatch_tests.postgres.connections.connect import connect_async
from pgwatch_tests.postgres.connections.connection import is_pooled
from pgwatch_tests.postgres.connections.disconnection import within
from pgwatch_tests.postgres.connections.dsn import database_name, redact
from pgwatch_tests.postgres.connections.maintenance_database import (
    MAINTENANCE_DATABASE,
    connect_inside_async,
)
from pgwatch_tests.postgres.connections.session_settings import Row, SessionLimits
from pgwatch_tests.postgres.server_messages import server_message
from pgwatch_tests.settings.load import Settings

LIMITS = SessionLimits(statement_timeout_s=5.0, lock_timeout_s=0.5, any_bytes=True)
# A server that has stopped doesn't look at its own timeouts.
_DEADLINE_S = 6.0
_CLOCK_ROUNDS = 5

T = TypeVar("T")


def examine(settings: Settings, now: Callable[[], float] = time.time) -> Examination:
    """Returns what works there; `now` is this machine's clock, in seconds since 1970.

    Raises CannotConnectError, ConfigurationError if the server is too old, or ConnectionLostError. What
    can't be read apart from that is in the result, as Unread or as an `unknown` feature.
    """
    return asyncio.run(_examine(settings, now))


async def _examine(settings: Settings, now: Callable[[], float]) -> Examination:
    connection, reason = await connect_inside_async(
        settings, LIMITS, lambda own: _Examiner(settings, own, None).locked_catalogs()
    )
    try:
        examiner = _Examiner(settings, connection, None if reason is None else Unread(reason))
        return await examiner.examination(now)
    finally:
        connection.pgconn.finish()


class _Examiner:
    def __init__(
        self, settings: Settings, connection: AsyncConnection[Row], unreached: Unread | None
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._unreached = unreached
        """The reason why `connection` is to the maintenance database; None if it is to the database
        itself."""

    async def examination(self, now: Callable[[], float]) -> Examination:
        server_version = self._connection.info.server_version
        role = await self._ask(self._one("doctor/role", Role))
        server = await self._ask(self._server())
        standby = server if isinstance(server, Unread) else server[0]
        sessions = await self._ask(self._sessions())
        tables: list[TableAccess] | Unread
        advice: tuple[Advice, ...] | Unread
        if self._unreached is not None:
            # Tables are the database's own, and it may have settings of its own.
            tables = advice = self._unreached
        else:
            tables = await self._ask(self._all("doctor/tables", TableAccess))
            advice = await self._ask(self._advice())
        prepared = await self._ask(self._one("doctor/prepared", PreparedTransactions))
        maintenance = await self._maintenance()
        return Examination(
            checked_at=datetime.now(UTC),
            place=self._place(role, gss=not isinstance(server, Unread) and server[1]),
            server_version=version.in_words(server_version),
            support=version.support(server_version),
            role=role,
            standby=standby,
            features=(
                features.lock_tree(sessions),
                features.session_details(role, sessions, server_version),
                features.act_on_sessions(role, server_version),
                features.prepared_transactions(role, prepared, standby),
                features.count_leaks(role, tables),
                features.maintenance_database(role, maintenance),
                features.row_keys(role, tables),
            ),
            advice=advice,
            clock=await self._ask(self._clock(now)),
            usage=await self._usage(sessions),
            pooled=is_pooled(self._connection),
            unreached=self._unreached.reason if self._unreached else None,
        )

    async def locked_catalogs(self) -> str | None:
        """Returns why the database's catalogs can't be read; None if they can. Raises ConnectionLostError."""
        found = await self._ask(self._connection.execute(queries.load("doctor/catalogs")))
        if isinstance(found, Unread) and found.timed_out:
            return f"its catalogs couldn't be read: {found.reason}"
        return None

    async def _ask(self, question: Coroutine[None, None, T]) -> T | Unread:
        try:
            return await within(_DEADLINE_S, question, self._connection.pgconn.finish)
        except psycopg.Error as error:
            reason = redact(server_message(error), self._settings.dsn)
            if self._connection.closed:
                raise ConnectionLostError(f"the connection was lost: {reason}") from None
            return Unread(
                reason,
                denied=isinstance(error, errors.InsufficientPrivilege),
                timed_out=isinstance(error, errors.LockNotAvailable | errors.QueryCanceled),
            )

    async def _all(self, query: str, row: type[T]) -> list[T]:
        async with self._connection.cursor(row_factory=class_row(row)) as cursor:
            await cursor.execute(queries.load(query))
            return await cursor.fetchall()

    async def _one(self, query: str, row: type[T]) -> T:
        [found] = await self._all(query, row)
        return found

    async def _server(self) -> tuple[bool, bool]:
        """Reads whether the server is a standby, and sees our connection encrypted by GSSAPI."""
        cursor = await self._connection.execute(queries.load("doctor/server"))
        return cast(tuple[bool, bool], await cursor.fetchone())

    async def _sessions(self) -> Sessions:
        info = self._connection.info
        snapshot = await read(self._connection, info.dbname, info.host)
        return Sessions(len(snapshot.clients), snapshot.hidden_sessions, snapshot.capacity)

    async def _usage(self, sessions: Sessions | Unread) -> Usage | Unread:
        if isinstance(sessions, Unread):
            return sessions
        groups = await self._ask(self._all("doctor/connections", ConnectionGroup))
        limits = await self._ask(self._all("doctor/connection_limits", ConnectionLimit))
        if isinstance(groups, Unread):
            return groups
        if isinstance(limits, Unread):
            return limits
        assert sessions.capacity is not None, "each poll tells it"
        return Usage(sessions.capacity, tuple(groups), tuple(limits))

    async def _maintenance(self) -> Maintenance | Unread:
        found = await self._ask(self._maintenance_row())
        if isinstance(found, Unread):
            return found
        open_, permitted = found or (False, False)
        error: str | None = None
        if self._unreached is None:
            try:
                connection = await connect_async(
                    self._settings.dsn,
                    LIMITS,
                    connect_timeout_s=self._settings.connect_timeout_s,
                    database=MAINTENANCE_DATABASE,
                )
                connection.pgconn.finish()
            except CannotConnectError as refusal:
                error = str(refusal)
        return Maintenance(found is not None, open_ and permitted, error)

    async def _maintenance_row(self) -> tuple[bool, bool] | None:
        cursor = await self._connection.execute(queries.load("doctor/maintenance"))
        return cast(tuple[bool, bool] | None, await cursor.fetchone())

    async def _advice(self) -> tuple[Advice, ...]:
        return advise(await self._all("doctor/settings", Setting), self._connection.info.dbname)

    async def _clock(self, now: Callable[[], float]) -> Clock:
        """Returns the best of a few rounds: the shorter the round trip, the more exact."""
        rounds = [await self._clock_round(now) for _ in range(_CLOCK_ROUNDS)]
        return min(rounds, key=lambda one: one.uncertainty_s)

    async def _clock_round(self, now: Callable[[], float]) -> Clock:
        before = now()
        cursor = await self._connection.execute(queries.load("doctor/clock"))
        row = await cursor.fetchone()
        after = now()
        assert row is not None
        return Clock(cast(float, row[0]) - (before + after) / 2, abs(after - before) / 2)

    def _place(self, role: Role | Unread, gss: bool) -> Endpoint:
        info = self._connection.info
        encryption: Literal["TLS", "GSSAPI", "none"] = "none"
        if self._connection.pgconn.ssl_in_use:
            encryption = "TLS"
        elif gss:
            encryption = "GSSAPI"
        return Endpoint(
            host=info.host,
            port=info.port,
            database=database_name(self._settings.dsn) or info.user if self._unreached else info.dbname,
            user=info.user if isinstance(role, Unread) else role.role,
            encryption=encryption,
            # An abstract socket's name begins with @ (libpq, host).
            local=info.host.startswith(("/", "@")),
        )
