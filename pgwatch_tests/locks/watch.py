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
from pgwatch_tests.errors import CannotConnectError, ConnectionLostError, NoAnswerError, NotCheckedError
from pgwatch_tests.locks import lookups, target
from pgwatch_tests.locks.deadlock_counts import DeadlockReader
from pgwatch_tests.locks.held import held_locks
from pgwatch_tests.locks.model import EdgeGroup, HeldLock, LockSnapshot, Party, Session
from pgwatch_tests.locks.names import NameCache
from pgwatch_tests.locks.read import read
from pgwatch_tests.locks.settle import SECOND_LOOK_S, settle
from pgwatch_tests.server.connect import lost_connection, no_answer
from pgwatch_tests.server.deadline import within
from pgwatch_tests.server.dsn import database_name
from pgwatch_tests.server.opening import Opening
from pgwatch_tests.server.session_limits import Row, SessionLimits

POLL_LIMITS = SessionLimits(statement_timeout_s=2.0, lock_timeout_s=0.5, any_bytes=True)
POLL_DEADLINE_S = 3.0
_NAMES_AT_ONCE_S = 0.1
_NAMES_IN_TIME_S = 1.0
_MAINTENANCE_DATABASE = "postgres"

_OWN_HEAD_START_S = 0.5

T = TypeVar("T")

LookAgain = Callable[[LockSnapshot, LockSnapshot], float | None]
"""From the first look and the last: in how many seconds to look again, or None if that was enough."""


class LockWatch:
    """Polls one server. Use as an async context manager; `read` may be called again after it raised."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self.opening = Opening(settings)
        """Where connections come from: whoever else connects to the same server shares its attempts."""
        self._names = NameCache(self.opening, clock)
        self._deadlocks = DeadlockReader(self._names, clock)
        self._connection: AsyncConnection[Row] | None = None
        self._database = ""
        self._server = ""
        self._previous: LockSnapshot | None = None
        self._looking_up: set[asyncio.Task[None]] = set()

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
        if not self._looking_up:
            self._begin(self._look_up(snapshot))
        # Names that can be had at once are worth a moment; none is worth more.
        await asyncio.wait(set(self._looking_up), timeout=_NAMES_AT_ONCE_S)
        return self._with_names(snapshot)

    async def read_with_counts(self) -> LockSnapshot:
        """The same, with the server's deadlocks counted at this moment: for a watch's two ends."""
        snapshot = await self._poll()
        await self._in_time(self._look_up(snapshot, count_now=True))
        return self._with_names(snapshot)

    async def read_twice(self, look_again: LookAgain = lambda _first, _last: None) -> LockSnapshot:
        """Two polls 150 ms apart, for those who look only once; waits a little for the names as well.

        After that it polls again as long as `look_again` says. Raises the same as `read`.
        """
        first = snapshot = await self._poll()
        pause_s = SECOND_LOOK_S if first.groups else None
        while pause_s is not None:
            await asyncio.sleep(pause_s)
            snapshot = await self._poll()
            pause_s = look_again(first, snapshot)
        await self._in_time(self._names.resolve(snapshot))
        return self._with_names(snapshot)

    async def held(self, party: Party) -> tuple[HeldLock, ...] | None:
        """All locks of a session or prepared transaction; None if they couldn't be read in time."""
        return await held_locks(self._names, party)

    async def _look_up(self, snapshot: LockSnapshot, *, count_now: bool = False) -> None:
        await self._names.resolve(snapshot)
        await self._deadlocks.read(snapshot, now=count_now)

    async def _in_time(self, looking_up: Coroutine[None, None, None]) -> None:
        """Waits for it, but not for long; it goes on behind the next polls, if there are any."""
        await asyncio.wait({self._begin(looking_up)}, timeout=_NAMES_IN_TIME_S)

    def _begin(self, looking_up: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(looking_up)
        self._looking_up.add(task)
        task.add_done_callback(self._looking_up.discard)
        return task

    def close(self) -> None:
        """Closes everything at once, whatever the server is doing."""
        self.opening.close()
        self._names.lookups.close()
        for task in self._looking_up:
            task.cancel()
        self._disconnect()

    async def _poll(self) -> LockSnapshot:
        connection = self._connection or await self._connect()
        snapshot = await self._within_deadline(read(connection, self._database, self._server, self._names))
        self._previous = settle(self._previous, snapshot)
        return self._previous

    async def _connect(self) -> AsyncConnection[Row]:
        """A connection to poll with, within connect_timeout for all attempts together.

        Preferably to the maintenance database: there the poll is out of reach of whoever locks the catalogs
        of the tested one. That attempt begins when the tested database has let us in, or hasn't for half a
        second: then two of ours may wait, if the maintenance database lets nobody in either.
        Raises CannotConnectError if the tested database refuses us.
        """
        patience_s = self._settings.connect_timeout_s
        until_s = time.monotonic() + patience_s

        def left_s() -> float:
            return max(0.0, until_s - time.monotonic())

        own = self.opening.attempt(lookups.LIMITS)
        await asyncio.wait({own}, timeout=min(_OWN_HEAD_START_S, patience_s))
        named = database_name(self._settings.dsn)
        if not own.done() and named != _MAINTENANCE_DATABASE:
            maintenance = self.opening.attempt(POLL_LIMITS, _MAINTENANCE_DATABASE)
            await asyncio.wait({own, maintenance}, timeout=left_s(), return_when=asyncio.FIRST_COMPLETED)
            if not own.done() and maintenance.done() and maintenance.exception() is None:
                # A locked catalog keeps everybody out of that one database.
                self._connection = self.opening.take(POLL_LIMITS, _MAINTENANCE_DATABASE)
                self._names.lookups.stay_in(_MAINTENANCE_DATABASE)
                self._labels(self._connection, named)
                return self._connection
        try:
            connection = await self.opening.connect(lookups.LIMITS, timeout_s=left_s())
            self._labels(connection, connection.info.dbname)
            self._names.lookups.adopt(connection)
            try:
                self._connection = await self.opening.connect(
                    POLL_LIMITS, _MAINTENANCE_DATABASE, timeout_s=left_s() / 2
                )
            except CannotConnectError:
                self._connection = await self.opening.connect(POLL_LIMITS, timeout_s=left_s())
        except NoAnswerError:
            raise no_answer(self._settings.dsn, patience_s) from None
        # Where the poll is, the names that all databases share are safest as well.
        self._names.lookups.stay_in(self._connection.info.dbname)
        return self._connection

    def _labels(self, connection: AsyncConnection[Row], database: str | None) -> None:
        self._database = database or connection.info.user
        self._server = f"{connection.info.host}:{connection.info.port}"

    async def _within_deadline(self, poll: Coroutine[None, None, T]) -> T:
        try:
            with lost_connection(self._settings.dsn):
                return await within(POLL_DEADLINE_S, poll, self._disconnect)
        except psycopg.Error as error:
            self._disconnect()
            raise NotCheckedError(
                f"the lock table couldn't be read: {' '.join(str(error).split())}"
            ) from error
        except ConnectionLostError:
            self._disconnect()
            raise

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.pgconn.finish()
            self._connection = None
        self._names.lookups.disconnect()
        self._deadlocks.forget()
        self._previous = None

    def _with_names(self, snapshot: LockSnapshot) -> LockSnapshot:
        known = self._names

        def with_target(group: EdgeGroup) -> EdgeGroup:
            if group.subject is None:
                return group
            return replace(
                group,
                lock=replace(
                    group.lock,
                    target=target.in_words(group.subject, known),
                    object=target.object_in_words(group.subject, known),
                    foreign_key_of=target.foreign_key_of(group.subject, known),
                    also_held_by=known.also_held_by(group, snapshot),
                ),
            )

        def with_owner(session: Session) -> Session:
            database, user = known.database(session.database_oid), known.role(session.user_oid)
            if (database, user) == (session.database, session.user):
                return session  # as all but the new ones are: a copy of each costs more than reading it
            return replace(session, database=database, user=user)

        return replace(
            snapshot,
            sessions=tuple(with_owner(session) for session in snapshot.sessions),
            prepared=tuple(
                replace(one, database=known.database(one.database_oid), user=known.role(one.user_oid))
                for one in snapshot.prepared
            ),
            groups=tuple(with_target(group) for group in snapshot.groups),
            deadlock_counts=self._deadlocks.latest,
        )
