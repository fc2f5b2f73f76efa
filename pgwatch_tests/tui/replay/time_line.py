"""Time line of a recording: blocked sessions over time, marks below them, and the position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rich.style import Style
from rich.text import Text
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget

from pgwatch_tests.record.model import MarkKind
from pgwatch_tests.record.replay.events import ReplayEvents
from pgwatch_tests.reports.render.sparkline import NOT_WATCHED, sparkline
from pgwatch_tests.text.times import clock, day_and_time

DEADLOCK, HANG, STOP, CURSOR, GAP = "D", "H", "X", "▲", "░"
LEGEND = f"{DEADLOCK} deadlock · {HANG} hang · {STOP} signal, or where it broke off · {GAP} not watched"

_LETTERS: Mapping[MarkKind, str] = {"hang": HANG, "root_ended": HANG, "signal": STOP}
_PRECEDENCE = (STOP, HANG, DEADLOCK)
_STEPS = 1024
_MOST_SHIFTED = 4


@dataclass(frozen=True, slots=True)
class TimeLineData:
    """What the time line shows, in equal steps from `began` to `until`."""

    began: datetime
    until: datetime
    blocked: tuple[int | None, ...]
    """None: not watched."""
    marks: tuple[tuple[datetime, str], ...] = ()
    """Moments with DEADLOCK, HANG or STOP."""


def time_line_data(replayed: ReplayEvents, breaks_off_at: Sequence[datetime]) -> TimeLineData:
    """The time line of a recording, which breaks off at those moments."""
    marks = [(one.at, DEADLOCK) for one in replayed.deadlocks]
    marks += [(mark.at, _LETTERS[mark.kind]) for mark in replayed.marks if mark.kind in _LETTERS]
    marks += [(moment, STOP) for moment in breaks_off_at]
    blocked = replayed.blocked_over_time(replayed.until, _STEPS)
    return TimeLineData(replayed.began, replayed.until, tuple(blocked), tuple(marks))


def rows(data: TimeLineData, position: datetime, width: int) -> tuple[Text, Text]:
    """The two rows, `width` cells each: what was blocked, and marks, position and times below it."""
    if width < 1:
        return Text(), Text()
    cursor = _column(data, position, width)
    above = Text(_stretched(data.blocked, width).replace(NOT_WATCHED, GAP), no_wrap=True)
    above.stylize(Style(reverse=True), cursor, cursor + 1)
    at = {column: letter for letter in reversed(_PRECEDENCE) for column in _columns(data, letter, width)}
    below = [" "] * width
    for column, letter in {cursor: CURSOR, **at}.items():
        below[column] = letter
    for label, places in _labels(data, width):
        for column in places:
            around = below[max(0, column - 1) : column + len(label) + 1]
            if column >= 0 and column + len(label) <= width and set(around) == {" "}:
                below[column : column + len(label)] = label
                break
    marks = Text("".join(below), no_wrap=True)
    for column in at:
        marks.stylize(Style(bold=True), column, column + 1)
    if cursor in at:
        marks.stylize(Style(reverse=True), cursor, cursor + 1)
    return above, marks


def moment_at(data: TimeLineData, column: int, width: int) -> datetime:
    """The moment in the middle of a column."""
    share = (min(width - 1, max(0, column)) + 0.5) / max(1, width)
    return data.began + timedelta(seconds=(data.until - data.began).total_seconds() * share)


def _stretched(values: Sequence[int | None], width: int) -> str:
    """The sparkline in exactly `width` characters."""
    if not values:
        return " " * width
    if len(values) < width:
        values = [values[column * len(values) // width] for column in range(width)]
    return sparkline(values, width)


def _column(data: TimeLineData, moment: datetime, width: int) -> int:
    whole_s = (data.until - data.began).total_seconds()
    share = (moment - data.began).total_seconds() / whole_s if whole_s > 0 else 0.0
    return min(width - 1, max(0, int(share * width)))


def _columns(data: TimeLineData, letter: str, width: int) -> set[int]:
    return {_column(data, moment, width) for moment, one in data.marks if one == letter}


def _labels(data: TimeLineData, width: int) -> list[tuple[str, Sequence[int]]]:
    """When it began and ended, and the columns where that may stand: at an end, or beside a mark there."""
    same_day = data.began.astimezone().date() == data.until.astimezone().date()
    words = clock if same_day else day_and_time
    first, last = words(data.began), words(data.until)
    if len(first) + len(last) + 4 > width:
        return []
    shifts = range(_MOST_SHIFTED)
    return [(first, shifts), (last, [width - len(last) - shift for shift in shifts])]


class TimeLine(Widget):
    """The two rows. A click asks to go to that moment."""

    class Clicked(Message):
        """Somebody clicked on a moment."""

        def __init__(self, moment: datetime) -> None:
            super().__init__()
            self.moment = moment

    def __init__(self) -> None:
        super().__init__(id="time-line")
        self._data: TimeLineData | None = None
        self._position: datetime | None = None
        self._drawn: tuple[Text, Text] | None = None

    def show(self, data: TimeLineData, position: datetime) -> None:
        """Shows a position; draws only if that changes what is seen."""
        self._data, self._position = data, position
        drawn = rows(data, position, self.content_size.width)
        if drawn != self._drawn:
            self._drawn = drawn
            self.refresh()

    def on_resize(self) -> None:
        if self._data is not None and self._position is not None:
            self.show(self._data, self._position)

    def render(self) -> Text:
        return Text() if self._drawn is None else Text("\n").join(self._drawn)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return 2

    def on_click(self, event: events.Click) -> None:
        if self._data is not None and (offset := event.get_content_offset(self)) is not None:
            self.post_message(self.Clicked(moment_at(self._data, offset.x, self.content_size.width)))
