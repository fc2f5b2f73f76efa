"""The locks as a JUnit report, which every CI shows beside the tests."""

from __future__ import annotations

from pgwatch_tests.accepted_findings import Acceptance
from pgwatch_tests.locks.gate import JudgedRoot, judge
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.reports.locks.formats import lock_accepted
from pgwatch_tests.reports.locks.lock_tree import NOTHING_BLOCKED, tree_lines
from pgwatch_tests.reports.render import ci_text
from pgwatch_tests.reports.render.ci_text import Case, seconds
from pgwatch_tests.text.times import utc_time

_CLASS = "pgwatch-tests.locks"
_UNDECIDED = "not decided: a deadlock ended the watch before it was known how long this wait lasts"


def document(snapshot: LockSnapshot, min_wait_s: float, known: Acceptance | None = None) -> str:
    """One test case per root blocker, failed if a gate fails on it; one that passed if nothing is blocked.

    An accepted one passes, with a note.

    `time` is the longest wait in seconds.
    """
    graph = LockGraph(snapshot)
    judged = judge(graph, min_wait_s, known)
    cases = [_case(root, graph) for root in judged] or [Case(NOTHING_BLOCKED, "passed")]
    suite = ci_text.suite(
        _CLASS,
        cases,
        name="pgwatch-tests locks",
        timestamp=utc_time(snapshot.sampled_at, "T"),
        hostname=snapshot.server,
    )
    suite.set("time", seconds(max((root.longest_wait_s for root in judged), default=0.0)))
    return ci_text.junit([suite])


def _case(root: JudgedRoot, graph: LockGraph) -> Case:
    name = f"{graph.who(root.party)} blocks nobody for long"
    explanation, wait_s = root.diagnosis.explanation, root.longest_wait_s
    lines = tree_lines(graph, root.tree) if root.tree else [explanation, root.diagnosis.advice]
    if root.verdict == "finding":
        return Case(name, "failure", explanation, lines, root.diagnosis.cause, time_s=wait_s)
    if root.verdict == "undecided":
        return Case(name, "skipped", _UNDECIDED, lines, time_s=wait_s)
    if root.verdict == "accepted":
        lines.insert(0, f"accepted: {lock_accepted.named(root.accepted)}")
    return Case(name, "passed", "", lines, time_s=wait_s)
