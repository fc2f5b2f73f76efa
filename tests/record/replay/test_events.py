"""Events in the order of time, and how many were blocked."""

from __future__ import annotations

from pgwatch_tests.record.merging.watched import Span
from pgwatch_tests.record.model import Mark
from pgwatch_tests.record.replay.events import ReplayEvents
from tests.record.made_events import at, deadlock, side, wait

EVENTS = ReplayEvents(
    at(0),
    at(100),
    waits=(wait(-5, 15, 1), wait(20, 10, 2), wait(25, 15, 3), wait(90, 10, 4, ended=False)),
    deadlocks=(deadlock(30, side(1), side(2)), deadlock(60, side(3), side(4))),
    marks=(Mark(at(40), "hang", "it hangs"), Mark(at(50), "server_lost")),
    gaps=(Span(at(50), at(70)),),
)


def pids(seconds: float) -> list[int]:
    return [one.waiter.pid for one in EVENTS.waits_at(at(seconds))]


def test_who_waits_when() -> None:
    assert [pids(one) for one in (0, 9.9, 10, 20, 25, 30, 40, 90, 100)] == [
        [1],
        [1],
        [],
        [2],
        [2, 3],
        [3],
        [],
        [4],
        [4],
    ]


def test_the_next_and_the_last_of_each_kind() -> None:
    after, before = EVENTS.wait_after(at(20)), EVENTS.wait_before(at(20))
    assert after is not None
    assert before is not None
    assert (after.waiter.pid, before.waiter.pid) == (3, 1)
    assert EVENTS.wait_after(at(90)) is None
    assert EVENTS.wait_before(at(-5)) is None
    assert EVENTS.deadlock(1, at(30)) == at(60)
    assert EVENTS.deadlock(1, at(60)) is None
    assert EVENTS.deadlock(-1, at(60)) == at(30)
    assert EVENTS.deadlock(-1, at(30)) is None
    assert (EVENTS.mark(1, at(0)), EVENTS.mark(-1, at(100))) == (at(40), at(40))
    assert [mark.kind for mark in EVENTS.marks_between(at(35), None)] == ["hang", "server_lost"]
    assert EVENTS.marks_between(at(35), at(40)) == ()


def test_gaps() -> None:
    assert EVENTS.gap_at(at(60)) == Span(at(50), at(70))
    # The last sample before it, and the first one after it, are known.
    assert EVENTS.gap_at(at(50)) is EVENTS.gap_at(at(70)) is None


def test_blocked_over_time() -> None:
    assert EVENTS.blocked_over_time(at(100), 10) == [1, 0, 2, 1, 0, None, None, 0, 0, 1]
    # Up to a moment: what began later isn't known yet.
    assert EVENTS.blocked_over_time(at(22), 2) == [1, 1]
    # A part of a step was watched.
    assert EVENTS.blocked_over_time(at(100), 4) == [1, 2, 0, 1]
    assert EVENTS.blocked_over_time(at(0), 3) == [0, 0, 0]
