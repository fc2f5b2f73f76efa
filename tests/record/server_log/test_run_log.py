"""The log's part of a run is kept in its recording: each wait and each deadlock once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from pgwatch_tests.errors import RecordingError
from pgwatch_tests.record.recording.reader import Recording
from pgwatch_tests.record.server_log.log_files import LogSettings
from pgwatch_tests.record.server_log.run_log import join_run_log
from tests.record import recordings


def log_of(path: Path, recording: Recording) -> Path:
    """A log, as the server of that recording would have written it: of a wait and a deadlock polls saw."""
    wait = max(recording.waits(), key=lambda one: one.waited_s)
    [deadlock] = recording.deadlocks()
    pids = [member.side.pid for member in deadlock.members]
    ended = wait.began + timedelta(seconds=wait.waited_s + 0.125)
    stamp = "%Y-%m-%d %H:%M:%S.%f"
    at = deadlock.at.strftime(stamp)[:-3]
    waited_ms = 1000 * (wait.waited_s + 0.125)
    lines = [
        f"{ended.strftime(stamp)[:-3]} UTC [{wait.waiter.pid}] LOG:  process {wait.waiter.pid} acquired "
        f"ShareLock on transaction 7 after {waited_ms:.3f} ms",
        f"{at} UTC [{pids[0]}] ERROR:  deadlock detected",
        f"{at} UTC [{pids[0]}] DETAIL:  Process {pids[0]} waits for ShareLock on transaction 1; blocked by "
        f"process {pids[1]}.",
        f"\tProcess {pids[1]} waits for ShareLock on transaction 2; blocked by process {pids[0]}.",
        f"\tProcess {pids[0]}: UPDATE first",
        f"\tProcess {pids[1]}: UPDATE second",
        # One that no poll saw, of a session that none knows.
        f"{at} UTC [9999] LOG:  process 9999 acquired ShareLock on transaction 8 after 1000.000 ms",
    ]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_recording_is_amended_and_nothing_counted_twice(tmp_path: Path) -> None:
    path = tmp_path / "recording.pgwatch"
    recordings.make_recording(path)
    with Recording.open(path) as recording:
        log = log_of(tmp_path / "pg.log", recording)
        before, began = recording.waits(), recording.began
    for _ in range(2):
        # A second time, all of it is known.
        found = join_run_log(log, began, path, LogSettings("%m [%p] ", "UTC"))
        assert found.told == "the server's log tells 2 waits and 1 deadlock"
        assert not found.remarks
        with Recording.open(path) as recording:
            waits, deadlocks = recording.waits(), recording.deadlocks()
            assert recording.is_whole
            assert recording.at(began) is not None
        assert (waits, deadlocks) == (found.waits, found.deadlocks)
        assert len(waits) == len(before) + 1
        [new] = [wait for wait in waits if wait.waiter.pid == 9999]
        assert (new.waiter.who, new.waited_s) == ("pid 9999", 1.0)
        longest = max(waits, key=lambda one: one.waited_s)
        seen = max(before, key=lambda one: one.waited_s)
        assert longest.waited_s == pytest.approx(seen.waited_s + 0.125, abs=0.001)
        assert (longest.target, longest.cause) == (seen.target, seen.cause)
        [deadlock] = deadlocks
        assert deadlock.source == "server log"
        assert [member.side.statement for member in deadlock.members] == ["UPDATE first", "UPDATE second"]


def test_recording_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recording.pgwatch"
    recordings.make_recording(path)
    with Recording.open(path) as recording:
        log, began = log_of(tmp_path / "pg.log", recording), recording.began
    path.write_bytes(b"SQLite format 3\0" + b"x" * 200)
    with pytest.raises(RecordingError):
        join_run_log(log, began, path, LogSettings())
