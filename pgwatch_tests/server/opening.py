"""Connection attempts that outlive whoever asked for them.

While pg_authid, pg_database or a database's own catalogs are locked, a new session waits for them before it
can say anything, and the server doesn't notice that its client has gone: every attempt that is given up
leaves a waiting backend behind. So an attempt is made once, and whoever asks later gets the same one.
"""

from __future__ import annotations

import asyncio

from psycopg import AsyncConnection

from pgwatch_tests.config import Settings
from pgwatch_tests.server.connect import connect_async, no_answer
from pgwatch_tests.server.dsn import database_name
from pgwatch_tests.server.session_limits import Row, SessionLimits

_Attempt = asyncio.Task[AsyncConnection[Row]]
_Key = tuple[str | None, SessionLimits]

# A host that doesn't answer at all is another matter: nothing waits there, and the network may have changed.
_GIVEN_UP_AFTER_S = 300.0


class Opening:
    """Opens connections, one attempt at a time for each database and purpose."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._attempts: dict[_Key, _Attempt] = {}

    def attempt(self, limits: SessionLimits, database: str | None = None) -> _Attempt:
        """The attempt to connect to `database` (None: the DSN's own) that is under way or has just ended."""
        key = self._key(limits, database)
        if key not in self._attempts:
            self._attempts[key] = asyncio.create_task(
                connect_async(
                    self._settings.dsn, limits, connect_timeout_s=_GIVEN_UP_AFTER_S, database=database
                )
            )
        return self._attempts[key]

    def take(self, limits: SessionLimits, database: str | None = None) -> AsyncConnection[Row]:
        """The connection of an attempt that is done, now the caller's. Raises what the attempt raised."""
        return self._attempts.pop(self._key(limits, database)).result()

    def _key(self, limits: SessionLimits, database: str | None) -> _Key:
        return database or database_name(self._settings.dsn), limits

    async def connect(
        self, limits: SessionLimits, database: str | None = None, *, timeout_s: float | None = None
    ) -> AsyncConnection[Row]:
        """A connection, within `timeout_s` or the settings' connect_timeout.

        Raises NoAnswerError, after which the attempt goes on for whoever asks next; CannotConnectError or
        ConfigurationError if the server said no.
        """
        patience_s = self._settings.connect_timeout_s if timeout_s is None else timeout_s
        attempt = self.attempt(limits, database)
        done, _ = await asyncio.wait({attempt}, timeout=patience_s)
        if not done:
            raise no_answer(self._settings.dsn, patience_s)
        if self._attempts.get(self._key(limits, database)) is not attempt:
            # Somebody else waited for it as well, and has it.
            return await self.connect(limits, database, timeout_s=patience_s)
        return self.take(limits, database)

    def close(self) -> None:
        """Gives all attempts up, and closes connections that nobody took."""
        for attempt in self._attempts.values():
            attempt.add_done_callback(_hang_up)
            attempt.cancel()
        self._attempts.clear()


def _hang_up(attempt: _Attempt) -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().pgconn.finish()
