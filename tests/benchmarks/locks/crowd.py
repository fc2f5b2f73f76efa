"""Many sessions from one thread: some wait for one row, the others are idle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg import Connection, pq
from psycopg.conninfo import make_conninfo
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGconn
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer, find_programs
from tests.servers.server_places import server_directory
from tests.waiting import wait_until

_STATEMENT = b"UPDATE accounts SET balance = balance + 1 WHERE id = 42"
_PATIENCE_S = 120.0


@contextmanager
def server(connections: int) -> Iterator[EmbeddedServer]:
    """A server for that many connections, on a Unix socket; gone at the end."""
    # Each of thousands of waiters for one row would look through all others after a second, with locks held.
    settings = {
        "max_connections": str(connections),
        "shared_buffers": "128MB",
        "deadlock_timeout": "1h",
    }
    with EmbeddedServer(find_programs(), server_directory("pgwatch-benchmark-"), settings) as started:
        yield started


@dataclass(slots=True)
class Crowd:
    """The sessions of one server. A session costs a socket: no thread waits for its answer."""

    dsn: str
    observer: Connection[TupleRow]
    idle: list[PGconn] = field(default_factory=list)
    waiting: list[PGconn] = field(default_factory=list)
    busy: list[PGconn] = field(default_factory=list)
    _holder: PGconn | None = None

    def grow_to(self, sessions: int) -> None:
        """Opens idle sessions until there are so many of them, the waiting ones and the holder included."""
        while self.sessions < sessions:
            self.idle.append(
                _connect(self.dsn, f"pytest:gw{self.sessions % 8} tests/test_{self.sessions}.py::t")
            )

    @property
    def sessions(self) -> int:
        """How many are open; the observer isn't counted."""
        return len(self._all())

    def work(self, busy: int) -> None:
        """Makes idle sessions run a statement that takes longer than any benchmark."""
        while len(self.busy) < busy:
            session = self.idle.pop()
            session.send_query(b"SELECT pg_sleep(86400)")
            self.busy.append(session)

    def block(self, waiters: int) -> None:
        """Makes idle sessions wait for one row until so many wait. Returns once the server shows it."""
        if waiters and self._holder is None:
            self._holder = self.idle.pop()
            _run(self._holder, b"BEGIN")
            _run(self._holder, _STATEMENT)
        while len(self.waiting) < waiters:
            session = self.idle.pop()
            session.send_query(_STATEMENT)
            self.waiting.append(session)
        wait_until(lambda: self.waiters_seen() == waiters, _PATIENCE_S, f"{waiters} sessions wait")

    def waiters_seen(self) -> int:
        """How many requests the server hasn't granted."""
        query = "SELECT count(*) FROM pg_lock_status() AS lock WHERE NOT granted"
        row = self.observer.execute(query).fetchone()
        assert row is not None
        return int(row[0])

    def close(self) -> None:
        """Ends all sessions, whatever they wait for."""
        query = "SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid"
        # The waiting ones first: what the holder lets go, nobody takes up.
        self.observer.execute(query, [[one.backend_pid for one in self._all()]])
        for one in self._all():
            one.finish()
        self.observer.close()

    def _all(self) -> list[PGconn]:
        return [*self.waiting, *self.busy, *self.idle, *([self._holder] if self._holder else [])]


@contextmanager
def crowd(dsn: str) -> Iterator[Crowd]:
    """No sessions yet, and a table with the row that they can wait for."""
    observer = psycopg.connect(dsn, autocommit=True, application_name="observer")
    gathered = Crowd(dsn, observer)
    try:
        observer.execute("CREATE TABLE accounts (id int PRIMARY KEY, balance int)")
        observer.execute("INSERT INTO accounts SELECT id, 0 FROM generate_series(1, 100) AS id")
        yield gathered
    finally:
        gathered.close()


def _connect(dsn: str, application_name: str) -> PGconn:
    session = pq.PGconn.connect(make_conninfo(dsn, application_name=application_name).encode())
    if session.status != ConnStatus.OK:
        raise psycopg.OperationalError(session.get_error_message())
    _run(session, b"SELECT 1")
    return session


def _run(session: PGconn, statement: bytes) -> None:
    result = session.exec_(statement)
    if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
        raise psycopg.OperationalError(result.get_error_message())
