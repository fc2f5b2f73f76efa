"""Annotations of a GitHub workflow for failed tests and findings: ten of a level at most, as GitHub shows."""

from __future__ import annotations

import re

from pgwatch_tests.junit.summary import JUnitSummary, Level
from pgwatch_tests.junit.verdicts import JUnitTest, in_order
from pgwatch_tests.reports.junit.summary_words import database_lines, id_words, reason, verdict_words
from pgwatch_tests.reports.render.ci_text import annotation
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain, shortened_middle

_MOST = 10
_SCRIPT = re.compile(r"[^\s<>:]+\.[cm]?[jt]sx?")
_PYTEST = re.compile(r"(?P<file>[^\s<>:]+\.py)(?:::|$)")
_MOST_DATABASE = 3
_LONGEST_REASON = 2_000
_LONGEST_PATH = 500


def document(summary: JUnitSummary) -> str:
    """Returns the lines; findings come before tests, since they say what of the tests can be believed."""
    lines: dict[Level, list[str]] = {"error": [], "warning": [], "notice": []}
    for one in summary.findings:
        title = f"pgwatch-tests: {one.kind.replace('_', ' ')}"
        lines[one.level].append(annotation(one.level, title, plain(one.text)))
    for test in in_order(summary.tests):
        if test.has_failed:
            lines["error"].append(_of_test("error", test))
        elif test.verdict == "flaky":
            lines["warning"].append(_of_test("warning", test))
    return "\n".join(line for level, each in lines.items() for line in _first(level, each)) + "\n"


def _first(level: Level, lines: list[str]) -> list[str]:
    if len(lines) <= _MOST:
        return lines
    # The tenth says how many there are more: GitHub drops the rest without a word.
    more = annotation(
        level, "pgwatch-tests", f"and {plural(len(lines) - _MOST + 1, f'more {level}')}; the summary has all"
    )
    return [*lines[: _MOST - 1], more]


def _of_test(level: Level, test: JUnitTest) -> str:
    shard = f" [{test.shard}]" if test.shard else ""
    said = [shortened_middle(reason(test), _LONGEST_REASON), *list(database_lines(test))[:_MOST_DATABASE]]
    message = "\n".join(map(plain, said))
    return annotation(level, plain(f"{verdict_words(test)}: {id_words(test)}{shard}"), message, file_of(test))


def file_of(test: JUnitTest) -> str | None:
    """The test's file, relative to where it ran; None if it isn't known."""
    case = test.case
    if max(len(case.file), len(case.classname)) > _LONGEST_PATH:
        return None
    if case.file and not case.file.startswith("/"):
        return plain(case.file)
    if _SCRIPT.fullmatch(case.classname):
        return plain(case.classname)
    match = _PYTEST.match(test.id)
    return plain(match["file"]) if match else None
