"""What a gate fails on, and how long it looks before it says so."""

from __future__ import annotations

from dataclasses import replace

from pgwatch_tests.identity.application_name import OWN_NAME
from pgwatch_tests.locks.gate import has_finding, judge, look_again_in_s
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import Edge, LockSnapshot, LockTag, Party, Subject
from pgwatch_tests.reports.locks import lock_tree
from tests.locks.snapshots import MOMENT, edge, session, snapshot


def told(one: Edge) -> Edge:
    """The same on a server that tells when a wait began."""
    assert one.wait is not None
    return replace(one, wait=replace(one.wait, started=MOMENT))


def verdicts(shown: LockSnapshot, min_wait_s: float = 1.0) -> dict[int, str]:
    return {root.party.pid: root.verdict for root in judge(LockGraph(shown), min_wait_s)}


def test_a_wait_of_exactly_that_long_is_a_finding_and_one_just_younger_is_not() -> None:
    shown = settle(None, snapshot((told(edge(2, 1, wait_s=1.0)), told(edge(4, 3, wait_s=0.999)))))
    assert verdicts(shown) == {1: "finding", 3: "shorter"}
    assert has_finding(shown, 1.0)
    assert not has_finding(shown, 1.001)


def test_the_longest_wait_behind_a_root_counts_wherever_it_is() -> None:
    chain = (told(edge(2, 1, wait_s=0.2)), told(edge(3, 2, wait_s=5.0)))
    [root] = judge(LockGraph(settle(None, snapshot(chain))), 1.0)
    assert (root.party, root.blocks, root.longest_wait_s, root.verdict) == (Party(1), 2, 5.0, "finding")


def test_waits_of_our_own_sessions_are_no_findings() -> None:
    shown = settle(None, snapshot((told(edge(2, 1, wait_s=5.0)),), (session(2, OWN_NAME),)))
    assert verdicts(shown) == {1: "shorter"}


def test_a_session_that_a_locked_catalog_keeps_out_is_no_finding() -> None:
    at_the_door = replace(session(2, "x", "starting", query=""), application_name="")
    catalog = LockTag("relation", 0, 1260)
    waits = told(edge(2, 1, wait_s=5.0, target="table pg_authid", tag=catalog, subject=Subject("relation")))
    shown = settle(None, snapshot((waits,), (at_the_door,)))
    assert verdicts(shown) == {1: "shorter"}
    assert "a session that is connecting" in lock_tree.text(shown)
    template = told(edge(2, 1, wait_s=5.0, tag=LockTag("object", 0), subject=Subject("database")))
    assert verdicts(settle(None, snapshot((template,), (at_the_door,)))) == {1: "finding"}


def test_nothing_is_blocked() -> None:
    assert judge(LockGraph(snapshot()), 0.0) == ()
    assert not has_finding(snapshot(), 0.0)


def test_a_deadlock_is_a_finding_once_it_is_confirmed_however_young() -> None:
    cycle = (told(edge(1, 2, wait_s=0.2)), told(edge(2, 1, wait_s=0.2)))
    first = settle(None, snapshot(cycle))
    second = settle(first, snapshot(cycle, after_s=0.15))
    assert verdicts(first) == {1: "shorter"}
    assert verdicts(second) == {1: "finding"}


def test_a_deadlock_below_a_root_is_a_case_of_its_own() -> None:
    edges = (told(edge(1, 2, wait_s=0.2)), told(edge(2, 1, wait_s=0.2)), told(edge(2, 9, wait_s=0.2)))
    shown = settle(settle(None, snapshot(edges)), snapshot(edges, after_s=0.15))
    found = judge(LockGraph(shown), 1.0)
    assert [(root.party.pid, root.diagnosis.cause, root.verdict) for root in found] == [
        (9, found[0].diagnosis.cause, "shorter"),
        (1, "deadlock", "finding"),
    ]
    assert found[1].tree is None


def test_where_the_server_tells_there_is_nothing_to_watch_for() -> None:
    first = settle(None, snapshot((told(edge(2, 1, wait_s=0.2)),)))
    last = settle(first, snapshot((told(edge(2, 1, wait_s=0.35)),), after_s=0.15))
    assert look_again_in_s(first, last, 60.0) is None


def test_where_it_does_not_a_wait_is_watched_until_it_has_lasted() -> None:
    waiting = (edge(2, 1, wait_s=None),)
    first = settle(None, snapshot(waiting))
    second = settle(first, snapshot(waiting, after_s=0.15))
    assert look_again_in_s(first, second, 1.0) == 0.25
    third = settle(second, snapshot(waiting, after_s=0.9))
    pause_s = look_again_in_s(first, third, 1.0)
    assert pause_s is not None
    assert 0.09 < pause_s < 0.11
    assert not has_finding(third, 1.0)
    fourth = settle(third, snapshot(waiting, after_s=1.0))
    assert look_again_in_s(first, fourth, 1.0) is None
    assert has_finding(fourth, 1.0)


def test_a_wait_that_came_later_is_surely_younger() -> None:
    first = settle(None, snapshot((edge(2, 1, wait_s=None),)))
    last = settle(first, snapshot((edge(3, 1, wait_s=None),), after_s=0.15))
    assert look_again_in_s(first, last, 1.0) is None


def test_a_deadlock_ends_the_looking_and_others_stay_undecided() -> None:
    edges = (edge(1, 2, wait_s=None), edge(2, 1, wait_s=None), edge(4, 3, wait_s=None))
    first = settle(None, snapshot(edges))
    last = settle(first, snapshot(edges, after_s=0.15))
    assert look_again_in_s(first, last, 1.0) is None
    assert verdicts(last) == {1: "finding", 3: "undecided"}
