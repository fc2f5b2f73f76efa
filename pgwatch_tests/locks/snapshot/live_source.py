"""A live source of snapshots: polls with a deadline, reconnects, settles, and puts names in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import psycopg
from psycopg import AsyncConnection

from pgwatch_tests.errors import (
    CannotConnectError,
    ConnectionLostError,
    NoAnswerError,
    NotCheckedError,
    PgwatchError,
    RefusedError,
)
from pgwatch_tests.identity.known_tests import KnownTests, read_test_list
from pgwatch_tests.locks.graph.settled_waits import SECOND_LOOK_S, settle
from pgwatch_tests.locks.model import HeldLock, LockSnapshot, Party
from pgwatch_tests.locks.naming import catalog_lookups
from pgwatch_tests.locks.naming.object_names import NameCache
from pgwatch_tests.locks.snapshot.deadlock_counts import DeadlockReader
from pgwatch_tests.locks.snapshot.glance import Glance, read_glance
from pgwatch_tests.locks.snapshot.snapshot_query import read
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.attempts import ConnectionAttempts
from pgwatch_tests.postgres.connections.connect import lost_connection
from pgwatch_tests.postgres.connections.connection import AsyncOwnConnection
from pgwatch_tests.postgres.connections.disconnection import close_and_wait, within
from pgwatch_tests.postgres.connections.dsn import database_name
from pgwatch_tests.postgres.connections.maintenance_database import (
    MAINTENANCE_DATABASE,
    connect_outside_async,
)
from pgwatch_tests.postgres.connections.session_settings import Row, SessionLimits
from pgwatch_tests.postgres.sessions.scarcity import refuse_scarce_async
from pgwatch_tests.settings.load import Settings

if TYPE_CHECKING:
    from pgwatch_tests.locks.actions.signal_rights import SignalRights

POLL_LIMITS = SessionLimits(statement_timeout_s=2.0, lock_timeout_s=0.5, any_bytes=True)
POLL_DEADLINE_S = 3.0
_NAMES_AT_ONCE_S = 0.1  # for a screen that is drawn again: no name is worth more
_NAMES_IN_TIME_S = 1.0
_NAMES_FOR_GOOD_S = 3.0
"""How long whoever looks only once waits for names: they are the answer, and a busy machine is late."""
# PostgreSQL waits 5 s for others to leave a database that a session wants for itself.
_LOOK_EVERY_S = 1.0
_STAY_AWAY_S = 1.0

T = TypeVar("T")

LookAgain = Callable[[LockSnapshot, LockSnapshot], float | None]
"""From the first look and the last: in how many seconds to look again, or None if that was enough."""


class LiveSource:
    """Polls one server. Use as an async context manager; `read` may be called again after it raised.

    Raises ConfigurationError if the list of tests in the settings can't be read.
    """

    _too_few: RefusedError | None = None
    """Why it stays away for good."""

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
        *,
        spares_scarce_sessions: bool = False,
    ) -> None:
        """`spares_scarce_sessions`: it stays away where its role may have only a few sessions at once."""
        self._settings = settings
        self._spares_scarce_sessions = spares_scarce_sessions
        self.attempts = ConnectionAttempts(settings)
        """The source of connections; others that connect to the same server share its attempts."""
        tests = None if settings.tests is None else KnownTests(read_test_list(settings.tests))
        self._names = NameCache(self.attempts, clock, tests)
        self._deadlocks = DeadlockReader(self._names, clock)
        self._connection: AsyncConnection[Row] | None = None
        self._database = ""
        self._server = ""
        self._previous: LockSnapshot | None = None
        self._looking_up: set[asyncio.Task[None]] = set()
        self._owes_names = False
        """Whether names of the last snapshot were late."""
        self._admitted = False
        """Whether the tested database is known to be there, and to let our role in."""
        self._polling = asyncio.Lock()
        self._polled_s = 0.0
        self._guarding: asyncio.Task[None] | None = None
        self._left = ""
        """Why the connection was given up, if somebody wanted the database."""
        self._back_s = float("-inf")

    async def __aenter__(self) -> LiveSource:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def read(self, names_within_s: float = _NAMES_AT_ONCE_S) -> LockSnapshot:
        """Returns one settled poll; names that aren't there in time come with the next.

        Raises CannotConnectError, ConnectionLostError, or NotCheckedError if the server answered with an
        error. After any of them the next call connects anew.
        """
        snapshot = await self._poll()
        if not self._looking_up:
            self._begin(self._look_up(snapshot))
        await asyncio.wait(set(self._looking_up), timeout=names_within_s)
        self._owes_names = bool(self._looking_up)
        await self._refuse_a_closed_database()
        return self._with_names(snapshot)

    async def is_quiet(self) -> bool:
        """Whether nobody waits for a lock, in a tenth of the time of `read`; False if that isn't known.

        What the lock table doesn't show, as a wait for others to leave a database, is left to `read`. Raises
        ConnectionLostError or NotCheckedError.
        """
        async with self._polling:
            connection = self._connection
            if connection is None or self.is_wanted:
                return False
            return not await self._within_deadline(connection, _anything_waits(connection))

    async def glance(self, *, sessions: bool) -> Glance | None:
        """Whether the waits, and the `sessions`, are still those of another glance, in a tenth of the time of
        `read`.

        None if that isn't known, and as long as names were late, which only `read` puts in. Raises
        ConnectionLostError or NotCheckedError.
        """
        async with self._polling:
            connection = self._connection
            if connection is None or self.is_wanted or self._owes_names:
                return None
            return await self._within_deadline(connection, read_glance(connection, sessions=sessions))

    async def read_with_counts(self) -> LockSnapshot:
        """Returns what `read` does, with the server's deadlocks counted now: for a watch's two ends."""
        snapshot = await self._poll()
        await self._in_time(self._look_up(snapshot, count_now=True))
        await self._refuse_a_closed_database()
        return self._with_names(snapshot)

    async def read_twice(
        self, look_again: LookAgain = lambda _first, _last: None, *, names_within_s: float = _NAMES_FOR_GOOD_S
    ) -> LockSnapshot:
        """Two polls 150 ms apart, for those who look only once; waits `names_within_s` for names as well.

        After that it polls again as long as `look_again` says. Raises the same as `read`.
        """
        first = snapshot = await self._poll()
        pause_s = SECOND_LOOK_S if first.groups else None
        while pause_s is not None:
            await asyncio.sleep(pause_s)
            snapshot = await self._poll()
            pause_s = look_again(first, snapshot)
        until_s = time.monotonic() + names_within_s
        lookups = self._names.lookups
        await self._resolve(snapshot, until_s)
        await self._refuse_a_closed_database()
        if lookups.was_refused:
            # If only one slot is free, the poll needn't keep it any more.
            await self.close_and_wait()
            lookups.try_again()
            await self._resolve(snapshot, until_s)
        is_late = True
        # What failed may be there at the next look, what was late at one of the next.
        while is_late and time.monotonic() < until_s and lookups.ask_again():
            await self._resolve(snapshot, until_s)
            is_late = lookups.was_late
        return self._with_names(snapshot)

    async def close_and_wait(self) -> None:
        """Closes all connections, and waits a moment until the server has given their places up.

        The next call connects anew.
        """
        connection, self._connection = self._connection, None
        try:
            await self._names.lookups.close_and_wait()
        finally:
            if connection is not None:
                await close_and_wait(connection)

    @asynccontextmanager
    async def standing_aside(self) -> AsyncIterator[None]:
        """Closes the connections and stops polls meanwhile: another connection needs the slot."""
        async with self._polling:
            await self.close_and_wait()
            yield

    @property
    def is_wanted(self) -> bool:
        """Whether somebody drops, alters or copies the tested database, as far as the last poll has seen."""
        wanted = () if self._previous is None else self._previous.wanted_databases
        return any(self._names.database(oid) == self._database for oid in wanted)

    async def held_locks(self, party: Party) -> tuple[HeldLock, ...] | None:
        """Returns all locks of a session or prepared transaction; None if they couldn't be read in time."""
        # Only here: the first poll doesn't wait for it.
        from pgwatch_tests.locks.snapshot.side_questions import read_held_locks

        sessions = self._previous.sessions if self._previous else ()
        return await read_held_locks(self._names, party, [session.query for session in sessions])

    async def signal_rights(self) -> SignalRights | None:
        """Returns whose sessions our role may signal; None if that couldn't be read in time."""
        from pgwatch_tests.locks.snapshot.side_questions import read_signal_rights

        return await read_signal_rights(self._names)

    async def _look_up(self, snapshot: LockSnapshot, *, count_now: bool = False) -> None:
        await self._names.resolve(snapshot)
        await self._deadlocks.read(snapshot, now=count_now)

    async def _resolve(self, snapshot: LockSnapshot, until_s: float) -> None:
        await self._in_time(self._names.resolve(snapshot), max(0.0, until_s - time.monotonic()))

    async def _in_time(self, work: Coroutine[None, None, None], within_s: float = _NAMES_IN_TIME_S) -> None:
        """Waits for it, but not for long; it goes on behind the next polls, if there are any."""
        await asyncio.wait({self._begin(work)}, timeout=within_s)

    def _begin(self, looking_up: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(looking_up)
        self._looking_up.add(task)
        task.add_done_callback(self._looking_up.discard)
        return task

    def close(self) -> None:
        """Closes everything at once, whatever the server is doing."""
        self.attempts.close()
        self._names.lookups.close()
        for task in self._looking_up:
            task.cancel()
        if self._guarding is not None:
            self._guarding.cancel()
        self._disconnect()

    async def _poll(self) -> LockSnapshot:
        async with self._polling:
            connection = self._connection or await self._connect()
            work = read(connection, self._database, self._server, self._names)
            snapshot = await self._within_deadline(connection, work)
        self._polled_s = time.monotonic()
        if self._previous is not None and self._previous.server_started != snapshot.server_started:
            self._previous = None
        self._previous = settle(self._previous, snapshot)
        if snapshot.own_database in snapshot.wanted_databases:
            self._give_way()
        return self._previous

    async def _connect(self) -> AsyncConnection[Row]:
        """A connection to poll with, preferably to the maintenance database.

        There the poll is in nobody's way, and out of reach of whoever locks the catalogs of the tested one.
        Raises CannotConnectError, and RefusedError where it stays away.
        """
        if self._too_few is not None:
            raise self._too_few
        if time.monotonic() < self._back_s:
            raise CannotConnectError(self._left)
        try:
            self._connection = connection = await connect_outside_async(self.attempts, POLL_LIMITS)
        except NoAnswerError:
            if self._left:
                raise CannotConnectError(self._left) from None
            raise
        self._left = ""
        self._polled_s = time.monotonic()
        if self._spares_scarce_sessions:
            try:
                await self._within_deadline(connection, refuse_scarce_async(connection))
            except RefusedError as error:
                self._too_few = error
                self._hang_up()
                raise
        self.attempts.stay_with(connection)
        self._names.lookups.stay_with(connection)
        self._server = f"{connection.info.host}:{connection.info.port}"
        self._database = await self._tested_database(connection)
        if connection.info.dbname != MAINTENANCE_DATABASE:
            self._admitted = True
            self._guarding = asyncio.create_task(self._guard(connection))
        return connection

    async def _tested_database(self, connection: AsyncOwnConnection) -> str:
        """Returns the server's name for the DSN's own database.

        A service file may name it, or the role's name, and a pooler may call it otherwise.
        """
        named = database_name(self._settings.dsn)
        if named and not connection.pooled:
            return named
        try:
            name = await self.attempts.probe(catalog_lookups.LIMITS)
        except NoAnswerError:
            if not named:
                raise
            return named
        self._admitted = True
        return name

    async def _refuse_a_closed_database(self) -> None:
        """Raises CannotConnectError if the tested database never let us in: a name that isn't one, say."""
        if self._admitted or self._connection is None:
            return
        closed = self._names.is_closed(self._database)
        if closed:
            try:
                # For the server's own words.
                await self.attempts.probe(catalog_lookups.LIMITS)
            except NoAnswerError:
                pass
            except CannotConnectError:
                self._disconnect()
                raise
        self._admitted = closed is not None

    # Giving way.

    async def _guard(self, connection: AsyncConnection[Row]) -> None:
        """Looks, while nobody polls, whether somebody wants the database that we are in."""
        while self._connection is connection:
            await asyncio.sleep(max(0.0, self._polled_s + _LOOK_EVERY_S - time.monotonic()))
            if self._connection is not connection or time.monotonic() < self._polled_s + _LOOK_EVERY_S:
                continue
            with suppress(PgwatchError):  # the next poll says so
                wanted = await self._within_deadline(connection, _is_wanted(connection))
                self._polled_s = time.monotonic()
                if wanted and self._connection is connection:
                    self._give_way()

    def _give_way(self) -> None:
        """Leaves the database to whoever drops, renames, moves or copies it: he waits 5 s for that."""
        assert self._connection is not None
        name = self._connection.info.dbname
        self._left = f"left {name}, which is being dropped, altered or copied; trying again"
        self._back_s = time.monotonic() + _STAY_AWAY_S
        self._hang_up()

    async def _within_deadline(self, connection: AsyncConnection[Row], poll: Coroutine[None, None, T]) -> T:
        def disconnect() -> None:
            # It may have been left meanwhile, for another one.
            connection.pgconn.finish()
            if self._connection in (connection, None):
                self._disconnect()

        try:
            with lost_connection(self._settings.dsn):
                return await within(POLL_DEADLINE_S, poll, disconnect)
        except psycopg.Error as error:
            disconnect()
            why = " ".join(str(error).split())
            raise NotCheckedError(f"the lock table couldn't be read: {why}") from error
        except ConnectionLostError:
            disconnect()
            raise

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.pgconn.finish()
            self._connection = None
        self._names.lookups.disconnect()
        self.attempts.leave()

    def _disconnect(self) -> None:
        self._hang_up()
        self._deadlocks.forget()
        self._previous = None

    def _with_names(self, snapshot: LockSnapshot) -> LockSnapshot:
        return replace(self._names.named(snapshot), deadlock_counts=self._deadlocks.latest)


async def _is_wanted(connection: AsyncConnection[Row]) -> bool:
    """Whether somebody wants the connected database for himself."""
    row = await (await connection.execute(queries.load("server/own_database_wanted"))).fetchone()
    return row is not None and bool(row[0])


async def _anything_waits(connection: AsyncConnection[Row]) -> bool:
    row = await (await connection.execute(queries.load("locks/anything_waits"), prepare=True)).fetchone()
    return row is None or bool(row[0])
