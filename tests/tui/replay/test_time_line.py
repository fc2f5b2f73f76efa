"""The time line as text: what was blocked, gaps, marks and where the replay is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgwatch_tests.record.merging.watched import Span
from pgwatch_tests.record.model import Mark
from pgwatch_tests.record.replay.events import ReplayEvents
from pgwatch_tests.tui.replay.time_line import TimeLineData, moment_at, rows, time_line_data
from tests.record.made_events import at, deadlock, side, wait

pytestmark = pytest.mark.usefixtures("utc")

EVENTS = ReplayEvents(
    at(0),
    at(100),
    waits=(wait(20, 19.9, 1), wait(30, 9.9, 2)),
    deadlocks=(deadlock(35, side(1), side(2)),),
    marks=(Mark(at(80), "hang", "it hangs"), Mark(at(90.5), "signal", "SIGTERM")),
    gaps=(Span(at(50), at(70)),),
)
DATA = time_line_data(EVENTS, (at(100),))


def drawn(data: TimeLineData, seconds: float, width: int) -> list[str]:
    return [row.plain for row in rows(data, at(seconds), width)]


def test_blocked_sessions_gaps_marks_and_the_position() -> None:
    above, below = drawn(DATA, 45, 40)
    assert above == "▁▁▁▁▁▁▁▁▅▅▅▅████▁▁▁▁░░░░░░░░▁▁▁▁▁▁▁▁▁▁▁▁"
    assert (below[14], below[18], below[32], below[36], below[39]) == ("D", "▲", "H", "X", "X")


@pytest.mark.parametrize("width", [1, 2, 7, 80, 140, 2000])
@pytest.mark.parametrize("seconds", [0, 35, 100])
def test_any_width_is_filled_exactly_with_the_position_in_it(width: int, seconds: float) -> None:
    above, below = rows(DATA, at(seconds), width)
    assert (len(above), len(below)) == (width, width)
    # The cursor is a reversed cell, whatever mark is below it.
    [span] = above.spans
    assert span.start == min(width - 1, int(seconds / 100 * width))


def test_nothing_to_show() -> None:
    assert drawn(DATA, 0, 0) == ["", ""]
    assert drawn(TimeLineData(at(0), at(0), (0,)), 0, 5) == ["▁▁▁▁▁", "▲    "]


def test_times_are_there_where_they_fit_with_the_day_where_there_are_several() -> None:
    plain = replace(DATA, marks=())
    assert drawn(plain, 45, 60)[1] == "05:06:07 UTC               ▲                    05:07:47 UTC"
    assert drawn(plain, 45, 27)[1].strip() == "▲"
    long = replace(plain, until=at(3 * 86400))
    assert drawn(long, 45, 80)[1].startswith("▲ 04 Mar 05:06:07 UTC ")
    assert drawn(long, 45, 80)[1].endswith("07 Mar 05:06:07 UTC")
    # Neither the position nor a mark is written over, nor cuts a time.
    assert drawn(plain, 5, 60)[1] == "   ▲                                            05:07:47 UTC"
    assert drawn(replace(plain, marks=((at(100), "X"),)), 45, 60)[1].endswith(
        "▲                  05:07:47 UTC X"
    )


def test_a_column_is_a_moment() -> None:
    assert moment_at(DATA, 0, 10) == at(5)
    assert moment_at(DATA, 99, 10) == at(95)
    assert moment_at(DATA, -1, 10) == at(5)
