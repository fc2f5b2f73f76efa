"""Errors of the server about locks, found in what a test raised, whatever driver told it.

A driver's error is wrapped by SQLAlchemy (`orig`) and Django (`__cause__`), and may be one of a group. No
driver is imported for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

LOCK_NOT_AVAILABLE = "55P03"
QUERY_CANCELLED = "57014"
IDLE_TOO_LONG = "25P03"
DEADLOCK = "40P01"
_ABOUT_LOCKS = {LOCK_NOT_AVAILABLE, QUERY_CANCELLED, IDLE_TOO_LONG, DEADLOCK}
"""SQLSTATEs (PostgreSQL manual, Error Codes). A query is also cancelled by whoever doesn't wait for it."""

_NUMBER = re.compile(r"[0-9]+")
_MOST_ERRORS = 200


@dataclass(frozen=True, slots=True)
class LockError:
    """An error of the server that may be about a lock."""

    sqlstate: str
    message: str
    pid: int | None
    """The session that it was told to, where that can be found out."""
    circle: tuple[int, ...] = ()
    """Of a deadlock: the pids of all its members, the one that was ended first."""


def lock_errors(raised: BaseException) -> list[LockError]:
    """Returns the errors about locks in what a test raised, that which was raised last first."""
    found: dict[tuple[str, str, int | None], LockError] = {}
    for error in _chain(raised):
        sqlstate = _sqlstate(error)
        if sqlstate not in _ABOUT_LOCKS:
            continue
        circle = _circle(_text(error, "message_detail", "detail")) if sqlstate == DEADLOCK else ()
        pid = circle[0] if circle else _pid(error)
        message = _text(error, "message_primary", "message") or str(error).partition("\n")[0]
        known = LockError(sqlstate, message, pid, circle)
        # A wrapper repeats what it wraps.
        others = [one for one in found.values() if one.sqlstate == sqlstate and one.pid in (pid, None)]
        if not any(one.pid == pid for one in others) and (pid is not None or not others):
            for one in others:
                del found[one.sqlstate, one.message, one.pid]
            found[sqlstate, message, pid] = known
    return list(found.values())


def _chain(raised: BaseException) -> Iterator[BaseException]:
    """Yields an error and all that it came from or is made of, each once."""
    todo: list[object] = [raised]
    seen: set[int] = set()
    while todo and len(seen) < _MOST_ERRORS:
        error = todo.pop(0)
        if not isinstance(error, BaseException) or id(error) in seen:
            continue
        seen.add(id(error))
        yield error
        if isinstance(error, BaseExceptionGroup):
            todo.extend(error.exceptions)
        todo += [getattr(error, "orig", None), error.__cause__, error.__context__]


def _sqlstate(error: BaseException) -> str | None:
    """Returns the SQLSTATE, as psycopg 3 and asyncpg have it, and as psycopg 2 has."""
    for name in ("sqlstate", "pgcode"):
        value = getattr(error, name, None)
        if isinstance(value, str):
            return value
    return None


def _text(error: BaseException, of_diagnostics: str, own: str) -> str:
    """Returns a part of the server's message: psycopg has it in `diag`, asyncpg as an attribute."""
    for value in (getattr(getattr(error, "diag", None), of_diagnostics, None), getattr(error, own, None)):
        if isinstance(value, str):
            return value
    return ""


def _circle(detail: str) -> tuple[int, ...]:
    """Returns the pids of a deadlock's detail, one line each, in whichever language the server speaks.

    Each line begins with the process that waits, and ends with the one that it waits for; the first is the
    one that is ended (DeadLockReport, src/backend/storage/lmgr/deadlock.c).
    """
    found: dict[int, None] = {}
    for line in detail.splitlines():
        numbers = [int(number) for number in _NUMBER.findall(line)]
        if len(numbers) >= 2:
            found[numbers[0]] = None
    return tuple(found)


def _pid(error: BaseException) -> int | None:
    """Returns the session that an error was told to: of its cursor, or of the call that raised it."""
    cursor = getattr(error, "cursor", None)
    pid = _pid_of(cursor)
    if pid is not None:
        return pid
    trace: TracebackType | None = error.__traceback__
    frames = []
    while trace is not None:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    for frame in reversed(frames):
        module = frame.f_globals.get("__name__", "")
        if isinstance(module, str) and module.partition(".")[0] in ("psycopg", "asyncpg", "psycopg2"):
            pid = _pid_of(frame.f_locals.get("self"))
            if pid is not None:
                return pid
    return None


def _pid_of(one: object) -> int | None:
    """Returns the pid of a connection's session, or of a cursor's; None if it is neither, or closed."""
    for owner in (one, getattr(one, "connection", None), getattr(one, "_conn", None)):
        # A property of a closed connection raises.
        with suppress(Exception):
            told = getattr(getattr(owner, "pgconn", None), "backend_pid", None)
            told = told or getattr(getattr(owner, "info", None), "backend_pid", None)
            ask = getattr(owner, "get_server_pid", None)
            if not told and callable(ask):
                told = ask()
            if isinstance(told, int) and told > 0:
                return told
    return None
