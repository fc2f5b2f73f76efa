"""Connection attempts, one per database and purpose: they outlive whoever asked for them.

While pg_authid, pg_database or a database's own catalogs are locked, a new session waits for them before it
can say anything, and the server doesn't notice that its client has gone: every attempt that is given up
leaves a waiting backend behind. So an attempt is made once, and whoever asks later gets the same one. If
nobody waits for it when it is let in, it is closed: an idle session would be in the way of DROP DATABASE.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from pgwatch_tests.errors import ConnectionLostError, NoAnswerError
from pgwatch_tests.postgres.connections.connect import connect_async, no_answer
from pgwatch_tests.postgres.connections.connection import AsyncOwnConnection
from pgwatch_tests.postgres.connections.dsn import MAINTENANCE_DATABASE, database_name, on_server_of
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.settings.load import Dsn, Settings

_HEAD_START_S = 0.5

_Attempt = asyncio.Task[AsyncOwnConnection]
_Key = tuple[str | None, SessionLimits, Dsn]

# A host that doesn't answer at all is another matter: nothing waits there, and the network may have changed.
_GIVEN_UP_AFTER_S = 300.0


class ConnectionAttempts:
    """Opens connections, one attempt at a time per database and purpose."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._dsn = settings.dsn
        self._attempts: dict[_Key, _Attempt] = {}
        self._waiting: Counter[_Key] = Counter()
        """How many callers wait for each attempt."""
        self._closed = False

    def stay_with(self, connection: AsyncOwnConnection) -> None:
        """Connects only to the server of `connection` from now on, whichever others the DSN names."""
        self._dsn = on_server_of(connection, self._settings.dsn)

    def leave(self) -> None:
        """Connects to any server that the DSN names from now on."""
        self._dsn = self._settings.dsn

    async def connect(
        self, limits: SessionLimits, database: str | None = None, *, timeout_s: float | None = None
    ) -> AsyncOwnConnection:
        """Returns a connection to `database` (None: the DSN's), within `timeout_s` or the settings'
        connect_timeout.

        Whoever gets it has it alone, and closes it. Raises NoAnswerError, after which the attempt goes on for
        whoever asks next; CannotConnectError or ConfigurationError if the server said no; ConnectionLostError
        once this is closed.
        """
        if self._closed:
            raise ConnectionLostError("no connection is opened any more")
        patience_s = self._settings.connect_timeout_s if timeout_s is None else timeout_s
        key = database or database_name(self._settings.dsn), limits, self._dsn
        attempt = self._attempt(key)
        self._waiting[key] += 1
        try:
            done, _ = await asyncio.wait({attempt}, timeout=patience_s)
            if not done:
                raise no_answer(self._settings.dsn, patience_s)
            if self._attempts.get(key) is attempt:
                return self._attempts.pop(key).result()
        finally:
            self._waiting[key] -= 1
            if attempt.done():
                self._close_unless_wanted(key, attempt)
        # Somebody else waited for it as well, and has it.
        return await self.connect(limits, database, timeout_s=patience_s)

    async def probe(self, limits: SessionLimits) -> str:
        """Connects to the DSN's own database, and leaves it. Returns its name. Raises what `connect` does."""
        connection = await self.connect(limits)
        name = connection.info.dbname
        connection.pgconn.finish()
        return name

    async def connect_anywhere(
        self, limits: SessionLimits, *, timeout_s: float | None = None
    ) -> AsyncOwnConnection:
        """Returns a connection to the maintenance database, or to the DSN's own where that is refused or
        slow.

        The second attempt begins when the first was refused, or after half a second: either database may be
        locked. Raises what `connect` raises, for the DSN's own database.
        """
        patience_s = self._settings.connect_timeout_s if timeout_s is None else timeout_s
        until_s = time.monotonic() + patience_s

        def attempt(database: str | None) -> _Attempt:
            left_s = max(0.0, until_s - time.monotonic())
            return asyncio.create_task(self.connect(limits, database, timeout_s=left_s))

        def close_unless_used(task: _Attempt) -> None:
            if _worked(task) and task.result() is not connection:
                task.result().pgconn.finish()

        connection: AsyncOwnConnection | None = None
        attempts = [attempt(MAINTENANCE_DATABASE)]
        try:
            await asyncio.wait(attempts, timeout=min(_HEAD_START_S, patience_s))
            if not _worked(attempts[0]) and database_name(self._settings.dsn) != MAINTENANCE_DATABASE:
                attempts.append(attempt(None))
            while not any(map(_worked, attempts)):
                under_way = [task for task in attempts if not task.done()]
                if not under_way:
                    break
                await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            connection = next(filter(_worked, attempts), attempts[-1]).result()
            return connection
        except NoAnswerError:
            raise no_answer(self._settings.dsn, patience_s) from None
        finally:
            for task in attempts:
                task.add_done_callback(close_unless_used)
                task.cancel()

    def _attempt(self, key: _Key) -> _Attempt:
        """The attempt that is under way, or a new one."""
        if key not in self._attempts:
            database, limits, dsn = key
            attempt = asyncio.create_task(
                connect_async(dsn, limits, connect_timeout_s=_GIVEN_UP_AFTER_S, database=database)
            )
            attempt.add_done_callback(lambda done: self._close_unless_wanted(key, done))
            self._attempts[key] = attempt
        return self._attempts[key]

    def _close_unless_wanted(self, key: _Key, attempt: _Attempt) -> None:
        if self._attempts.get(key) is attempt and not self._waiting[key]:
            del self._attempts[key]
            _hang_up(attempt)

    def close(self) -> None:
        """Gives up all attempts for good, and closes connections that nobody took."""
        self._closed = True
        for attempt in self._attempts.values():
            attempt.add_done_callback(_hang_up)
            attempt.cancel()
        self._attempts.clear()


def _worked(task: _Attempt) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _hang_up(attempt: _Attempt) -> None:
    if _worked(attempt):
        attempt.result().pgconn.finish()
