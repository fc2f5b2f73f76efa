"""Whole ids of tests whose sessions carried a hash, by the list that pytest's plugin has left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pgwatch_tests.identity.application_name import compose, parse
from pgwatch_tests.record import sums
from pgwatch_tests.record.merging.merged import LastPicture, LastSession
from pgwatch_tests.record.model import TestSighting
from pgwatch_tests.record.whole_names import WholeNames, listed_tests
from tests.record.made_events import BEGAN, deadlock, run, side, wait

_TEST = "tests/bookings/test_cancellations.py::TestCancels::test_a_dear_lesson_is_cancelled_in_time[eur]"


def test_names_that_were_cut_off_become_whole(tmp_path: Path) -> None:
    (tmp_path / "1a2b.tests").write_text(f"tests/test_a.py::test_other\n{_TEST}\n")
    (tmp_path / "torn.tests").write_text("<testsuite")
    name = compose("pytest", "gw1", _TEST)
    identity = parse(name)
    assert identity is not None
    cut = replace(side(11), name=name, test=identity.label, who=f"gw1 {identity.label}")
    seen = TestSighting(identity.label, "pytest", "gw1", 1, BEGAN, BEGAN, 3)
    before = replace(
        run(waits=[wait(1.0, 2.0, cut, 12)], deadlocks=[deadlock(5.0, cut, side(13), victim=cut.who)]),
        tests=(seen,),
        last=LastPicture(BEGAN, (LastSession(cut), LastSession(side(13), "row", 1.0, (cut.who,)))),
    )
    whole = WholeNames(listed_tests(tmp_path)).run(before)
    assert (whole.waits[0].waiter.test, whole.waits[0].waiter.who) == (_TEST, f"gw1 {_TEST}")
    assert whole.waits[0].roots == before.waits[0].roots
    assert whole.deadlocks[0].members[0].side.test == _TEST
    assert whole.deadlocks[0].members[1] == before.deadlocks[0].members[1]
    assert whole.deadlocks[0].victim == f"gw1 {_TEST}"
    assert whole.last is not None
    assert whole.last.sessions[0].side.test == _TEST
    assert whole.last.sessions[1].blockers == (f"gw1 {_TEST}",)
    assert whole.tests[0].test == _TEST
    assert WholeNames([]).run(before) == before


def test_sessions_that_only_their_run_named_are_one_in_all_runs() -> None:
    named = [replace(side(pid), name=f"run:{pid:08x} npx", who=f"run:{pid:08x} npx") for pid in (1, 2, 3)]
    waits = [wait(0.0, 1.0, named[0], named[1]), wait(2.0, 1.0, named[2], named[1], number=2)]
    [pair] = sums.pairs(waits)
    assert (pair.blocker, pair.waiter, pair.sum.waits) == ("npx", "npx", 2)
