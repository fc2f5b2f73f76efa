"""The recorder beside a real server: the truth, what ends it, what it survives."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from pgwatch_tests.errors import RecordingError
from pgwatch_tests.record.model import RecordingHeader
from pgwatch_tests.record.recorder_messages import Lost, Polled, Report
from pgwatch_tests.record.recorder_process import RecorderProcess
from pgwatch_tests.record.recording.reader import Recording
from tests.record.recordings import leak_report
from tests.servers.sessions import Connect, Database, blocked
from tests.waiting import wait_until

PASSWORD = "not-to-be-seen"
A, B = "pytest:gw0 tests/a.py::test_a", "pytest:gw1 tests/a.py::test_b"

STARTS = """
import os, sys
from datetime import datetime, UTC
from pathlib import Path
from pgwatch_tests.record.model import RecordingHeader
from pgwatch_tests.record.recorder_process import RecorderProcess
process = RecorderProcess(Path(sys.argv[1]), RecordingHeader(datetime.now(UTC)))
process.watch(sys.argv[2], "the tests' database")
# A child that has the pipes, too, and outlives us.
if os.fork() == 0:
    os.execvp("sleep", ["sleep", "30"])
print(process.pid, flush=True)
os.read(0, 1)
"""


class Beside:
    """A recorder's process beside a test, and what it reports."""

    def __init__(self, path: Path, dsn: str | None = None) -> None:
        self.path = path
        self.reports: list[Report] = []
        header = RecordingHeader(datetime.now(UTC), run="0badcafe", command=("pytest",))
        self.process = RecorderProcess(path, header, on_report=self.reports.append)
        if dsn is not None:
            self.process.watch(dsn, "the tests' database")

    def until(self, blocked: int) -> None:
        """Waits until a poll says that so many sessions wait."""
        wait_until(lambda: self.reports and getattr(self.reports[-1], "blocked", -1) == blocked)

    def polled(self) -> None:
        wait_until(lambda: any(isinstance(report, Polled) for report in self.reports))


def test_a_wait_a_mark_and_the_check_are_in_the_file_of_a_recorder_that_was_told_to_stop(
    database: Database, connect: Connect, python: str, tmp_path: Path
) -> None:
    holder, waiter = connect(A, autocommit=True), connect(B, autocommit=True)
    holder.execute("SELECT pg_advisory_lock(7)")
    beside = Beside(tmp_path / "x.pgwatch", f"{database.dsn}&password={PASSWORD}")
    beside.polled()
    asked = time.time()
    running = blocked(waiter, "SELECT pg_advisory_lock(7)")
    waited = time.time()
    beside.until(blocked=1)
    # It can be read while it is written.
    wait_until(lambda: _waits(beside.path))
    with Recording.open(beside.path) as recording:
        assert not recording.is_whole
        [open_wait] = recording.waits()
        assert open_wait.ended is None
    beside.process.mark("hang", "told\n" + PASSWORD.join(["postgres://u:", "@h/d"]))
    released = time.time()
    holder.execute("SELECT pg_advisory_unlock(7)")
    running.result()
    answered = time.time()
    beside.until(blocked=0)
    beside.process.add_leaks(leak_report())
    assert beside.process.stop() == ""

    assert [path.name for path in tmp_path.iterdir()] == ["x.pgwatch"]
    assert beside.path.stat().st_mode & 0o777 == 0o600
    assert PASSWORD.encode() not in beside.path.read_bytes()
    with Recording.open(beside.path) as recording:
        assert recording.is_whole
        assert recording.header.run == "0badcafe"
        [server] = recording.servers
        assert server.started_at is not None
        assert abs(server.clock_ahead_s or 0.0) < 0.5
        [wait] = recording.waits()
        assert (wait.waiter.name, wait.waiter.test) == (B, "tests/a.py::test_b")
        assert [root.side.test for root in wait.roots] == ["tests/a.py::test_a"]
        assert wait.cause == "advisory_lock"
        assert "test_b (gw1, pid" in wait.explanation
        # However late it looked: the server knows when the wait began, and when the statement was over.
        assert released - waited - 0.01 <= wait.waited_s <= answered - asked + 0.01
        assert wait.ended is not None
        snapshot = recording.at(wait.ended)
        assert snapshot is not None
        assert {one.application_name for one in snapshot.clients} >= {A, B}
        assert {seen.test for seen in recording.tests()} == {"tests/a.py::test_a", "tests/a.py::test_b"}
        assert recording.leak_report() == leak_report()
        kinds = [mark.kind for mark in recording.marks()]
        assert kinds == ["recording_began", "hang", "recording_ended"]
        assert recording.unwatched_s == 0
        assert 0 < recording.watched_s <= (recording.until - recording.began).total_seconds() + 1e-3


def test_it_ends_with_its_parent_and_a_whole_file_however_that_ends(
    database: Database, python: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.pgwatch"
    starter = subprocess.Popen(
        [python, "-c", STARTS, str(path), database.dsn], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert starter.stdout is not None
    assert starter.stdin is not None
    recorder = psutil.Process(int(starter.stdout.readline()))
    [child] = [one for one in psutil.Process(starter.pid).children() if one.pid != recorder.pid]
    try:
        wait_until(lambda: _polls(path) > 0)
        os.kill(starter.pid, signal.SIGKILL)
        starter.wait()
        wait_until(lambda: not recorder.is_running() or recorder.status() == psutil.STATUS_ZOMBIE)
    finally:
        child.kill()
        starter.stdin.close()
        starter.stdout.close()
    with Recording.open(path) as recording:
        assert recording.is_whole
        assert recording.marks()[-1].text == "whoever had started it was gone"


def test_what_was_recorded_before_a_kill_can_be_read_also_where_nothing_can_be_written(
    database: Database, connect: Connect, python: str, tmp_path: Path
) -> None:
    connect(A)
    beside = Beside(tmp_path / "x.pgwatch", database.dsn)
    wait_until(lambda: _polls(beside.path) > 4)
    known = _polls(beside.path)
    assert beside.process.pid is not None
    os.kill(beside.process.pid, signal.SIGKILL)
    assert beside.process.stop() == "its process ended with exit status -9"
    with Recording.open(beside.path) as recording:
        assert not recording.is_whole
        assert recording.polls >= known
        assert [seen.test for seen in recording.tests()] == ["tests/a.py::test_a"]
        last = recording.at(recording.until)
        assert last is not None
        assert A in {one.application_name for one in last.clients}
    # The file alone, as somebody may have copied it: what had been moved into it by then.
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "x.pgwatch").write_bytes(beside.path.read_bytes())
    with Recording.open(alone / "x.pgwatch") as recording:
        assert not recording.is_whole


def test_a_server_that_is_not_there_yet_and_one_that_never_is(
    database: Database, python: str, tmp_path: Path
) -> None:
    beside = Beside(tmp_path / "x.pgwatch", f"host=/nonexistent dbname=app_test password={PASSWORD}")
    wait_until(lambda: any(isinstance(report, Lost) for report in beside.reports))
    assert beside.process.lost
    beside.process.mark("command_ended")
    assert beside.process.stop() == ""
    assert PASSWORD.encode() not in beside.path.read_bytes()
    with Recording.open(beside.path) as recording:
        assert (recording.polls, recording.servers, recording.at(datetime.now(UTC))) == (0, (), None)
        assert [mark.kind for mark in recording.marks()] == [
            "recording_began",
            "server_lost",
            "command_ended",
            "recording_ended",
        ]
        assert recording.began == recording.until == recording.header.began


def test_a_file_that_is_there_is_left_alone(python: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pgwatch"
    path.write_text("mine")
    beside = Beside(path)
    wait_until(lambda: beside.process.trouble)
    assert "exists" in beside.process.stop()
    assert path.read_text() == "mine"


def _waits(path: Path) -> int:
    with Recording.open(path) as recording:
        return len(recording.waits())


def _polls(path: Path) -> int:
    """The polls that are in the file; 0 while there is none that can be read."""
    if not path.exists():
        return 0
    try:
        with Recording.open(path) as recording:
            return recording.polls
    except RecordingError:
        return 0


@pytest.mark.usefixtures("python")
def test_a_python_that_can_t_be_started_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "none"))
    beside = Beside(tmp_path / "x.pgwatch", "host=nowhere")
    beside.process.mark("command_ended")
    assert "can't be started" in beside.process.stop()
