"""Files of recordings: what can't be read is refused in a line; a kill or a full disk loses little."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pgwatch_tests.errors import RecordingError
from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.record.model import Mark, RecordingHeader
from pgwatch_tests.record.recording import layout
from pgwatch_tests.record.recording.reader import Recording
from pgwatch_tests.record.recording.segments import as_recorded
from pgwatch_tests.record.recording.thinning import thin
from pgwatch_tests.record.recording.writer import RecordingWriter
from tests.record.recordings import BEGAN, leak_report, make_recording, story


def read_all(path: Path) -> tuple[int, LeakReport | None]:
    """Reads all there is; the number of samples."""
    with Recording.open(path) as recording:
        events = recording.waits(), recording.deadlocks(), recording.tests(), recording.marks()
        assert all(isinstance(some, tuple) for some in events)
        assert recording.servers or not recording.polls
        recording.at(recording.until)
        recording.before(recording.until)
        recording.after(recording.began)
        return len(list(recording.snapshots())), recording.leak_report()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole recording, to be copied."""
    return make_recording(tmp_path_factory.mktemp("whole") / "whole.pgwatch", leaks=leak_report())


def with_version(path: Path, version: int) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()


def other_database(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE waits (number integer)")
    connection.close()


NOT_ONE = "isn't a recording of pgwatch-tests"
DAMAGED = "is damaged, or a part of it is missing"


def rename_in_schema(path: Path, table: bytes) -> None:
    """Gives a table a name that is no text, and a definition that is none."""
    content = path.read_bytes()
    names, definition = b"table" + table + table, b"CREATE TABLE " + table
    assert names in content
    assert definition in content
    damaged = content.replace(names, b"table" + b"\xff" * len(table) + table)
    path.write_bytes(damaged.replace(definition, b"CRXATE TABLE " + table))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: path.write_bytes(b""), NOT_ONE),
        (lambda path: path.write_text("# a report\n" * 100), NOT_ONE),
        (other_database, NOT_ONE),
        (lambda path: path.unlink(), "can't be read: No such file or directory"),
        (lambda path: (path.unlink(), path.mkdir()), "can't be read: Is a directory"),
        (lambda path: with_version(path, layout.LAYOUT + 1), "use a newer version"),
        (lambda path: with_version(path, 0), DAMAGED),
        (lambda path: path.write_bytes(path.read_bytes()[:60]), DAMAGED),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), DAMAGED),
        (lambda path: path.write_bytes(path.read_bytes()[:4096]), DAMAGED),
        # SQLite quotes the name in its message, which is no text then.
        (lambda path: rename_in_schema(path, b"waits"), DAMAGED),
    ],
)
def test_what_can_t_be_read_is_refused_in_a_line(
    whole: Path, tmp_path: Path, change: Callable[[Path], object], said: str
) -> None:
    path = tmp_path / "x.pgwatch"
    shutil.copy(whole, path)
    change(path)
    with pytest.raises(RecordingError, match=said) as raised:
        Recording.open(path)
    assert "\n" not in str(raised.value)
    assert path.name in str(raised.value)


def test_a_layout_before_this_one_is_read(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "LAYOUT", layout.LAYOUT + 1)
    assert read_all(whole) == (81, leak_report())


def test_damage_anywhere_raises_nothing_else(whole: Path, tmp_path: Path) -> None:
    content, draw, refused = whole.read_bytes(), random.Random(5), 0
    path = tmp_path / "x.pgwatch"
    for _ in range(16):
        damaged = bytearray(content)
        place = draw.randrange(100, len(content))
        length = draw.choice([1, 40, 4096])
        damaged[place : place + length] = draw.randbytes(len(damaged[place : place + length]))
        path.write_bytes(damaged)
        with suppress(RecordingError):
            read_all(path)
            continue
        refused += 1
    assert refused > 4


def test_one_that_is_written_can_be_read_and_one_that_was_killed_too(tmp_path: Path) -> None:
    path = tmp_path / "x.pgwatch"
    now_s = 0.0
    polls = list(story(seconds=10))
    writer = RecordingWriter(path, RecordingHeader(BEGAN), clock=lambda: now_s)
    with Recording.open(path) as reader:
        assert (reader.polls, reader.at(BEGAN)) == (0, None)
        for poll in polls:
            now_s = (poll.sampled_at - BEGAN).total_seconds()
            writer.add(poll, poll.sampled_at.timestamp())
            lost_s = (poll.sampled_at - reader.until).total_seconds()
            assert lost_s <= 2.0
        assert reader.at(reader.until) == as_recorded(polls[int((reader.until - BEGAN).total_seconds() * 4)])
        assert not reader.is_whole
    # As a kill leaves it: the file, and what SQLite keeps beside it.
    killed = tmp_path / "killed"
    killed.mkdir()
    for beside in tmp_path.glob("x.pgwatch*"):
        shutil.copy(beside, killed)
    writer.close()
    count, _ = read_all(killed / "x.pgwatch")
    assert count >= len(polls) - 8
    engine = layout._open_copy(killed / "x.pgwatch")
    with closing(engine.raw_connection()) as copy:
        assert copy.cursor().execute("SELECT sum(polls) FROM segments").fetchone() == (count,)
    engine.dispose()
    assert [one.name for one in tmp_path.glob("x.pgwatch*")] == ["x.pgwatch"]
    assert read_all(path)[0] == len(polls)
    # A new recording of that name begins anew, whatever the killed one left.
    (killed / "x.pgwatch").unlink()
    make_recording(killed / "x.pgwatch", seconds=1.0)
    assert read_all(killed / "x.pgwatch")[0] == 5


def test_thinning_leaves_fewer_samples_of_older_parts_and_all_events(tmp_path: Path) -> None:
    path = make_recording(tmp_path / "x.pgwatch", seconds=420, every_s=1.0, killed=True)
    with Recording.open(path) as recording:
        before = recording.waits(), recording.deadlocks(), recording.tests(), list(recording.snapshots())
    engine = layout._engine(f"file:{path}?mode=rw")

    def thinned_to(max_bytes: int) -> int:
        with engine.begin() as connection:
            while thin(connection, max_bytes, newest=8):
                pass
            return layout.size(connection)

    size = thinned_to(1 << 30)
    smaller = thinned_to((size - 4096) * 16 // 15)
    assert smaller <= size - 4096
    with Recording.open(path) as recording:
        samples = list(recording.snapshots())
        assert (recording.waits(), recording.deadlocks(), recording.tests()) == before[:3]
        assert recording.polls == len(before[3])
        assert len(samples) < len(before[3])
        # Each is one that was polled; the first and the last minutes are there; one mark tells.
        assert [one for one in before[3] if one in samples] == samples
        assert samples[0] == before[3][0]
        assert samples[-240:] == before[3][-240:]
        [mark] = [mark for mark in recording.marks() if mark.kind == "thinned"]
        assert recording.began < mark.at < recording.until
        assert "to stay below" in mark.text
    # What can't be reached isn't tried for ever: the last minutes and the events stay.
    thinned_to(1)
    with Recording.open(path) as recording:
        assert list(recording.snapshots())[-240:] == before[3][-240:]
        assert recording.waits() == before[0]
    engine.dispose()


FULL_DISK = """
import resource, sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from pgwatch_tests.record.model import RecordingHeader
from pgwatch_tests.record.recording.writer import RecordingWriter
from tests.record.recordings import BEGAN, story

now_s, told, polls = 0.0, [], 0
writer = RecordingWriter(Path(sys.argv[1]), RecordingHeader(BEGAN), clock=lambda: now_s)
[first] = story(seconds=0)
def add():
    global now_s, polls
    now_s += 3
    many = tuple(replace(one, query=f"SELECT {number} + {polls * 7919} AS n_{polls}")
        for number, one in enumerate(first.sessions * 50))
    writer.add(replace(first, sampled_at=BEGAN + timedelta(seconds=now_s), sessions=many), now_s)
    polls += 1
    if not told or told[-1] != writer.trouble:
        told.append(writer.trouble)
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
while not writer.trouble:
    add()
for _ in range(5):
    add()
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
add()
writer.close()
print(polls, [bool(one) for one in told], writer.trouble or "whole")
"""


def test_a_full_disk_is_told_once_and_nothing_is_lost_if_there_is_room_again(
    python: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.pgwatch"
    done = subprocess.run([python, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True)
    polls, told = done.stdout.split(maxsplit=1)
    assert told == "[False, True, False] whole\n", done
    assert read_all(path)[0] == int(polls)


def test_a_disk_that_stays_full_leaves_what_was_written(python: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pgwatch"
    staying = FULL_DISK.replace("resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))", "")
    done = subprocess.run([python, "-c", staying, str(path)], capture_output=True, text=True, check=True)
    polls, told = done.stdout.split(maxsplit=1)
    assert "can't be written" in told
    assert 0 < read_all(path)[0] < int(polls)
    with Recording.open(path) as recording:
        assert not recording.is_whole


def test_texts_that_are_no_text_and_long_ones_are_kept_as_far_as_they_can_be(tmp_path: Path) -> None:
    path = tmp_path / "x.pgwatch"
    [first] = story(seconds=0)
    odd = replace(
        first.sessions[0], application_name="pytest:gw0 a.py::test_\udcff\0\x1b", query="\udc80\0" * 9
    )
    writer = RecordingWriter(path, RecordingHeader(BEGAN, command=("pytest", "\udcff")))
    writer.add(replace(first, sessions=(odd,)), 0.0)
    writer.mark(Mark(BEGAN, "hang", "password=secret \udcff\n" + "x" * 9_000))
    writer.close()
    assert b"secret" not in path.read_bytes()
    with Recording.open(path) as recording:
        snapshot = recording.at(BEGAN + timedelta(seconds=1))
        assert snapshot is not None
        assert snapshot.sessions == as_recorded(replace(first, sessions=(odd,))).sessions
        assert recording.header.command == ("pytest", "\udcff")
        assert [seen.test for seen in recording.tests()] == ["a.py::test_\\udcff\0\x1b"]
        assert len(recording.marks()[1].text) == 2_000
