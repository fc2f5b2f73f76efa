"""`pgwatch-tests replay` without a terminal: the document of a moment, and what it refuses."""

from __future__ import annotations

import json
import shutil
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from pgwatch_tests import cli
from pgwatch_tests.record import run_files
from pgwatch_tests.record.model import RecordingHeader
from pgwatch_tests.record.recording.writer import RecordingWriter
from pgwatch_tests.record.replay.source import opened
from screenshots.zone import local_zone
from tests.record.recordings import BEGAN, make_recording, story


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_recording(tmp_path_factory.mktemp("replay") / "recording.pgwatch")


def test_the_locks_of_a_moment(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with local_zone("Asia/Kolkata"):
        assert cli.run(["replay", str(file)]) == 0
        shown = capsys.readouterr()
        assert "├─ pid 101  gw1 tests/test_booking.py::test_cancels  waits 3.2 s" in shown.out
        assert "pg_terminate_backend" not in shown.out
        assert shown.err == "pgwatch-tests: sample of 2026-03-01 17:30:07 IST\n"
        at = ["--once", "--at", "17:30:10.5", "--format", "json"]
        assert cli.run(["replay", str(file.parent / "recording.pgwatch"), *at]) == 0
        document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "pgwatch-tests.locks/1"
    assert document["sampled_at"] == "2026-03-01T12:00:10.500Z"
    assert document["deadlocks"] == [[102, 103]]
    # A directory stands for the recordings in it; formats and -o are those of `locks`.
    for form in ("table", "csv", "markdown", "github", "junit"):
        written = tmp_path / form
        at = ["--at", "test_swaps_a", "--format", form, "-o", str(written)]
        assert cli.run(["replay", str(file.parent), *at]) == 0
        assert written.read_text()


def test_a_directory_with_the_results_of_shards_is_one_time_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for shard in ("one", "two"):
        (tmp_path / shard).mkdir()
        make_recording(tmp_path / shard / "recording.pgwatch", shard=shard, seconds=6.0)
    # Named twice, a recording counts once.
    with opened(run_files.recordings([tmp_path, tmp_path / "one"])) as source:
        assert [one.header.shard for one in source.recordings] == ["one", "two"]
        assert len(source.events.waits) == 2
    assert cli.run(["replay", str(tmp_path), "--at", "+5s"]) == 0
    assert "2 blocked" in capsys.readouterr().out


def test_what_is_refused_is_told_in_a_line(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_recording(tmp_path / "other.pgwatch", started=BEGAN - timedelta(hours=9), seconds=1)
    newer = tmp_path / "newer.pgwatch"
    shutil.copy(file, newer)
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    (tmp_path / "empty").mkdir()
    damaged = tmp_path / "damaged.pgwatch"
    damaged.write_bytes(file.read_bytes()[:9000])
    cases: list[tuple[list[object], int, str]] = [
        ([tmp_path / "no\x1bne"], 2, "No such file"),
        ([Path(__file__)], 2, "isn't a recording of pgwatch-tests"),
        ([newer], 2, "has layout 99"),
        ([damaged], 2, "is damaged"),
        ([file, other], 2, "different servers: "),
        ([file, "--at", "25%%"], 2, "no test seen in the recording has '25%%' in its name"),
        ([file, "--at", "+1h"], 2, "isn't in the recording"),
        ([file, "--tests", tmp_path / "none"], 2, "cannot read the tests"),
        ([tmp_path / "empty"], 2, "no recording is in"),
    ]
    for arguments, code, words in cases:
        assert cli.run(["replay", *map(str, arguments)]) == code, words
        shown = capsys.readouterr()
        assert (shown.out, shown.err.count("\n")) == ("", 1)
        assert words in shown.err
        assert "\x1b" not in shown.err


def test_a_moment_that_nobody_watched_has_no_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, polls = tmp_path / "gap.pgwatch", list(story(seconds=4))
    with RecordingWriter(path, RecordingHeader(BEGAN), clock=lambda: 0.0) as writer:
        for number, one in enumerate((polls[0], polls[-1])):
            if number:
                writer.interrupt("gone", BEGAN.timestamp() + 1)
            writer.add(one, one.sampled_at.timestamp())
    with local_zone("UTC"):
        assert cli.run(["replay", str(path), "--once", "--at", "50%"]) == 4
    assert "nothing is known of 2026-03-01 12:00:02 UTC: not watched from" in capsys.readouterr().err
