"""A live source of snapshots: polls with a deadline, reconnects, settles, and puts names in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import TypeVar

import psycopg
from psycopg import AsyncConnection

from pgwatch_tests.config import Settings
from pgwatch_tests.errors import CannotConnectError, ConnectionLostError, NotCheckedError
from pgwatch_tests.locks import names, target
from pgwatch_tests.locks.model import Edge, LockSnapshot
from pgwatch_tests.locks.names import NameCache
from pgwatch_tests.locks.read import read
from pgwatch_tests.locks.settle import SECOND_LOOK_S, settle
from pgwatch_tests.server.connect import Row, SessionLimits, connect_async, lost_connection
from pgwatch_tests.server.dsn import database_name

POLL_LIMITS = SessionLimits(statement_timeout_s=2.0, lock_timeout_s=0.5, any_bytes=True)
# A server that is stuck inside its lock manager, or stopped, doesn't look at its own timeouts.
POLL_DEADLINE_S = 3.0
_NAMES_IN_TIME_S = 1.0
_MAINTENANCE_DATABASE = "postgres"

_OWN_HEAD_START_S = 0.5

_Connecting = asyncio.Task[AsyncConnection[Row]]
T = TypeVar("T")

LookAgain = Callable[[LockSnapshot, LockSnapshot], float | None]
"""From the first look and the last: in how many seconds to look again, or None if that was enough."""


class LockWatch:
    """Polls one server. Use as an async context manager; `read` may be called again after it raised."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._names = NameCache(settings, clock)
        self._connection: AsyncConnection[Row] | None = None
        self._database = ""
        self._server = ""
        self._previous: LockSnapshot | None = None
        self._resolving: asyncio.Task[None] | None = None

    async def __aenter__(self) -> LockWatch:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def read(self) -> LockSnapshot:
        """One settled poll; names that aren't known yet are looked up behind it and come with the next.

        Raises CannotConnectError, ConnectionLostError, or NotCheckedError if the server answered with an
        error. After any of them the next call connects anew.
        """
        snapshot = await self._poll()
        if self._resolving is None or self._resolving.done():
            self._resolving = asyncio.create_task(self._names.resolve(snapshot))
        # Names that can be had at once are worth a moment; none is worth more.
        await asyncio.wait({self._resolving}, timeout=0.02)
        return self._with_names(snapshot)

    async def read_twice(self, look_again: LookAgain = lambda _first, _last: None) -> LockSnapshot:
        """Two polls 150 ms apart, for those who look only once; waits a little for the names as well.

        After that it polls again as long as `look_again` says. Raises the same as `read`.
        """
        first = snapshot = await self._poll()
        pause_s = SECOND_LOOK_S if first.edges else None
        while pause_s is not None:
            await asyncio.sleep(pause_s)
            snapshot = await self._poll()
            pause_s = look_again(first, snapshot)
        resolving = asyncio.create_task(self._names.resolve(snapshot))
        _, pending = await asyncio.wait({resolving}, timeout=_NAMES_IN_TIME_S)
        for task in pending:
            self._names.close()
            task.cancel()
        return self._with_names(snapshot)

    def close(self) -> None:
        """Closes everything at once, whatever the server is doing."""
        self._names.close()
        if self._resolving is not None:
            self._resolving.cancel()
        self._disconnect()

    async def _poll(self) -> LockSnapshot:
        connection = self._connection or await self._connect()
        snapshot = await self._within_deadline(read(connection, self._database, self._server))
        self._previous = settle(self._previous, snapshot)
        return self._previous

    async def _connect(self) -> AsyncConnection[Row]:
        own = asyncio.create_task(self._open(names.LIMITS))
        maintenance = asyncio.create_task(self._open(POLL_LIMITS, _MAINTENANCE_DATABASE))
        try:
            # From there the poll is out of reach of whoever locks the catalogs of the tested database.
            self._connection = polling = await self._first_to_poll_with(own, maintenance)
        finally:
            for task in (own, maintenance):
                task.add_done_callback(self._close_unless_used)
                task.cancel()
        return polling

    async def _open(self, limits: SessionLimits, database: str | None = None) -> AsyncConnection[Row]:
        return await connect_async(
            self._settings.dsn,
            limits,
            connect_timeout_s=self._settings.connect_timeout_s,
            database=database,
        )

    async def _first_to_poll_with(self, own: _Connecting, maintenance: _Connecting) -> AsyncConnection[Row]:
        """The connection to poll with. Raises CannotConnectError if the tested database refuses us."""
        await asyncio.wait({own}, timeout=_OWN_HEAD_START_S)
        if own.done():
            connection = own.result()
            self._labels(connection, connection.info.dbname)
            self._names.adopt(connection)
            try:
                return await maintenance
            except CannotConnectError:
                return await self._open(POLL_LIMITS)
        # A locked catalog keeps everybody out of that one database.
        await asyncio.wait({own, maintenance}, return_when=asyncio.FIRST_COMPLETED)
        if maintenance.done() and maintenance.exception() is None:
            connection = maintenance.result()
            self._names.stay_in(_MAINTENANCE_DATABASE)
            self._labels(connection, database_name(self._settings.dsn) or connection.info.user)
            return connection
        await own
        return await self._first_to_poll_with(own, maintenance)

    def _labels(self, connection: AsyncConnection[Row], database: str) -> None:
        self._database = database
        self._server = f"{connection.info.host}:{connection.info.port}"

    def _close_unless_used(self, task: _Connecting) -> None:
        if not task.cancelled() and task.exception() is None:
            connection = task.result()
            if connection is not self._connection and not self._names.uses(connection):
                connection.pgconn.finish()

    async def _within_deadline(self, poll: Coroutine[None, None, T]) -> T:
        task = asyncio.create_task(poll)
        try:
            done, _ = await asyncio.wait({task}, timeout=POLL_DEADLINE_S)
        except asyncio.CancelledError:
            self._abandon(task)
            raise
        if not done:
            self._abandon(task)
            raise ConnectionLostError(f"the server hasn't answered for {POLL_DEADLINE_S:g} s")
        try:
            with lost_connection(self._settings.dsn):
                return task.result()
        except psycopg.Error as error:
            self._disconnect()
            raise NotCheckedError(
                f"the lock table couldn't be read: {' '.join(str(error).split())}"
            ) from error
        except ConnectionLostError:
            self._disconnect()
            raise

    def _abandon(self, task: asyncio.Task[T]) -> None:
        # Closed first: with the connection still active, psycopg would wait for the server's farewell.
        self._disconnect()
        task.cancel()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.pgconn.finish()
            self._connection = None
        self._names.close()
        self._previous = None

    def _with_names(self, snapshot: LockSnapshot) -> LockSnapshot:
        known = self._names

        def edge_with_target(edge: Edge) -> Edge:
            if edge.subject is None:
                return edge
            words = target.in_words(edge.subject, known)
            return replace(
                edge,
                lock=replace(edge.lock, target=words, object=target.object_in_words(edge.subject, known)),
            )

        return replace(
            snapshot,
            sessions=tuple(
                replace(
                    session, database=known.database(session.database_oid), user=known.role(session.user_oid)
                )
                for session in snapshot.sessions
            ),
            prepared=tuple(
                replace(one, database=known.database(one.database_oid), user=known.role(one.user_oid))
                for one in snapshot.prepared
            ),
            edges=tuple(edge_with_target(edge) for edge in snapshot.edges),
        )
