"""Outcomes of tests, from the JUnit reports that a run wrote.

Files come from elsewhere: what can't be read of them is told, and what can be counts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pgwatch_tests.identity.junit_cases import JUnitCase
from pgwatch_tests.identity.test_ids import namer
from pgwatch_tests.junit.report_files import ReportFile, read_report_files
from pgwatch_tests.junit.verdicts import JUnitTest, TestVerdict, is_nameless, judged_tests
from pgwatch_tests.record.run_summary import Outcome, TestOutcome
from pgwatch_tests.text.plain_text import shortened_middle
from pgwatch_tests.text.secrets import mask_text

MOST_OUTCOMES = 5_000
"""How many tests a summary has; beyond, those that simply passed are left out."""

OWN_CLASS = "pgwatch-tests."
"""Begins the classes of our own reports, whose cases are checks of a database."""
_LONGEST_MESSAGE = 300
# As terminals take them, as pytest writes the escape, and as they are where it was replaced or dropped.
_COLOUR = re.compile(r"(?:\x1b|\ufffd|#x1B)?\[[0-9;]{1,20}m")
_OUTCOMES: Mapping[TestVerdict, Outcome] = {
    "passed": "passed",
    "flaky": "passed",
    "failed": "failed",
    "errored": "error",
    "skipped": "skipped",
}
_RANKS = {"failed": 0, "error": 0, "passed": 2, "skipped": 3}


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The tests of some reports, failed and flaky ones first."""

    tests: tuple[TestOutcome, ...]
    not_read: tuple[str, ...]
    """Sentences: what of which file couldn't be read."""
    left_out: int = 0
    """How many tests aren't among `tests`, because there are so many."""


def read_outcomes(paths: Iterable[Path], seen: Collection[str] = ()) -> Outcomes:
    """Returns the outcomes in JUnit reports; a later file's attempt at a test comes after an earlier one's.

    A report doesn't say what the id of a test is. `seen` are tests as sessions named them, whole or by their
    hash: where one of them can be meant, it is.
    """
    return outcomes_in(read_report_files((path, False) for path in paths), seen)


def outcomes_in(files: Iterable[ReportFile], seen: Collection[str] = ()) -> Outcomes:
    """Returns the outcomes in JUnit reports that were read, as `read_outcomes` does."""
    not_read: list[str] = []
    reports: list[ReportFile] = []
    for report in files:
        path = report.path
        if report.trouble_kind == "unreadable":
            not_read.append(f"{path} can't be read: {report.trouble}")
        elif report.trouble:
            number = len(report.cases)
            rest = f"; {number} of its test cases count" if number else ""
            not_read.append(f"{path} isn't read{' as a whole' if number else ''}: {report.trouble}{rest}")
        # A report that lies there twice is one.
        if not any(report.is_copy_of(other) for other in reports):
            reports.append(report)
    tests = outcomes_of((case for report in reports for case in report.cases), seen)
    return Outcomes(tests[:MOST_OUTCOMES], tuple(not_read), max(0, len(tests) - MOST_OUTCOMES))


def outcomes_of(cases: Iterable[JUnitCase], seen: Collection[str] = ()) -> tuple[TestOutcome, ...]:
    """Returns the tests of these cases, each once, as its last attempt ended; failed and flaky ones first."""
    of_tests = (one for one in cases if not is_nameless(one) and not one.classname.startswith(OWN_CLASS))
    name = namer(seen)
    tests: dict[str, TestOutcome] = {}
    for test in judged_tests(of_tests):
        one = outcome_of(test, name(test.case))
        tests[one.test] = _again(tests[one.test], one) if one.test in tests else one
    return tuple(sorted(tests.values(), key=lambda one: 1 if _is_flaky(one) else _RANKS[one.outcome]))


def _again(before: TestOutcome, one: TestOutcome) -> TestOutcome:
    """A test of the same id in another suite is taken for a further attempt at it."""
    if one.outcome == "skipped":
        return before
    failed = before.failed_attempts + (before.outcome in ("failed", "error"))
    return replace(one, message=one.message or before.message, failed_attempts=one.failed_attempts + failed)


def outcome_of(test: JUnitTest, name: str) -> TestOutcome:
    """The test as a run's summary has it."""
    return TestOutcome(
        name, _OUTCOMES[test.verdict], test.case.duration_s, message_of(test), test.failed_attempts
    )


def message_of(test: JUnitTest) -> str:
    """The first failure's message in one line, without colours, secrets masked; empty if it simply passed."""
    if test.verdict == "passed":
        return ""
    messages = (one.message or one.text for one in test.troubles)
    text = " ".join(_COLOUR.sub("", next(filter(None, messages), "")).split())
    return shortened_middle(mask_text(text), _LONGEST_MESSAGE)


def _is_flaky(test: TestOutcome) -> bool:
    return test.outcome == "passed" and test.failed_attempts > 0
