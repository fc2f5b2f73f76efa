"""Deadlocks that are over: those of the same tests together, each with its statements and what to do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from pgwatch_tests.locks.contention.contention import ContentionMeter
from pgwatch_tests.locks.contention.deadlocks import CaughtDeadlock
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.reports.contention.deadlock_detail import (
    deadlock_lines,
    deadlock_title,
    recurring,
)
from pgwatch_tests.reports.render.detail_text import Labelled
from pgwatch_tests.text.times import clock
from pgwatch_tests.text.toned_text import text_of
from tests.locks.snapshots import MOMENT, edge, session, snapshot


def caught(*pids: int, after_s: float = 0.0, statement: str = "UPDATE t SET n = 1") -> CaughtDeadlock:
    """A ring of sessions, as a watch keeps it; its tests are `test_0`, `test_1` and so on."""
    ring = tuple(
        edge(pid, pids[(place + 1) % len(pids)], target=f"row of t (id={place})")
        for place, pid in enumerate(pids)
    )
    sessions = tuple(
        session(pid, f"pytest:gw{place} t.py::test_{place}", query=f"{statement} -- \x1b{place}")
        for place, pid in enumerate(pids)
    )
    first = settle(None, snapshot(ring, sessions, after_s))
    meter = ContentionMeter()
    for one in (first, settle(first, snapshot(ring, sessions, after_s + 0.25))):
        meter.add(one)
    seen = meter.result()
    assert seen is not None
    [found] = seen.deadlocks
    return found


def said(one: CaughtDeadlock, *more: CaughtDeadlock) -> str:
    [found] = recurring((one, *more))
    lines = deadlock_lines(found)
    return "\n".join(
        f"{one.label} {text_of(one.lines[0])}" if isinstance(one, Labelled) else text_of(one) for one in lines
    )


def test_the_same_tests_with_the_same_statements_are_one() -> None:
    first, again = caught(1, 2), caught(11, 12, after_s=3.0)
    other = caught(21, 22, after_s=5.0, statement="DELETE FROM t")
    found = recurring((first, other, again))
    assert [one.times for one in found] == [(again, first), (other,)]
    assert deadlock_title(found[0]) == "Deadlock of test_0 and test_1"
    assert deadlock_title(recurring((caught(1, 2, 3),))[0]) == "Deadlock of test_0, test_1 and test_2"


def test_it_tells_when_who_what_and_what_to_do() -> None:
    text = said(caught(1, 2))
    assert text.startswith(f"Seen at {clock(MOMENT + timedelta(seconds=0.25))}\n")
    assert "Ended by the server, which of them isn't known" in text
    assert "Fix " in text
    assert "test_0 (gw0, pid 1)\nwaits for row of t (id=0)\nwith UPDATE t SET n = 1" in text
    assert "test_1 (gw1, pid 2)\nwaits for row of t (id=1)" in text
    assert "\x1b" not in text


def test_of_many_times_the_last_ones_and_all_victims() -> None:
    times = [caught(1, 2, after_s=float(10 * number)) for number in range(7)]
    ended = [replace(one, victim="test_1 (gw1, pid 2)") for one in times[:3]]
    ended += [replace(times[3], victim="test_0 (gw0, pid 1)"), *times[4:]]
    text = said(ended[0], *ended[1:])
    last = (MOMENT + timedelta(seconds=60.25)).astimezone()
    assert f"Seen 7 times: {last:%H:%M:%S}, " in text
    assert f", … {last:%Z}\n" in text
    assert "Ended test_1 3 times, test_0; 3 times not known" in text
