"""Recordings as a time line: pictures, gaps, moves, several files of one server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pgwatch_tests.errors import ConfigurationError, RecordingError
from pgwatch_tests.identity.application_name import compose
from pgwatch_tests.identity.known_tests import KnownTests
from pgwatch_tests.locks.contention.contention import ContentionMeter
from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import LockSnapshot, Party
from pgwatch_tests.record.model import Mark, RecordingHeader
from pgwatch_tests.record.recording.writer import RecordingWriter
from pgwatch_tests.record.replay.source import ReplaySource, opened
from tests.record.recordings import BEGAN, EVERY_S, leak_report, make_recording, story


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def seconds(moment: datetime | None) -> float | None:
    return None if moment is None else (moment - BEGAN).total_seconds()


def waiting(source: ReplaySource, moment: datetime) -> list[int]:
    snapshot = source.picture(moment).snapshot
    return sorted({group.waiter.pid for group in snapshot.shown_groups}) if snapshot else [-1]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_recording(tmp_path_factory.mktemp("replay") / "whole.pgwatch", leaks=leak_report())


def write(path: Path, snapshots: Sequence[LockSnapshot], lost_after: datetime | None = None) -> Path:
    """Writes a recording of these, whose server didn't answer for a while after that sample."""
    with RecordingWriter(path, RecordingHeader(BEGAN), clock=lambda: 0.0) as writer:
        for snapshot in snapshots:
            writer.add(snapshot, snapshot.sampled_at.timestamp())
            if snapshot.sampled_at == lost_after:
                writer.interrupt("server closed the connection", lost_after.timestamp() + 0.5)
    return path


def test_pictures_are_the_samples(file: Path) -> None:
    with opened([file]) as source:
        assert (source.began, source.until) == (at(0), at(20))
        picture = source.picture(at(5.1))
        assert picture.snapshot is not None
        assert (picture.since, picture.changes_at, picture.apart_s) == (at(5), at(5.25), EVERY_S)
        assert [picture.holds_at(at(one)) for one in (4.9, 5, 5.2, 5.25)] == [False, True, True, False]
        assert waiting(source, at(5.1)) == [101, 102]
        last = source.picture(at(20))
        assert (last.since, last.changes_at, last.apart_s) == (at(20), None, None)
        # It is past: what would unblock them now can't be done any more, to another session least of all.
        advice = diagnose(LockGraph(picture.snapshot), Party(100)).advice
        assert "fixture's clean-up" in advice
        assert "pg_terminate_backend" not in advice


def test_moves(file: Path) -> None:
    with opened([file]) as source:
        assert seconds(source.opens_at) == 7.25  # the longest wait, when it was longest
        assert seconds(source.step(1, at(5.1))) == 5.25
        assert seconds(source.step(-1, at(5.1))) == 5
        assert source.step(1, at(20)) is source.step(-1, at(0)) is None
        forward, moment = [], at(0)
        while (found := source.wait(1, moment)) is not None:
            forward.append(seconds(moment := found))
        # Each the first sample that shows it; two that begin between the same samples are one stop.
        assert forward == [4.25, 4.75, 10.25, 15.25]
        assert [waiting(source, at(one or 0)) for one in forward] == [[101], [101, 102], [102, 103], [104]]
        back, moment = [], at(20)
        while (found := source.wait(-1, moment)) is not None:
            back.append(seconds(moment := found))
        assert back == forward[::-1]
        assert seconds(source.wait(1, at(4.3))) == 4.75
        deadlock = source.deadlock(1, at(0))
        assert deadlock is not None
        snapshot = source.picture(deadlock).snapshot
        assert snapshot is not None
        assert snapshot.deadlocks
        assert source.deadlock(1, deadlock) is source.deadlock(-1, deadlock) is None
        assert seconds(source.find("test_swaps_b")) == 9.5
        assert seconds(source.find("+2s")) == 2
        with pytest.raises(ConfigurationError, match="isn't in the recording"):
            source.find("+2m")
        assert source.leaks == leak_report()


def test_contention_is_that_of_a_watch_with_waits_from_their_beginnings(file: Path) -> None:
    meter = ContentionMeter()
    for snapshot in story():
        meter.add(snapshot)
    live = meter.result()
    assert live is not None
    with opened([file]) as source:
        seen = source.contention(at(20))
        assert source.contention(at(5)).polls == 21
    for same in ("since", "until", "polls", "watched_s", "unwatched_s", "waits", "most_blocked"):
        assert getattr(seen, same) == getattr(live, same)
    assert seen.deadlocks_caught == live.deadlocks_caught == 1
    for recorded, counted in ((seen.pairs, live.pairs), (seen.objects, live.objects)):
        # The last one is of sessions without a name.
        assert [key for key, _ in recorded.rows][:4] == [key for key, _ in counted.rows][:4]
        assert [time.waits for _, time in recorded.rows] == [time.waits for _, time in counted.rows]
    # A watch credits what its polls saw; a recorded wait ends between two of them.
    assert live.blocked_s <= seen.blocked_s <= live.blocked_s + 5 * EVERY_S


def test_a_killed_suite_opens_at_its_last_picture(tmp_path: Path) -> None:
    killed = make_recording(tmp_path / "killed.pgwatch", seconds=6.0, killed=True)
    with opened([killed]) as source:
        assert (source.opens_at, source.breaks_off_at) == (at(6), (at(6),))
        assert waiting(source, source.opens_at) == [101, 102]
    # Its recorder has seen that `run` was gone, and ended by itself.
    alone = make_recording(
        tmp_path / "alone.pgwatch",
        seconds=6.0,
        marks=[Mark(at(0.1), "command_began"), Mark(at(6), "recording_ended")],
    )
    with opened([alone]) as source:
        assert (source.opens_at, source.killed_at, source.breaks_off_at) == (at(6), (at(6),), ())
    marks = [Mark(at(10.6), "signal", "SIGTERM"), Mark(at(12), "command_ended")]
    stopped = make_recording(tmp_path / "stopped.pgwatch", marks=marks)
    with opened([stopped]) as source:
        assert (source.opens_at, source.breaks_off_at) == (at(10.6), ())
        assert source.picture(source.opens_at).marks == (marks[0],)
        assert source.picture(at(10.75)).marks == ()
        assert [source.mark(1, at(0)), source.mark(1, at(10.6)), source.mark(-1, at(10.6))] == [
            at(10.6),
            at(12),
            None,
        ]


def test_what_nobody_watched_is_a_gap(tmp_path: Path) -> None:
    polls = list(story())
    seen = [one for one in polls if not at(5) < one.sampled_at < at(12)]
    with opened([write(tmp_path / "gap.pgwatch", seen, lost_after=at(5))]) as source:
        before, inside, after = (source.picture(at(one)) for one in (5, 8, 12))
        assert (before.since, before.changes_at, before.apart_s) == (at(5), at(5.000001), None)
        assert [mark.kind for mark in before.marks] == ["server_lost"]
        assert before.snapshot is not None
        assert (inside.since, inside.changes_at, inside.snapshot) == (at(5), at(12), None)
        assert (after.since, after.gap) == (at(12), None)
        assert None in source.events.blocked_over_time(at(20), 20)
        assert seconds(source.step(1, at(8))) == 12
        assert seconds(source.step(-1, at(8))) == 5
    # The other shard's recorder was there: together they have no gap.
    other = write(tmp_path / "other.pgwatch", [one for one in polls if at(4) <= one.sampled_at <= at(13)])
    with opened([tmp_path / "gap.pgwatch", other]) as source:
        assert source.events.gaps == ()
        assert source.picture(at(8)).since == at(8)
        assert source.contention(at(20)).waits == 5


def test_shards_of_one_server_are_one_time_line(tmp_path: Path) -> None:
    shards = [
        make_recording(tmp_path / f"{shard}.pgwatch", shard=shard, machine_ahead_s=ahead_s)
        for shard, ahead_s in (("one", 0.0), ("two", 3.0))
    ]
    elsewhere = make_recording(tmp_path / "else\x1b.pgwatch", started=BEGAN - timedelta(hours=2))
    with opened(shards) as source:
        assert len(source.events.waits) == 5
        assert len(source.events.deadlocks) == 1
        assert source.contention(at(20)).most_blocked == 2
    with (
        pytest.raises(ConfigurationError, match="different servers: ") as error,
        opened([*shards, elsewhere]),
    ):
        pass
    assert "\x1b" not in str(error.value)
    assert "else␛.pgwatch is of localhost:5432" in str(error.value)


def test_known_tests_have_their_whole_names(tmp_path: Path) -> None:
    whole = "tests/" + "a_rather_deep_directory/" * 3 + "test_booking.py::test_books"
    names = {100: compose("pytest", "gw0", whole)}
    named = [
        replace(
            one,
            sessions=tuple(
                replace(session, application_name=names.get(session.pid, session.application_name))
                for session in one.sessions
            ),
        )
        for one in story(seconds=6.0)
    ]
    path = write(tmp_path / "short.pgwatch", named)
    with opened([path], KnownTests([whole])) as source:
        snapshot = source.picture(at(5)).snapshot
        assert snapshot is not None
        assert snapshot.sessions[0].known_test == whole
        assert source.find(whole) == at(0)
        assert source.contention(at(6)).pairs.rows[0][0].blocker == whole


def test_what_is_no_recording_is_refused_in_a_line(tmp_path: Path, file: Path) -> None:
    empty, text, cut = tmp_path / "empty.pgwatch", tmp_path / "a.pgwatch", tmp_path / "cut.pgwatch"
    RecordingWriter(empty, RecordingHeader(BEGAN)).close()
    text.write_text("no recording")
    cut.write_bytes(file.read_bytes()[:5000])
    for path, words in ((empty, "has no samples"), (text, "isn't a recording"), (cut, "is damaged")):
        with pytest.raises(RecordingError, match=words) as error, opened([path]):
            pass
        assert "\n" not in str(error.value)
