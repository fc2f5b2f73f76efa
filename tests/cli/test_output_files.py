"""`-o FILE`: whoever reads it meanwhile gets the old document or the new one, whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pgwatch_tests.cli import options
from pgwatch_tests.errors import ConfigurationError
from tests.cli.running import environment, pgwatch


def test_a_file_is_replaced_with_its_mode_and_links_stay(tmp_path: Path) -> None:
    file, link = tmp_path / "leaks.prom", tmp_path / "link"
    options.emit("first", file)
    umask = os.umask(0)
    os.umask(umask)
    assert file.stat().st_mode & 0o777 == 0o666 & ~umask
    file.chmod(0o640)
    before = file.stat().st_ino
    with file.open(encoding="utf-8") as reader:
        options.emit("second", file)
        assert reader.read() == "first\n"
    assert file.stat().st_ino != before
    assert file.stat().st_mode & 0o777 == 0o640
    link.symlink_to(file)
    options.emit("third", link)
    assert link.is_symlink()
    assert file.read_text(encoding="utf-8") == "third\n"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["leaks.prom", "link"]


def test_what_is_no_plain_file_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    thread = threading.Thread(target=lambda: read.append(pipe.read_text(encoding="utf-8")), daemon=True)
    thread.start()
    options.emit("text", pipe)
    thread.join(30)

    assert read == ["text\n"]
    options.emit("text", Path(os.devnull))
    with pytest.raises(ConfigurationError, match="cannot write /dev/full: No space left on device"):
        options.emit("text", Path("/dev/full"))
    assert not Path(os.devnull).is_file()


def test_an_error_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "leaks.prom"
    options.emit("first", file)

    def full(_: int, __: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fchmod", full)
    with pytest.raises(ConfigurationError, match="No space left on device"):
        options.emit("second", file)

    assert [one.name for one in tmp_path.iterdir()] == ["leaks.prom"]
    assert file.read_text(encoding="utf-8") == "first\n"
    with pytest.raises(ConfigurationError, match=r"cannot write .*missing.*: No such file or directory"):
        options.emit("x", tmp_path / "missing" / "x")


def test_a_dash_is_stdout_in_every_command(tmp_path: Path) -> None:
    written: tuple[tuple[str, ...], ...] = (
        ("lint", "--rules", "-o", "-"),
        ("schedule", "list", "-o", "-"),
    )
    for arguments in written:
        done = pgwatch(tmp_path, *arguments)
        assert (done.returncode, bool(done.stdout)) == (0, True), (arguments, done.stderr)
    refused: tuple[tuple[str, ...], ...] = (
        ("record", "-o", "-"),
        ("run", "-o", "-", "--", "true"),
        ("leaks", "--write-accept", "-"),
        ("junit", "-", "--split", "2", "--shard", "1", "--for", "vitest", "--history", "h", "--plan", "-"),
    )
    for arguments in refused:
        done = pgwatch(tmp_path, *arguments)
        assert (done.returncode, "can't go to stdout" in done.stderr) == (2, True), (arguments, done.stderr)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("python")
@pytest.mark.parametrize("form", ["table", "markdown", "json", "junit", "github"])
def test_nothing_that_is_said_is_a_command_to_a_ci(tmp_path: Path, form: str) -> None:
    name = "::add-mask::one ##[add-mask]two"
    inside = f'<testcase name="{name}"><failure message="{name}">a&#10;{name}</failure></testcase>'
    # The shard has this name, too.
    path = tmp_path / name / "junit.xml"
    path.parent.mkdir()
    path.write_text(f"<testsuite>{inside}</testsuite>", encoding="utf-8")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "junit.xml").write_text("<testsuite>", encoding="utf-8")

    def said(**extra: str) -> tuple[str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "pgwatch_tests", "junit", str(path), "b", f"{name}.xml", "--format", form],
            cwd=tmp_path,
            env=environment(extra),
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.stdout, done.stderr

    plain = said()
    stdout, stderr = said(GITHUB_ACTIONS="true")
    commands = [line for line in stdout.splitlines() if line.strip().startswith("::")]
    if form == "github":
        assert stdout == plain[0]
        assert commands
    else:
        assert "##[" in plain[0]
        assert not commands
        assert "##[" not in stdout
    assert "##[" in plain[1]
    assert "##[" not in stderr
    if form == "json":
        assert json.loads(stdout) == json.loads(plain[0])


@pytest.mark.usefixtures("python")
def test_what_goes_into_a_file_is_no_log(tmp_path: Path) -> None:
    (tmp_path / "##[error]").mkdir()
    (tmp_path / "##[error]" / "a.xml").write_text("<testsuite/>", encoding="utf-8")
    with (tmp_path / "report.md").open("wb") as file:
        subprocess.run(
            [sys.executable, "-m", "pgwatch_tests", "junit", "##[[]error]/*.xml", "--format", "markdown"],
            cwd=tmp_path,
            env=environment({"GITHUB_ACTIONS": "true"}),
            stdout=file,
            timeout=60,
            check=True,
        )
    assert "u0023" not in (tmp_path / "report.md").read_text(encoding="utf-8")
