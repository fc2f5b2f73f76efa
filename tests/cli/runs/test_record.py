"""`record` as people run it: what it never overwrites, how signals and a missing server end it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pgwatch_tests.record.recording.reader import Recording
from tests.cli.running import environment, pgwatch
from tests.record.recordings import make_recording
from tests.servers.sessions import Database
from tests.waiting import wait_until


def test_a_file_that_is_there_is_replaced_only_if_asked_and_only_a_recording(
    database: Database, tmp_path: Path
) -> None:
    path = make_recording(tmp_path / "x.pgwatch", seconds=1.0, killed=True)
    arguments = ("record", "-d", database.dsn, "--for", "300ms", "-o")

    refused = pgwatch(tmp_path, *arguments, "x.pgwatch")
    assert refused.returncode == 2
    assert (
        refused.stderr == "pgwatch-tests: x.pgwatch is there already: name another file, or use --replace\n"
    )
    done = pgwatch(tmp_path, *arguments, "x.pgwatch", "--replace")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "; Ctrl-C or SIGTERM ends it" in done.stderr
    with Recording.open(path) as recording:
        # Nothing is left of the one before, which was killed.
        assert recording.is_whole
        assert 0 < recording.polls < 5
        assert recording.waits() == ()
    (tmp_path / "notes").write_text("mine")
    refused = pgwatch(tmp_path, *arguments, "notes", "--replace")
    assert (refused.returncode, (tmp_path / "notes").read_text()) == (2, "mine")
    (tmp_path / "many").mkdir()
    assert pgwatch(tmp_path, *arguments, "many").returncode == 0
    [made] = (tmp_path / "many").iterdir()
    assert made.name.startswith("recording-20")
    missing = pgwatch(tmp_path, *arguments, "none/x.pgwatch")
    assert missing.returncode == 2
    assert "No such file or directory" in missing.stderr


def test_a_server_that_never_comes_is_told_once_and_by_the_exit_code(tmp_path: Path) -> None:
    dsn = "host=/nonexistent dbname=app_test password=not-to-be-seen"
    done = pgwatch(tmp_path, "record", "-d", dsn, "--for", "1200ms", "-o", "x.pgwatch")
    assert done.returncode == 3
    assert done.stderr.count("not recording: ") == 1
    assert "not-to-be-seen" not in done.stderr
    assert b"not-to-be-seen" not in (tmp_path / "x.pgwatch").read_bytes()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_with_a_whole_file(
    database: Database, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    command = [sys.executable, "-m", "pgwatch_tests", "record", "-d", database.dsn, "-o", "x.pgwatch"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    with process.stderr as said:
        first = said.readline()
        assert first.startswith("pgwatch-tests: recording "), first
        process.send_signal(number)
        last = said.read()
    wait_until(lambda: process.poll() is not None)
    assert (process.returncode, last.count("\n")) == (code, 1), last
    assert last.startswith("pgwatch-tests: recorded ")
    assert [one.name for one in tmp_path.iterdir()] == ["x.pgwatch"]
    with Recording.open(tmp_path / "x.pgwatch") as recording:
        assert recording.is_whole
        assert recording.marks()[-1].text == number.name
