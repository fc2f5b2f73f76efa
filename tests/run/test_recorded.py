"""What a recording leaves out: polls that begin after the command, or end before it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from pgwatch_tests.record.model import Mark
from pgwatch_tests.record.results import ResultsDirectory
from pgwatch_tests.run.checks.fail_on import Evidence
from pgwatch_tests.run.outcome.recorded import evidence
from pgwatch_tests.run.request import Notes
from tests.record.recordings import BEGAN, make_recording

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
    assert len(notes.notes) == bool(told)
    assert told in "".join(notes.notes)
