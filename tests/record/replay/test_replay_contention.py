"""Sums of a recording up to a moment: what has ended counts whole, what lasts counts up to it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from pgwatch_tests.locks.contention.contention import Contention, Pair
from pgwatch_tests.locks.contention.wait_record import LockedObject
from pgwatch_tests.record.merging.watched import Span
from pgwatch_tests.record.model import Root, WaitEvent
from pgwatch_tests.record.replay import contention
from pgwatch_tests.record.replay.contention import RecordedContention
from pgwatch_tests.record.replay.events import ReplayEvents
from tests.record.made_events import at, deadlock, side, wait

TEST_12 = "tests/test_a.py::test_12"


def sums(*waits: WaitEvent, moment: float, gaps: tuple[Span, ...] = ()) -> Contention:
    events = ReplayEvents(at(0), at(100), waits, (deadlock(30, side(1), side(2)),), gaps=gaps)
    return RecordedContention(events, "18.1", "test_app").until(at(moment), 7)


def test_a_wait_counts_up_to_the_moment() -> None:
    waits = wait(10, 20, 1), wait(15, 5, 2, cause="same_row"), wait(50, 5, 3)
    early, middle, late = (sums(*waits, moment=moment) for moment in (5, 18, 100))
    assert (early.waits, early.blocked_s, early.longest, early.most_blocked) == (0, 0, None, 0)
    assert (middle.waits, middle.blocked_s, middle.most_blocked) == (2, 8 + 3, 2)
    assert middle.longest is not None
    assert (middle.longest.wait_s, middle.longest.blockers) == (8, (TEST_12,))
    assert (late.waits, late.blocked_s, late.longest and late.longest.wait_s) == (3, 30, 20)
    assert [(cause, one.blocked_s) for cause, one in late.causes.rows] == [
        ("idle_in_transaction", 25),
        ("same_row", 5),
    ]
    assert [one for one, _ in late.objects.rows] == [LockedObject("row of bookings", "EXCLUSIVE")]
    assert late.pairs.rows[0][0] == Pair(TEST_12, "tests/test_a.py::test_1")
    shown = late.pair_waits[late.pairs.rows[0][0]]
    assert (shown.wait_s, shown.seen_at, shown.blocker.statement) == (20, at(30), side(1).statement)
    assert (middle.deadlocks_caught, late.deadlocks_caught) == (0, 1)
    assert late.deadlocks[0].sessions[0].who == "pid 1"
    assert (late.since, late.until, late.polls) == (at(0), at(100), 7)


def test_a_wait_that_was_never_seen_to_end_counts_up_to_its_last_sight() -> None:
    lasting = wait(10, 20, ended=False)
    assert [sums(lasting, moment=moment).blocked_s for moment in (15, 30, 90)] == [5, 20, 20]


def test_roots_share_a_wait_and_what_is_in_other_databases_says_so() -> None:
    roots = (
        Root(side(12, "test_b"), 6.0),
        Root(replace(side(0), name="prepared transaction gid 1", database="other"), 3.0),
    )
    one = replace(wait(0, 9, 1), roots=roots, waiter=replace(side(1), database="other", name="psql"))
    half = sums(one, moment=3)
    assert {pair: time.blocked_s for pair, time in half.pairs.rows} == {
        Pair("test_b", "psql", "", "other"): 2.0,
        Pair("prepared transaction gid 1", "psql", "other", "other"): 1.0,
    }
    assert half.objects.rows[0][0].database == "other"


def test_what_nobody_watched_is_told_and_left_blank() -> None:
    seen = sums(wait(10, 10), moment=60, gaps=(Span(at(40), at(50)), Span(at(55), at(70))))
    assert (seen.watched_s, seen.unwatched_s) == (45, 15)
    assert {one.blocked for one in seen.timeline if at(42) < one.at < at(48)} == {None}
    assert {one.blocked for one in seen.timeline if at(12) < one.at < at(18)} == {1}


def test_checkpoints_change_no_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(5)
    waits = [
        wait(chance.uniform(0, 90), chance.uniform(0, 9), chance.randrange(1, 9), ended=chance.random() < 0.9)
        for _ in range(300)
    ]
    waits.sort(key=lambda one: one.began)
    plain = [sums(*waits, moment=moment) for moment in range(0, 101, 10)]
    monkeypatch.setattr(contention, "_FEWEST_BETWEEN", 4)
    again = [sums(*waits, moment=moment) for moment in range(0, 101, 10)]
    assert [one.waits for one in again] == [one.waits for one in plain]
    assert [one.pairs.rows for one in again] == [one.pairs.rows for one in plain]
    assert [one.causes for one in again] == [one.causes for one in plain]


def test_a_wait_through_another_names_that_one_unless_it_had_several_roots() -> None:
    one = replace(wait(0, 5, 1), blockers=(side(12, "test_b"),), roots=(Root(side(9), 5.0),))
    [(_, through)] = sums(one, moment=9).pair_waits.items()
    assert through.direct == side(12, "test_b").who
    itself = replace(one, blockers=(side(9),))
    [(_, straight)] = sums(itself, moment=9).pair_waits.items()
    assert straight.direct == ""
    several = replace(one, roots=(Root(side(9), 3.0), Root(side(8, "test_c"), 2.0)))
    assert {shown.direct for shown in sums(several, moment=9).pair_waits.values()} == {""}
