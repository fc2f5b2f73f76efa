"""What a recording leaves out: polls that begin after the command, or end before it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from pgwatch_tests.record.merging.merged import merge
from pgwatch_tests.record.model import Mark, RecordingHeader
from pgwatch_tests.record.recording.writer import RecordingWriter
from pgwatch_tests.record.replay.source import opened
from pgwatch_tests.record.results import ResultsDirectory
from pgwatch_tests.record.run_files import read
from pgwatch_tests.reports.contention import contention_json
from pgwatch_tests.run.checks.fail_on import Evidence
from pgwatch_tests.run.outcome.recorded import evidence, write_contention
from pgwatch_tests.run.request import Notes
from tests.record.recordings import BEGAN, make_recording, story

_POLLED_S = 4.0
_REFUSED = "cannot connect (DATABASE_URL): Connection refused; is the server running on that host?"
_SILENT = "no answer within 5 s"


@pytest.mark.parametrize(
    ("began_s", "lost", "ended_s", "unwatched_s", "told"),
    [
        (-2.0, "", 4.5, 0.0, ""),
        (-12.0, "", 4.5, 12.0, "the recording began 12 s after the command"),
        (0.0, "", 20.0, 16.0, "in the last 16 s of the command: the recorder stood still"),
        (0.0, _SILENT, 9.0, 5.0, f"in the last 5.0 s of the command: {_SILENT}"),
        # Where nobody listens, nobody waits: the command has stopped its server.
        (0.0, _REFUSED, 9.0, 0.0, f"in the last 5.0 s of the command: {_REFUSED}"),
    ],
)
def test_what_polls_leave_out_at_both_ends(
    tmp_path: Path, began_s: float, lost: str, ended_s: float, unwatched_s: float, told: str
) -> None:
    results = ResultsDirectory(tmp_path)
    marks = [Mark(BEGAN + timedelta(seconds=began_s), "command_began")]
    if lost:
        marks.append(Mark(BEGAN + timedelta(seconds=_POLLED_S + 0.2), "server_lost", lost))
    marks.append(Mark(BEGAN + timedelta(seconds=ended_s), "command_ended"))
    make_recording(results.recording, seconds=_POLLED_S, marks=marks)
    notes = Notes()
    known = evidence(results, Evidence(), notes)
    assert known.unwatched_s == pytest.approx(unwatched_s, abs=0.1)
    [merged] = merge(read([results.recording])[0]).servers
    assert merged.unwatched_s == known.unwatched_s
    assert len(notes.notes) == bool(told)
    assert told in "".join(notes.notes)


def test_the_documents_of_a_run_and_of_its_replay_tell_the_same(tmp_path: Path) -> None:
    results = ResultsDirectory(tmp_path)
    make_recording(results.recording, seconds=12.0)
    known = evidence(results, Evidence(), Notes())
    assert list(write_contention(results, known)) == ["contention"]
    with opened([results.recording]) as source:
        replayed = contention_json.document(source.contention(source.until))
    document = json.loads(results.file("contention").read_text())
    assert document == json.loads(replayed)
    assert (document["waits"], document["deadlocks"]["caught"]) == (len(known.waits or ()), 1)


def test_nothing_recorded_is_no_contention(tmp_path: Path) -> None:
    results = ResultsDirectory(tmp_path)
    make_recording(results.recording, seconds=1.0)
    known = evidence(results, Evidence(), Notes())
    assert list(write_contention(results, known)) == ["contention"]
    document = json.loads(results.file("contention").read_text())
    assert (document["waits"], document["pairs"], document["longest_wait"]) == (0, [], None)


def test_a_gap_has_one_length(tmp_path: Path) -> None:
    """A server that goes away is noticed at the next poll; the gap begins with the one before it."""
    results = ResultsDirectory(tmp_path)
    with RecordingWriter(results.recording, RecordingHeader(BEGAN, run="0a1b2c3d")) as writer:
        for poll in story(every_s=1.0, seconds=20.0):
            now_s = poll.sampled_at.timestamp()
            since_s = (poll.sampled_at - BEGAN).total_seconds()
            if 5.0 < since_s < 9.0 or since_s > 15.0:
                writer.interrupt(_SILENT, now_s + 0.5)
            else:
                writer.add(poll, now_s)
        writer.mark(Mark(BEGAN + timedelta(seconds=20), "command_ended"))
        writer.close("", (BEGAN + timedelta(seconds=21)).timestamp())
    known = evidence(results, Evidence(), Notes())
    runs, _ = read([results.recording])
    [merged] = merge(runs).servers

    assert [((gap.since - BEGAN).total_seconds(), gap.seconds) for gap in merged.gaps] == [
        (5.0, 4.0),
        (15.0, 5.0),
    ]
    assert (known.unwatched_s, merged.unwatched_s, runs[0].unwatched_s) == (9.0, 9.0, 9.0)
    assert (merged.watched_s, runs[0].watched_s) == (11.0, 11.0)
