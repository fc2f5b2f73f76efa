"""Data that the tabs show of a moment of a recording."""

from __future__ import annotations

from dataclasses import dataclass, field

from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.locks.contention.contention import Contention
from pgwatch_tests.locks.contention.last_troubles import Trouble
from pgwatch_tests.locks.graph.lock_graph import LockGraph, graph_of
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.record.replay.source import Picture
from pgwatch_tests.text.times import clock
from pgwatch_tests.tui.answers.leak_trend import LeakTrend

READING = "Reading the recording …"
_NO_CHECK = "the recording has no check for leaks, which `pgwatch-tests run` makes after the suite"


@dataclass(slots=True)
class ReplayData:
    """The picture of a moment, the contention up to it, and the leaks after the suite."""

    picture: Picture | None = None
    contention: Contention | None = None
    leaks: LeakReport | None = None
    leaks_trouble: str = _NO_CHECK
    leak_trend: LeakTrend = field(default_factory=LeakTrend)
    contention_restarts: bool = False
    troubles: tuple[Trouble, ...] = ()
    """None: the time line shows what was before."""

    @property
    def snapshot(self) -> LockSnapshot | None:
        return None if self.picture is None else self.picture.snapshot

    @property
    def graph(self) -> LockGraph | None:
        return None if self.snapshot is None else graph_of(self.snapshot)

    @property
    def absence(self) -> str:
        return READING if self.picture is None else gap_words(self.picture) or READING


def gap_words(picture: Picture) -> str:
    """What is said of a moment in a gap: that nothing is known, not that nothing was blocked."""
    if picture.gap is None:
        return ""
    return (
        f"Not watched from {clock(picture.gap.since)} to {clock(picture.gap.until)}: "
        "the server didn't answer, or no recorder was there. Nothing is known of that time."
    )
