"""A suite that hangs: its lock tree is told at once, and only a transaction of this very run is ended."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.record.model import MarkKind
from pgwatch_tests.record.run_summary import Hang
from pgwatch_tests.run.guards import HangLimit
from pgwatch_tests.run.hangs.hang_guard import HangGuard
from pgwatch_tests.run.hangs.root_ending import RunProcesses
from pgwatch_tests.settings.load import Dsn, Settings
from tests.servers.databases import Databases
from tests.servers.sessions import Connect, Database, RunningStatement, blocked
from tests.waiting import wait_until

TOKEN = "5eed5eed5eed"
UPDATE = "UPDATE users SET name = 'b' WHERE id = 1"
HOLD = f"""
import psycopg, sys
connection = psycopg.connect(sys.argv[1], application_name="pytest:gw0 tests/test_a.py::test_books")
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
def suite(python: str, database: Database) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A command whose test leaves a transaction open; its backend."""
    with subprocess.Popen(
        [python, "-c", HOLD, database.dsn], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
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


def test_name_that_no_other_run_has_proves_it_where_sockets_do_not(
    python: str, database: Database, users: Connection[TupleRow], connect: Connect
) -> None:
    name = f"suite of {TOKEN}"
    root = connect(name)
    root.execute(UPDATE)
    waiting = blocked(connect("psql"), UPDATE, observer=users)
    with guarded(database, HangLimit(0.3, ends_root=True), RunProcesses(0, TOKEN, name)) as (_, log):
        waiting.result()
        wait_until(lambda: "root_ended" in log.marks)
    assert "(it has the run's name)" in log.text


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
