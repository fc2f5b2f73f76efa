"""`locks --cancel`, `--terminate`, `--rollback-prepared`: exit codes, and one plain line."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from tests.cli.running import environment, pgwatch
from tests.servers.sessions import Connect, Database, MakeRole, RunningStatement, blocked
from tests.waiting import PATIENCE_S, wait_until


def run(
    *arguments: str, cwd: Path, answer: str | None = None, **extra: str
) -> subprocess.CompletedProcess[str]:
    """`answer` is what is typed on a terminal; without one there is no terminal."""
    if answer is None:
        return pgwatch(cwd, "locks", *arguments, extra=extra)
    command = [sys.executable, "-m", "pgwatch_tests", "locks", *arguments]
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            command, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, cwd=cwd, env=environment(extra)
        ) as process:
            os.close(theirs)
            shown = b""
            while b"[y/N]" not in shown:
                shown += os.read(ours, 4096)
            os.write(ours, answer.encode())
            stdout, _ = process.communicate(timeout=PATIENCE_S)
            shown += _rest(ours)
        return subprocess.CompletedProcess(command, process.returncode, stdout.decode(), shown.decode())
    finally:
        os.close(ours)


def _rest(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end is closed
        return b""


def pid(session: Connection[TupleRow]) -> str:
    return str(session.info.backend_pid)


def is_there(connect: Connect, number: str) -> bool:
    query = "SELECT 1 FROM pg_stat_get_activity(%s::int)"
    return connect(autocommit=True).execute(query, [number]).fetchone() is not None


def test_done_is_0(database: Database, connect: Connect, tmp_path: Path) -> None:
    target = connect("pytest:gw0 t.py::test_it")
    target.execute("SELECT 1")
    done = run("--terminate", pid(target), "--yes", cwd=tmp_path, PGWATCH_DSN=database.dsn)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"test_it (gw0, pid {pid(target)}) has ended.\n"


def test_several_at_once_and_one_that_is_gone(database: Database, connect: Connect, tmp_path: Path) -> None:
    targets = [connect(f"pytest:gw{n} t.py::test_{n}") for n in range(2)]
    gone = connect()
    gone_pid = pid(gone)
    gone.close()
    wait_until(lambda: not is_there(connect, gone_pid), message="it has left")
    numbers = [pid(targets[0]), gone_pid, pid(targets[1]), pid(targets[0])]
    asked = [word for number in numbers for word in ("--terminate", number)]
    done = run(*asked, cwd=tmp_path, PGWATCH_DSN=database.dsn, answer="y\n")
    assert done.returncode == 2
    assert done.stdout.splitlines() == [
        f"test_{n} (gw{n}, pid {pid(targets[n])}) has ended." for n in range(2)
    ]
    assert f"there is no session with pid {gone_pid}" in done.stderr
    assert f"End 2 sessions: pid {pid(targets[0])} and {pid(targets[1])} [y/N]" in done.stderr


def test_cancel_takes_whatever_runs(database: Database, connect: Connect, tmp_path: Path) -> None:
    target = connect(autocommit=True)
    RunningStatement(target, "SELECT pg_sleep(600)", ())
    asks = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"
    observer = connect(autocommit=True)
    wait_until(lambda: observer.execute(asks, [pid(target)]).fetchone(), message="it sleeps")
    done = run("--cancel", pid(target), "--yes", "-d", database.dsn, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "was cancelled; the session is idle" in done.stdout


def test_a_prepared_transaction(database: Database, connect: Connect, tmp_path: Path) -> None:
    gid = f"{database.name} it's 100% \x1b[31m"
    session = connect()
    session.execute("SELECT pg_advisory_xact_lock(1)")
    session.execute(sql.SQL("PREPARE TRANSACTION {}").format(sql.Literal(gid)))
    done = run("--rollback-prepared", gid, "--yes", "-d", database.dsn, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("was rolled back.\n")
    assert "\x1b" not in done.stdout
    again = run("--rollback-prepared", gid, "--yes", "-d", database.dsn, cwd=tmp_path)
    assert again.returncode == 2
    assert "there is no prepared transaction" in again.stderr
    assert "\x1b" not in again.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cancel", "1", "--terminate", "1", "--yes"], "use only one of"),
        (["--terminate", "1"], "add --yes"),
        (["--terminate", "1", "--yes", "--read-only"], "read_only is set"),
        (["--terminate", "0", "--yes"], "Invalid value"),
        (["--terminate", "x", "--yes"], "Invalid value"),
        (["--terminate", "1", "--yes", "--format", "json"], "one line"),
        (["--terminate", "1", "--yes", "-o", "x"], "one line"),
        (["--yes"], "--yes needs"),
    ],
)
def test_usage_and_guards_are_2_before_anything_is_connected(
    arguments: list[str], words: str, tmp_path: Path
) -> None:
    done = run(*arguments, "-d", "postgresql://127.0.0.1:1/d", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_read_only_by_environment_and_project(tmp_path: Path) -> None:
    arguments = ["--terminate", "1", "--yes", "-d", "postgresql://127.0.0.1:1/d"]
    assert run(*arguments, cwd=tmp_path, PGWATCH_READ_ONLY="1").returncode == 2
    (tmp_path / "pyproject.toml").write_text("[tool.pgwatch-tests]\nread_only = true\n")
    assert run(*arguments, cwd=tmp_path).returncode == 2
    assert run(*arguments, cwd=tmp_path, PGWATCH_READ_ONLY="0").returncode == 3


def test_no_such_session_is_2(database: Database, tmp_path: Path) -> None:
    done = run("--cancel", "99999999", "--yes", "-d", database.dsn, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "pgwatch-tests: there is no session with pid 99999999\n"


def test_no_right_is_2(
    server: EmbeddedServer, database: Database, connect: Connect, make_role: MakeRole, tmp_path: Path
) -> None:
    target, dsn = connect(), server.dsn(database.name, make_role())
    done = run("--terminate", pid(target), "--yes", "-d", dsn, cwd=tmp_path)
    assert done.returncode == 2
    assert "needs a superuser" in done.stdout
    assert is_there(connect, pid(target))


def test_no_connection_is_3(tmp_path: Path) -> None:
    done = run("--cancel", "1", "--yes", "-d", "postgresql://127.0.0.1:1/d", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")


def test_not_seen_to_have_worked_is_4(database: Database, connect: Connect, tmp_path: Path) -> None:
    target = connect()
    os.kill(int(pid(target)), signal.SIGSTOP)
    try:
        done = run("--terminate", pid(target), "--yes", "-d", database.dsn, cwd=tmp_path)
    finally:
        os.kill(int(pid(target)), signal.SIGCONT)
    assert done.returncode == 4, done.stderr
    assert "is still there after 2 s" in done.stdout


def test_a_cancel_after_which_the_waiter_still_waits_is_4(
    database: Database, connect: Connect, tmp_path: Path
) -> None:
    holder, waiter = connect(autocommit=True), connect()
    holder.execute("SELECT pg_advisory_lock(1)")
    running = RunningStatement(holder, "SELECT pg_sleep(600)", ())
    blocked(waiter, "SELECT pg_advisory_lock(1)")
    done = run("--cancel", str(running.pid), "--yes", cwd=tmp_path, PGWATCH_DSN=database.dsn)
    assert (done.returncode, done.stderr) == (4, "")
    assert "It still holds the lock: end the session." in done.stdout
    ended = run("--terminate", str(running.pid), "--yes", cwd=tmp_path, PGWATCH_DSN=database.dsn)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_on_a_terminal_it_shows_whom_and_asks(database: Database, connect: Connect, tmp_path: Path) -> None:
    target = connect("pytest:gw0 t.py::test_it")
    target.execute("SELECT 1")
    refused = run("--terminate", pid(target), cwd=tmp_path, answer="n\n", PGWATCH_DSN=database.dsn)
    assert (refused.returncode, refused.stdout) == (2, "")
    for words in ("gw0 t.py::test_it", "idle in transaction", "Nobody waits for it.", "nothing was done"):
        assert words in refused.stderr
    assert is_there(connect, pid(target))
    done = run("--terminate", pid(target), cwd=tmp_path, answer="y\n", PGWATCH_DSN=database.dsn)
    assert done.returncode == 0
    assert done.stdout == f"test_it (gw0, pid {pid(target)}) has ended.\n"
