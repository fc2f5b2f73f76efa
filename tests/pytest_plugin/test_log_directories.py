"""A killed run's directory goes with the next run; no other one does."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from pgwatch_tests.pytest_plugin.log_directories import (
    hold_log_directory,
    make_log_directory,
    remove_log_directory,
    remove_ownerless_directories,
)

HOLDER = """
import time
from pgwatch_tests.pytest_plugin.log_directories import make_log_directory
print(make_log_directory()[0], flush=True)
time.sleep(600)
"""


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of temporary ones."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_what_a_process_holds_stays_until_it_is_killed(base: Path, python: str) -> None:
    environment = {**os.environ, "TMPDIR": str(base)}
    command = [python, "-c", HOLDER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        directory = Path(process.stdout.readline().strip())
        (directory / "1-gw0.journal").write_text("{}")
        assert directory.parent == base
        assert remove_ownerless_directories() == []
        # A worker outlives its controller.
        of_worker = hold_log_directory(directory)
        assert of_worker is not None
        process.kill()
    assert remove_ownerless_directories() == []
    os.close(of_worker)
    assert remove_ownerless_directories() == [directory]
    assert list(base.iterdir()) == []


def test_a_run_removes_its_own(base: Path) -> None:
    directory, held = make_log_directory()
    assert directory.stat().st_mode & 0o777 == 0o700
    (directory / "1-main.journal").write_text("{}")
    remove_log_directory(directory, held)
    assert list(base.iterdir()) == []


def test_nothing_that_no_run_has_made_is_touched(base: Path) -> None:
    real = base / "real"
    real.mkdir(mode=0o700)
    (real / "data").write_text("dear")
    (base / "pgwatch-run-linklink").symlink_to(real)
    for name, mode in (
        ("pgwatch-run-openopen", 0o755),
        ("pgwatch-run-else", 0o700),
        ("other-abcdefgh", 0o700),
    ):
        (base / name).mkdir()
        (base / name).chmod(mode)  # whatever the umask
    (base / "pgwatch-run-afileaaa").write_text("")
    if os.geteuid() == 0:
        (base / "pgwatch-run-someones").mkdir(mode=0o700)
        os.chown(base / "pgwatch-run-someones", 65534, 65534)
    before = sorted(base.iterdir())

    ours = base / "pgwatch-run-ouroursx"
    ours.mkdir(mode=0o700)
    (ours / "link").symlink_to(real / "data")
    (ours / "folder").mkdir()
    assert remove_ownerless_directories() == [], "a run makes no folder in it"
    (ours / "folder").rmdir()
    assert remove_ownerless_directories() == [ours]

    assert sorted(base.iterdir()) == before
    assert (real / "data").read_text() == "dear"
