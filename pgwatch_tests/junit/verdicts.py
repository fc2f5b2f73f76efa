"""Verdicts on tests, from the cases that stand for them: one test counts once. Pure.

Cases of one suite, class and name are one test. The last attempt decides; if it passed after others failed,
the test is flaky. Nothing in a report tells two tests of one name from two attempts: they are attempts here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import Literal, NamedTuple

from pgwatch_tests.identity.junit_cases import CaseOutcome, JUnitCase, Suite, Trouble
from pgwatch_tests.identity.test_ids import PLAYWRIGHT_SEPARATOR, likely_id, project

TestVerdict = Literal["passed", "failed", "errored", "skipped", "flaky"]
StandsFor = Literal["test", "file", "hook", "crash", "suite"]

_new = tuple.__new__  # of a NamedTuple: half the time of calling it, a hundred thousand times
VERDICTS: tuple[TestVerdict, ...] = ("passed", "failed", "errored", "skipped", "flaky")
_MOST_EARLIER = 50
_SEPARATORS = (" > ", PLAYWRIGHT_SEPARATOR)
_UNHANDLED = "vitest unhandled errors"
_CRASHES = ("worker '", "collection failure")
TEARDOWN = "failed on teardown"
"""Begins the message of pytest's second case of a test, whose tear-down failed."""


class JUnitTest(NamedTuple):
    """A test of one shard: how it ended, and the last case that stands for it."""

    case: JUnitCase
    verdict: TestVerdict
    attempts: int = 1
    """As far as the report shows them."""
    failed_attempts: int = 0
    """Those that failed before the last one."""
    earlier: tuple[JUnitCase, ...] = ()
    """Further cases of it, in their order: the first 50."""
    stands_for: StandsFor = "test"
    """What the runner has written as a test: a file that can't be loaded, the hook of a group, a crash."""
    shard: str = ""
    test: str = ""
    """Its id, if it is known better than by the case alone."""
    database: tuple[str, ...] = ()
    """What the database knew of it, if it failed: a sentence each."""

    @property
    def id(self) -> str:
        """The id that its sessions bear, as far as it is known."""
        return self.test or likely_id(self.case)

    @property
    def project(self) -> str:
        """Its Playwright project; empty for all others."""
        return project(self.case)

    @property
    def has_failed(self) -> bool:
        """Whether it failed or ended with an error."""
        return self.verdict in ("failed", "errored")

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """Why it failed: those of its last case first, then those of earlier ones."""
        return (*self.case.troubles, *chain.from_iterable(one.troubles for one in self.earlier))


def is_nameless(case: JUnitCase) -> bool:
    """Whether it is no test, but the place at which pytest was stopped."""
    return not case.name and not case.classname and not case.is_suite


def judged_tests(cases: Iterable[JUnitCase], shard: str = "") -> list[JUnitTest]:
    """Returns the tests of a shard's cases, each once, class by class."""
    by_class: dict[tuple[Suite, str | None], dict[str, JUnitTest]] = {}
    of_class: dict[str, JUnitTest] = {}
    suite, classname = None, ""
    for case in cases:
        name = case.name
        if not name and is_nameless(case):
            continue
        if case.suite is not suite or case.classname is not classname:
            suite, classname = case.suite, case.classname
            # Files of one shard have suites of one name, each with its time.
            key = Suite(case.suite.name, project(case)), None if case.is_suite else classname
            of_class = by_class.setdefault(key, {})
        if name in of_class:
            of_class[name] = _after(of_class[name], case)
        elif case.troubles:
            of_class[name] = _first(case, shard)
        else:
            of_class[name] = _new(JUnitTest, (case, "passed", 1, 0, (), "test", shard, "", ()))
    tests: list[JUnitTest] = []
    for each in by_class.values():
        tests += each.values()
        each.clear()  # of a hundred thousand, these are many megabytes
    groups = _Groups(tests)
    for place, test in enumerate(tests):
        if test.verdict == "failed" or test.verdict == "errored":
            tests[place] = _judged(test, groups)
    return tests


class _Groups:
    """Names of groups of tests, by suite: what names of tests begin with, up to a separator."""

    def __init__(self, tests: Sequence[JUnitTest]) -> None:
        self._tests = tests
        self._names: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        self._groups: dict[tuple[str, str], frozenset[str]] = {}

    def of(self, case: JUnitCase) -> Collection[str]:
        """The groups of the case's suite."""
        if not self._names:
            for one in self._tests:
                self._names[one.case.suite.name, one.project].append(one.case.name)
        key = case.suite.name, project(case)
        if key not in self._groups:
            self._groups[key] = frozenset(chain.from_iterable(map(_beginnings, self._names[key])))
        return self._groups[key]


def _beginnings(name: str) -> Iterator[str]:
    for separator in _SEPARATORS:
        place = name.find(separator)
        while place >= 0:
            yield name[:place]
            place = name.find(separator, place + 1)


def _first(case: JUnitCase, shard: str) -> JUnitTest:
    failed = case.failed_attempts
    return JUnitTest(case, _verdict(case.outcome, failed), 1 + failed, failed, shard=shard)


def _verdict(outcome: CaseOutcome, failed_attempts: int) -> TestVerdict:
    if outcome == "passed":
        return "flaky" if failed_attempts else "passed"
    return "errored" if outcome == "error" else outcome


def _after(before: JUnitTest, case: JUnitCase) -> JUnitTest:
    """The test after one more case of it."""
    outcome = case.outcome
    if outcome == "skipped":
        return before
    if case.is_suite:
        troubles = (*before.case.troubles, *case.troubles)[:_MOST_EARLIER]
        return before._replace(case=before.case._replace(troubles=troubles))
    is_teardown = outcome == "error" and case.message.startswith(TEARDOWN)
    if before.has_failed and is_teardown:
        # pytest writes a second case for a tear-down that fails after its test failed.
        return before._replace(earlier=_with(before.earlier, case))
    failed = before.failed_attempts + case.failed_attempts + before.has_failed
    ran_before = before.attempts if before.verdict != "skipped" else 0
    attempts = ran_before + 1 + case.failed_attempts - is_teardown
    earlier = _with(before.earlier, before.case)
    return JUnitTest(case, _verdict(outcome, failed), attempts, failed, earlier, shard=before.shard)


def _with(earlier: tuple[JUnitCase, ...], case: JUnitCase) -> tuple[JUnitCase, ...]:
    """One more, if there aren't many already."""
    return (*earlier, case) if len(earlier) < _MOST_EARLIER else earlier


def _judged(test: JUnitTest, groups: _Groups) -> JUnitTest:
    """The test; as an error if it failed and stands for a file, the hook of a group, or a crash."""
    if not test.has_failed:
        return test
    stands_for = _stands_for(test.case, groups)
    return test if stands_for == "test" else test._replace(verdict="errored", stands_for=stands_for)


def _stands_for(case: JUnitCase, groups: _Groups) -> StandsFor:
    if case.is_suite:
        return "suite"
    if case.suite.name == _UNHANDLED or case.message.startswith(_CRASHES[0]):
        return "crash"
    if case.message.startswith(_CRASHES[1]) or case.name == case.classname == case.suite.name:
        return "file"
    return "hook" if case.name in groups.of(case) else "test"


def in_order(tests: Sequence[JUnitTest]) -> list[JUnitTest]:
    """The failed tests first, then those with errors, the flaky ones, and the others; else in their order."""
    order = {"failed": 0, "errored": 1, "flaky": 2, "passed": 3, "skipped": 3}
    return sorted(tests, key=lambda one: order[one.verdict])
