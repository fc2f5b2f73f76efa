"""Named locks: tests that share what can't be unique take turns, across workers, shards and languages.

    with lock("mail"):                        # alone
        ...
    async with lock("mail", shared=True):     # beside others that share it
        ...

A named lock is an advisory lock (PostgreSQL manual, Advisory Locks) with the numbers of a lease,
`pg_advisory_lock(1885828980, hashtext('lock:mail'))`, in the database `postgres`: advisory locks are of one
database, and that one all workers of a server share, whatever databases they have of their own. There, no
session of ours keeps anybody from dropping theirs. The server frees it when its holder is killed.

The marker `pgwatch_lock` takes locks before a test's clock starts. docs/named_locks.md has other languages.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import LiteralString, Self

import psycopg
from psycopg import sql

from pgwatch_tests.errors import CannotConnectError, ConnectionLostError, PgwatchError, RefusedError
from pgwatch_tests.identity.application_name import compose, parse
from pgwatch_tests.identity.lease_names import LEASE_KEY, hashtext, lock_lease
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.connect import connect
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.connections.maintenance_database import MAINTENANCE_DATABASE
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.postgres.leases import KEEPALIVES
from pgwatch_tests.settings.load import Dsn, Flags, load
from pgwatch_tests.testing.current_test import current
from pgwatch_tests.testing.leases import APPLICATION_NAME
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural

DATABASE_VARIABLE = "PGWATCH_LOCK_DATABASE"
"""The environment variable that names another database for named locks, which all workers must share."""
DEFAULT_TIMEOUT_S = 300.0

_CONNECT_TIMEOUT_S = 10.0
_TAKE: Mapping[bool, LiteralString] = {
    False: "SELECT pg_catalog.pg_advisory_lock({}, pg_catalog.hashtext({}))",
    True: "SELECT pg_catalog.pg_advisory_lock_shared({}, pg_catalog.hashtext({}))",
}
_FREE: Mapping[bool, LiteralString] = {
    False: "SELECT pg_catalog.pg_advisory_unlock({}, pg_catalog.hashtext({}))",
    True: "SELECT pg_catalog.pg_advisory_unlock_shared({}, pg_catalog.hashtext({}))",
}


class NamedLockError(RefusedError):
    """A named lock wasn't to be had in time, or its taker holds it already."""


@dataclass(frozen=True, slots=True)
class LockRequest:
    """A named lock to take, alone or beside others that share it."""

    name: str
    shared: bool = False

    @property
    def place(self) -> tuple[int, str]:
        """Its place in the one order in which everybody takes several."""
        return hashtext(lock_lease(self.name)), self.name


@dataclass(frozen=True, slots=True)
class _Taker:
    """Who takes a lock: a thread, or a task in it. A forked process has the number of its parent's thread."""

    process: int
    thread: int
    task: int | None
    whole_process: bool
    """Whether all threads of the process work for it, as for a test with the marker."""

    def holds_for(self, other: _Taker) -> bool:
        """Whether the other one would wait for itself. Threads and tasks of one test may take turns."""
        return self.whole_process or (self.process, self.thread, self.task) == (
            other.process,
            other.thread,
            other.task,
        )


@dataclass(slots=True)
class _LockSession:
    """A connection, and the locks that it holds."""

    connection: OwnConnection
    key: tuple[int, int, int | None, str, str]
    """Process, thread, task, server and database."""
    held: list[LockRequest] = field(default_factory=list)


_sessions: list[_LockSession] = []
_held: list[tuple[str, str, _Taker]] = []
"""Database and name of each lock that is held, once for each that shares it."""
_guard = threading.Lock()


class NamedLocks:
    """One or several named locks: a context manager for `with` and for `async with`, to be entered once."""

    def __init__(
        self,
        requests: Sequence[LockRequest],
        *,
        dsn: str | None = None,
        database: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        test: str | None = None,
        whole_process: bool = False,
    ) -> None:
        """`test` is the application name of the session that holds them; None: that of the current test.

        Raises ValueError for names that aren't any.
        """
        for request in requests:
            lock_lease(request.name)
        self._requests = sorted(requests, key=lambda request: request.place)
        self._dsn = dsn
        self._database = database
        self._timeout_s = timeout_s
        self._test = test
        self._whole_process = whole_process
        self._session: _LockSession | None = None
        self._taker: _Taker | None = None
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        """Waits for the locks. Raises what `lock` says."""
        self._take(_taker(self._whole_process))
        return self

    def __exit__(self, *error: object) -> None:
        """Frees them. Raises ConnectionLostError if they were lost meanwhile, and the body raised nothing."""
        self._free(failed=error[0] is not None)

    async def __aenter__(self) -> Self:
        """`__enter__` in a thread: the event loop goes on meanwhile."""
        taker = _taker(self._whole_process)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="pgwatch-tests lock")
        taking = asyncio.get_running_loop().run_in_executor(self._pool, self._take, taker)
        try:
            await asyncio.shield(taking)
        except asyncio.CancelledError:
            self._give_up()
            with suppress(PgwatchError, psycopg.Error):
                await taking
                self._free(failed=True)
            self._pool.shutdown(wait=False)
            raise
        except BaseException:
            self._pool.shutdown(wait=False)
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        """`__exit__` in a thread."""
        pool = self._pool
        assert pool is not None, "it was entered"
        failed = error[0] is not None
        try:
            await asyncio.get_running_loop().run_in_executor(pool, lambda: self._free(failed=failed))
        finally:
            pool.shutdown(wait=False)

    def check(self) -> None:
        """Raises ConnectionLostError if the locks are lost: another test may have them by now."""
        session = self._session
        if session is not None:
            try:
                session.connection.execute("SELECT")
            except psycopg.Error:
                raise ConnectionLostError(self._lost()) from None

    def _lost(self) -> str:
        names = ", ".join(request.name for request in self._requests)
        what = f"the {plural(len(self._requests), 'named lock').partition(' ')[2]} {names}"
        return f"{what} went with the connection while the test ran: another test may have had it meanwhile"

    def _take(self, taker: _Taker) -> None:
        dsn, database = _place(self._dsn, self._database)
        with _guard:
            for request in self._requests:
                holder = next((one for one in self._takers(database, request) if one.holds_for(taker)), None)
                if holder is not None:
                    raise NamedLockError(
                        f"this test holds the named lock {request.name} already, so it would wait for "
                        "itself: take it once, around all that needs it"
                        + (" (its marker pgwatch_lock has taken it)" if holder.whole_process else "")
                    )
            key = (taker.process, taker.thread, taker.task, dsn.value, database)
            session = next((one for one in _sessions if one.key == key), None)
        if session is None:
            session = _LockSession(_connected(dsn, database, self._test or _application_name()), key)
            with _guard:
                _sessions.append(session)
        self._session, self._taker = session, taker
        deadline = time.monotonic() + self._timeout_s
        try:
            for request in self._requests:
                _wait_for(session, request, deadline, self._timeout_s)
                session.held.append(request)
                with _guard:
                    _held.append((database, request.name, taker))
            if len(session.held) > 1:
                # The last statement of a session is what others see of it.
                session.connection.execute(_all_names(session.held))
        except BaseException:
            self._free(failed=True)
            raise

    @staticmethod
    def _takers(database: str, request: LockRequest) -> Iterator[_Taker]:
        return (taker for *lock, taker in _held if lock == [database, request.name])

    def _free(self, *, failed: bool) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        lost = False
        for request in reversed(self._requests):
            if request not in session.held:
                continue
            session.held.remove(request)
            with _guard:
                _held[:] = [one for one in _held if one != (session.key[-1], request.name, self._taker)]
            try:
                freed = session.connection.execute(_statement(_FREE, request)).fetchone()
            except psycopg.Error:
                freed = None
            lost = lost or freed != (True,)
        if not session.held:
            with _guard:
                _sessions.remove(session)
            session.connection.close()
        if lost and not failed:
            raise ConnectionLostError(self._lost())

    def _give_up(self) -> None:
        session = self._session
        if session is not None:
            with suppress(psycopg.Error):
                session.connection.cancel_safe(timeout=_CONNECT_TIMEOUT_S)


def lock(
    *names: str,
    shared: bool = False,
    dsn: str | None = None,
    database: str | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> NamedLocks:
    """Returns one or several named locks, for `with` and for `async with`.

    Whoever holds one has it alone, or beside others that share it. Several are taken in one order, so that
    tests that take the same ones don't wait for each other forever. Nested ones aren't: give all names to one
    call. `dsn` names the server; None: as commands find it (PGWATCH_DSN, DATABASE_URL, pyproject.toml).
    `database` is where the locks are, for all who take them: `postgres`, unless PGWATCH_LOCK_DATABASE names
    another. Entering raises NamedLockError after `timeout_s` seconds, with the test that holds it, and if
    this test holds it already; RefusedError behind a pooler; CannotConnectError and ConfigurationError.
    """
    if not names:
        raise ValueError("lock() takes the name of a lock")
    return NamedLocks(
        [LockRequest(name, shared) for name in dict.fromkeys(names)],
        dsn=dsn,
        database=database,
        timeout_s=timeout_s,
    )


def _taker(whole_process: bool) -> _Taker:
    task = None
    with suppress(RuntimeError):
        task = asyncio.current_task()
    return _Taker(os.getpid(), threading.get_ident(), None if task is None else id(task), whole_process)


def _place(dsn: str | None, database: str | None) -> tuple[Dsn, str]:
    found = load(Flags(), start=Path.cwd()).dsn if dsn is None else Dsn(dsn, "the DSN of the lock")
    return found, database or os.environ.get(DATABASE_VARIABLE) or MAINTENANCE_DATABASE


def _application_name() -> str:
    owner = current()
    if owner is not None:
        return compose("pytest", owner.worker, owner.name)
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    return compose("pytest", os.environ.get("PYTEST_XDIST_WORKER", ""), test) if test else APPLICATION_NAME


def _connected(dsn: Dsn, database: str, name: str) -> OwnConnection:
    # No limit but that of the wait itself, which each lock gets of what is left.
    limits = SessionLimits(
        statement_timeout_s=_CONNECT_TIMEOUT_S,
        lock_timeout_s=_CONNECT_TIMEOUT_S,
        more=(("application_name", name), ("statement_timeout", "0"), *KEEPALIVES),
    )
    try:
        connection = connect(dsn, limits, connect_timeout_s=_CONNECT_TIMEOUT_S, database=database)
    except CannotConnectError as error:
        raise CannotConnectError(
            f"{error}. Named locks are in the database {database!r}, which all workers share: GRANT CONNECT "
            f"ON it, or name another one that all of them reach ({DATABASE_VARIABLE})"
        ) from None
    try:
        connection.require_session("a named lock")
    except BaseException:
        connection.close()
        raise
    return connection


def _wait_for(session: _LockSession, request: LockRequest, deadline: float, timeout_s: float) -> None:
    connection = session.connection
    left_s = max(0.001, deadline - time.monotonic())
    connection.set({"lock_timeout": f"{max(1, round(left_s * 1000))}ms"})
    try:
        connection.execute(_statement(_TAKE, request))
    except psycopg.errors.LockNotAvailable:
        raise NamedLockError(
            f"waited {durations.in_words(timeout_s)} for the named lock {request.name}: "
            f"{_holders(connection, request)}"
        ) from None
    except psycopg.errors.DeadlockDetected:
        held = ", ".join(one.name for one in session.held)
        raise NamedLockError(
            f"a deadlock: this test holds {held or 'other locks'} and waits for the named lock "
            f"{request.name}, and another test does the reverse. Take all in one lock(…), or by the marker"
        ) from None


def _holders(connection: OwnConnection, request: LockRequest) -> str:
    """Returns `tests/a.py::test_b (gw1, pid 4711) holds it`."""
    with suppress(psycopg.Error):
        rows = connection.execute(
            queries.load("leases/lock_holders"), {"lease_key": LEASE_KEY, "name": lock_lease(request.name)}
        ).fetchall()
        holders = [_who(int(str(pid)), str(name)) for pid, name, _, granted in rows if granted]
        if holders:
            return f"{', '.join(holders)} {'holds' if len(holders) == 1 else 'hold'} it"
        queued = [_who(int(str(pid)), str(name)) for pid, name, *_ in rows]
        if queued:
            return f"{queued[0]} was ahead in the queue"
    return "nobody holds it any more"


def _who(pid: int, name: str) -> str:
    test = parse(name)
    if test is None:
        return f"{name or 'a session without a name'} (pid {pid})"
    return f"{test.label} ({', '.join(filter(None, (test.worker_label, f'pid {pid}')))})"


def _statement(forms: Mapping[bool, LiteralString], request: LockRequest) -> sql.Composed:
    # With the name in its text, so that whoever looks at the session finds it.
    return sql.SQL(forms[request.shared]).format(
        sql.Literal(LEASE_KEY), sql.Literal(lock_lease(request.name))
    )


def _all_names(held: Sequence[LockRequest]) -> sql.Composed:
    return sql.SQL("SELECT {}").format(sql.SQL(", ").join(sql.Literal(lock_lease(one.name)) for one in held))
