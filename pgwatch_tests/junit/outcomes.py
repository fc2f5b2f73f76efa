"""Outcomes of tests, from the JUnit reports that a run wrote.

Files come from elsewhere: what can't be read of them is told, and what can be counts.
"""

from __future__ import annotations

import os
import re
import stat
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from pgwatch_tests.identity.application_name import digest
from pgwatch_tests.identity.junit_cases import (
    JUnitCase,
    decoded,
    likely_id,
    possible_ids,
    read_cases,
)
from pgwatch_tests.record.run_summary import TestOutcome
from pgwatch_tests.text.plain_text import shortened_middle
from pgwatch_tests.text.secrets import mask_text

MOST_OUTCOMES = 5_000
"""How many tests a summary has; beyond, those that simply passed are left out."""

_LARGEST_FILE = 200_000_000
_LONGEST_MESSAGE = 300
# As terminals take them, as pytest writes the escape, and as they are where it was replaced or dropped.
_COLOUR = re.compile(r"(?:\x1b|\ufffd|#x1B)?\[[0-9;]{1,20}m")
_HASH = re.compile(r"#([0-9a-f]{8})$")
_SEPARATORS = (" > ", " \u203a ")
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
    cases: list[JUnitCase] = []
    not_read: list[str] = []
    contents: set[bytes] = set()
    for path in paths:
        try:
            content = _content(path)
        except OSError as error:
            not_read.append(f"{path} can't be read: {error.strerror or error}")
            continue
        # A report that lies there twice is one.
        if (key := sha256(content).digest()) in contents:
            continue
        contents.add(key)
        report = read_cases(decoded(content))
        if report.trouble:
            number = len(report.cases)
            rest = f"; {number} of its test cases count" if number else ""
            not_read.append(f"{path} isn't read{' as a whole' if number else ''}: {report.trouble}{rest}")
        cases.extend(report.cases)
    tests = outcomes_of(cases, seen)
    return Outcomes(tests[:MOST_OUTCOMES], tuple(not_read), max(0, len(tests) - MOST_OUTCOMES))


def outcomes_of(cases: Iterable[JUnitCase], seen: Collection[str] = ()) -> tuple[TestOutcome, ...]:
    """Returns the tests of these cases, each once, as its last attempt ended; failed and flaky ones first.

    Two attempts of a test can't be told from two tests of one name: both are taken for attempts.
    """
    by_suite: defaultdict[tuple[str, str], list[JUnitCase]] = defaultdict(list)
    for case in cases:
        # Our own reports have checks of a database, no tests.
        if (case.name or case.classname) and not case.classname.startswith("pgwatch-tests."):
            by_suite[case.suite, case.host].append(case)
    name = _namer(seen)
    tests: dict[str, TestOutcome] = {}
    for suite in by_suite.values():
        groups = _groups(suite)
        for case in suite:
            test = name(case)
            tests[test] = _after(tests.get(test), _judged(case, groups), test)
    return tuple(sorted(tests.values(), key=lambda one: 1 if _is_flaky(one) else _RANKS[one.outcome]))


def _content(path: Path) -> bytes:
    """Reads a file; raises OSError for a pipe, which may never end, and for what no report is as large as."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError("it is no file")
        if found.st_size > _LARGEST_FILE:
            raise OSError(f"it has more than {_LARGEST_FILE:,} bytes")
        return file.read(_LARGEST_FILE)


def _namer(seen: Collection[str]) -> Callable[[JUnitCase], str]:
    """Returns what names the test of a case: as one that was seen, if it can be one of them."""
    whole = set(seen)
    # `..::test_a #1a2b3c4d`, or only the hash: as a session names a test that it has no room for.
    hashes = {match[1] for match in map(_HASH.search, seen) if match}

    def name(case: JUnitCase) -> str:
        ids = list(possible_ids(case)) if whole else []
        fitting = [test for test in ids if test in whole] or [test for test in ids if digest(test) in hashes]
        return fitting[0] if fitting else likely_id(case)

    return name


def _groups(suite: Sequence[JUnitCase]) -> frozenset[str]:
    """The names of groups of tests: what names of tests begin with, up to a separator."""
    groups: set[str] = set()
    for case in suite:
        for separator in _SEPARATORS:
            parts = case.name.split(separator)
            groups.update(separator.join(parts[:end]) for end in range(1, len(parts)))
    return frozenset(groups)


def _judged(case: JUnitCase, groups: Collection[str]) -> JUnitCase:
    """The case; as an error if it failed and stands for a file or the hook of a group, no test (Vitest)."""
    stands_for_more = case.name in groups or case.name == case.classname == case.suite
    if case.outcome == "failed" and (stands_for_more or case.suite == "vitest unhandled errors"):
        return replace(case, outcome="error")
    return case


def _after(before: TestOutcome | None, case: JUnitCase, test: str) -> TestOutcome:
    """The test after one more of its attempts."""
    message = _message(case)
    if before is None:
        return TestOutcome(test, case.outcome, case.duration_s, message, case.failed_attempts)
    failed_before = before.outcome in ("failed", "error")
    if case.outcome == "skipped":
        return before
    # pytest writes a second case for a tear-down that fails after its test failed.
    if failed_before and case.outcome == "error" and case.message.startswith("failed on teardown"):
        return before
    attempts = before.failed_attempts + case.failed_attempts + failed_before
    return TestOutcome(test, case.outcome, case.duration_s, message or before.message, attempts)


def _message(case: JUnitCase) -> str:
    if case.outcome == "passed" and not case.failed_attempts:
        return ""
    text = " ".join(_COLOUR.sub("", case.message).split())
    return shortened_middle(mask_text(text), _LONGEST_MESSAGE)


def _is_flaky(test: TestOutcome) -> bool:
    return test.outcome == "passed" and test.failed_attempts > 0
