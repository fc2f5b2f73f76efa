"""Cancels statements, ends sessions, rolls prepared transactions back; tells what really came of it.

Over short-lived connections of its own, every answer of which is waited for on a deadline of the client's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self, TypeVar, cast

import psycopg
from psycopg import AsyncConnection, errors, sql
from psycopg.rows import dict_row

from pgwatch_tests import queries
from pgwatch_tests.config import Settings
from pgwatch_tests.errors import (
    ConnectionLostError,
    NotCheckedError,
    PgwatchError,
    RefusedError,
)
from pgwatch_tests.locks.action import (
    Action,
    Outcome,
    PreparedRollback,
    SessionAction,
    aftermath,
    is_idle,
    still_behind,
)
from pgwatch_tests.locks.picture import LockPicture
from pgwatch_tests.locks.read import read
from pgwatch_tests.locks.settle import SECOND_LOOK_S, settle
from pgwatch_tests.server.application_name import OWN_NAME
from pgwatch_tests.server.connect import Row, SessionLimits, connect_async, lost_connection
from pgwatch_tests.server.lenient_text import decode

LIMITS = SessionLimits(statement_timeout_s=2.0, lock_timeout_s=0.5, read_only=False, any_bytes=True)
# A stopped server doesn't look at its own timeouts.
ANSWER_DEADLINE_S = 3.0
CONFIRM_WITHIN_S = 2.0
_LOOK_EVERY_S = 0.05
_MAINTENANCE_DATABASE = "postgres"
_HEAD_START_S = 0.5
_OWN_AUTOVACUUM_RIGHT = 18_00_00

T = TypeVar("T")
_Connecting = asyncio.Task[AsyncConnection[Row]]
_Fields = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Now:
    """A row of queries/session_now.sql."""

    backend_start: datetime | None
    user_oid: int | None
    database_oid: int | None
    application_name: str
    state: str | None
    query_start: datetime | None

    def is_target(self, action: SessionAction) -> bool:
        """Whether this is the session that the action is about."""
        if action.backend_start is not None:
            return self.backend_start == action.backend_start
        return not self.is_another(action) and self.application_name == action.application_name

    def is_another(self, action: SessionAction) -> bool:
        """Whether this can't be the session that was signalled, which may have been given another name."""
        if action.backend_start is not None and self.backend_start is not None:
            return self.backend_start != action.backend_start
        return (self.user_oid, self.database_oid) != (action.user_oid, action.database_oid)


async def act(settings: Settings, action: Action) -> Outcome:
    """Does it, waits up to 2 s for its effect, and reads the locks again.

    Raises RefusedError if `settings` allow only reading, CannotConnectError, ConnectionLostError if the
    server went away or didn't answer in time, or NotCheckedError if it answered with an error; the messages
    say whether it was told by then.
    """
    if settings.read_only:
        raise RefusedError("nothing is done to sessions and transactions: read_only is set")
    if isinstance(action, PreparedRollback):
        return await _roll_back(settings, action)
    async with _Line(settings, await _connect(settings)) as line:
        return await _signal(line, action)


class _Line:
    """A connection of which each answer is waited for a few seconds at most."""

    def __init__(self, settings: Settings, connection: AsyncConnection[Row]) -> None:
        self._settings = settings
        self._connection = connection
        self.told = "nothing was done"
        """What to say of the action if the server doesn't answer any more."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.close()
        if isinstance(error, psycopg.Error):
            raise NotCheckedError(f"{_said(error)}; {self.told}") from error

    @property
    def server_version(self) -> int:
        """As in server_version_num."""
        return self._connection.info.server_version

    async def rows(self, query: str, parameters: _Fields | None = None) -> list[dict[str, object]]:
        """All rows of a statement of ours. Raises ConnectionLostError, or psycopg's other errors."""
        return await self._within_deadline(self._fetch(queries.load(query), parameters))

    async def run(self, statement: sql.Composed) -> None:
        """Runs a statement that returns no rows. Raises the same as `rows`."""
        await self._within_deadline(self._connection.execute(statement))

    async def look(self) -> LockPicture:
        """The locks, looked at twice. Raises the same as `rows`."""
        first = settle(None, await self._within_deadline(read(self._connection, "", "")))
        await asyncio.sleep(SECOND_LOOK_S)
        second = settle(first, await self._within_deadline(read(self._connection, "", "")))
        return LockPicture(second)

    def close(self) -> None:
        """Closes it at once, whatever the server is doing."""
        self._connection.pgconn.finish()

    async def _fetch(self, statement: str, parameters: _Fields | None) -> list[dict[str, object]]:
        async with self._connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(statement.encode(), parameters)
            return await cursor.fetchall()

    async def _within_deadline(self, work: Coroutine[None, None, T]) -> T:
        task = asyncio.create_task(work)
        try:
            done, _ = await asyncio.wait({task}, timeout=ANSWER_DEADLINE_S)
        except asyncio.CancelledError:
            self._abandon(task)
            raise
        if not done:
            self._abandon(task)
            raise ConnectionLostError(f"the server hasn't answered for {ANSWER_DEADLINE_S:g} s; {self.told}")
        try:
            with lost_connection(self._settings.dsn):
                return task.result()
        except ConnectionLostError as error:
            raise ConnectionLostError(f"{error}; {self.told}") from None

    def _abandon(self, task: asyncio.Task[T]) -> None:
        # Closed first: with the connection still active, psycopg would wait for the server's farewell.
        self.close()
        task.cancel()


async def _connect(settings: Settings) -> AsyncConnection[Row]:
    """To the maintenance database, or to the DSN's own where that is refused or slow: one may be locked.

    Raises what is in the way of the DSN's own database.
    """

    def attempt(database: str | None) -> _Connecting:
        return asyncio.create_task(
            connect_async(
                settings.dsn, LIMITS, connect_timeout_s=settings.connect_timeout_s, database=database
            )
        )

    def close_unless_used(task: _Connecting) -> None:
        if _worked(task) and task.result() is not connection:
            task.result().pgconn.finish()

    connection: AsyncConnection[Row] | None = None
    attempts = [attempt(_MAINTENANCE_DATABASE)]
    try:
        await asyncio.wait(attempts, timeout=_HEAD_START_S)
        if not _worked(attempts[0]):
            attempts.append(attempt(None))
        while not any(map(_worked, attempts)):
            under_way = [task for task in attempts if not task.done()]
            if not under_way:
                break
            await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        connection = next(filter(_worked, attempts), attempts[-1]).result()
        return connection
    finally:
        for task in attempts:
            task.add_done_callback(close_unless_used)
            task.cancel()


def _worked(task: _Connecting) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


# A session.


async def _signal(line: _Line, action: SessionAction) -> Outcome:
    line.told = f"whether pid {action.pid} was told isn't known"
    try:
        rows = await line.rows(
            "signal_session",
            {
                "how": action.how,
                "pid": action.pid,
                "backend_start": action.backend_start,
                "user_oid": action.user_oid,
                "database_oid": action.database_oid,
                "application_name": action.application_name,
                "own_name": OWN_NAME,
                "query_start": action.query_start,
            },
        )
    except errors.InsufficientPrivilege as error:
        return Outcome("refused", await _why_no_right(line, action, error))
    except psycopg.Error as error:
        return Outcome("refused", f"The server refused to {_doing(action)}: {_said(error)}.")
    if not rows:
        return await _why_not_signalled(line, action)
    if not rows[0]["signalled"]:
        return Outcome("refused", f"{action.who} is no process that can be signalled, or has just ended.")
    line.told = f"pid {action.pid} was told to {'end' if action.how == 'terminate' else 'stop its statement'}"
    hidden = "" if action.backend_start else _RECOGNISED.format(action.application_name)
    outcome = await _effect(line, action, cast("datetime | None", rows[0]["query_start"]))
    return replace(outcome, message=f"{outcome.message}{hidden}")


_RECOGNISED = (
    " Its start isn't visible to this role (needs pg_monitor): it was recognised by its role, database and "
    "application name ({!r})."
)


async def _now(line: _Line, action: SessionAction) -> _Now | None:
    rows = await line.rows("session_now", {"pid": action.pid})
    return _Now(**rows[0]) if rows else None  # type: ignore[arg-type]  # the columns of that statement


async def _effect(line: _Line, action: SessionAction, query_start: datetime | None) -> Outcome:
    """Waits for what the signal was to bring about."""
    until_s = time.monotonic() + CONFIRM_WITHIN_S
    while True:
        now = await _now(line, action)
        if now is None or now.is_another(action):
            return await _with_aftermath(line, action, Outcome("done", f"{action.who} has ended."))
        if action.how == "cancel":
            if query_start is None:
                return await _effect_of_unseen_cancel(line, action)
            if is_idle(now.state) or now.query_start != query_start:
                # Neither aborted nor outside of a transaction: it may have come to its end by itself.
                ended = "has ended" if now.state == "idle in transaction" else "was cancelled"
                rest = f"is {now.state}" if is_idle(now.state) else "runs another one already"
                said = f"The statement of {action.who} {ended}; the session {rest}."
                return await _with_aftermath(line, action, Outcome("done", said))
        if time.monotonic() > until_s:
            doing = "there" if action.how == "terminate" else "running its statement"
            message = (
                f"{action.who} is still {doing} after {CONFIRM_WITHIN_S:g} s; it was told, and may yet obey."
            )
            return await _with_aftermath(line, action, Outcome("unconfirmed", message))
        await asyncio.sleep(_LOOK_EVERY_S)


async def _effect_of_unseen_cancel(line: _Line, action: SessionAction) -> Outcome:
    """Whether somebody waits behind it still is all that can be seen of a session that is hidden."""
    said = f"{action.who} was told to stop its statement; whether it did isn't visible."
    if not action.waiters:
        return Outcome("unconfirmed", said)
    until_s = time.monotonic() + CONFIRM_WITHIN_S
    while still_behind(action, picture := await line.look()):
        if time.monotonic() > until_s:
            return Outcome("unconfirmed", _joined(said, aftermath(action, picture)))
    return Outcome("done", _joined(said, aftermath(action, picture)))


async def _why_not_signalled(line: _Line, action: SessionAction) -> Outcome:
    now = await _now(line, action)
    pid = action.pid
    if now is None:
        said = f"{action.who} had ended already."
    elif now.application_name == OWN_NAME:
        said = f"pid {pid} is a session of pgwatch-tests itself: left alone."
    elif not now.is_target(action):
        if action.backend_start is not None and now.backend_start is None:
            said = f"Whether pid {pid} is still the same session isn't visible any more: left alone."
        elif action.backend_start is None:
            said = f"pid {pid} isn't recognised: its role, database or application name is another one now."
        else:
            said = f"{action.who} had ended already; pid {pid} belongs to another session now, left alone."
    elif is_idle(now.state):
        said = f"A cancel does nothing: {action.who} is {now.state}. End the session instead."
    else:
        said = (
            f"The statement that {action.who} ran had ended already; the session runs another one now, "
            "which was left alone."
        )
    return Outcome("refused", said)


async def _why_no_right(line: _Line, action: SessionAction, error: psycopg.Error) -> str:
    doing = f"No right to {_doing(action)}"
    if action.user_oid is None:
        right = (
            " (an autovacuum worker: pg_signal_autovacuum_worker)"
            if line.server_version >= _OWN_AUTOVACUUM_RIGHT
            else ""
        )
        return f"{doing}: a process of the server itself needs a superuser{right}."
    try:
        [rights] = await line.rows("signal_rights", {"user_oid": action.user_oid})
    except (psycopg.Error, PgwatchError):
        return f"{doing}: {_said(error)}."
    asking, owner = rights["asking"], rights["owner"]
    if rights["owner_is_superuser"]:
        return f"{doing}: it belongs to the superuser {owner}, so it needs a superuser."
    return (
        f"{doing}: needs pg_signal_backend (GRANT pg_signal_backend TO {asking}) or membership in the "
        f"session's role (GRANT {owner} TO {asking})."
    )


def _doing(action: SessionAction) -> str:
    return f"{'end' if action.how == 'terminate' else 'cancel the statement of'} {action.who}"


# A prepared transaction.


async def _roll_back(settings: Settings, action: PreparedRollback) -> Outcome:
    database = action.database or await _database_name(settings, action)
    # The server converts the name to UTF-8 and back; another database couldn't.
    limits = replace(LIMITS, any_bytes=False)
    connection = await connect_async(
        settings.dsn, limits, connect_timeout_s=settings.connect_timeout_s, database=database
    )
    async with _Line(settings, connection) as line:
        outcome = await _roll_back_there(line, action)
    if outcome.result != "done" or not action.waiters:
        return outcome
    try:
        connection = await _connect(settings)
    except PgwatchError:
        return replace(outcome, message=_joined(outcome.message, _NOT_LOOKED))
    async with _Line(settings, connection) as line:
        return await _with_aftermath(line, action, outcome)


async def _database_name(settings: Settings, action: PreparedRollback) -> str:
    async with _Line(settings, await _connect(settings)) as line:
        rows = await line.rows("database_names")
    for row in rows:
        if row["oid"] == action.database_oid:
            return str(row["datname"])
    raise RefusedError("the database of the prepared transaction isn't there any more")


async def _roll_back_there(line: _Line, action: PreparedRollback) -> Outcome:
    name = str(action.party)
    found = await _find(line, action)
    if found is None:
        return Outcome("refused", f"The {name} had ended already.")
    gid, prepared, owner = found
    if abs((prepared - action.prepared_at).total_seconds()) >= 0.001:
        return Outcome(
            "refused", f"The {name} had ended already; another one bears its name now, left alone."
        )
    line.told = "whether it was rolled back isn't known"
    try:
        await line.run(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)))
    except errors.InsufficientPrivilege:
        return Outcome(
            "refused", f"No right to roll back the {name}: needs its owner ({owner}) or a superuser."
        )
    except errors.UndefinedObject:
        return Outcome("refused", f"The {name} had ended already.")
    except errors.QueryCanceled as error:
        return Outcome("unconfirmed", f"Whether the {name} was rolled back isn't known: {_said(error)}.")
    except psycopg.Error as error:
        return Outcome("refused", f"The server refused to roll back the {name}: {_said(error)}.")
    line.told = "it was rolled back"
    if await _find(line, action) is not None:
        return Outcome("unconfirmed", f"The {name} is still there, though the server took the rollback.")
    return Outcome("done", f"The {name} was rolled back.")


async def _find(line: _Line, action: PreparedRollback) -> tuple[str, datetime, str] | None:
    for row in await line.rows("prepared_transactions"):
        if decode(cast(bytes, row["gid_bytes"])) == action.gid:
            return str(row["gid"]), cast(datetime, row["prepared"]), str(row["owner"])
    return None


# What is said afterwards.

_NOT_LOOKED = "Whether those behind it are free wasn't checked."


async def _with_aftermath(line: _Line, action: Action, outcome: Outcome) -> Outcome:
    if not action.waiters:
        return outcome
    try:
        picture = await line.look()
    except (psycopg.Error, ConnectionLostError):
        return replace(outcome, message=_joined(outcome.message, _NOT_LOOKED))
    advice = ""
    if (
        outcome.result == "done"
        and isinstance(action, SessionAction)
        and action.how == "cancel"
        and still_behind(action, picture)
    ):
        advice = "It still holds the lock: end the session."
    return replace(outcome, message=_joined(outcome.message, aftermath(action, picture), advice))


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _said(error: psycopg.Error) -> str:
    return " ".join(str(error).split()).rstrip(".")
