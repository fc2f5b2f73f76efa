from __future__ import annotations

from pgwatch_tests.sweep.model import SweepProgress
from pgwatch_tests.sweep.pace import SweepPace


def test_rate_and_time_left() -> None:
    now_s = 100.0
    pace = SweepPace(lambda: now_s)

    assert (pace.last.rows, pace.rows_per_s, pace.left_s) == (0, None, None)
    pace.add(SweepProgress(0, 10, 0, 0.0))
    assert (pace.rows_per_s, pace.left_s) == (None, None)
    now_s = 100.1
    pace.add(SweepProgress(1, 10, 500, 0.1))
    # A tenth of a second tells nothing yet.
    assert (pace.rows_per_s, pace.left_s) == (None, None)
    now_s = 102.0
    pace.add(SweepProgress(5, 10, 1000, 0.25))
    assert (pace.last.rows, pace.rows_per_s, pace.left_s) == (1000, 500.0, 6.0)
    now_s = 103.0
    pace.add(SweepProgress(10, 10, 1200, 1.0))
    assert (pace.rows_per_s, pace.left_s) == (400.0, None)
