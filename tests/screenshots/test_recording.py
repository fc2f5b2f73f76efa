from __future__ import annotations

from pathlib import Path

import pytest

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import LockTag, Subject
from screenshots.recording import Recording, load, save
from tests.locks.snapshots import edge, session, snapshot


def test_a_recording_comes_back_as_it_was(tmp_path: Path) -> None:
    hostile = session(1, name='[red]"\x1b[31m\udcff', query="a\nb\x00")
    edges = (
        edge(2, 1, tag=LockTag("relation", 5, 16400), subject=Subject("relation", 5, (16400, 3))),
        edge(3, 0, gid="it's"),
    )
    recording = Recording((settle(None, snapshot(edges, (hostile,))), snapshot()))
    save(recording, tmp_path / "r.json")
    assert load(tmp_path / "r.json") == recording


@pytest.mark.parametrize("text", ["", "[]", '{"locks": 3}', '{"locks": [{}]}', "\xff"])
def test_a_file_that_is_no_recording(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text, encoding="latin-1")
    with pytest.raises(ConfigurationError, match="isn't a recording"):
        load(tmp_path / "r.json")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        load(tmp_path / "r.json")
