"""The end of a hang's root: only an idle transaction of this very run, in its test database.

A session is of this very run if the process at its client's end is one of the command's (`client_processes`),
or if its name is the one that this run gave its command, and no pooler can have kept that name for somebody
else. What can't be proved isn't ended. All else is as for a sweep: the guard of the database, no session that
holds a lease, and all of it checked once more where the signal is sent.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar

import psycopg
from psycopg import errors
from psycopg.rows import class_row

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.identity.application_name import OWN_NAME
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import Party
from pgwatch_tests.postgres import guard, queries
from pgwatch_tests.postgres.connections.connect import connect
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.connections.maintenance_database import connect_outside
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.postgres.leases import LEASE_KEY
from pgwatch_tests.postgres.server_messages import server_clause
from pgwatch_tests.run.hangs.client_processes import (
    ClientEnd,
    OwnEnd,
    is_clients_own,
    owner_of,
    processes_of_run,
)
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.text.durations import in_words

T = TypeVar("T")

EndingResult = Literal["ended", "left", "not yet"]
_LIMITS = SessionLimits(statement_timeout_s=2.0, lock_timeout_s=0.5, read_only=False)
_IDLE = ("idle in transaction", "idle in transaction (aborted)")
_CONFIRM_WITHIN_S = 2.0
_LOOK_EVERY_S = 0.05
_MOST_WAITERS = 50


@dataclass(frozen=True, slots=True)
class RunProcesses:
    """What proves that a session is of this run."""

    command_pid: int
    token: str
    """Hex digits that no other run has, in the environment of the command."""
    own_name: str = ""
    """The name that sessions of the command have unless they are given another; empty if others may have
    it."""

    def have(self, end: ClientEnd, own: OwnEnd, application_name: str) -> str:
        """Returns how a session is known as this run's, in words; empty if it isn't."""
        processes = processes_of_run(self.command_pid, self.token)
        pid = owner_of(end, own, processes)
        if pid is not None:
            return f"process {pid} of the command holds it"
        has_name = bool(self.own_name) and application_name == self.own_name
        return "it has the run's name" if has_name and is_clients_own(end, own, processes) else ""


@dataclass(frozen=True, slots=True)
class Ending:
    """The outcome for one root. `sentence` says what was done, or why not; foreign text as it is."""

    result: EndingResult
    sentence: str


@dataclass(frozen=True, slots=True)
class _Root:
    """A row of queries/run/root.sql."""

    backend_start: datetime | None
    state_change: datetime | None
    user_oid: int | None
    state: str | None
    application_name: str
    idle_s: float | None
    is_here: bool | None
    client_address: str | None
    client_port: int | None
    holds_lease: bool
    own_pid: int
    own_address: str | None
    own_port: int | None
    server_port: int | None


@dataclass(frozen=True, slots=True)
class _Signalled:
    """A row of queries/run/end_root.sql."""

    signalled: bool


@dataclass(frozen=True, slots=True)
class _Start:
    """A row of queries/locks/session_start.sql."""

    backend_start: datetime | None


def end_root(
    settings: Settings, graph: LockGraph, root: Party, idle_for_s: float, processes: RunProcesses
) -> Ending:
    """Ends the root if it may be; takes some seconds at most. Raises nothing of the server's.

    `idle_for_s`: how long it has to have been idle in its transaction: one that works on comes to its end.
    """
    who = graph.who(root)
    if not root.pid:
        return Ending("left", f"{who} was left alone: it is no session of the run.")
    if settings.read_only:
        return Ending("left", f"{who} was left alone: read_only is set.")
    waiters = sorted(party.pid for party in graph.waiters(root))[:_MOST_WAITERS]
    try:
        connection = connect(settings.dsn, _LIMITS, connect_timeout_s=settings.connect_timeout_s)
        with closing(connection):
            return _RootSession(connection, settings, root.pid, who).end(waiters, idle_for_s, processes)
    except psycopg.Error as error:
        return Ending("not yet", f"{who} couldn't be ended: {server_clause(error)}.")
    except PgwatchError as error:
        return Ending("not yet", f"{who} couldn't be ended: {error}.")


def is_of_run(settings: Settings, pid: int, processes: RunProcesses) -> bool:
    """Whether the session with this pid is proved to be the run's, in whatever database. Raises nothing."""
    with suppress(PgwatchError, psycopg.Error):
        connection = connect_outside(settings.dsn, _LIMITS, connect_timeout_s=settings.connect_timeout_s)
        with closing(connection):
            return _RootSession(connection, settings, pid, "").is_of(processes)
    return False


class _RootSession:
    def __init__(self, connection: OwnConnection, settings: Settings, pid: int, who: str) -> None:
        self._connection = connection
        self._settings = settings
        self._pid = pid
        self._who = who

    def end(self, waiters: Collection[int], idle_for_s: float, processes: RunProcesses) -> Ending:
        self._connection.require_session("ending a session")
        [facts] = self._ask("server/test_database", guard.DatabaseFacts)
        refusal = guard.refusal(facts, patterns=self._settings.test_databases)
        if refusal is not None:
            return self._left(refusal)
        rows = self._ask("run/root", _Root, {"pid": self._pid, "lease_key": LEASE_KEY})
        if not rows:
            return self._left("it had ended already")
        [row] = rows
        if not row.is_here:
            return self._left(f"it isn't in {facts.database}")
        if row.backend_start is None or row.state_change is None:
            return self._left("this role may not see what it does (needs pg_monitor, or its role)")
        if row.holds_lease:
            return self._left("it holds a lease")
        if row.state not in _IDLE:
            return Ending(
                "not yet", f"{self._who} was left alone: it is {row.state}, not idle in transaction."
            )
        proof = self._proof(row, processes)
        if not proof:
            return self._left("it can't be shown to be a session of this run")
        if row.idle_s is not None and row.idle_s < idle_for_s:
            return Ending(
                "not yet",
                f"{self._who} was left alone so far: it has been idle for {in_words(row.idle_s)} only.",
            )
        return self._signal(row, waiters, proof)

    def is_of(self, processes: RunProcesses) -> bool:
        rows = self._ask("run/root", _Root, {"pid": self._pid, "lease_key": LEASE_KEY})
        return bool(rows) and bool(self._proof(rows[0], processes))

    def _proof(self, row: _Root, processes: RunProcesses) -> str:
        end = ClientEnd(row.client_address, row.client_port, self._pid)
        return processes.have(end, self._own_end(row), row.application_name)

    def _own_end(self, row: _Root) -> OwnEnd:
        told = ClientEnd(row.own_address, row.own_port, row.own_pid)
        return OwnEnd(told, self._connection.fileno(), row.server_port)

    def _signal(self, row: _Root, waiters: Collection[int], proof: str) -> Ending:
        parameters = {
            "pid": self._pid,
            "backend_start": row.backend_start,
            "state_change": row.state_change,
            "waiters": list(waiters),
            "own_name": OWN_NAME,
            "lease_key": LEASE_KEY,
        }
        try:
            told = self._ask("run/end_root", _Signalled, parameters)
        except errors.InsufficientPrivilege:
            return self._left("this role may not end it (needs pg_signal_backend, or its role)")
        if not told:
            return Ending(
                "not yet", f"{self._who} was left alone: it works again, or blocks nobody any more."
            )
        until_s = time.monotonic() + _CONFIRM_WITHIN_S
        while self._is_there(row):
            if time.monotonic() > until_s:
                return self._left(f"it was told to end, but is still there after {_CONFIRM_WITHIN_S:g} s")
            time.sleep(_LOOK_EVERY_S)
        idle = f"idle in transaction for {in_words(row.idle_s)}"
        return Ending("ended", f"{self._who} was ended: it was {idle}, and is of this run ({proof}).")

    def _is_there(self, row: _Root) -> bool:
        starts = self._ask("locks/session_start", _Start, {"pid": self._pid})
        return any(one.backend_start == row.backend_start for one in starts)

    def _left(self, why: str) -> Ending:
        return Ending("left", f"{self._who} was left alone: {why}.")

    def _ask(self, query: str, row: type[T], parameters: Mapping[str, object] | None = None) -> list[T]:
        with self._connection.cursor(row_factory=class_row(row)) as cursor:
            return cursor.execute(queries.load(query).encode(), parameters).fetchall()
