"""Sessions that block each other, and databases and roles of a test's own."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import LiteralString, Protocol

import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from tests.waiting import PATIENCE_S, wait_until


@dataclass(frozen=True, slots=True)
class Database:
    """A database that belongs to one test."""

    name: str
    dsn: str


class Connect(Protocol):
    """Opens a connection to the test's database that is closed when the test ends."""

    def __call__(
        self,
        application_name: str | None = None,
        database: str | None = None,
        user: str | None = None,
        autocommit: bool = False,
    ) -> Connection[TupleRow]: ...


class MakeRole(Protocol):
    """Creates a login role (`options` as in CREATE ROLE) that is dropped when the test ends."""

    def __call__(self, options: LiteralString = "") -> str: ...


class RunningStatement:
    """A statement that runs in a thread of its own, on a connection that nobody else uses meanwhile."""

    def __init__(
        self, connection: Connection[TupleRow], statement: str, parameters: Sequence[object]
    ) -> None:
        self.pid = connection.info.backend_pid
        self._connection = connection
        self._statement = statement
        self._parameters = parameters
        self._rows: list[TupleRow] = []
        self._error: psycopg.Error | None = None
        self.thread = threading.Thread(target=self._run, name=f"backend {self.pid}", daemon=True)
        self.thread.start()

    def result(self, timeout_s: float = PATIENCE_S) -> list[TupleRow]:
        """Its rows, once it is done. Raises its error, or AssertionError if it takes longer."""
        self.thread.join(timeout_s)
        assert not self.thread.is_alive(), f"still running after {timeout_s:g} s: {self._statement}"
        if self._error is not None:
            raise self._error
        return self._rows

    def _run(self) -> None:
        try:
            cursor = self._connection.execute(self._statement.encode(), self._parameters or None)
            self._rows = cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            self._error = error


def blocked(
    connection: Connection[TupleRow],
    statement: str,
    parameters: Sequence[object] = (),
    observer: Connection[TupleRow] | None = None,
) -> RunningStatement:
    """Runs a statement in a thread and returns once the server shows that it waits for a lock.

    `observer` is the (autocommit) connection that looks; without one, a new connection does.
    """
    running = RunningStatement(connection, statement, parameters)
    if observer is not None:
        wait_until(lambda: is_waiting(observer, running.pid), message=f"{statement!r} waits for a lock")
    else:
        with psycopg.connect(connection.info.dsn, autocommit=True) as looking:
            wait_until(lambda: is_waiting(looking, running.pid), message=f"{statement!r} waits for a lock")
    return running


def is_waiting(observer: Connection[TupleRow], pid: int) -> bool:
    """Whether that backend waits for a lock."""
    query = "SELECT 1 FROM pg_lock_status() AS lock WHERE pid = %s AND NOT granted"
    return observer.execute(query, [pid]).fetchone() is not None


def close_at_once(connections: Iterable[Connection[TupleRow]], administrator_dsn: str) -> None:
    """Closes connections, whatever they are waiting for: their backends are ended first."""
    still_open = [connection for connection in connections if not connection.closed]
    if not still_open:
        return
    try:
        with psycopg.connect(administrator_dsn, autocommit=True) as administrator:
            pids = [connection.info.backend_pid for connection in still_open]
            administrator.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", [pids])
    except psycopg.OperationalError:
        pass  # a test that stops its server has ended them already
    for connection in still_open:
        # Held by a thread that runs a statement, which ends now.
        held = connection.lock.acquire(timeout=5)
        connection.close()
        if held:
            connection.lock.release()


def create_database(administrator: Connection[TupleRow], name: str) -> None:
    """Creates an empty database. In memory, a copy of files is cheaper than the log of their pages."""
    has_strategies = administrator.info.server_version >= 150000
    strategy = sql.SQL("STRATEGY FILE_COPY" if has_strategies else "")
    administrator.execute(sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(name), strategy))


def drop_database(administrator: Connection[TupleRow], name: str) -> None:
    """Drops a database, whoever is connected to it, and its prepared transactions, which would keep it."""
    query = "SELECT gid FROM pg_prepared_xacts WHERE database = %s"
    found = administrator.execute(query, [name]).fetchall()
    if found:
        with psycopg.connect(administrator.info.dsn, dbname=name, autocommit=True) as inside:
            for (gid,) in found:
                inside.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)))
    administrator.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def unique_name(prefix: str = "test") -> str:
    """`test_<ms>_<pid>_<hex>`: no two tests have the same."""
    return f"{prefix}_{time.time_ns() // 1_000_000}_{os.getpid()}_{secrets.token_hex(4)}"
