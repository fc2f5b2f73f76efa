"""The maintenance database, or the DSN's own one: which of the two a session of ours connects to.

Whoever looks from outside prefers the maintenance database: there it is in nobody's way, and out of reach of
whoever locks the other's catalogs. Whoever looks at the database itself prefers that one. Where the preferred
one is locked, or doesn't let us in, it is the other; what is raised is about the DSN's own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import closing

from pgwatch_tests.errors import CannotConnectError, NoAnswerError, NoSlotError
from pgwatch_tests.postgres.connections.attempts import ConnectionAttempts, has_connected
from pgwatch_tests.postgres.connections.connect import connect, connect_async, no_answer
from pgwatch_tests.postgres.connections.connection import AsyncOwnConnection, OwnConnection
from pgwatch_tests.postgres.connections.dsn import database_name
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.settings.load import Dsn, Settings

MAINTENANCE_DATABASE = "postgres"
"""The one database in which a session of ours may be idle: no suite drops it, or copies it."""

_HEAD_START_S = 0.5
_REFUSED_GONE_WITHIN_S = 1.0
_REFUSED_GONE_EVERY_S = 0.02
"""The backend of a refused attempt counts against limits until it has ended, a moment later."""


async def connect_outside_async(attempts: ConnectionAttempts, limits: SessionLimits) -> AsyncOwnConnection:
    """Returns a connection to the maintenance database, or to the DSN's own where that is refused or slow.

    The second attempt begins when the first was refused, or after half a second: either database may be
    locked. Raises what `attempts.connect` raises, for the DSN's own database.
    """
    patience_s = attempts.settings.connect_timeout_s
    until_s = time.monotonic() + patience_s

    def attempt(database: str | None) -> Coroutine[None, None, AsyncOwnConnection]:
        left_s = max(0.0, until_s - time.monotonic())
        return attempts.connect(limits, database, timeout_s=left_s)

    async def attempt_inside() -> AsyncOwnConnection:
        gone_s = time.monotonic() + _REFUSED_GONE_WITHIN_S if _took_a_place(tasks[0]) else float("-inf")
        while True:
            try:
                return await attempt(None)
            except NoSlotError:
                if time.monotonic() > gone_s:
                    raise
                await asyncio.sleep(_REFUSED_GONE_EVERY_S)

    def close_unless_used(task: asyncio.Task[AsyncOwnConnection]) -> None:
        if has_connected(task) and task.result() is not connection:
            task.result().pgconn.finish()

    connection: AsyncOwnConnection | None = None
    tasks = [asyncio.create_task(attempt(MAINTENANCE_DATABASE))]
    try:
        await asyncio.wait(tasks, timeout=min(_HEAD_START_S, patience_s))
        if not has_connected(tasks[0]) and database_name(attempts.settings.dsn) != MAINTENANCE_DATABASE:
            tasks.append(asyncio.create_task(attempt_inside()))
        while not any(map(has_connected, tasks)):
            under_way = [task for task in tasks if not task.done()]
            if not under_way:
                break
            await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        connection = next(filter(has_connected, tasks), tasks[-1]).result()
        return connection
    except NoAnswerError:
        raise no_answer(attempts.settings.dsn, patience_s) from None
    finally:
        for task in tasks:
            task.add_done_callback(close_unless_used)
            task.cancel()


def connect_outside(dsn: Dsn, limits: SessionLimits, *, connect_timeout_s: float) -> OwnConnection:
    """`connect_outside_async` for code that waits, with one attempt after the other.

    Raises NoAnswerError if only the DSN's own database lets nobody in, and CannotConnectError if none does.
    """

    def connected(database: str | None = None) -> OwnConnection:
        return connect(dsn, limits, connect_timeout_s=connect_timeout_s, database=database)

    try:
        return connected(MAINTENANCE_DATABASE)
    except NoAnswerError:
        try:
            return connected()
        except NoAnswerError as error:
            raise CannotConnectError(str(error)) from None  # that isn't about one database
    except NoSlotError:
        return connected()
    except CannotConnectError:
        until_s = time.monotonic() + _REFUSED_GONE_WITHIN_S
    while True:
        try:
            return connected()
        except NoSlotError:
            if time.monotonic() > until_s:
                raise
            time.sleep(_REFUSED_GONE_EVERY_S)


def _took_a_place(attempt: asyncio.Task[AsyncOwnConnection]) -> bool:
    """Whether an attempt was refused by a backend that was within the limits of its role and database."""
    refusal = attempt.exception() if attempt.done() and not attempt.cancelled() else None
    return isinstance(refusal, CannotConnectError) and not isinstance(refusal, NoSlotError | NoAnswerError)


def tested_database(
    outside: OwnConnection, dsn: Dsn, limits: SessionLimits, *, connect_timeout_s: float
) -> str:
    """Returns the name that the server has for the DSN's own database; `outside` is connected to that server.

    A service file may name it, or the role's name, and a pooler may call it otherwise. Raises what `connect`
    does.
    """
    named = database_name(dsn)
    if named and outside.pooled is False:
        return named
    with closing(connect(dsn, limits, connect_timeout_s=connect_timeout_s)) as inside:
        return inside.real_database


async def connect_inside_async(
    settings: Settings,
    limits: SessionLimits,
    obstacle: Callable[[AsyncOwnConnection], Awaitable[str | None]],
) -> tuple[AsyncOwnConnection, str | None]:
    """Returns a connection to the DSN's own database, and None; or to the maintenance database, and why.

    `obstacle` tells what is in the way in the database itself, such as a locked catalog; None if nothing is.
    Raises CannotConnectError for the DSN's own database, and what `obstacle` raises.
    """

    def connecting(database: str | None = None) -> Awaitable[AsyncOwnConnection]:
        patience_s = settings.connect_timeout_s
        return connect_async(settings.dsn, limits, connect_timeout_s=patience_s, database=database)

    own: AsyncOwnConnection | None = None
    refusal: NoAnswerError | None = None
    try:
        own = await connecting()
    except NoAnswerError as error:
        if database_name(settings.dsn) == MAINTENANCE_DATABASE:
            raise
        reason, refusal = str(error), error
    else:
        in_the_way = await obstacle(own)
        if in_the_way is None or own.info.dbname == MAINTENANCE_DATABASE:
            return own, None
        reason = in_the_way
    try:
        outside = await connecting(MAINTENANCE_DATABASE)
    except CannotConnectError:
        if refusal is not None:
            raise refusal from None
        assert own is not None
        return own, None
    if own is not None:
        own.pgconn.finish()
    return outside, reason
