"""The locks as a JUnit report, which every CI shows beside the tests."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement

from pgwatch_tests.accepted_findings import Acceptance
from pgwatch_tests.locks.gate import JudgedRoot, judge
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.reports.locks import lock_accepted
from pgwatch_tests.reports.locks.lock_tree import NOTHING_BLOCKED, tree_lines
from pgwatch_tests.reports.render import junit_xml
from pgwatch_tests.reports.render.junit_xml import seconds
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.times import utc_time

_CLASS = "pgwatch-tests.locks"
_UNDECIDED = "not decided: a deadlock ended the looking before it was known how long this lasts"


def document(snapshot: LockSnapshot, min_wait_s: float, known: Acceptance | None = None) -> str:
    """One test case per root blocker, failed if a gate fails on it; one that passed if nothing is blocked.

    An accepted one passes, with a note.

    `time` is the longest wait in seconds.
    """
    graph = LockGraph(snapshot)
    found = judge(graph, min_wait_s, known)
    suite = Element(
        "testsuite",
        name="pgwatch-tests locks",
        timestamp=utc_time(snapshot.sampled_at, "T"),
        hostname=plain(snapshot.server),
        tests=str(len(found) or 1),
        failures=str(sum(root.verdict == "finding" for root in found)),
        errors="0",
        skipped=str(sum(root.verdict == "undecided" for root in found)),
        time=seconds(max((root.longest_wait_s for root in found), default=0.0)),
    )
    for root in found:
        _add(suite, root, graph)
    if not found:
        SubElement(suite, "testcase", classname=_CLASS, name=NOTHING_BLOCKED, time=seconds(0.0))
    return junit_xml.document([suite])


def _add(suite: Element, root: JudgedRoot, graph: LockGraph) -> None:
    name = f"{plain(graph.who(root.party))} blocks nobody for long"
    test = SubElement(suite, "testcase", classname=_CLASS, name=name, time=seconds(root.longest_wait_s))
    explanation = plain(root.diagnosis.explanation)
    lines = tree_lines(graph, root.tree) if root.tree else [explanation, plain(root.diagnosis.advice)]
    if root.verdict == "finding":
        SubElement(test, "failure", type=root.diagnosis.cause, message=explanation).text = "\n".join(lines)
        return
    if root.verdict == "undecided":
        SubElement(test, "skipped", message=_UNDECIDED)
    if root.verdict == "accepted":
        lines.insert(0, f"accepted: {lock_accepted.named(root.accepted)}")
    SubElement(test, "system-out").text = "\n".join(lines)
