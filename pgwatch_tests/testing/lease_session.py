"""A session that holds leases, and opens another one that takes them anew if it is lost.

A restart of the server ends it, or somebody does by pg_terminate_backend. Its leases end with it. A thread
looks once a second whether it is still there, so that a sweep or `leaks` hardly ever sees what it stands for
without an owner; whoever uses the session looks, too. What a sweep has taken meanwhile isn't ours any more.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Literal
from weakref import WeakSet

import psycopg

from pgwatch_tests.errors import LeaseTakenError, PgwatchError
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.leases import LEASE_KEY
from pgwatch_tests.testing import findings
from pgwatch_tests.testing.findings import Finding
from pgwatch_tests.text.numbers import plural

LOOK_EVERY_S = 1.0
_PAUSE_S = 0.02
_PATIENCE = round(2 / _PAUSE_S)
"""How often a lease is asked for while the server still ends the session that had it."""

_State = Literal["held", "held anew", "taken", "gone"]
"""`held anew`: it isn't known yet whether what it stands for is there. `taken`: somebody else has it."""

_log = logging.getLogger("pgwatch_tests.isolation")


class LeaseSession:
    """A session with leases, for any thread of the process that made it."""

    def __init__(self, connect: Callable[[], OwnConnection]) -> None:
        """`connect` opens a session; a pooler's is refused."""
        self._connect = connect
        self._connection: OwnConnection | None = None
        self._states: dict[str, _State] = {}
        self._lock = threading.RLock()
        self._owner = os.getpid()

    def connection(self) -> OwnConnection:
        """The session; another one if it was lost.

        Raises what `connect` does, RefusedError for a pooler, and psycopg.Error.
        """
        with self._lock:
            if self._connection is None or is_lost(self._connection):
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None
                self._connection = _straight(self._connect())
                if self._states:
                    self._take_again(self._connection)
            return self._connection

    def present_connection(self) -> OwnConnection | None:
        """The session, unless it was lost: for what isn't worth a wait for the server."""
        with self._lock:
            lost = self._connection is None or is_lost(self._connection)
            return None if lost else self._connection

    def take(self, name: str) -> None:
        """Takes a lease. Raises LeaseTakenError, and what `connection` does."""
        with self._lock:
            take(self.connection(), name)
            self._states[name] = "held"
        _look_after(self)

    def free(self, name: str) -> None:
        """Gives a lease back; with a session that is lost it is gone already."""
        with self._lock:
            state, connection = self._states.pop(name, "gone"), self.present_connection()
            if state in ("held", "held anew") and connection is not None:
                free(connection, name)

    def is_ours(self, name: str) -> bool:
        """Whether the lease is held, and the schema or database there if the lease wasn't held all the time.

        Raises what `connection` does.
        """
        with self._lock:
            connection = self.connection()
            if self._states.get(name) == "held anew":
                row = connection.execute(queries.load("leases/owned"), {"name": name}).fetchone()
                self._states[name] = "held" if row == (True,) else "gone"
                if row != (True,):
                    free(connection, name)
            return self._states.get(name) == "held"

    def is_taken(self, name: str) -> bool:
        """Whether somebody else had the lease when it was last asked for."""
        with self._lock:
            return self._states.get(name) == "taken"

    def look(self) -> None:
        """Sees to it that there is a session which holds the leases. Raises what `connection` does."""
        with self._lock:
            if self._states:
                connection = self.connection()
                for name in [name for name, state in self._states.items() if state == "taken"]:
                    self._states[name] = _taken(connection, name)

    def close(self) -> None:
        """Closes the session, and so ends all leases."""
        with _look_lock:
            _lease_sessions.discard(self)
        with self._lock:
            self._states.clear()
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @property
    def is_looked_after(self) -> bool:
        """Whether it has leases, and is this process's own: not that of the one which forked it."""
        return bool(self._states) and self._owner == os.getpid()

    def _take_again(self, connection: OwnConnection) -> None:
        waiting = list(self._states)
        for _ in range(_PATIENCE):
            for name in waiting:
                self._states[name] = _taken(connection, name)
            waiting = [name for name in waiting if self._states[name] == "taken"]
            if not waiting:
                break
            time.sleep(_PAUSE_S)
        number = plural(len(self._states), "lease")
        _log.warning("the session that held %s was lost; another one has taken them anew", number)
        if waiting:
            _log.warning("somebody else has what these leases stand for: %s", ", ".join(waiting))


def _straight(connection: OwnConnection) -> OwnConnection:
    try:
        connection.require_session("a lease")
    except BaseException:
        connection.close()
        raise
    return connection


def take(connection: OwnConnection, name: str) -> None:
    """Takes a lease on a session. Raises LeaseTakenError, psycopg.Error."""
    parameters = {"lease_key": LEASE_KEY, "name": name}
    if connection.execute(queries.load("leases/take"), parameters).fetchone() != (True,):
        raise LeaseTakenError(f"another session holds the lease of {name!r}")


def free(connection: OwnConnection, name: str) -> None:
    """Gives a lease back; with a lost session it is gone already."""
    with suppress(psycopg.Error):
        connection.execute(queries.load("leases/free"), {"lease_key": LEASE_KEY, "name": name})


def is_lost(connection: OwnConnection) -> bool:
    """Whether a session has ended, as far as this machine has heard: no round trip, unless something came."""
    if connection.closed:
        return True
    try:
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        if not poll.poll(0):
            return False
        # Its end, the answer to another thread, or a notice.
        connection.execute("SELECT")
    except (psycopg.Error, OSError, ValueError):
        pass
    return connection.closed


def tell_given_up(name: str) -> None:
    """Tells that a schema or database isn't ours any more, in the log and to the plugin."""
    reason = (
        f"{name} was given up: the session that held its lease was lost, and a sweep or another session "
        "had it before the lease was taken anew"
    )
    _log.warning("%s", reason)
    findings.tell(Finding("not_checked", None, reason, fails=False))


def _taken(connection: OwnConnection, name: str) -> _State:
    try:
        take(connection, name)
    except LeaseTakenError:
        return "taken"
    return "held anew"


_lease_sessions: WeakSet[LeaseSession] = WeakSet()
_look_lock = threading.Lock()
_looking: threading.Thread | None = None


def _begin_in_child() -> None:
    """Has a process that was forked begin anew: nobody else in it has the lock, and no thread is there."""
    global _look_lock, _looking
    _look_lock, _looking = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_child)


def _look_after(session: LeaseSession) -> None:
    """Has this process's one thread look after the session, too."""
    global _looking
    with _look_lock:
        _lease_sessions.add(session)
        if _looking is None:
            _looking = threading.Thread(target=_look_now_and_then, name="pgwatch-tests leases", daemon=True)
            _looking.start()


def _look_now_and_then() -> None:
    """Looks after all sessions, until none has a lease."""
    global _looking
    pause = threading.Event()
    while True:
        pause.wait(LOOK_EVERY_S)
        with _look_lock:
            sessions = [one for one in _lease_sessions if one.is_looked_after]
            if not sessions:
                _looking = None
                return
        for session in sessions:
            # Whoever uses it is told; the next look tries again.
            with suppress(psycopg.Error, PgwatchError, OSError):
                session.look()
