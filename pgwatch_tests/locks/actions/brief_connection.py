"""A brief connection for one action: answers are awaited for a few seconds, and it closes at once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Self, TypeVar

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from pgwatch_tests.errors import ConnectionLostError, NotCheckedError
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.graph.settled_waits import SECOND_LOOK_S, settle
from pgwatch_tests.locks.snapshot.snapshot_query import read
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.attempts import ConnectionAttempts
from pgwatch_tests.postgres.connections.connect import connect_async, lost_connection
from pgwatch_tests.postgres.connections.connection import AsyncOwnConnection
from pgwatch_tests.postgres.connections.disconnection import within
from pgwatch_tests.postgres.connections.maintenance_database import connect_outside_async
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.postgres.server_messages import server_clause
from pgwatch_tests.settings.load import Settings

LIMITS = SessionLimits(statement_timeout_s=2.0, lock_timeout_s=0.5, read_only=False, any_bytes=True)
ANSWER_DEADLINE_S = 3.0

T = TypeVar("T")
_Fields = Mapping[str, object]


class BriefConnection:
    """A connection of which each answer is waited for a few seconds at most."""

    def __init__(self, settings: Settings, connection: AsyncOwnConnection) -> None:
        self._settings = settings
        self._connection = connection
        self.told = "nothing was done"
        """The sentence on the action if the server stops answering."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.close()
        if isinstance(error, psycopg.Error):
            raise NotCheckedError(f"{server_clause(error)}; {self.told}") from error

    @property
    def server_version(self) -> int:
        """The server's version, as in server_version_num."""
        return self._connection.info.server_version

    async def rows(self, query: str, parameters: _Fields | None = None) -> list[dict[str, object]]:
        """Returns all rows of a statement. Raises ConnectionLostError, or psycopg's other errors."""
        return await self._within_deadline(self._fetch(queries.load(query), parameters))

    async def run(self, statement: sql.Composed) -> None:
        """Runs a statement that returns no rows and can't be in a transaction. Raises the same as `rows`."""
        await self._within_deadline(self._connection.execute_alone(statement))

    async def look(self) -> LockGraph:
        """Reads the locks twice. Raises the same as `rows`."""
        first = settle(None, await self._within_deadline(read(self._connection, "", "")))
        await asyncio.sleep(SECOND_LOOK_S)
        second = settle(first, await self._within_deadline(read(self._connection, "", "")))
        return LockGraph(second)

    def close(self) -> None:
        """Closes it at once, whatever the server is doing."""
        self._connection.pgconn.finish()

    async def _fetch(self, statement: str, parameters: _Fields | None) -> list[dict[str, object]]:
        async with self._connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(statement.encode(), parameters)
            return await cursor.fetchall()

    async def _within_deadline(self, work: Coroutine[None, None, T]) -> T:
        try:
            with lost_connection(self._settings.dsn):
                return await within(ANSWER_DEADLINE_S, work, self.close)
        except ConnectionLostError as error:
            raise ConnectionLostError(f"{error}; {self.told}") from None


async def connect_to(settings: Settings, database: str) -> BriefConnection:
    """Connects to that database, which converts its texts to UTF-8 and back. Raises CannotConnectError."""
    limits = replace(LIMITS, any_bytes=False)
    connection = await connect_async(
        settings.dsn, limits, connect_timeout_s=settings.connect_timeout_s, database=database
    )
    return BriefConnection(settings, connection)


async def connect_anywhere(settings: Settings) -> BriefConnection:
    """Connects to the maintenance database, or to the DSN's own where that is refused or slow.

    Raises CannotConnectError with what is in the way of the DSN's own database.
    """
    with closing(ConnectionAttempts(settings)) as attempts:
        return BriefConnection(settings, await connect_outside_async(attempts, LIMITS))
