"""A count that is cut off: one line, the right exit code, and nothing left on the server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests import cli
from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms
from pgwatch_tests.postgres.sessions import yielding_session
from tests.cli.running import environment
from tests.leaks.scanning import counting, make_slow_table
from tests.servers.server_places import server_directory
from tests.servers.sessions import Connect, Database
from tests.waiting import PATIENCE_S, wait_until


def left_behind(observer: Connection[TupleRow]) -> int:
    """Sessions of ours, and locks on tables of this database that others than the observer hold."""
    row = observer.execute(
        "SELECT (SELECT count(*) FROM pg_stat_activity"
        " WHERE application_name = 'pgwatch-tests' AND datname = current_database())"
        " + (SELECT count(*) FROM pg_locks WHERE locktype = 'relation' AND pid <> pg_backend_pid()"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"
    ).fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def counting_process(dsn: str, observer: Connection[TupleRow], home: Path) -> Iterator[subprocess.Popen[str]]:
    """`pgwatch-tests leaks --fail`, in the middle of a table that takes minutes."""
    (home / "pyproject.toml").touch()
    with subprocess.Popen(
        [sys.executable, "-m", "pgwatch_tests", "leaks", "--fail", "--dsn", dsn],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=home,
        env=environment(),
    ) as process:
        wait_until(lambda: counting(observer))
        yield process
        process.kill()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, list[str]]:
    """Its exit code, stdout and the lines of stderr that aren't progress."""
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    lines = [line for line in stderr.splitlines() if line and "counted in" not in line]
    return process.returncode, stdout, lines


@pytest.fixture
def observer(connect: Connect) -> Connection[TupleRow]:
    """A superuser's session in the test's database, which has a table that takes minutes."""
    connection = connect(autocommit=True)
    make_slow_table(connection, "slow")
    return connection


def test_ctrl_c(database: Database, observer: Connection[TupleRow], tmp_path: Path) -> None:
    with counting_process(database.dsn, observer, tmp_path) as process:
        process.send_signal(signal.SIGINT)
        outcome = ended(process)

    assert outcome == (130, "", ["interrupted"])
    wait_until(lambda: left_behind(observer) == 0, timeout_s=30)


def test_a_session_that_is_ended(database: Database, observer: Connection[TupleRow], tmp_path: Path) -> None:
    with counting_process(database.dsn, observer, tmp_path) as process:
        observer.execute("SELECT pg_terminate_backend(%s)", [counting(observer)])
        code, stdout, lines = ended(process)

    assert (code, stdout, len(lines)) == (3, "", 1)
    assert "the connection was lost" in lines[0]
    wait_until(lambda: left_behind(observer) == 0, timeout_s=30)


@pytest.mark.parametrize("fast", [True, False])
def test_a_server_that_restarts(programs: ServerPrograms, template: Path, tmp_path: Path, fast: bool) -> None:
    with EmbeddedServer(programs, server_directory(), {}, template) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as before:
            make_slow_table(before, "slow")
            with counting_process(server.dsn(), before, tmp_path) as process:
                server.restart(fast)
                code, stdout, lines = ended(process)
        with psycopg.connect(server.dsn(), autocommit=True) as after:
            left = left_behind(after)

    assert (code, stdout, len(lines)) == (3, "", 1)
    assert "the connection was lost" in lines[0]
    assert left == 0


def test_a_server_that_stands_still(
    programs: ServerPrograms,
    template: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(yielding_session, "_GRACE_S", 0.2)
    monkeypatch.setenv("PGWATCH_COUNT_TIMEOUT", "1")
    with (
        EmbeddedServer(programs, server_directory(), {}, template) as server,
        psycopg.connect(server.dsn(), autocommit=True) as observer,
    ):
        make_slow_table(observer, "slow")
        stopped: list[int] = []

        def stop_all() -> None:
            backend = wait_until(lambda: counting(observer))
            assert backend is not None
            stopped.extend((server.pid, backend))
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)

        stopping = threading.Thread(target=stop_all)
        stopping.start()
        try:
            code = cli.run(["leaks", "--dsn", server.dsn()])
        finally:
            stopping.join()
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        wait_until(lambda: left_behind(observer) == 0, timeout_s=30)

    assert len(stopped) == 2
    assert code == 3
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if "counted in" not in line]
    assert (out, len(lines)) == ("", 1)
    assert "no answer from the server in 1.2 s" in lines[0]
