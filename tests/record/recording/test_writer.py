"""What a writer knows beside the samples: which server it was, when it was watched, and when it wasn't."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.record.model import RecordingHeader
from pgwatch_tests.record.recording.reader import Recording
from pgwatch_tests.record.recording.writer import RecordingWriter
from tests.record.recordings import BEGAN, CANCELS, STARTED, story

AHEAD_S = 100.0
"""The server's clock is that much ahead of this machine's."""
HERE_S = BEGAN.timestamp() - AHEAD_S
[FIRST] = story(seconds=0)


def poll(at_s: float, **changed: object) -> LockSnapshot:
    return replace(FIRST, sampled_at=BEGAN + timedelta(seconds=at_s), **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize("is_lost", [True, False])
def test_a_wait_that_ended_while_nobody_watched_counts_as_far_as_it_was_seen(
    tmp_path: Path, is_lost: bool
) -> None:
    path = tmp_path / "x.pgwatch"
    polls = {(one.sampled_at - BEGAN).total_seconds(): one for one in story(seconds=19)}
    with RecordingWriter(path, RecordingHeader(BEGAN), clock=lambda: 0.0) as writer:
        for at_s in (3.75, 4.0, 4.25, 4.5):
            writer.add(polls[at_s], HERE_S + at_s)
        if is_lost:
            writer.interrupt("no answer", HERE_S + 5.0)
        for at_s in (18.75, 19.0):
            writer.add(polls[at_s], HERE_S + at_s)
    with Recording.open(path) as recording:
        [wait] = recording.waits()
    # The script ends it at 7.5 s.
    assert (wait.began - BEGAN).total_seconds() == pytest.approx(4.0)
    assert wait.waited_s == pytest.approx(0.5)
    assert wait.ended is not None


@pytest.mark.parametrize(
    ("lost_s", "glance_s", "waited_s"),
    [
        # While the recorder was loaded and connected, the statement began that waits at the first poll.
        (None, None, 2.25),
        # The server didn't answer before: how long the statement had run by then isn't known.
        (4.5, None, 1.25),
        # A later wait of the same recording; a glance in between found nobody waiting.
        (None, 3.75, 2.25),
        (None, 4.25, 1.25),
    ],
)
def test_before_14_a_wait_counts_from_its_statement_unless_a_look_came_after_that(
    tmp_path: Path, lost_s: float | None, glance_s: float | None, waited_s: float
) -> None:
    path = tmp_path / "x.pgwatch"
    polls = {(one.sampled_at - BEGAN).total_seconds(): _before_14(one) for one in story(seconds=7)}
    header = RecordingHeader(BEGAN - timedelta(seconds=AHEAD_S - 3.25))
    with RecordingWriter(path, header, clock=lambda: 0.0) as writer:
        if lost_s is not None:
            writer.interrupt("no answer", HERE_S + lost_s)
        if glance_s is not None:
            writer.add(polls[3.5], HERE_S + 3.5)
            writer.add_quiet(HERE_S + glance_s)
        # The statement began at 4.0 s.
        for at_s in (5.0, 5.25, 6.25):
            writer.add(polls[at_s], HERE_S + at_s)
    with Recording.open(path) as recording:
        [longest] = [wait.waited_s for wait in recording.waits() if wait.waiter.test == CANCELS]
    assert longest == pytest.approx(waited_s, abs=0.01)


def _before_14(poll: LockSnapshot) -> LockSnapshot:
    groups = tuple(
        replace(one, wait=one.wait and replace(one.wait, started=None), wait_s=0.0 if one.confirmed else None)
        for one in poll.groups
    )
    return replace(poll, groups=groups)


@pytest.mark.parametrize("set_s", [-7200.0, 7200.0])
def test_a_machine_whose_clock_is_set_and_set_back_has_watched_all_the_time(
    tmp_path: Path, set_s: float
) -> None:
    path = tmp_path / "x.pgwatch"
    with RecordingWriter(path, RecordingHeader(BEGAN), clock=lambda: 0.0) as writer:
        for at_s, off_s in ((0.0, 0.0), (1.0, 0.0), (2.0, set_s), (3.0, set_s), (4.0, 0.0), (5.0, 0.0)):
            writer.add(poll(at_s), HERE_S + at_s + off_s)
        assert writer.server_time(HERE_S + 5.5) == BEGAN + timedelta(seconds=5.5)
        writer.close(machine_time_s=HERE_S + 5.5)
    with Recording.open(path) as recording:
        assert (recording.watched_s, recording.unwatched_s) == pytest.approx((5.0, 0.0))
        assert [mark.kind for mark in recording.marks() if mark.kind == "server_lost"] == []


def test_servers_are_told_apart_and_time_that_nobody_watched_is_counted(tmp_path: Path) -> None:
    path, again = tmp_path / "x.pgwatch", STARTED + timedelta(minutes=5)
    writer = RecordingWriter(path, RecordingHeader(BEGAN), clock=lambda: 0.0)
    # Its identifier becomes known with the second poll; both come a little late.
    writer.add(poll(0.0, system_identifier=None), HERE_S + 0.3)
    writer.add(poll(1.0), HERE_S + 1.1)
    writer.interrupt("no answer", HERE_S + 3.0)
    writer.interrupt("connection refused", HERE_S + 4.0)
    # It was started again; then another one, with a clock of its own, has its address.
    writer.add(poll(6.0, server_started=again), HERE_S + 6.0)
    writer.add(poll(7.0, server_started=again), HERE_S + 7.0)
    writer.add(poll(-3600.0, server_started=STARTED - timedelta(days=1)), HERE_S + 8.0)
    # A machine that slept; and a server whose clock was set back.
    writer.add(poll(-3500.0, server_started=STARTED - timedelta(days=1)), HERE_S + 108.0)
    writer.add(poll(-3560.0, server_started=STARTED - timedelta(days=1)), HERE_S + 109.0)
    writer.interrupt("password=secret is wrong", HERE_S + 110.0)
    writer.close(machine_time_s=HERE_S + 119.0)

    assert b"secret" not in path.read_bytes()
    with Recording.open(path) as recording:
        first, second, third = recording.servers
        assert [one.number for one in (first, second, third)] == [1, 2, 3]
        assert first.system_identifier == second.system_identifier == FIRST.system_identifier
        assert (first.started_at, second.started_at) == (STARTED, again)
        assert [one.clock_ahead_s for one in (first, second)] == pytest.approx([AHEAD_S - 0.1, AHEAD_S])
        assert third.clock_ahead_s == pytest.approx(AHEAD_S - 3669)
        assert recording.polls == 7
        assert recording.watched_s == pytest.approx(1.0 + 1.0 + 1.0 + 1.0)
        assert recording.unwatched_s == pytest.approx(4.9 + 100.0 + 10.0)
        kinds = [(mark.kind, mark.text) for mark in recording.marks()]
        assert sorted(kinds) == [
            ("recording_began", ""),
            ("recording_ended", ""),
            ("server_back", ""),
            ("server_back", ""),
            ("server_lost", "no answer"),
            ("server_lost", "password=*** is wrong"),
            ("server_lost", "the recorder stood still"),
        ]
        assert {seen.server for seen in recording.tests()} == {1, 2, 3}


def test_a_kill_while_the_server_is_gone_leaves_how_long_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.pgwatch"
    writer = RecordingWriter(path, RecordingHeader(BEGAN), clock=iter(range(0, 1000, 5)).__next__)
    writer.add(poll(0.0), HERE_S)
    for second in range(1, 8):
        writer.interrupt("no answer", HERE_S + second)
    with Recording.open(path) as recording:
        assert recording.unwatched_s == pytest.approx(7.0)
    writer.close()
