"""Runs put together: what is the same counts once, what isn't stays apart."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgwatch_tests.leaks.model import Confidence
from pgwatch_tests.record.merging.duplicates import EXACT_S, POLL_S
from pgwatch_tests.record.merging.merged import RecordedRun, merge
from pgwatch_tests.record.model import LeakEvent, Mark, TestSighting, WaitEvent
from tests.examples import examples
from tests.record.made_events import at, deadlock, facts, run, server, side, wait

_PIDS = (11, 12, 13)


@st.composite
def true_waits(draw: st.DrawFn, shortest_gap_s: float) -> list[WaitEvent]:
    """The waits of three processes: each waits for one thing at a time."""
    waits = []
    for pid in _PIDS:
        gaps_s = draw(st.lists(st.floats(shortest_gap_s, 5.0), max_size=5))
        lengths_s = draw(st.lists(st.floats(0.0, 5.0), min_size=len(gaps_s), max_size=len(gaps_s)))
        began = accumulate(gap + length for gap, length in zip(gaps_s, [0.0, *lengths_s], strict=False))
        waits += [wait(start, length, pid) for start, length in zip(began, lengths_s, strict=True)]
    return waits


@st.composite
def observed(
    draw: st.DrawFn, version: str, blur_s: float, shortest_gap_s: float
) -> tuple[list[WaitEvent], list[RecordedRun]]:
    """True waits that somebody saw, and what three recorders saw of them, each of some."""
    truth = draw(true_waits(shortest_gap_s))
    seen_by = [
        draw(st.lists(st.integers(0, 2), unique=True, min_size=1, max_size=3), label="seen by") for _ in truth
    ]
    runs = []
    for recorder in range(3):
        waits = []
        for one, recorders in zip(truth, seen_by, strict=True):
            if recorder in recorders:
                late_s = draw(st.floats(0.0, min(blur_s, one.waited_s)))
                waits.append(
                    replace(one, began=one.began + (at(late_s) - at(0)), waited_s=one.waited_s - late_s)
                )
        shard = facts(f"shard {recorder}", pid=recorder)
        runs.append(run(f"{recorder}", waits, servers=[server(version=version)], until=200.0, facts=shard))
    return truth, draw(st.permutations(runs))


@settings(max_examples=examples(40))
@given(observed("18.1", 0.0, 2 * EXACT_S))
def test_a_wait_counts_once_however_many_recorders_saw_it(
    seen: tuple[list[WaitEvent], list[RecordedRun]],
) -> None:
    truth, runs = seen
    [merged] = merge(runs).servers
    assert len(merged.waits) == len(truth)
    assert merged.blocked_s == pytest.approx(sum(one.waited_s for one in truth))
    assert [one.number for one in merged.waits] == list(range(1, len(truth) + 1))
    assert [one.began for one in merged.waits] == sorted(one.began for one in truth)
    # Put together with itself, and in any order, it stays what it is.
    again = merge([*reversed(runs), *runs]).servers[0]
    assert (again.waits, again.watched_s) == (merged.waits, merged.watched_s)


@settings(max_examples=examples(40))
@given(observed("13.21", POLL_S / 2, 2 * POLL_S))
def test_where_the_server_does_not_tell_when_waits_began_a_poll_decides(
    seen: tuple[list[WaitEvent], list[RecordedRun]],
) -> None:
    truth, runs = seen
    [merged] = merge(runs).servers
    assert len(merged.waits) == len(truth)


@settings(max_examples=examples(30))
@given(observed("18.1", 0.0, 0.0))
def test_what_one_recorder_tells_apart_stays_apart(seen: tuple[list[WaitEvent], list[RecordedRun]]) -> None:
    _, runs = seen
    [merged] = merge(runs).servers
    assert len(merged.waits) >= max(len(one.waits) for one in runs)
    # Two servers that look alike but for one fact of theirs have nothing to do with each other.
    other = [replace(one, servers=(replace(one.servers[0], started_at=at(-61.0)),)) for one in runs]
    apart = merge([*runs, *(replace(one, name=f"other {one.name}", facts=None) for one in other)]).servers
    assert sum(len(one.waits) for one in apart) == 2 * len(merged.waits)


def test_eight_shards_of_one_server_whose_machines_disagree_by_three_seconds() -> None:
    runs = [
        run(
            f"shard-{number}/recording.pgwatch",
            [wait(10.0, 4.0, 11), wait(20.0 + number, 0.5, 20 + number)],
            servers=[replace(server(), clock_ahead_s=3.0 * number, address=f"db-{number}:5432")],
            began=number,
            until=50.0 + number,
            facts=replace(facts(f"{number}/8", pid=number), began=at(-3.0 * number), machine=f"ci-{number}"),
        )
        for number in range(8)
    ]
    [merged] = merge(runs).servers
    assert len(merged.waits) == 1 + 8
    assert merged.blocked_s == pytest.approx(4.0 + 8 * 0.5)
    assert (len(merged.servers), len(merged.runs)) == (1, 8)
    assert (merged.watched_s, merged.gaps) == (57.0, ())


def test_two_servers_are_not_put_together() -> None:
    here, there = server(), server(system="7002")
    standby = server(started=-30.0)
    report = merge(
        [run("a", [wait(1, 2)], servers=[here]), run("b", [wait(1, 2)], servers=[there])],
    )
    assert [len(one.waits) for one in report.servers] == [1, 1]
    assert len(merge([run("a", servers=[here]), run("b", servers=[standby])]).servers) == 2
    unknown = server(started=None, system=None)
    assert len(merge([run("a", servers=[unknown]), run("b", servers=[unknown])]).servers) == 2
    # Without a right to the identifier, the start to the microsecond says enough.
    assert len(merge([run("a", servers=[here]), run("b", servers=[server(system=None)])]).servers) == 1


def test_a_recording_that_saw_a_restart_links_both_starts() -> None:
    before, after = server(1), server(2, started=50.0)
    # The same pid, before and after: two processes.
    whole = run("a", [wait(49.95, 0.05), wait(50.0, 3.0, server=2)], servers=[before, after])
    late = run("b", [wait(50.0, 3.0)], servers=[server(1, started=50.0)], began=50.0)
    early = run("c", [wait(49.95, 0.05)], servers=[before], until=50.0)
    for runs in ([whole, late, early], [early, late, whole], [late, early, whole]):
        [merged] = merge(runs).servers
        assert [(one.number, one.started_at) for one in merged.servers] == [(1, at(-60.0)), (2, at(50.0))]
        assert [(one.server, one.waited_s) for one in merged.waits] == [(1, 0.05), (2, 3.0)]
    assert len(merge([early, late]).servers) == 2


def test_a_deadlock_counts_once_and_has_the_best_of_what_is_known() -> None:
    one, other = side(11, "t.py::test_one"), side(12, "t.py::test_other", statement="")
    polled = deadlock(10.0, one, other, victim="gw3 t.py::test_one")
    logged = deadlock(
        10.6, side(11, statement="UPDATE a"), side(12, statement="UPDATE b"), source="server log", advice=""
    )
    again = deadlock(13.0, one, other)
    elsewhere = deadlock(13.1, side(11, "t.py::test_one"), side(14))
    runs = [
        run("a", deadlocks=[polled, again, logged], facts=facts("1", pid=1)),
        run("b", deadlocks=[replace(polled, at=at(10.2)), elsewhere], facts=facts("2", pid=2)),
    ]
    for ordered in (runs, runs[::-1]):
        [merged] = merge(ordered).servers
        first, second, third = merged.deadlocks
        assert (first.source, first.victim, first.advice) == (
            "server log",
            "gw3 t.py::test_one",
            polled.advice,
        )
        assert [(member.side.test, member.side.statement) for member in first.members] == [
            ("t.py::test_one", "UPDATE a"),
            ("t.py::test_other", "UPDATE b"),
        ]
        # A deadlock again, and one at the same time that has one member in common.
        assert (second.at, third.at) == (at(13.0), at(13.1))


def test_leaks_that_several_checks_found_count_once() -> None:
    def rows(number: int, test: str = "", *candidates: str) -> LeakEvent:
        confidence: Confidence = "marker" if test else "1 of N" if candidates else "unknown"
        return LeakEvent("rows", "public.users", number, test, confidence, candidates)

    schema = LeakEvent("schema", "test_1", 1, "", "unknown")
    first = replace(run("a", facts=facts("1", pid=1)), leaks=(rows(3, "t::a"), rows(2), schema))
    second = replace(
        run("b", facts=facts("2", pid=2)),
        leaks=(rows(2, "t::b"), rows(1, "", "t::x", "t::y"), rows(4), schema),
    )
    elsewhere = replace(
        run("c", servers=[replace(server(), database="test_other")], facts=facts("3", pid=3)),
        leaks=(rows(5),),
    )
    [merged] = merge([first, second, elsewhere]).servers
    assert [(one.database, one.rows, one.test or one.candidates) for one in merged.leaks] == [
        ("test_other", 5, ()),
        ("test_app", 3, "t::a"),
        ("test_app", 2, "t::b"),
        ("test_app", 1, ()),
        ("test_app", 1, ("t::x", "t::y")),
        ("test_app", 1, ()),
    ]
    assert [one.kind for one in merged.leaks].count("schema") == 1
    with_two_facts = replace(first, name="d", facts=None, leaks=(rows(9, "t::a"), rows(1, "t::b")))
    assert (
        sum(one.rows for one in merge([first, with_two_facts]).servers[0].leaks if one.kind == "rows") == 10
    )


def test_gaps_are_when_nobody_watched() -> None:
    first = replace(
        run("a", until=60.0),
        marks=(
            Mark(at(10), "server_lost", "refused"),
            Mark(at(20), "server_back"),
            Mark(at(40), "server_lost"),
        ),
    )
    second = run("b", began=15.0, until=18.0)
    third = run("c", began=30.0, until=45.0)
    [merged] = merge([first, second, third]).servers
    assert [(one.since, one.until) for one in merged.gaps] == [(at(10), at(15)), (at(18), at(20))]
    assert (merged.watched_s, merged.unwatched_s) == (10 + 3 + 25, 7)


def test_a_test_that_two_recorders_saw_is_one() -> None:
    seen = TestSighting("t.py::test_a", "pytest", "gw0", 1, at(1), at(5), 12)
    first = replace(run("a"), tests=(seen, replace(seen, worker="gw1", last_seen=at(9))))
    second = replace(run("b"), tests=(replace(seen, first_seen=at(0.8), last_seen=at(4), polls=14),))
    [merged] = merge([first, second]).servers
    assert [(one.worker, one.first_seen, one.last_seen, one.polls) for one in merged.tests] == [
        ("gw1", at(1), at(9), 12),
        ("gw0", at(0.8), at(5), 14),
    ]


def test_of_copies_of_a_recording_the_longest_counts() -> None:
    cut_off = replace(run("copy/a", [wait(1, 2)], until=20.0, facts=facts()), is_whole=False)
    whole = run("a", [wait(1, 2), wait(30, 2)], facts=facts())
    for runs in ([cut_off, whole], [whole, cut_off]):
        [merged] = merge(runs).servers
        assert [one.name for one in merged.runs] == ["a"]


def test_a_run_that_reached_no_server_is_told_all_the_same() -> None:
    alone = RecordedRun("a", facts(exit_code=1), not_checked=("The server could not be reached.",))
    report = merge([alone, run("b")])
    assert sorted(len(one.servers) for one in report.servers) == [0, 1]
    assert {one.name for one in report.runs} == {"a", "b"}
