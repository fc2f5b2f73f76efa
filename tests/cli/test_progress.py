from __future__ import annotations

import pytest

from pgwatch_tests.cli import progress as progress_module
from pgwatch_tests.cli.progress import Progress
from tests.waiting import wait_until


def test_lines_tell_the_time_left_by_the_work_not_by_the_number(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress_module, "_QUIET_S", 0.0)
    monkeypatch.setattr(progress_module, "_LINE_EVERY_S", 0.0)
    share = 0.0

    with Progress("counting", lambda done, total: f"{done} of {total}", lambda: share) as progress:
        wait_until(lambda: progress._shown)
        progress.show(0, 10)
        # As if it had begun 30 s ago.
        progress._began -= 30.0
        share = 0.75
        progress.show(1, 10)
        share = 1.0
        progress.show(10, 10)

    assert capsys.readouterr().err.splitlines() == [
        "pgwatch-tests: 0 of 10",
        "pgwatch-tests: 1 of 10, about 10 s left",
        "pgwatch-tests: 10 of 10",
    ]
