"""Ids of tests from the cases of JUnit reports, by each runner's rules. Pure.

The id of a test is what its runner calls it, and what its hash is made of (docs/test-ids.md):

    pytest      tests/test_a.py::TestA::test_b[param]
    Vitest      tests/a.test.ts > describe > test          and Jest, where its reporter tells the file
    Playwright  [project] a.spec.ts > describe > test      without a project: a.spec.ts > describe > test
    unittest    tests.test_a.TestA.test_b

A report doesn't say which runner's it is, nor all that an id has: of a case there may be several.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator

from pgwatch_tests.identity.application_name import digest
from pgwatch_tests.identity.junit_cases import JUnitCase

_SCRIPT = re.compile(r"\.[cm]?[jt]sx?$")
_HASH = re.compile(r"#([0-9a-f]{8})$")
PLAYWRIGHT_SEPARATOR = " \u203a "


def project(case: JUnitCase) -> str:
    """Returns the project of a Playwright test, which its report calls the host; empty for all others."""
    return case.suite.host if case.runner == "playwright" else ""


def possible_ids(case: JUnitCase) -> Iterator[str]:
    """Yields all that the id of a test can be, by the rules of all runners."""
    # pytest: `tests.test_a.TestA` is a file and perhaps classes in it (_pytest/junitxml.py).
    parts = case.classname.split(".")
    for end in range(1, len(parts) + 1):
        yield "::".join(("/".join(parts[:end]) + ".py", *parts[end:], case.name))
        if case.file:
            yield "::".join((case.file, *parts[end:], case.name))
    title = _title(case)
    for place in dict.fromkeys(filter(None, (case.classname, case.file))):
        yield f"{place} > {title}"
        if case.name != title:
            # Vitest has such a title as it is written.
            yield f"{place} > {case.name}"
        if case.suite.host:
            # Playwright's reporter calls the project the host.
            yield f"[{case.suite.host}] {place} > {title}"
    if case.file and case.classname not in ("", case.file, case.name):
        # Jest's reporter, where it is told to write the groups as the class.
        yield f"{case.file} > {case.classname} > {title}"
    if case.classname and "/" not in case.classname:
        yield f"{case.classname}.{case.name}"
        if case.name.endswith("()"):
            # A method in reports of Gradle and of JUnit's own console; Surefire's have its name alone.
            yield f"{case.classname}.{case.name.removesuffix('()')}"


def likely_id(case: JUnitCase) -> str:
    """Returns the id of a test of which nothing else is known: one of `possible_ids`, or its name alone."""
    title = _title(case)
    if case.runner == "playwright" and case.suite.host:
        return f"[{case.suite.host}] {case.classname} > {title}"
    if case.runner != "pytest" or _SCRIPT.search(case.classname):
        # Jest's reporter writes the name twice.
        return f"{case.classname} > {title}" if case.classname not in ("", case.name) else title
    if not case.classname:
        return case.name
    parts = case.classname.split(".")
    # Classes of tests begin with a capital letter, modules don't.
    end = next((place for place, part in enumerate(parts) if place and part[:1].isupper()), len(parts))
    return "::".join((case.file or "/".join(parts[:end]) + ".py", *parts[end:], case.name))


def namer(seen: Collection[str]) -> Callable[[JUnitCase], str]:
    """Returns what names the test of a case: as one of the tests `seen`, if it can be one.

    `seen` are tests as sessions named them: whole, or `..::test_a #1a2b3c4d` if there was no room.
    """
    whole = set(seen)
    hashes = {match[1] for match in map(_HASH.search, whole) if match}

    def name(case: JUnitCase) -> str:
        ids = list(possible_ids(case)) if whole else []
        fitting = [test for test in ids if test in whole] or [test for test in ids if digest(test) in hashes]
        return fitting[0] if fitting else likely_id(case)

    return name


def _title(case: JUnitCase) -> str:
    """The titles of the groups and of the test; Playwright may put the project before them."""
    own = f"[{case.suite.host}] "
    name = case.name.removeprefix(own) if case.runner == "playwright" and case.suite.host else case.name
    return name if case.runner == "vitest" else name.replace(PLAYWRIGHT_SEPARATOR, " > ")
