from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pgwatch_tests.identity.application_name import compose, parse
from pgwatch_tests.record.run_files import read
from pgwatch_tests.record.run_summary import BlockedSum, TestOutcome
from pgwatch_tests.record.summary import summary_of
from tests.record.made_events import deadlock, facts, run, server, side, wait
from tests.record.recordings import BOOKS, CANCELS, LISTS, SWAPS, leak_report, make_recording


def test_a_run_in_short() -> None:
    waits = [wait(10.0, 4.0, 1, 2), wait(12.0, 1.0, 3, 2, number=2), wait(50.0, 1.0, 1, 2, number=3)]
    one = replace(
        run(waits=waits, deadlocks=[deadlock(5.0, side(1), side(2))]), unwatched_s=0.5, not_checked=("x",)
    )
    short = summary_of(one, facts("a"))

    assert (short.facts, short.servers) == (facts("a"), (server(),))
    assert (short.watched_s, short.unwatched_s, short.not_checked) == (100.0, 0.5, ("x",))
    assert (short.blocked_s, short.waits, short.most_blocked) == (6.0, 3, 2)
    assert [(pair.blocker, pair.waiter, pair.sum) for pair in short.pairs] == [
        ("tests/test_a.py::test_2", "tests/test_a.py::test_1", BlockedSum(5.0, 2, 4.0)),
        ("tests/test_a.py::test_2", "tests/test_a.py::test_3", BlockedSum(1.0, 1, 1.0)),
    ]
    assert [one.object for one in short.objects] == ["row of bookings"]
    assert len(short.deadlocks) == 1
    nothing = summary_of(run(), facts())
    assert (nothing.waits, nothing.most_blocked, nothing.pairs) == (0, 0, ())


def test_names_that_were_cut_become_those_of_the_outcomes() -> None:
    test = f"tests/{'deep/' * 12}test_a.py::test_that_waits"
    name = compose("pytest", "gw0", test)
    identity = parse(name)
    assert identity is not None
    assert identity.test != test
    cut = replace(side(1, identity.test), name=name)
    one = run(waits=[wait(10.0, 4.0, cut, cut)], deadlocks=[deadlock(5.0, cut, side(2))])

    short = summary_of(replace(one, outcomes=(TestOutcome(test, "failed", 1.0),)), facts())
    assert (short.pairs[0].blocker, short.pairs[0].waiter) == (test, test)
    assert short.deadlocks[0].members[0].side.test == test
    assert summary_of(one, facts()).pairs[0].waiter == identity.test


def test_a_recording_s_pairs_causes_and_leaks_and_the_worst_outcomes_first(tmp_path: Path) -> None:
    [one], [] = read([make_recording(tmp_path / "x.pgwatch", leaks=leak_report())])
    outcomes = (
        TestOutcome(LISTS, "passed", 1.0),
        TestOutcome(CANCELS, "passed", 1.0, failed_attempts=1),
        TestOutcome(BOOKS, "failed", 1.0, "it leaks"),
        TestOutcome(SWAPS[1], "error", 1.0),
    )
    short = summary_of(replace(one, outcomes=outcomes), facts())

    assert (short.waits, short.most_blocked, short.watched_s) == (5, 2, 20.0)
    assert short.blocked_s == pytest.approx(3.5 + 2.9 + 1.0 + 0.9 + 0.6)
    assert [(pair.blocker, pair.waiter) for pair in short.pairs][:2] == [(BOOKS, CANCELS), (BOOKS, LISTS)]
    assert [cause.cause for cause in short.causes] == ["idle_in_transaction", "deadlock", "advisory_lock"]
    assert [deadlock.victim for deadlock in short.deadlocks] == [SWAPS[1]]
    assert [leak.rows for leak in short.leaks] == [3, 2, 1]
    assert [outcome.test for outcome in short.outcomes] == [SWAPS[1], BOOKS, CANCELS, LISTS]
    assert short.tests_seen > 4
