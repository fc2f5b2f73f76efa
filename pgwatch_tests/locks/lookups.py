"""Asks the catalogs on behalf of a poll that can't wait: briefly, in the right database.

The catalogs, and the tables whose rows are read, may be locked by the very session that is being
diagnosed. So every look-up has a `lock_timeout` of 50 ms, and what couldn't be had rests for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import psycopg
from psycopg import AsyncConnection

from pgwatch_tests.errors import NoAnswerError, PgwatchError
from pgwatch_tests.server.opening import Opening
from pgwatch_tests.server.session_limits import Row, SessionLimits

LIMITS = SessionLimits(statement_timeout_s=0.25, lock_timeout_s=0.05, any_bytes=True)
# The server ends a look-up sooner by itself; this is for a server that has stopped.
DEADLINE_S = 2.0
_ASK_AGAIN_S = 2.0
_CONNECT_IN_S = 1.0
# Who was refused isn't let in the next moment.
_CONNECT_AGAIN_S = 60.0
_MOST_DATABASES = 4

K = TypeVar("K")


@dataclass(slots=True)
class _Failures:
    """What couldn't be looked up, and when it may be asked for again."""

    until: dict[object, float] = field(default_factory=dict)

    def due(self, keys: Iterable[K], now_s: float) -> list[K]:
        return [key for key in keys if self.until.get(key, 0.0) <= now_s]

    def note(self, keys: Iterable[object], now_s: float, pause_s: float = _ASK_AGAIN_S) -> None:
        self.until = {key: until for key, until in self.until.items() if until > now_s}
        self.until |= dict.fromkeys(keys, now_s + pause_s)


class Lookups:
    """Connections to a few databases, opened when they are needed; failures leave gaps, none is raised."""

    def __init__(self, opening: Opening, clock: Callable[[], float], deadline_s: float = DEADLINE_S) -> None:
        self._opening = opening
        self._clock = clock
        self._deadline_s = deadline_s
        self._failed = _Failures()
        self._unreachable = _Failures()
        self._connections: dict[str, AsyncConnection[Row]] = {}
        self._asking: set[asyncio.Task[bool]] = set()
        self._silent: dict[str, asyncio.Task[bool]] = {}
        """By database, the look-up that got no answer in time and is still waited for."""
        self._home = ""
        self.tested: str | None = None
        """The DSN's own database, once it has let us in."""

    def adopt(self, connection: AsyncConnection[Row]) -> None:
        """Takes over an open connection, with this module's LIMITS set, for what is in its database."""
        self.tested = name = connection.info.dbname
        if name in self._silent:
            connection.pgconn.finish()
            return
        self._forget(name)
        self._connections[name] = connection

    def stay_in(self, database: str) -> None:
        """Says where databases and roles are looked up; forgets which databases couldn't be reached."""
        self._home = database
        self._unreachable = _Failures()

    def due(self, keys: Iterable[K]) -> list[K]:
        """Those of `keys` that may be asked for now."""
        return self._failed.due(keys, self._clock())

    def rest(self, keys: Iterable[object]) -> None:
        """Says that `keys` couldn't be had: they aren't due for a while."""
        self._failed.note(keys, self._clock())

    async def attempt(
        self,
        database: str | None,
        keys: Iterable[object],
        read: Callable[[AsyncConnection[Row]], Awaitable[None]],
    ) -> None:
        """Runs one look-up in `database` (None: at home). If it fails or takes too long, `keys` rest.

        PostgreSQL 18 can hang in the abort after its own lock_timeout, deaf to cancel and terminate; closing
        the connection would leave its backend behind, and a new one would hang as well. So a look-up without
        an answer keeps its connection, and its database isn't asked again before that answer.
        """
        name = database or self._home
        if name in self._silent or not self._unreachable.due([name], self._clock()):
            self.rest(keys)
            return
        try:
            connection = await self._connection(name)
        except (psycopg.Error, PgwatchError) as error:
            self.rest(keys)
            # Without an answer, the same attempt goes on: asking again costs nothing.
            pause_s = _ASK_AGAIN_S if isinstance(error, NoAnswerError) else _CONNECT_AGAIN_S
            self._unreachable.note([name], self._clock(), pause_s)
            return
        asking = asyncio.create_task(self._ask(name, connection, read))
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)
        # Not cancelled: psycopg would cancel the statement and wait for the answer to that.
        await asyncio.wait({asking}, timeout=self._deadline_s)
        if not asking.done():
            self._silent[name] = asking
        if not asking.done() or asking.cancelled() or not asking.result():
            self.rest(keys)

    async def _ask(
        self,
        name: str,
        connection: AsyncConnection[Row],
        read: Callable[[AsyncConnection[Row]], Awaitable[None]],
    ) -> bool:
        """Whether it succeeded; whatever comes of it, its database isn't silent any more."""
        try:
            await read(connection)
        except (psycopg.Error, PgwatchError):
            if connection.broken or connection.pgconn.transaction_status:
                connection.pgconn.finish()
            return False
        finally:
            self._silent.pop(name, None)
        return True

    async def _connection(self, name: str) -> AsyncConnection[Row]:
        connection = self._connections.get(name)
        if connection is not None and not connection.closed:
            return connection
        # One that is waiting for an answer is left alone: its backend might stay for good.
        idle = [
            one
            for one, known in self._connections.items()
            if one != self._home and not known.pgconn.transaction_status
        ]
        for one in idle[: max(0, len(idle) + 2 - _MOST_DATABASES)]:
            self._forget(one)
        connection = await self._opening.connect(LIMITS, name, timeout_s=_CONNECT_IN_S)
        self._connections[name] = connection
        return connection

    def _forget(self, name: str) -> None:
        connection = self._connections.pop(name, None)
        if connection is not None:
            connection.pgconn.finish()

    def disconnect(self) -> None:
        """Closes the connections that aren't waiting for an answer: the server may be another one."""
        for name, connection in list(self._connections.items()):
            if not connection.pgconn.transaction_status:
                self._forget(name)

    def close(self) -> None:
        """Closes the connections at once, whatever they are waiting for."""
        # Closed first: with the connection still active, psycopg would wait for the server's farewell.
        for name in list(self._connections):
            self._forget(name)
        for asking in self._asking:
            asking.cancel()
        self._silent.clear()
