"""The sampler's process: its journal, what it costs nobody, and that it ends with whoever started it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil

from pgwatch_tests.locks.watch.wait_history import WaitHistory
from pgwatch_tests.locks.watch.wait_journal import JournalReader
from pgwatch_tests.pytest_plugin.blocking.sampler_process import SamplerFiles, SamplerProcess
from tests.servers.sessions import Connect, Database, blocked
from tests.waiting import wait_until

STARTS = """
import os, subprocess, sys
from pathlib import Path
from pgwatch_tests.pytest_plugin.blocking.sampler_process import SamplerFiles, SamplerProcess
process = SamplerProcess(SamplerFiles.of(Path(sys.argv[1]), "s"))
process.watch(sys.argv[2], "the tests' database", [])
# A child that has the pipe, too, and outlives us.
if os.fork() == 0:
    os.execvp("sleep", ["sleep", "30"])
print(process.pid, flush=True)
os.read(0, 1)
"""


def polls_of(files: SamplerFiles) -> WaitHistory:
    history = WaitHistory()
    history.add(JournalReader(files.journal).read())
    return history


def test_it_ends_with_its_parent_however_that_ends(database: Database, python: str, tmp_path: Path) -> None:
    files = SamplerFiles.of(tmp_path, "s")
    starter = subprocess.Popen(
        [python, "-c", STARTS, str(tmp_path), database.dsn], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert starter.stdout is not None
    assert starter.stdin is not None
    sampler = psutil.Process(int(starter.stdout.readline()))
    [child] = [one for one in psutil.Process(starter.pid).children() if one.pid != sampler.pid]
    try:
        wait_until(lambda: len(polls_of(files).polls) > 1)
        os.kill(starter.pid, signal.SIGKILL)
        starter.wait()
        wait_until(lambda: not sampler.is_running() or sampler.status() == psutil.STATUS_ZOMBIE)
    finally:
        child.kill()
        starter.stdin.close()
        starter.stdout.close()


def test_a_journal_is_read_while_it_is_written_and_when_a_line_is_torn(
    database: Database, connect: Connect, python: str, tmp_path: Path
) -> None:
    holder, waiter = connect("pytest:gw0 a.py::test_a"), connect("pytest:gw1 a.py::test_b")
    holder.execute("SELECT pg_advisory_lock(7)")
    running = blocked(waiter, "SELECT pg_advisory_lock(7)")
    files = SamplerFiles.of(tmp_path, "s")
    process = SamplerProcess(files)
    process.watch(database.dsn, "the tests' database", [])
    history, reader = WaitHistory(), JournalReader(files.journal)

    def waited() -> bool:
        history.add(reader.read())
        return any(seen.waited_s > 0.5 for seen in history.open.values())

    wait_until(waited)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.stop()
    assert process.trouble == "its process ended with exit status -9"
    holder.execute("SELECT pg_advisory_unlock(7)")
    running.result()
    # Whatever the kill left: at worst half a line.
    with files.journal.open("ab") as journal:
        journal.write(b'{"at": 17900')
    again = polls_of(files)
    [seen] = again.open.values()
    assert seen.wait.waiter.name == "pytest:gw1 a.py::test_b"
    assert set(seen.by_root) == {"pytest:gw0 a.py::test_a"}
    assert seen.wait.lock == "advisory"
    assert again.sums()["pytest:gw1 a.py::test_b"].blocked_s == seen.waited_s > 0.5


def test_a_wait_is_told_as_long_as_it_was(
    database: Database, connect: Connect, python: str, tmp_path: Path
) -> None:
    holder, waiter = connect(autocommit=True), connect("pytest:gw1 a.py::test_b", autocommit=True)
    holder.execute("SELECT pg_advisory_lock(7)")
    files = SamplerFiles.of(tmp_path, "s")
    process = SamplerProcess(files)
    process.watch(database.dsn, "the tests' database", [])
    history, reader = WaitHistory(), JournalReader(files.journal)

    def seen(is_open: bool) -> bool:
        history.add(reader.read())
        waits = history.open.values() if is_open else history.recent
        return any(one.wait.waiter.name == "pytest:gw1 a.py::test_b" for one in waits)

    wait_until(lambda: seen(is_open=True) or history.polls)
    asked = time.time()
    running = blocked(waiter, "SELECT pg_advisory_lock(7)")
    waited = time.time()
    wait_until(lambda: seen(is_open=True))
    released = time.time()
    holder.execute("SELECT pg_advisory_unlock(7)")
    running.result()
    answered = time.time()
    wait_until(lambda: seen(is_open=False))
    process.stop()
    [one] = [one for one in history.recent if one.wait.waiter.name == "pytest:gw1 a.py::test_b"]
    # However late it looked: the server knows when the wait began, and when the statement was over.
    assert released - waited - 0.01 <= one.waited_s <= answered - asked + 0.01


def test_a_server_that_isn_t_there_is_told_in_the_journal(python: str, tmp_path: Path) -> None:
    files = SamplerFiles.of(tmp_path, "s")
    process = SamplerProcess(files)
    process.watch("host=/nonexistent dbname=app_test password=not-to-be-seen", "the tests' database", [])
    history, reader = WaitHistory(), JournalReader(files.journal)

    def troubled() -> bool:
        history.add(reader.read())
        return history.trouble is not None

    wait_until(troubled)
    process.stop()
    assert process.trouble == ""
    assert "not-to-be-seen" not in files.journal.read_text()
    first = json.loads(files.journal.read_text().splitlines()[0])
    assert first["schema"] == "pgwatch-tests.waits/1"
