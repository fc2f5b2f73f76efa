"""Events against the truth: a scripted hour compressed in time, polled as a recorder polls."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import (
    EdgeGroup,
    LockSnapshot,
    LockTag,
    Party,
    Session,
    Wait,
    WaitedLock,
)
from pgwatch_tests.record.events import EventTracker
from pgwatch_tests.record.model import DeadlockEvent, TestSighting, WaitEvent
from pgwatch_tests.record.recorder import RecorderPace
from tests.record.recordings import BEGAN, SWAPS, story

HOUR_S = 3600.0
HOLDER = 1


@dataclass(frozen=True, slots=True)
class Truth:
    """A wait of the script."""

    pid: int
    began_s: float
    ended_s: float


def script(seed: int) -> list[Truth]:
    """Waits of ten sessions behind one, of 0.5 s to 8 s, now and then some at once."""
    draw = random.Random(seed)
    truths = []
    for pid in range(10, 20):
        at_s = draw.uniform(1, 400)
        while at_s < HOUR_S - 20:
            lasts_s = 0.5 + draw.expovariate(1.0)
            truths.append(Truth(pid, round(at_s, 6), round(at_s + lasts_s, 6)))
            at_s += lasts_s + draw.uniform(1, 900)
    return truths


def poll(at_s: float, truths: Sequence[Truth], *, tells_start: bool) -> LockSnapshot:
    """What the server shows at that time; before PostgreSQL 14 not when a wait began."""
    waiting = {one.pid: one for one in truths if one.began_s <= at_s < one.ended_s}
    ended = {one.pid: one.ended_s for one in truths if one.ended_s <= at_s}
    sessions = [_session(HOLDER, at_s, 0.0, "idle in transaction")]
    for pid in range(10, 20):
        since_s = waiting[pid].began_s if pid in waiting else ended.get(pid, 0.0)
        sessions.append(_session(pid, at_s, since_s, "active" if pid in waiting else "idle"))
    return LockSnapshot(
        sampled_at=BEGAN + timedelta(seconds=round(at_s, 6)),
        server_version="18.1",
        database="test_app",
        server="localhost:5432",
        sessions=tuple(sessions),
        prepared=(),
        groups=tuple(_group(one, at_s, tells_start) for one in waiting.values()),
        spent_s=0.002,
        server_started=BEGAN,
    )


def _session(pid: int, at_s: float, since_s: float, state: str) -> Session:
    return Session(
        pid=pid,
        backend_start=BEGAN,
        backend_type="client backend",
        database="test_app",
        application_name=f"pytest:gw{pid} tests/a.py::test_{pid}",
        state=state,
        state_age_s=at_s - since_s,
        query_age_s=at_s - since_s,
        query="SELECT pg_advisory_lock(1)",
    )


def _group(one: Truth, at_s: float, tells_start: bool) -> EdgeGroup:
    started = BEGAN + timedelta(seconds=one.began_s)
    tag = LockTag("advisory", 5, classid=0, objid=1, objsubid=1)
    return EdgeGroup(
        Party(one.pid),
        (Party(HOLDER),),
        "hard",
        WaitedLock("advisory", "ExclusiveLock", "ExclusiveLock", "advisory lock 1"),
        Wait(one.pid, f"{one.pid}/{one.began_s}", tag, "ExclusiveLock", started if tells_start else None),
        at_s - one.began_s if tells_start else None,
    )


@pytest.mark.parametrize(("cost_s", "every_s"), [(0.001, 0.25), (0.0114, 0.0114 / 0.009), (0.1, 2.0)])
def test_polls_beside_sessions_at_work_take_less_than_a_hundredth_of_a_core(
    cost_s: float, every_s: float
) -> None:
    used = itertools.count()
    pace = RecorderPace(cpu_s=lambda: next(used) * cost_s)
    working = poll(1.0, [], tells_start=True)
    assert [pace.pause_s(working) + working.spent_s for _ in range(3)] == pytest.approx([every_s] * 3)


@pytest.mark.parametrize("tells_start", [True, False])
def test_all_waits_of_an_hour_are_there_and_as_long_as_they_were(tells_start: bool) -> None:
    truths, draw = script(7), random.Random(1)
    tracker, pace = EventTracker(), RecorderPace(cpu_s=lambda: 0.0)
    previous: LockSnapshot | None = None
    at_s, longest_pause_s = 0.0, 0.0
    beginnings = sorted(one.began_s for one in truths)
    seen: dict[int, WaitEvent] = {}
    tests: list[TestSighting] = []
    while at_s < HOUR_S:
        previous = settle(previous, poll(at_s, truths, tells_start=tells_start))
        tracker.add(previous, 1)
        if draw.random() < 0.3:
            changes = tracker.take()
            seen |= {wait.number: wait for wait in changes.waits}
            tests += changes.tests
        # Machines are late now and then.
        pause_s = pace.pause_s(previous) + draw.expovariate(50)
        longest_pause_s = max(pause_s, longest_pause_s)
        if previous.groups:
            at_s += pause_s
        else:
            # While nothing waits, glances find a beginning.
            began_s = next((one for one in beginnings if one > at_s), HOUR_S)
            at_s = max(at_s + pause_s, began_s + pause_s * draw.random())
    changes = tracker.take()
    seen |= {wait.number: wait for wait in changes.waits}

    assert len(truths) > 50
    missed = [one for one in truths if not any(_is(wait, one) for wait in seen.values())]
    assert (missed, len(seen)) == ([], len(truths))
    for truth in truths:
        [wait] = [wait for wait in seen.values() if _is(wait, truth)]
        assert wait.ended is not None
        lasted_s = truth.ended_s - truth.began_s
        if tells_start:
            assert wait.began == BEGAN + timedelta(seconds=truth.began_s)
            assert wait.waited_s == pytest.approx(lasted_s, abs=1e-5)
        assert abs(wait.waited_s - lasted_s) <= longest_pause_s
        assert [(root.side.pid, root.blocked_s) for root in wait.roots] == [(HOLDER, wait.waited_s)]
        assert wait.cause == "advisory_lock"
        assert wait.polls >= 1
    assert len({seen.test for seen in (*tests, *changes.tests)}) == 11


def _is(wait: WaitEvent, truth: Truth) -> bool:
    began_s = (wait.began - BEGAN).total_seconds()
    return wait.waiter.pid == truth.pid and truth.began_s - 0.001 <= began_s < truth.ended_s


def test_a_deadlock_is_told_with_its_victim_and_another_server_ends_what_waits() -> None:
    tracker = EventTracker()
    deadlocks: dict[int, DeadlockEvent] = {}
    waits: dict[int, WaitEvent] = {}
    for snapshot in story(seconds=15.25):
        tracker.add(snapshot, 1)
        changes = tracker.take()
        deadlocks |= changes.deadlocks
        waits |= {wait.number: wait for wait in changes.waits}
    [deadlock] = deadlocks.values()
    assert [member.side.test for member in deadlock.members] == list(SWAPS)
    assert (deadlock.victim, deadlock.victim_pid) == (SWAPS[1], 103)
    assert "row of seats (id=1)" in deadlock.explanation
    assert [wait.waiter.pid for wait in waits.values() if wait.ended is None] == [104]
    # Another server at the same address has none of its waits, and may have another clock.
    [other] = story(seconds=0, began=BEGAN - timedelta(hours=1), started=BEGAN)
    tracker.add(replace(other, groups=()), 2)
    [over] = tracker.take().waits
    assert (over.waiter.pid, over.server) == (104, 1)
    assert over.ended is not None
    assert over.waited_s == pytest.approx(0.25)
