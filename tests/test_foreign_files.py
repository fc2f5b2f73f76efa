"""Files that somebody names: nothing that never ends is opened, and patterns find what is there."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from pgwatch_tests import foreign_files
from pgwatch_tests.accepted_findings import load
from pgwatch_tests.errors import ConfigurationError, RecordingError
from pgwatch_tests.identity.known_tests import read_test_list
from pgwatch_tests.leaks.baseline import baseline_file
from pgwatch_tests.lint.facts import load_leaks
from pgwatch_tests.record import run_files
from pgwatch_tests.record.recording.reader import Recording
from pgwatch_tests.record.results import ResultsDirectory
from pgwatch_tests.settings.load import Flags
from pgwatch_tests.settings.load import load as load_settings
from tests.cli.running import held_by_file_modes

PIPE = "it is a named pipe, not a file"


def test_no_option_waits_for_a_named_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for read in (read_test_list, baseline_file.load, load, load_leaks):
        with pytest.raises(ConfigurationError, match=PIPE):
            read(pipe)
    with pytest.raises(RecordingError, match=PIPE):
        Recording.open(pipe)
    runs, unreadable = run_files.read([pipe])
    assert (runs, [PIPE in one.reason for one in unreadable]) == ([], [True])


def test_no_file_that_is_only_found_is_waited_for(tmp_path: Path) -> None:
    for name in ("run.json", "pyproject.toml", "leaks.json"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(RecordingError, match=PIPE):
        ResultsDirectory(tmp_path).read()
    assert load_settings(Flags(), {}, tmp_path).dsn.value == ""
    # A directory of reports has no pipe among them.
    os.mkfifo(tmp_path / "junit.xml")
    with pytest.raises(ConfigurationError, match="no JUnit report is there"):
        read_test_list(tmp_path)


def test_what_else_is_no_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is to be short
    place = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        with pytest.raises(OSError, match="it is a socket"):
            foreign_files.open_file(place)
    with pytest.raises(OSError, match="it is a device"):
        foreign_files.open_file(Path("/dev/zero"))
    with pytest.raises(IsADirectoryError):
        foreign_files.open_file(tmp_path)


def test_a_pipe_that_the_shell_has_made_is_read_to_its_end(tmp_path: Path) -> None:
    reading, writing = os.pipe()

    def write() -> None:
        os.write(writing, b"tests/test_a.py::test_a\r\n")
        os.close(writing)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        assert foreign_files.read_text(Path(f"/dev/fd/{reading}")) == "tests/test_a.py::test_a\n"
    finally:
        thread.join(30)
        os.close(reading)


def test_patterns(tmp_path: Path) -> None:
    for name in (
        "a[1]/x.xml",
        "a1/x.xml",
        "a1/.hidden/x.xml",
        "node_modules/x.xml",
        "a1/node_modules/y/x.xml",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    os.mkfifo(tmp_path / "a1" / "pipe.xml")

    def found(pattern: str) -> list[str]:
        return [str(one.relative_to(tmp_path)) for one in foreign_files.fitting_files(tmp_path / pattern)]

    # A name with brackets is a file's own.
    assert not foreign_files.is_pattern(tmp_path / "a[1]/x.xml")
    assert found("a[1]/x.xml") == ["a1/x.xml"]
    assert found("**/x.xml") == ["a1/.hidden/x.xml", "a1/x.xml", "a[1]/x.xml"]
    assert found("a1/*.xml") == ["a1/x.xml"]
    assert foreign_files.fixed_part(Path("/x/a[1]/b/*.xml")) == Path("/x")


def test_closed_directories_that_may_hold_what_fits(tmp_path: Path) -> None:
    with held_by_file_modes():
        for folder, mode in (("art/closed", 0), ("art/unlisted", 0o100), ("art/open", 0o700)):
            (tmp_path / folder / "deep").mkdir(parents=True)
            (tmp_path / folder).chmod(mode)
        try:
            for pattern, closed in (
                ("art/*/x.xml", ["art/closed"]),
                ("art/*/*.xml", ["art/closed", "art/unlisted"]),
                ("art/closed/deep/*.xml", ["art/closed"]),
                ("art/closed/x.xml", ["art/closed"]),
                ("art/unlisted/x.xml", []),
                ("art/open/*.xml", []),
                ("none/*.xml", []),
            ):
                found = foreign_files.closed_directories(tmp_path / pattern)
                assert [str(one.relative_to(tmp_path)) for one in found] == closed, pattern
        finally:
            for path in (tmp_path / "art").iterdir():
                path.chmod(0o700)
