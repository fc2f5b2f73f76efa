"""What is read back of a recording is what was polled, whatever that was."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pgwatch_tests.locks.capacity import Capacity
from pgwatch_tests.locks.lock_queue import LockQueue
from pgwatch_tests.locks.model import (
    DeadlockCount,
    DeadlockCounts,
    EdgeGroup,
    LockSnapshot,
    LockTag,
    Party,
    PreparedTransaction,
    Session,
    Subject,
    TransactionWait,
    Wait,
    WaitedLock,
)
from pgwatch_tests.locks.waits.statement_text import effects
from pgwatch_tests.record.model import RecordingHeader
from pgwatch_tests.record.recording.columns import pack, unpack
from pgwatch_tests.record.recording.read_segments import Segment
from pgwatch_tests.record.recording.reader import Recording
from pgwatch_tests.record.recording.segments import LENGTH, Part, SegmentWriter, as_recorded
from pgwatch_tests.record.recording.values import to_json
from pgwatch_tests.record.recording.writer import RecordingWriter
from tests.examples import examples
from tests.record.recordings import BEGAN, story

# The server's bytes may be no text: lone surrogates stand for them.
words = st.text(st.characters(), max_size=12)
maybe_words = st.none() | st.sampled_from(["active", "idle", "idle in transaction"]) | words
ages = st.none() | st.floats(-1, 1e6) | st.sampled_from([0.0, 0.25, 1.0])
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(lambda one: one.replace(tzinfo=UTC))
numbers = st.integers(0, 2**32 - 1)
pids = st.integers(1, 4)
parties = st.builds(Party, pids) | st.builds(Party, st.just(0), words)
sessions = st.builds(
    Session,
    pid=pids,
    backend_start=st.none() | moments,
    backend_type=words,
    database_oid=st.none() | numbers,
    user_oid=st.none() | numbers,
    database=maybe_words,
    user=maybe_words,
    application_name=words,
    client=words,
    state=maybe_words,
    wait_event_type=maybe_words,
    wait_event=maybe_words,
    xact_age_s=ages,
    state_age_s=ages,
    query_age_s=ages,
    query=words,
    hidden=st.booleans(),
    known_test=words,
)
tags = st.builds(LockTag, words, st.none() | numbers, st.none() | numbers, virtualxid=maybe_words)
sides = st.builds(
    TransactionWait,
    pids,
    numbers,
    written=st.lists(numbers, max_size=2).map(tuple),
    effects=st.sampled_from([None, effects("UPDATE t SET a = 1"), effects("INSERT INTO s.t VALUES (1)")]),
    queued_row=st.none() | st.tuples(numbers, numbers, numbers),
)
groups = st.builds(
    EdgeGroup,
    parties,
    st.lists(parties, min_size=1, max_size=3, unique=True).map(lambda some: tuple(sorted(some)))
    | st.builds(
        LockQueue.first, st.just(LockQueue([Party(pid) for pid in range(5, 20)])), st.integers(1, 15)
    ),
    st.sampled_from(["hard", "soft", "safe_snapshot", "connected"]),
    st.builds(
        WaitedLock, words, words, maybe_words, words, also_held_by=st.lists(parties, max_size=1).map(tuple)
    ),
    st.none() | st.builds(Wait, pids, words, tags, words, st.none() | moments),
    ages,
    st.none() | st.builds(Subject, st.sampled_from(["row", "transaction"]), sides=st.none() | sides),
    st.booleans(),
)
snapshots = st.builds(
    LockSnapshot,
    sampled_at=moments,
    server_version=words,
    database=words,
    server=words,
    sessions=st.lists(sessions, max_size=3).map(tuple),
    prepared=st.lists(st.builds(PreparedTransaction, words, age_s=ages), max_size=1).map(tuple),
    groups=st.lists(groups, max_size=2).map(tuple),
    deadlocks=st.lists(st.lists(parties, max_size=2).map(tuple), max_size=1).map(tuple),
    spent_s=st.floats(0, 10),
    deadlock_counts=st.none()
    | st.builds(
        DeadlockCounts,
        moments,
        st.lists(
            st.builds(DeadlockCount, numbers, maybe_words, numbers, st.none() | moments), max_size=1
        ).map(tuple),
    ),
    pooled=st.booleans(),
    capacity=st.none() | st.builds(Capacity, numbers, numbers, numbers, numbers, numbers),
    server_started=st.none() | moments,
    system_identifier=maybe_words,
    own_database=st.none() | numbers,
    wanted_databases=st.frozensets(numbers, max_size=2),
    shut_databases=st.frozensets(numbers, max_size=2),
)
pauses_s = st.sampled_from([0.0, 0.25, 0.250001, 1.0, 59.0, 3600.0, -0.5, -7200.0])


def polled(some: Sequence[tuple[LockSnapshot, float, bool]]) -> list[LockSnapshot]:
    """A sequence of polls: some the same as the one before but for the time, which mostly goes on."""
    polls: list[LockSnapshot] = []
    for snapshot, pause_s, is_same in some:
        if polls and is_same:
            snapshot = polls[-1]
        at = polls[-1].sampled_at + timedelta(seconds=pause_s) if polls else snapshot.sampled_at
        polls.append(replace(snapshot, sampled_at=at))
    return polls


sequences: SearchStrategy[list[LockSnapshot]] = st.lists(
    st.tuples(snapshots, pauses_s, st.booleans()), min_size=1, max_size=6
).map(polled)


def as_in_layout_1(part: Part, polls: Sequence[LockSnapshot]) -> Part:
    """The same part as it was written before queues: groups and blockers in full."""
    size = int.from_bytes(part.body[:LENGTH], "little")
    values = json.loads(zlib.decompress(part.body[LENGTH : LENGTH + size]))
    for group in (group for poll in polls for group in poll.groups):
        for number, blockers in enumerate(values["blockers"]):
            if isinstance(blockers, dict):
                values["blockers"][number] = values["queue"][blockers["queue"]][: blockers["first"]]
        for number, parts in enumerate(values["group"]):
            if "about" in parts:
                about = values["about"][parts.pop("about")]
                wait = parts["wait"] and {**parts["wait"], "tag": values["tag"][parts["wait"]["tag"]]}
                values["group"][number] = {**parts, **about, "wait": wait, "blockers": [], "wait_s": None}
        assert json.loads(to_json(replace(group, blockers=(), wait_s=None))) in values["group"]
    for kind in ("about", "tag", "queue"):
        values.pop(kind, None)
    packed = zlib.compress(json.dumps(values).encode())
    return Part(part.times, len(packed).to_bytes(LENGTH, "little") + packed + part.body[LENGTH + size :])


@given(snapshots)
@settings(max_examples=examples(25), deadline=None)
def test_what_was_written_before_queues_is_read(poll: LockSnapshot) -> None:
    writer = SegmentWriter()
    writer.add(poll)
    part = writer.take()
    assert part is not None
    read = Segment([as_in_layout_1(part, [poll])]).snapshot(0)
    polled = as_recorded(poll)
    in_full = [replace(group, blockers=tuple(group.blockers)) for group in polled.groups]
    assert read == replace(polled, groups=tuple(in_full))


@given(sequences)
@settings(max_examples=examples(25), deadline=None)
def test_what_is_read_back_is_what_was_polled(polls: list[LockSnapshot]) -> None:
    read: list[LockSnapshot] = []
    writers = [SegmentWriter()]
    parts: list[list[Part]] = [[]]
    for number, poll in enumerate(polls):
        if not writers[-1].takes(poll):
            writers.append(SegmentWriter())
            parts.append([])
        writers[-1].add(poll)
        if number % 2 or poll is polls[-1] or not writers[-1].takes(polls[number + 1]):
            part = writers[-1].take()
            assert part is not None
            parts[-1].append(part)
    for some, writer in zip(parts, writers, strict=True):
        segment = Segment(some)
        whole = Segment([writer.whole()])
        assert whole.times == segment.times
        assert whole.snapshot(len(whole.times) - 1) == segment.snapshot(len(whole.times) - 1)
        # Backwards, too, as people look.
        read += [segment.snapshot(place) for place in range(len(segment.times) - 1, -1, -1)][::-1]
    assert read == [as_recorded(poll) for poll in polls]


@given(st.lists(pauses_s, max_size=8))
@example([-0.5, -0.5, 1.0])
@settings(max_examples=examples(6), deadline=None)
def test_a_moment_has_the_last_sample_before_it_wherever_clocks_went(pauses: list[float]) -> None:
    [first] = story(seconds=0)
    polls = [first]
    for pause_s in pauses:
        at = polls[-1].sampled_at + timedelta(seconds=pause_s)
        polls.append(replace(first, sampled_at=at, server_version=str(len(polls))))
    with TemporaryDirectory() as directory:
        path = Path(directory, "x.pgwatch")
        now_s = 0.0
        with RecordingWriter(path, RecordingHeader(BEGAN), clock=lambda: now_s) as writer:
            for poll in polls:
                now_s += 1.5
                writer.add(poll, poll.sampled_at.timestamp())
        with Recording.open(path) as recording:
            assert list(recording.snapshots()) == [as_recorded(poll) for poll in polls]
            last = {poll.sampled_at: poll for poll in polls}
            times = sorted(last)
            assert (recording.began, recording.until) == (times[0], times[-1])
            assert recording.at(times[0] - timedelta(microseconds=1)) is None
            assert recording.before(times[0]) is None
            for time, following in zip(times, [*times[1:], None], strict=True):
                assert recording.at(time) == as_recorded(last[time])
                assert recording.after(time) == following
                if following is not None:
                    assert recording.before(following) == time
                    assert recording.at(following - timedelta(microseconds=1)) == as_recorded(last[time])


@given(st.lists(st.integers(-(2**63), 2**63 - 1)) | st.lists(st.integers(-200, 200)))
def test_columns_are_read_back(column: list[int]) -> None:
    packed = b"x" + pack(column) + b"y"
    assert unpack(packed, 1) == (column, len(packed) - 1)


def test_ages_are_longer_by_a_millisecond_at_most() -> None:
    for snapshot in story(every_s=0.2503417):
        again = as_recorded(snapshot)
        assert as_recorded(again) == again
        for before, after in zip(snapshot.sessions, again.sessions, strict=True):
            assert replace(before, xact_age_s=None, state_age_s=None, query_age_s=None) == replace(
                after, xact_age_s=None, state_age_s=None, query_age_s=None
            )
            if before.state_age_s is not None:
                assert after.state_age_s is not None
                assert -1e-6 <= after.state_age_s - before.state_age_s < 0.001


def test_a_session_that_does_nothing_is_written_once() -> None:
    segment = SegmentWriter()
    [first] = story(seconds=0)
    for poll in range(100):
        at = first.sampled_at + timedelta(seconds=poll * 0.25)
        aged = [
            replace(
                one, state_age_s=(one.state_age_s or 0.0) + poll * 0.25, query_age_s=None, xact_age_s=None
            )
            for one in first.sessions
        ]
        segment.add(replace(first, sampled_at=at, sessions=tuple(aged)))
    assert segment.changes == len(first.sessions)
