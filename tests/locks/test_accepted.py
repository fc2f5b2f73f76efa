"""A gate on locks with findings that a team accepts: what is known passes, what is new fails."""

from __future__ import annotations

from dataclasses import replace

from pgwatch_tests.accepted_findings import ANY_TEST, Acceptance, Finding
from pgwatch_tests.locks.contention.contention import Contention, ContentionMeter
from pgwatch_tests.locks.gate import has_finding, judge, new_findings, use_of, use_of_watch, watch_has_finding
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import Edge, LockSnapshot, Party
from pgwatch_tests.reports.locks.formats import lock_github, lock_junit, lock_markdown
from tests.locks.snapshots import edge, session, snapshot


def row(waiter: int, blocker: int, what: str = "t", wait_s: float = 2.0) -> Edge:
    one = edge(waiter, blocker, wait_s=wait_s, target=f"row of {what} (id={waiter})")
    assert one.wait is not None
    return replace(
        one,
        lock=replace(one.lock, object=what),
        wait=replace(one.wait, tag=replace(one.wait.tag, relation=sum(map(ord, what)))),
    )


def known(*findings: Finding) -> Acceptance:
    return Acceptance(dict.fromkeys(findings, ""))


def finding(place: str = "t", test: int = 1, kind: str = "same_row") -> Finding:
    return Finding("locks", kind, place, f"tests/test_app.py::test_{test}")


def deadlocked(*numbers: int) -> LockSnapshot:
    cycle = tuple(row(one, other) for one, other in zip(numbers, numbers[1:] + numbers[:1], strict=True))
    return settle(settle(None, snapshot(cycle)), snapshot(cycle, after_s=0.2))


def test_what_is_known_passes_and_what_is_new_fails() -> None:
    shown = settle(None, snapshot((row(2, 1), row(4, 3))))
    assert new_findings(shown, 1.0) == (finding(), finding(test=3))
    some = known(finding(), finding("gone"))
    judged = judge(LockGraph(shown), 1.0, some)
    assert {root.party.pid: root.verdict for root in judged} == {1: "accepted", 3: "finding"}
    assert has_finding(shown, 1.0, some)
    use = use_of(judged)
    assert (use.new, use.accepted, use.gone) == ((finding(test=3),), (finding(),), ())
    assert not has_finding(shown, 1.0, known(finding(), finding(test=3)))
    assert not has_finding(shown, 1.0, known(replace(finding(), test=ANY_TEST)))


def test_another_cause_place_or_gate_is_not_what_was_accepted() -> None:
    shown = settle(None, snapshot((row(2, 1),)))
    for other in (finding("u"), finding(kind="long_query"), replace(finding(), gate="leaks")):
        assert has_finding(shown, 1.0, known(other))


def test_a_root_that_blocks_a_new_thing_too_is_a_finding() -> None:
    shown = settle(None, snapshot((row(2, 1), row(3, 1, "users"))))
    [root] = judge(LockGraph(shown), 1.0, known(finding()))
    assert (root.verdict, root.new, root.accepted) == ("finding", (finding("users"),), (finding(),))


def test_a_thing_that_is_waited_for_too_shortly_needs_no_entry() -> None:
    shown = settle(None, snapshot((row(2, 1), row(3, 1, "users", 0.5))))
    assert not has_finding(shown, 1.0, known(finding()))


def test_a_wait_further_behind_counts_for_the_thing_that_it_is_behind() -> None:
    shown = settle(None, snapshot((row(2, 1, wait_s=0.2), row(3, 1, "users", 0.2), row(4, 3, wait_s=5.0))))
    [root] = judge(LockGraph(shown), 1.0)
    assert [one.place for one in root.new] == ["users"]


def test_names_that_differ_from_run_to_run_are_the_same_finding() -> None:
    one = settle(None, snapshot((row(2, 1, "test_1717171717171_4711_5e6f7a8b.users"),)))
    other = settle(None, snapshot((row(2, 1, "test_1818181818181_9_aaaa1111.users"),)))
    assert not has_finding(other, 1.0, known(*new_findings(one, 1.0)))


def test_another_database_is_another_place() -> None:
    elsewhere = tuple(replace(session(pid), database="test_gw1") for pid in (1, 2))
    shown = settle(None, snapshot((row(2, 1),), elsewhere))
    assert new_findings(shown, 1.0) == (finding("t (database test_gw*)"),)


def test_a_deadlock_is_known_whichever_member_comes_first() -> None:
    accepted = known(*new_findings(deadlocked(1, 2), 9.0))
    assert sorted(one.kind for one in accepted.reasons) == ["deadlock", "deadlock"]
    assert not has_finding(deadlocked(2, 1), 9.0, accepted)
    assert has_finding(deadlocked(1, 3), 9.0, accepted)


def watched(*snapshots: LockSnapshot) -> Contention:
    meter = ContentionMeter()
    for one in snapshots:
        meter.add(one)
    seen = meter.result()
    assert seen is not None
    return seen


def test_a_watch_tells_what_it_did_not_see() -> None:
    seen = watched(settle(None, snapshot((row(2, 1), row(4, 3, wait_s=0.2)))))
    some = known(finding(), finding(test=3), finding("gone"), replace(finding("x"), gate="leaks"))
    use = use_of_watch(seen, 1.0, some)
    assert (use.new, use.accepted, use.gone) == ((), (finding(),), (finding("gone"),))
    assert not watch_has_finding(seen, 1.0, some)
    assert watch_has_finding(seen, 1.0)
    assert watch_has_finding(seen, 0.1, known(finding()))


def test_a_watch_fails_on_a_deadlock_that_is_not_accepted() -> None:
    seen = watched(deadlocked(1, 2))
    assert watch_has_finding(seen, 9.0)
    assert not watch_has_finding(seen, 9.0, known(*seen.findings))


def test_more_than_can_be_kept_is_never_accepted() -> None:
    seen = replace(watched(snapshot()), more_findings_s=2.0)
    assert watch_has_finding(seen, 1.0, known(finding()))
    assert not watch_has_finding(seen, 3.0, known(finding()))


def test_the_forms_tell_accepted_from_new() -> None:
    shown = settle(None, snapshot((row(2, 1), row(4, 3))))
    some = known(finding())
    assert Party(1) in {root.party for root in judge(LockGraph(shown), 1.0, some)}
    markdown = lock_markdown.document(shown, 1.0, some)
    assert "1 new finding, 1 accepted: `same row`, `t` (`tests/test_app.py::test_3`)" in markdown
    assert "Accepted, not counted: `same row`, `t` (`tests/test_app.py::test_1`)" in markdown
    assert "| 2.0 s (accepted) |" in markdown
    assert "| **2.0 s** |" in markdown
    verdict, *annotations = lock_github.document(shown, 1.0, some).splitlines()
    assert verdict.startswith("test_1 blocks 1 test for 2.0 s")
    assert annotations[0].startswith("::notice title=accepted%3A test_1 ")
    assert annotations[1].startswith("::error ")
    junit = lock_junit.document(shown, 1.0, some)
    assert 'failures="1"' in junit
    assert "accepted: same row, t (tests/test_app.py::test_1)" in junit
