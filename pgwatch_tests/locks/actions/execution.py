"""Execution of actions: sends the signal or the rollback, waits for its effect, tells what happened."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

import psycopg
from psycopg import errors, sql

from pgwatch_tests.errors import ConnectionLostError, PgwatchError, RefusedError
from pgwatch_tests.identity.application_name import OWN_NAME
from pgwatch_tests.locks.actions.action import (
    Action,
    Outcome,
    PreparedRollback,
    SessionAction,
    aftermath,
    freed_nobody,
    is_idle,
    still_behind,
)
from pgwatch_tests.locks.actions.brief_connection import (
    BriefConnection,
    connect_anywhere,
    connect_to,
)
from pgwatch_tests.locks.actions.signal_rights import needed_right
from pgwatch_tests.postgres.server_messages import server_clause
from pgwatch_tests.postgres.stored_text import decode
from pgwatch_tests.settings.load import Settings

CONFIRM_WITHIN_S = 2.0
_LOOK_EVERY_S = 0.05
_OWN_AUTOVACUUM_RIGHT = 18_00_00


@dataclass(frozen=True, slots=True)
class _Now:
    """A row of queries/locks/session_now.sql."""

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
        raise RefusedError("sessions and transactions are left alone: read_only is set")
    if isinstance(action, PreparedRollback):
        return await _roll_back(settings, action)
    async with await connect_anywhere(settings) as line:
        return await _signal(line, action)


_ELSEWHERE = (
    "Nothing was done: another server answers than the one that this was seen on, or that one was restarted."
)


async def _is_elsewhere(line: BriefConnection, action: Action) -> bool:
    if action.server_started is None:
        return False
    [row] = await line.rows("server/started")
    return row["server_started"] != action.server_started


# A session.


async def _signal(line: BriefConnection, action: SessionAction) -> Outcome:
    line.told = f"whether pid {action.pid} received the signal isn't known"
    try:
        rows = await line.rows(
            "locks/signal_session",
            {
                "how": action.how,
                "pid": action.pid,
                "backend_start": action.backend_start,
                "user_oid": action.user_oid,
                "database_oid": action.database_oid,
                "application_name": action.application_name,
                "own_name": OWN_NAME,
                "query_start": action.query_start,
                "xact_start": action.xact_start,
                "held_up": list(action.held_up),
                "server_started": action.server_started,
            },
        )
    except errors.InsufficientPrivilege as error:
        return Outcome("refused", await _why_no_right(line, action, error))
    except psycopg.Error as error:
        return Outcome("refused", f"The server refused to {_doing(action)}: {server_clause(error)}.")
    if not rows:
        return await _why_not_signalled(line, action)
    if not rows[0]["signalled"]:
        return Outcome("refused", f"{action.who} can't be signalled, or has just ended.")
    line.told = f"pid {action.pid} was told to {'end' if action.how == 'terminate' else 'stop its statement'}"
    hidden = "" if action.backend_start else _RECOGNISED.format(action.application_name)
    outcome = await _effect(line, action, cast("datetime | None", rows[0]["query_start"]))
    return replace(outcome, message=f"{outcome.message}{hidden}")


_RECOGNISED = (
    " Its start isn't visible to this role (needs pg_monitor): it was recognised by its role, database and "
    "application name ({!r})."
)


async def _now(line: BriefConnection, action: SessionAction) -> _Now | None:
    rows = await line.rows("locks/session_now", {"pid": action.pid})
    return _Now(**rows[0]) if rows else None  # type: ignore[arg-type]  # the columns of that statement


async def _effect(line: BriefConnection, action: SessionAction, query_start: datetime | None) -> Outcome:
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
                sentence = f"The statement of {action.who} {ended}; the session {rest}."
                return await _with_aftermath(line, action, Outcome("done", sentence))
        if time.monotonic() > until_s:
            doing = "there" if action.how == "terminate" else "running its statement"
            after = f"after {CONFIRM_WITHIN_S:g} s; the signal may still take effect."
            message = f"{action.who} is still {doing} {after}"
            return await _with_aftermath(line, action, Outcome("unconfirmed", message))
        await asyncio.sleep(_LOOK_EVERY_S)


async def _effect_of_unseen_cancel(line: BriefConnection, action: SessionAction) -> Outcome:
    """Judges the cancel of a hidden session by its waiters: nothing else of it is visible."""
    said = f"{action.who} was told to stop its statement; whether it did isn't visible."
    if not action.waiters:
        return Outcome("unconfirmed", said)
    until_s = time.monotonic() + CONFIRM_WITHIN_S
    while still_behind(action, graph := await line.look()):
        if time.monotonic() > until_s:
            return Outcome("unconfirmed", _joined(said, aftermath(action, graph)))
    return Outcome("done", _joined(said, aftermath(action, graph)), graph.snapshot.sampled_at)


async def _why_not_signalled(line: BriefConnection, action: SessionAction) -> Outcome:
    if await _is_elsewhere(line, action):
        return Outcome("refused", _ELSEWHERE)
    now = await _now(line, action)
    pid = action.pid
    if now is None:
        sentence = f"{action.who} had ended already."
    elif now.application_name == OWN_NAME:
        sentence = f"pid {pid} is a session of pgwatch-tests itself: left alone."
    elif not now.is_target(action):
        if action.backend_start is not None and now.backend_start is None:
            sentence = f"Left alone: it is no longer visible whether pid {pid} is still the same session."
        elif action.backend_start is None:
            sentence = f"pid {pid} isn't recognised: its role, database or application name has changed."
        else:
            sentence = (
                f"{action.who} had ended already; pid {pid} belongs to another session now, left alone."
            )
    elif action.how == "terminate":
        blocks = "blocks none of those that waited any more, and " if action.held_up else ""
        sentence = f"The transaction of {action.who} had ended already; the session {blocks}was left alone."
    elif is_idle(now.state):
        sentence = f"A cancel does nothing: {action.who} is {now.state}. End the session instead."
    else:
        sentence = (
            f"The statement that {action.who} ran had ended already; the session runs another one now, "
            "which was left alone."
        )
    return Outcome("refused", sentence)


async def _why_no_right(line: BriefConnection, action: SessionAction, error: psycopg.Error) -> str:
    doing = f"No right to {_doing(action)}"
    if action.user_oid is None:
        right = (
            " (an autovacuum worker: pg_signal_autovacuum_worker)"
            if line.server_version >= _OWN_AUTOVACUUM_RIGHT
            else ""
        )
        return f"{doing}: a process of the server itself needs a superuser{right}."
    try:
        [rights] = await line.rows("locks/signal_rights", {"user_oid": action.user_oid})
    except (psycopg.Error, PgwatchError):
        return f"{doing}: {server_clause(error)}."
    is_superusers = bool(rights["owner_is_superuser"])
    needed = needed_right(str(rights["asking"]), str(rights["owner"]), owner_is_superuser=is_superusers)
    return f"{doing}: {needed}."


def _doing(action: SessionAction) -> str:
    return f"{'end' if action.how == 'terminate' else 'cancel the statement of'} {action.who}"


# A prepared transaction.


async def _roll_back(settings: Settings, action: PreparedRollback) -> Outcome:
    database = action.database or await _database_name(settings, action)
    async with await connect_to(settings, database) as line:
        outcome = await _roll_back_there(line, action)
    if outcome.result != "done" or not action.waiters:
        return outcome
    try:
        line = await connect_anywhere(settings)
    except PgwatchError:
        return replace(outcome, message=_joined(outcome.message, _NOT_LOOKED))
    async with line:
        return await _with_aftermath(line, action, outcome)


async def _database_name(settings: Settings, action: PreparedRollback) -> str:
    async with await connect_anywhere(settings) as line:
        rows = await line.rows("locks/database_names")
    for row in rows:
        if row["oid"] == action.database_oid:
            return str(row["datname"])
    raise RefusedError("the database of the prepared transaction no longer exists")


async def _roll_back_there(line: BriefConnection, action: PreparedRollback) -> Outcome:
    name = str(action.party)
    if await _is_elsewhere(line, action):
        return Outcome("refused", _ELSEWHERE)
    transaction = await _find(line, action)
    if transaction is None:
        return Outcome("refused", f"The {name} had ended already.")
    gid, prepared, owner = transaction
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
        return Outcome(
            "unconfirmed",
            f"Whether the {name} was rolled back isn't known: {server_clause(error)}.",
        )
    except psycopg.Error as error:
        return Outcome("refused", f"The server refused to roll back the {name}: {server_clause(error)}.")
    line.told = "it was rolled back"
    if await _find(line, action) is not None:
        return Outcome("unconfirmed", f"The {name} is still there, though the server accepted the rollback.")
    return Outcome("done", f"The {name} was rolled back.")


async def _find(line: BriefConnection, action: PreparedRollback) -> tuple[str, datetime, str] | None:
    for row in await line.rows("locks/prepared_transactions"):
        if decode(cast(bytes, row["gid_bytes"])) == action.gid:
            return str(row["gid"]), cast(datetime, row["prepared"]), str(row["owner"])
    return None


# The sentences afterwards.

_NOT_LOOKED = "Whether the sessions it blocked can continue wasn't checked."


async def _with_aftermath(line: BriefConnection, action: Action, outcome: Outcome) -> Outcome:
    if not action.waiters:
        return outcome
    try:
        graph = await line.look()
    except (psycopg.Error, ConnectionLostError):
        return replace(outcome, message=_joined(outcome.message, _NOT_LOOKED))
    advice = ""
    if outcome.result == "done" and freed_nobody(action, graph):
        outcome = replace(outcome, result="in_vain")
        if isinstance(action, SessionAction) and action.how == "cancel" and still_behind(action, graph):
            advice = "It still holds the lock: end the session."
    message = _joined(outcome.message, aftermath(action, graph), advice)
    return replace(outcome, message=message, looked_at=graph.snapshot.sampled_at)


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)
