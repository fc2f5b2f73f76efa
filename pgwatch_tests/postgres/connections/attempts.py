"""Connection attempts, one per database and purpose: they outlive whoever asked for them.

While pg_authid, pg_database or a database's own catalogs are locked, a new session waits for them before it
can say anything, and the server doesn't notice that its client has gone: every attempt that is given up
leaves a waiting backend behind. So an attempt is made once, and whoever asks later gets the same one. If
nobody waits for it when it is let in, it is closed: an idle session would be in the way of DROP DATABASE.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from pgwatch_tests.errors import ConnectionLostError
from pgwatch_tests.postgres.connections.connect import connect_async, no_answer
from pgwatch_tests.postgres.connections.connection import AsyncOwnConnection
from pgwatch_tests.postgres.connections.dsn import database_name, on_server_of
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.settings.load import Dsn, Settings

_Attempt = asyncio.Task[AsyncOwnConnection]
_Key = tuple[str | None, SessionLimits, Dsn]

# A host that doesn't answer at all is another matter: nothing waits there, and the network may have changed.
_GIVEN_UP_AFTER_S = 300.0


class ConnectionAttempts:
    """Opens connections, one attempt at a time per database and purpose."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._dsn = settings.dsn
        self._attempts: dict[_Key, _Attempt] = {}
        self._waiting: Counter[_Key] = Counter()
        """How many callers wait for each attempt."""
        self._closed = False
        self._real_name: str | None = None
        """The server's name for the DSN's own database; None if not known. A pooler may call it otherwise."""

    def stay_with(self, connection: AsyncOwnConnection) -> None:
        """Connects only to the server of `connection` from now on, whichever others the DSN names."""
        self._dsn = on_server_of(connection, self.settings.dsn)

    def leave(self) -> None:
        """Connects to any server that the DSN names from now on."""
        self._dsn = self.settings.dsn

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
            raise ConnectionLostError("no connection is opened: the program is closing its connections")
        patience_s = self.settings.connect_timeout_s if timeout_s is None else timeout_s
        own = database_name(self.settings.dsn)
        key = own if database in (None, self._real_name) else database, limits, self._dsn
        attempt = self._attempt(key)
        self._waiting[key] += 1
        try:
            done, _ = await asyncio.wait({attempt}, timeout=patience_s)
            if not done:
                raise no_answer(self.settings.dsn, patience_s)
            if self._attempts.get(key) is attempt:
                return self._attempts.pop(key).result()
        finally:
            self._waiting[key] -= 1
            if attempt.done():
                self._close_unless_wanted(key, attempt)
        # Somebody else waited for it as well, and has it.
        return await self.connect(limits, database, timeout_s=patience_s)

    async def probe(self, limits: SessionLimits) -> str:
        """Connects to the DSN's own database, and leaves it. Returns the name that the server has for it.

        From then on `connect` knows it by that name as well. Raises what `connect` does.
        """
        connection = await self.connect(limits)
        self._real_name = connection.real_database
        connection.pgconn.finish()
        return self._real_name

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


def has_connected(task: _Attempt) -> bool:
    """Whether an attempt has ended with a connection."""
    return task.done() and not task.cancelled() and task.exception() is None


def _hang_up(attempt: _Attempt) -> None:
    if has_connected(attempt):
        attempt.result().pgconn.finish()
