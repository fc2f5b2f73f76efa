"""Events of a recording in order of time: the next and the last of each kind, who waited when. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from pgwatch_tests.record import sums
from pgwatch_tests.record.merging.watched import Span
from pgwatch_tests.record.model import DeadlockEvent, Mark, MarkKind, TestSighting, WaitEvent

NOTABLE_MARKS: tuple[MarkKind, ...] = ("signal", "hang", "root_ended", "command_ended")
"""Marks that are worth a look, and so a jump."""


@dataclass(frozen=True)
class ReplayEvents:
    """All events between `began` and `until`, each kind in order of time; gaps don't touch."""

    began: datetime
    until: datetime
    waits: tuple[WaitEvent, ...] = ()
    deadlocks: tuple[DeadlockEvent, ...] = ()
    tests: tuple[TestSighting, ...] = ()
    marks: tuple[Mark, ...] = ()
    gaps: tuple[Span, ...] = ()

    def gap_at(self, moment: datetime) -> Span | None:
        """The gap that `moment` is in; None if somebody watched."""
        return next((gap for gap in self.gaps if gap.since < moment < gap.until), None)

    def waits_at(self, moment: datetime) -> list[WaitEvent]:
        """The waits that had begun at `moment` and weren't over."""
        begun = bisect_right(self._wait_times, moment)
        return [wait for wait, end in zip(self.waits[:begun], self._ends, strict=False) if end > moment]

    def gap_after(self, moment: datetime) -> Span | None:
        """The first gap that begins at `moment` or later."""
        return next((gap for gap in self.gaps if gap.since >= moment), None)

    def marks_between(self, since: datetime, until: datetime | None) -> tuple[Mark, ...]:
        """The marks from `since` on and before `until`, which is the end if it is None."""
        return tuple(mark for mark in self.marks if since <= mark.at and (until is None or mark.at < until))

    def wait_after(self, moment: datetime) -> WaitEvent | None:
        """The first wait that began after `moment`."""
        place = bisect_right(self._wait_times, moment)
        return self.waits[place] if place < len(self.waits) else None

    def wait_before(self, moment: datetime) -> WaitEvent | None:
        """The last wait that began before `moment`."""
        place = bisect_left(self._wait_times, moment)
        return self.waits[place - 1] if place else None

    def deadlock(self, direction: int, moment: datetime) -> datetime | None:
        """When the next deadlock (1), or the one before (-1), was seen."""
        return _neighbour([one.at for one in self.deadlocks], direction, moment)

    def mark(self, direction: int, moment: datetime) -> datetime | None:
        """When the next mark of NOTABLE_MARKS (1), or the one before (-1), was made."""
        return _neighbour([mark.at for mark in self.marks if mark.kind in NOTABLE_MARKS], direction, moment)

    def blocked_over_time(self, until: datetime, steps: int) -> list[int | None]:
        """The most waits at once in each of `steps` equal parts of the time up to `until`.

        None where nobody watched for the whole part.
        """
        most: list[int | None] = list(sums.blocked_over_time(self.waits, self.began, until, steps))
        step_s = (until - self.began).total_seconds() / steps
        if step_s <= 0:
            return most
        for gap in self.gaps:
            first = (gap.since - self.began).total_seconds() / step_s
            behind = (gap.until - self.began).total_seconds() / step_s
            for step in range(max(0, -int(-first // 1)), min(steps, int(behind))):
                most[step] = None
        return most

    @cached_property
    def _wait_times(self) -> list[datetime]:
        return [wait.began for wait in self.waits]

    @cached_property
    def _ends(self) -> list[datetime]:
        return [self.end_of(wait) for wait in self.waits]

    def end_of(self, wait: WaitEvent) -> datetime:
        """When a wait ended; one that was never seen to end goes on beyond the recording."""
        return wait.ended or self.until + timedelta(microseconds=1)


def _neighbour(times: Sequence[datetime], direction: int, moment: datetime) -> datetime | None:
    place = bisect_right(times, moment) if direction > 0 else bisect_left(times, moment) - 1
    return times[place] if 0 <= place < len(times) else None
