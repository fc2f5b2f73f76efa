"""A suite that hangs: its lock tree is told at once, and only a transaction of this very run is ended."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path

import pytest
from psycopg import AsyncConnection, Connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.locks.naming.object_names import NameCache
from pgwatch_tests.postgres.connections.session_settings import Row
from pgwatch_tests.record.model import MarkKind
from pgwatch_tests.record.run_summary import Hang
from pgwatch_tests.run.guards import HangLimit
from pgwatch_tests.run.hangs.hang_guard import HangGuard
from pgwatch_tests.run.hangs.root_ending import RunProcesses
from pgwatch_tests.settings.load import Dsn, Settings
from tests.servers.databases import Databases
from tests.servers.server_places import SHORT
from tests.servers.sessions import Connect, Database, RunningStatement, blocked
from tests.waiting import wait_until

TOKEN = "5eed5eed5eed"
UPDATE = "UPDATE users SET name = 'b' WHERE id = 1"
HOLD = f"""
import psycopg, sys
connection = psycopg.connect(sys.argv[1], application_name=sys.argv[2])
connection.execute("{UPDATE}")
print(connection.info.backend_pid, flush=True)
sys.stdin.read()
"""


class Log:
    """What the guard tells and notes."""

    def __init__(self) -> None:
        self.text = ""
        self.marks: list[MarkKind] = []
        self._lock = threading.Lock()

    def tell(self, text: str) -> None:
        with self._lock:
            self.text += f"{text}\n"

    def note(self, kind: MarkKind, _text: str, _at: datetime | None) -> None:
        self.marks.append(kind)


@contextmanager
def guarded(database: Database, limit: HangLimit, processes: RunProcesses) -> Iterator[tuple[HangGuard, Log]]:
    log = Log()
    guard = HangGuard(limit, processes, log.tell, log.note)
    guard.start(Settings(Dsn(database.dsn, "the test")))
    try:
        yield guard, log
    finally:
        guard.stop(5.0)


@contextmanager
def suite(
    python: str, database: Database, name: str = "pytest:gw0 tests/test_a.py::test_books"
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A command whose test leaves a transaction open; its backend."""
    with subprocess.Popen(
        [python, "-c", HOLD, database.dsn, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout is not None
            yield running, int(running.stdout.readline())
        finally:
            running.kill()


def blocked_one(guard: HangGuard) -> Hang:
    """Its one hang; on a busy machine sessions may be quiet for as long as well."""
    [hang] = [one for one in guard.stop() if one.kind == "blocked"]
    return hang


@pytest.fixture
def users(owner: Connection[TupleRow]) -> Connection[TupleRow]:
    owner.execute("CREATE TABLE users (id int PRIMARY KEY, name text); INSERT INTO users VALUES (1, 'a')")
    return owner


def test_hang_that_is_told_at_once_waits_for_names(
    database: Database, users: Connection[TupleRow], connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told once: on a busy machine, names come a moment later than the lock table."""
    ask = NameCache._read_relations

    async def late(
        self: NameCache, asked: int, keys: list[tuple[int, int]], connection: AsyncConnection[Row]
    ) -> None:
        await asyncio.sleep(0.4)
        await ask(self, asked, keys, connection)

    monkeypatch.setattr(NameCache, "_read_relations", late)
    holder = connect()
    holder.execute(UPDATE)
    waiting = blocked(connect(), UPDATE, observer=users)
    with guarded(database, HangLimit(0.1), RunProcesses(os.getpid(), TOKEN)) as (_, log):
        wait_until(lambda: "blocked for" in log.text)
    assert "row of users (id=1)" in log.text
    holder.rollback()
    waiting.result()


def test_root_of_this_run_is_ended_and_told(
    python: str, database: Database, users: Connection[TupleRow], connect: Connect
) -> None:
    with suite(python, database) as (command, backend):
        waiting = blocked(connect("pytest:gw1 tests/test_a.py::test_waits"), UPDATE, observer=users)
        processes = RunProcesses(command.pid, TOKEN)
        with guarded(database, HangLimit(0.5, ends_root=True), processes) as (guard, log):
            waiting.result()
            wait_until(lambda: "root_ended" in log.marks)
            hang = blocked_one(guard)
        assert re.match(rf"hang: blocked for \S+ s behind test_books \(gw0, pid {backend}\)\n", log.text)
        assert "gw1 tests/test_a.py::test_waits  waits" in log.text
        assert "row of users (id=1)" in log.text
        assert f"test_books (gw0, pid {backend}) was ended: it was idle in transaction" in log.text
        assert f"(process {command.pid} of the command holds it)" in log.text
        assert (hang.kind, hang.ended_root) == ("blocked", f"test_books (gw0, pid {backend})")
        assert log.marks[:2] == ["hang", "root_ended"]
        assert not guard.trouble


def test_nobody_elses_session_is_ended(
    python: str,
    database: Database,
    users: Connection[TupleRow],
    connect: Connect,
) -> None:
    with suite(python, database) as (_, backend):
        waiting = blocked(connect("pytest:gw1 tests/test_a.py::test_waits"), UPDATE, observer=users)
        # This run's command is another process, that has nothing to do with the root.
        with subprocess.Popen([python, "-c", "input()"], stdin=subprocess.PIPE) as command:
            processes = RunProcesses(command.pid, TOKEN)
            with guarded(database, HangLimit(0.3, ends_root=True), processes) as (guard, log):
                wait_until(lambda: "was left alone" in log.text)
                # Told once, however many polls follow.
                wait_until(lambda: "still hanging" in log.text)
                hang = blocked_one(guard)
            assert log.text.count("was left alone: it can't be shown to be a session of this run.") == 1
            assert hang.ended_root == ""
            assert "can't be shown to be a session of this run" in hang.ending
            assert "root_ended" not in log.marks
            command.kill()
        assert waiting.thread.is_alive()
        [(state,)] = users.execute("SELECT state FROM pg_stat_activity WHERE pid = %s", [backend]).fetchall()
        assert state == "idle in transaction"


@contextmanager
def relayed(database: Database) -> Iterator[Database]:
    """The same database through something that passes bytes on, as a container's published port does."""
    place = conninfo_to_dict(database.dsn)
    with suppress(OSError), ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=SHORT, prefix="pgwatch-")))
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(directory / ".s.PGSQL.5432"))
        listener.listen()

        def accept() -> None:
            with suppress(OSError):  # it is shut down at the end
                while True:
                    client = listener.accept()[0]
                    server = socket.socket(socket.AF_UNIX)
                    server.connect(f"{place['host']}/.s.PGSQL.{place['port']}")
                    for source, to in ((client, server), (server, client)):
                        threading.Thread(target=pass_on, args=(source, to), daemon=True).start()

        def pass_on(source: socket.socket, to: socket.socket) -> None:
            with suppress(OSError), source:
                while some := source.recv(1 << 16):
                    to.sendall(some)
                to.shutdown(socket.SHUT_WR)

        threading.Thread(target=accept, daemon=True).start()
        yield Database(database.name, make_conninfo(database.dsn, host=str(directory), port=5432))
        listener.shutdown(socket.SHUT_RDWR)


def test_name_that_no_other_run_has_proves_it_where_sockets_cannot(
    python: str, database: Database, users: Connection[TupleRow], connect: Connect
) -> None:
    name = f"suite of {TOKEN}"
    with relayed(database) as relay, suite(python, relay, name) as (command, _):
        waiting = blocked(connect("psql"), UPDATE, observer=users)
        processes = RunProcesses(command.pid, TOKEN, name)
        with guarded(relay, HangLimit(0.3, ends_root=True), processes) as (_, log):
            waiting.result()
            wait_until(lambda: "root_ended" in log.marks)
    assert "(it has the run's name)" in log.text


def test_name_that_a_pooler_may_have_kept_for_somebody_else_proves_nothing(
    python: str, database: Database, users: Connection[TupleRow], connect: Connect
) -> None:
    name = f"suite of {TOKEN}"
    # As a pooler's: it has the name of the run's client that had it before, and is another's now.
    connect(name).execute(UPDATE)
    waiting = blocked(connect("psql"), UPDATE, observer=users)
    with ExitStack() as stack:
        relay = stack.enter_context(relayed(database))
        command = stack.enter_context(
            subprocess.Popen([python, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        )
        stack.callback(command.kill)
        processes = RunProcesses(command.pid, TOKEN, name)
        for way in (database, relay):
            with guarded(way, HangLimit(0.3, ends_root=True), processes) as (_, log):
                wait_until(lambda: "was left alone: it can't be shown to be a session" in log.text)
            assert "root_ended" not in log.marks
    assert waiting.thread.is_alive()


def test_what_works_and_what_is_no_test_database_is_left_alone(
    databases: Databases, server: EmbeddedServer, connect: Connect
) -> None:
    name = f"suite of {TOKEN}"
    real = databases.make("of_people")
    root = connect(name, real)
    root.execute("CREATE TABLE users (id int PRIMARY KEY, name text)")
    root.commit()
    root.execute("LOCK users")
    at_work = RunningStatement(root, "SELECT pg_sleep(600)", ())
    waiting = blocked(connect("psql", real), "SELECT FROM users")
    processes = RunProcesses(0, TOKEN, name)
    with guarded(Database(real, server.dsn(real)), HangLimit(0.3, ends_root=True), processes) as (_, log):
        wait_until(lambda: "left alone" in log.text)
        assert "isn't marked as a test database, so nothing is changed in it" in log.text
    settings = Settings(Dsn(server.dsn(real), "the test"), test_databases=(real,))
    log = Log()
    guard = HangGuard(HangLimit(0.3, ends_root=True), processes, log.tell, log.note)
    guard.start(settings)
    wait_until(lambda: "it is active, not idle in transaction" in log.text)
    root.cancel_safe()
    # Its transaction has failed, and holds its locks still until it ends.
    waiting.result()
    hang = blocked_one(guard)
    assert hang.ended_root in ("", f"{name} (pid {root.info.backend_pid})")
    at_work.thread.join()
