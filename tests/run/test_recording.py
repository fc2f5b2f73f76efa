"""A run that is recorded: who blocked whom, its documents, and what is left of one that is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import psutil
import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.errors import RecordingError
from pgwatch_tests.record.recording.reader import Recording
from tests.cli.running import environment, pgwatch
from tests.run.programs import arguments, run
from tests.servers.sessions import Database
from tests.waiting import wait_until

SUITE = """
import os, sys, threading, time
import psycopg
a, b = (
    psycopg.connect(
        os.environ["PGWATCH_DSN"], application_name=f"pytest:gw{n} tests/test_it.py::seats::test_{n}"
    )
    for n in (0, 1)
)
def update(connection, id):
    try:
        connection.execute("UPDATE seats SET taken = true WHERE id = %s", [id])
    except psycopg.errors.DeadlockDetected:
        connection.rollback()
watching = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgwatch-tests' "
    "AND (query LIKE '%them wait%' OR query LIKE '%anybody wait%')"
)
with psycopg.connect(os.environ["PGWATCH_DSN"], autocommit=True) as other:
    until = time.monotonic() + 60
    while other.execute(watching).fetchone()[0] < int(sys.argv[2]) and time.monotonic() < until:
        time.sleep(0.05)
a.execute("UPDATE seats SET taken = true WHERE id = 1")
waiter = threading.Thread(target=update, args=[b, 1])
waiter.start()
time.sleep(float(sys.argv[1]))
a.rollback(); waiter.join(); b.rollback()
update(a, 1); update(b, 2)
waiter = threading.Thread(target=update, args=[a, 2])
waiter.start()
time.sleep(0.1)
update(b, 1)
waiter.join()
with open("suite.xml", "w") as report:
    report.write(
        '<testsuite name="pytest"><testcase classname="tests.test_it.seats" name="test_1" time="3">'
        "<failure message='it failed'/></testcase></testsuite>"
    )
"""
"""Test 1 waits for test 0; then both are in a deadlock. It begins once so many sessions watch the server."""


def _seats(owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE seats AS SELECT id, false AS taken FROM generate_series(1, 2) AS id")


def test_waits_and_deadlocks_are_told_and_fail_a_run_that_passed(
    home: Path, database: Database, owner: Connection[TupleRow], python: str
) -> None:
    _seats(owner)
    (home / "suite.py").write_text(SUITE)
    (home / "summary.md").write_text("before\n")
    extra = {
        "PGWATCH_DSN": database.dsn,
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(home / "summary.md"),
        "GITHUB_RUN_ID": "77",
        "GITHUB_RUN_ATTEMPT": "2",
        "GITHUB_REPOSITORY": "acme/shop",
    }
    done = run(
        home,
        sys.executable,
        "suite.py",
        "2.5",
        "2",  # recorder and hang guard
        options=[
            *("--fail-on", "blocked=1s,deadlock", "--store", "--hang", "1s", "--junit", "suite.xml"),
        ],
        extra=extra,
    )
    results = home / "pgwatch-results"
    index = json.loads((results / "run.json").read_text())
    assert done.returncode == 1, done.stderr
    assert {one["kind"] for one in index["findings"]} == {"blocked", "deadlock"}, done.stderr
    assert (index["ci"], index["attempt"], index["repository"]) == ("github", 2, "acme/shop")
    assert sorted(index["files"].values()) == sorted(
        path.name for path in results.iterdir() if path.name not in ("run.json", ".gitignore")
    )
    contention = json.loads((results / "contention.json").read_text())
    assert contention["longest_wait"]["waiter"] == "tests/test_it.py::seats::test_1"
    assert contention["longest_wait"]["wait_s"] > 1.0
    assert contention["deadlocks"]["caught"] == 1
    for name in ("report.md", "report.html"):
        assert "tests/test_it.py::seats::test_0" in (results / name).read_text()
    # The report of JUnit doesn't tell a module from a class; the names of sessions do.
    failed = r"`tests/test_it.py::seats::test_1` \| failed \| [\d.]+s \| `tests/test_it.py::seats::test_0` "
    assert re.search(failed, (results / "report.md").read_text())
    # The report that is made later, from the directory, tells the same.
    assert re.search(failed, pgwatch(home, "report", "--format", "markdown").stdout)
    summary = (home / "summary.md").read_text()
    assert summary.startswith("before\n")
    assert (results / "report.md").read_text() in summary
    assert "::error title=pgwatch-tests%3A deadlock::" in done.stderr
    assert done.stdout == ""
    with Recording.open(results / "recording.pgwatch") as recording:
        assert recording.is_whole
        assert recording.leak_report() is not None
        marks = recording.marks()
    assert {"command_began", "command_ended"} <= {mark.kind for mark in marks}
    hangs = [datetime.fromisoformat(one["at"]) for one in index["hangs"] if one["kind"] == "blocked"]
    assert hangs
    assert [mark.at for mark in marks if mark.kind == "hang"] == hangs
    assert any(note.startswith("put on record in ") for note in index["notes"])
    said = pgwatch(home, "history", "--format", "json", extra=extra)
    assert index["run"] in said.stdout, said


def test_a_job_that_is_killed_leaves_what_was_recorded(
    home: Path, database: Database, owner: Connection[TupleRow], python: str
) -> None:
    """The whole process group by SIGKILL: the index has no end, the recording tells the tests at work."""
    _seats(owner)
    (home / "suite.py").write_text(SUITE)
    running = subprocess.Popen(
        arguments(sys.executable, "suite.py", "60", "1"),
        cwd=home,
        env=environment({"PGWATCH_DSN": database.dsn}),
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    path = home / "pgwatch-results" / "recording.pgwatch"

    def waits_recorded() -> bool:
        with suppress(RecordingError), Recording.open(path) as recording:
            return bool(recording.waits())
        return False

    wait_until(waits_recorded)
    children = psutil.Process(running.pid).children()
    recorders = [one for one in children if "pgwatch_tests.record.recorder" in one.cmdline()]
    assert recorders
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    index = json.loads((home / "pgwatch-results" / "run.json").read_text())
    assert (index["ended"], index["exit_code"]) == (None, None)
    psutil.wait_procs(recorders, timeout=30)
    assert not any(one.is_running() for one in recorders)
    with Recording.open(path) as recording:
        assert {seen.test for seen in recording.tests()} == {
            "tests/test_it.py::seats::test_0",
            "tests/test_it.py::seats::test_1",
        }
    leases = "SELECT FROM pg_locks WHERE locktype = 'advisory'"
    wait_until(lambda: not owner.execute(leases).fetchall(), message="the leases are free")


def test_a_cancelled_job_has_its_report_within_the_grace(home: Path, database: Database, python: str) -> None:
    """The command ignores SIGINT: the report is there before whoever cancels kills; it ends with 137 then."""
    ignores = (
        "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print(1, flush=True);"
        "time.sleep(60)"
    )
    running = subprocess.Popen(
        arguments(sys.executable, "-c", ignores, options=["--grace", "4s"]),
        cwd=home,
        env=environment({"PGWATCH_DSN": database.dsn}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.readline()
    time.sleep(1.5)  # a poll or two
    running.send_signal(signal.SIGINT)
    cancelled = time.monotonic()
    report = home / "pgwatch-results" / "report.html"
    wait_until(report.exists)
    assert time.monotonic() - cancelled < 30
    assert "the command still runs" in running.stderr.readline()
    running.send_signal(signal.SIGTERM)
    assert running.wait(60) == 137
    index = json.loads((home / "pgwatch-results" / "run.json").read_text())
    assert (index["exit_code"], index["signal"]) == (137, 9)
    assert any("leaks weren't checked" in reason for reason in index["not_checked"])
    running.stdout.close()
    running.stderr.close()
    with psycopg.connect(database.dsn) as there:
        assert there.execute("SELECT 1").fetchone() == (1,)
