"""Catalog look-ups beside a poll that can't wait: brief ones, each in the right database.

The catalogs, and the tables whose rows are read, may be locked by the very session that is being
diagnosed. So every look-up has a `lock_timeout` of 50 ms, and what couldn't be had rests for a while.

Whoever wants to drop or copy a database waits for no session in it. So only the home of the poll has a
connection that stays; in any other database a look-up connects, asks and disconnects.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import psycopg
from psycopg import AsyncConnection

from pgwatch_tests.errors import NoAnswerError, PgwatchError
from pgwatch_tests.postgres.connections.attempts import ConnectionAttempts
from pgwatch_tests.postgres.connections.disconnection import close_and_wait
from pgwatch_tests.postgres.connections.session_settings import Row, SessionLimits

LIMITS = SessionLimits(statement_timeout_s=0.25, lock_timeout_s=0.05, any_bytes=True)
# The server ends a look-up sooner by itself; this is for a server that has stopped.
DEADLINE_S = 2.0
_ASK_AGAIN_S = 2.0
_LONGEST_PAUSE_S = 60.0
_FORGOTTEN_AFTER_S = 60.0
_CONNECT_IN_S = 1.0

K = TypeVar("K")


@dataclass(slots=True)
class _Failures:
    """Failed look-ups: until when each rests, and for how long, which doubles each time."""

    resting: dict[object, tuple[float, float]] = field(default_factory=dict)

    def due(self, keys: Iterable[K], now_s: float) -> list[K]:
        return [key for key in keys if self.resting.get(key, (0.0, 0.0))[0] <= now_s]

    def note(self, keys: Iterable[object], now_s: float, longest_s: float = _LONGEST_PAUSE_S) -> None:
        self.resting = {
            key: (until_s, pause_s)
            for key, (until_s, pause_s) in self.resting.items()
            if until_s + _FORGOTTEN_AFTER_S > now_s
        }
        for key in keys:
            _, before_s = self.resting.get(key, (0.0, _ASK_AGAIN_S / 2))
            pause_s = min(before_s * 2, longest_s)
            self.resting[key] = now_s + pause_s, pause_s


class Lookups:
    """Connections that are open while they are needed; failures leave gaps, none is raised."""

    def __init__(
        self, attempts: ConnectionAttempts, clock: Callable[[], float], deadline_s: float = DEADLINE_S
    ) -> None:
        self._attempts = attempts
        self._clock = clock
        self._deadline_s = deadline_s
        self._failed = _Failures()
        self._unreachable = _Failures()
        self._connections: dict[str, AsyncConnection[Row]] = {}
        self._visits: Counter[str] = Counter()
        """The number of running look-ups, by database."""
        self._asking: set[asyncio.Task[bool]] = set()
        self._silent: dict[str, asyncio.Task[bool]] = {}
        """The look-up, by database, that got no answer in time and is still awaited."""
        self._home = ""
        self._poll: AsyncConnection[Row] | None = None
        self.was_refused = False
        """Whether a connection was refused, perhaps for want of a free slot."""
        self.was_late = False
        """Whether an answer didn't come in time, as on a busy machine."""
        self._unanswered: set[str] = set()
        """The databases that haven't answered an attempt to connect yet."""

    def stay_with(self, poll: AsyncConnection[Row]) -> None:
        """Sets the home of the poll: there, databases and roles are looked up.

        Over the poll's own connection if the server grants no other. Forgets which databases couldn't be
        reached.
        """
        self._home = poll.info.dbname
        self._poll = poll
        self._unreachable = _Failures()

    def is_home(self, database: str | None) -> bool:
        """Whether a connection to `database` (None: home) is always open."""
        return database is None or database == self._home

    def due(self, keys: Iterable[K]) -> list[K]:
        """Returns the `keys` that may be looked up now."""
        return self._failed.due(keys, self._clock())

    def rest(self, keys: Iterable[object]) -> None:
        """Records that looking up `keys` failed: they aren't due for a while."""
        self._failed.note(keys, self._clock())

    def try_again(self) -> None:
        """Makes all failed look-ups due at once."""
        self._failed, self._unreachable, self.was_refused = _Failures(), _Failures(), False

    def ask_again(self) -> bool:
        """Makes all failed look-ups due but those of refusing databases; returns whether there are any."""
        has_gaps, self._failed, self.was_late = bool(self._failed.resting), _Failures(), False
        for name in self._unanswered:
            self._unreachable.resting.pop(name, None)
        self._unanswered.clear()
        return has_gaps

    @contextmanager
    def visit(self, database: str | None) -> Iterator[None]:
        """All attempts in `database` (None: at home) within share one connection, closed at the end."""
        name = database or self._home
        self._visits[name] += 1
        try:
            yield
        finally:
            self._visits[name] -= 1
            self._leave(name)

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
        if name in self._silent or not name:
            self.rest(keys)
            return
        with self.visit(name):
            connection = await self._connection(name)
            if connection is None:
                self.rest(keys)
                return
            asking = asyncio.create_task(self._ask(name, connection, read))
            self._asking.add(asking)
            asking.add_done_callback(self._asking.discard)
            # Not cancelled: psycopg would cancel the statement and wait for the answer to that.
            await asyncio.wait({asking}, timeout=self._deadline_s)
            if not asking.done():
                self._silent[name], self.was_late = asking, True
            if not asking.done() or asking.cancelled() or not asking.result():
                self.rest(keys)

    async def _ask(
        self,
        name: str,
        connection: AsyncConnection[Row],
        read: Callable[[AsyncConnection[Row]], Awaitable[None]],
    ) -> bool:
        """Returns whether it succeeded; either way, its database isn't silent any more."""
        try:
            await read(connection)
        except (psycopg.Error, PgwatchError) as error:
            self.was_late |= isinstance(error, psycopg.errors.QueryCanceled)  # statement_timeout
            if connection is not self._poll and (connection.broken or connection.pgconn.transaction_status):
                connection.pgconn.finish()
            return False
        finally:
            self._silent.pop(name, None)
            self._leave(name)
        return True

    async def _connection(self, name: str) -> AsyncConnection[Row] | None:
        connection = self._connections.get(name)
        if connection is not None and not connection.closed:
            return connection
        if self._unreachable.due([name], self._clock()):
            try:
                connection = await self._attempts.connect(LIMITS, name, timeout_s=_CONNECT_IN_S)
            except (psycopg.Error, PgwatchError) as error:
                longest_s = _LONGEST_PAUSE_S
                self.was_refused = not isinstance(error, NoAnswerError)
                if isinstance(error, NoAnswerError):
                    # The same attempt goes on: asking again costs nothing.
                    longest_s, self.was_late = _ASK_AGAIN_S, True
                    self._unanswered.add(name)
                self._unreachable.note([name], self._clock(), longest_s)
            else:
                return self._shared(name, connection)
        return self._poll if name == self._home else None

    def _shared(self, name: str, connection: AsyncConnection[Row]) -> AsyncConnection[Row]:
        """`connection`, or the one that another look-up opened in the same database meanwhile."""
        first = self._connections.get(name)
        if first is not None and not first.closed:
            connection.pgconn.finish()
            return first
        self._connections[name] = connection
        return connection

    def _leave(self, name: str) -> None:
        if name != self._home and name not in self._silent and not self._visits[name]:
            self._forget(name)

    def _forget(self, name: str) -> None:
        connection = self._connections.pop(name, None)
        if connection is not None:
            connection.pgconn.finish()

    async def close_and_wait(self) -> None:
        """Does the same as `disconnect`, and waits a moment until the server has given their places up."""
        self._poll, self._home = None, ""
        idle = [name for name, one in self._connections.items() if not one.pgconn.transaction_status]
        for name in idle:
            await close_and_wait(self._connections.pop(name))

    def disconnect(self) -> None:
        """Closes the connections that aren't waiting for an answer: the poll has lost its own, or left."""
        self._poll, self._home = None, ""
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
