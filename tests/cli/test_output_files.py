"""`-o FILE`: whoever reads it meanwhile gets the old document or the new one, whole."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from pgwatch_tests.cli import options
from pgwatch_tests.errors import ConfigurationError


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
