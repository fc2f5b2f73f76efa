"""The locks as a JUnit report, which every CI shows beside the tests."""

from __future__ import annotations

from datetime import UTC
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from pgwatch_tests.locks.gate import Case, cases
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.locks.picture import LockPicture
from pgwatch_tests.reports.lock_tree import NOTHING_BLOCKED, tree_lines
from pgwatch_tests.reports.plain_text import plain

_CLASS = "pgwatch-tests.locks"
_UNDECIDED = "not decided: a deadlock ended the looking before it was known how long this lasts"


def document(snapshot: LockSnapshot, min_wait_s: float) -> str:
    """One test case a root blocker, failed if a gate fails on it; one that passed if nothing is blocked.

    `time` is the longest wait in seconds.
    """
    picture = LockPicture(snapshot)
    found = cases(picture, min_wait_s)
    suite = Element(
        "testsuite",
        name="pgwatch-tests locks",
        timestamp=snapshot.sampled_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        hostname=plain(snapshot.server),
        tests=str(len(found) or 1),
        failures=str(sum(case.verdict == "finding" for case in found)),
        errors="0",
        skipped=str(sum(case.verdict == "undecided" for case in found)),
        time=_seconds(max((case.longest_wait_s for case in found), default=0.0)),
    )
    for case in found:
        _add(suite, case, picture)
    if not found:
        SubElement(suite, "testcase", classname=_CLASS, name=NOTHING_BLOCKED, time=_seconds(0.0))
    root = Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _add(suite: Element, case: Case, picture: LockPicture) -> None:
    # `plain` leaves no character that XML forbids: controls, surrogates and U+FFFE are shown as codes.
    name = f"{plain(picture.who(case.party))} blocks nobody for long"
    test = SubElement(suite, "testcase", classname=_CLASS, name=name, time=_seconds(case.longest_wait_s))
    explanation = plain(case.diagnosis.explanation)
    lines = tree_lines(picture, case.tree) if case.tree else [explanation, plain(case.diagnosis.advice)]
    if case.verdict == "finding":
        SubElement(test, "failure", type=case.diagnosis.cause, message=explanation).text = "\n".join(lines)
        return
    if case.verdict == "undecided":
        SubElement(test, "skipped", message=_UNDECIDED)
    SubElement(test, "system-out").text = "\n".join(lines)


def _seconds(value_s: float) -> str:
    return f"{value_s:.3f}"
