"""`pgwatch-tests report` as people run it: formats, exit codes, and what can't be read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pgwatch_tests.identity.application_name import compose
from pgwatch_tests.record.model import RecordingHeader
from pgwatch_tests.record.recording.writer import RecordingWriter
from tests.cli.running import held_by_file_modes, pgwatch
from tests.record.recordings import BEGAN, leak_report, make_recording, story


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_recording(tmp_path_factory.mktemp("recording") / "suite.pgwatch", leaks=leak_report())


def test_a_report_in_each_format(recording: Path, tmp_path: Path) -> None:
    starts = {
        "table": "The command's end isn't known; 1 deadlock; 8.9 s blocked in 5 waits",
        "markdown": "## ",
        "json": "{",
        "html": "<!DOCTYPE html>",
    }
    for form, start in starts.items():
        done = pgwatch(tmp_path, "report", str(recording), "--format", form)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(start) or form == "table"
        assert "1 deadlock" in done.stdout
    done = pgwatch(tmp_path, "report", str(recording), "--format", "html", "-o", "report.html", "--top", "2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "the first 2 of 5 waits" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_what_cannot_be_read_is_named_and_stops_nothing(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.pgwatch").write_text("no recording")
    done = pgwatch(tmp_path, "report", str(recording), "broken.pgwatch", "none", "--format", "json")
    assert done.returncode == 0
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == ["broken.pgwatch", "none"]
    assert [one["name"] for one in json.loads(done.stdout)["unreadable"]] == ["broken.pgwatch", "none"]

    done = pgwatch(tmp_path, "report")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == ("pgwatch-tests: nothing to report: pgwatch-results: No such file or directory\n")


def test_what_may_not_be_read_is_named_and_stops_nothing(recording: Path, tmp_path: Path) -> None:
    content = recording.read_bytes()
    with held_by_file_modes():
        for path in (
            tmp_path / "suite.pgwatch",
            tmp_path / "other.pgwatch",
            tmp_path / "shards" / "2" / "suite.pgwatch",
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        for path in (tmp_path / "other.pgwatch", tmp_path / "shards" / "2"):
            path.chmod(0)
        try:
            files = ("suite.pgwatch", "other.pgwatch", "shards")
            done = pgwatch(tmp_path, "report", *files, "--format", "json")
            refused = pgwatch(tmp_path, "replay", "other.pgwatch", "--once")
        finally:
            (tmp_path / "shards" / "2").chmod(0o700)
    assert done.returncode == 0
    named = [(one["name"], one["reason"]) for one in json.loads(done.stdout)["unreadable"]]
    assert named == [
        ("other.pgwatch", "can't be read: Permission denied"),
        ("shards/2", "Permission denied"),
    ]
    assert refused.returncode == 2
    assert refused.stderr == "pgwatch-tests: the recording other.pgwatch can't be read: Permission denied\n"


def test_a_list_of_tests_gives_whole_names(tmp_path: Path) -> None:
    long = f"tests/{'very_' * 20}long.py::test_that_was_killed"
    name = compose("pytest", "gw0", long)
    path = tmp_path / "suite.pgwatch"
    with RecordingWriter(path, RecordingHeader(BEGAN)) as writer:
        for poll in story(every_s=1.0, seconds=6.0):
            sessions = tuple(
                replace(one, application_name=name) if one.pid == 100 else one for one in poll.sessions
            )
            writer.add(replace(poll, sessions=sessions), poll.sampled_at.timestamp())
    assert long not in pgwatch(tmp_path, "report", str(path), "--format", "json").stdout
    (tmp_path / "tests.txt").write_text(f"{long}\n")
    done = pgwatch(tmp_path, "report", str(path), "--format", "json", "--tests", "tests.txt")
    [server] = json.loads(done.stdout)["servers"]
    assert {one["blocker"] for one in server["pairs"]} == {long}
    assert long in {one["test"] for one in server["tests"]}


def test_what_fails(recording: Path, tmp_path: Path) -> None:
    def exit_code(kinds: str, *more: str) -> int:
        done = pgwatch(tmp_path, "report", str(recording), *more, "--fail-on", kinds, "-o", "report.txt")
        assert done.returncode == 0 or done.stderr
        return done.returncode

    assert exit_code("blocked=2s") == 1
    assert exit_code("blocked=1m") == 0
    assert exit_code("deadlock") == 1
    assert exit_code("rows") == 1
    assert exit_code("schemas") == 0
    # Hangs weren't looked for, and something wasn't read: no verdict without them.
    assert exit_code("hang") == 4
    assert exit_code("blocked=1m", "none") == 4
    assert exit_code("nonsense") == 2
