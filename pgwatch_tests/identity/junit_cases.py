"""Test cases of JUnit reports: read safely, whoever wrote them, and what the id of each test can be. Pure.

A report comes from elsewhere. Nothing in it is expanded or opened; a DOCTYPE is refused. What is torn, or has
characters that XML forbids, is read as far as it goes, and that is said.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal
from xml.parsers import expat

CaseOutcome = Literal["passed", "failed", "error", "skipped"]

_OUTCOMES: Mapping[str, CaseOutcome] = {"failure": "failed", "error": "error", "skipped": "skipped"}
# Attempts that the runner repeated, in a case that came to another end (Maven Surefire).
_ATTEMPTS = ("flakyFailure", "flakyError", "rerunFailure", "rerunError")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED = re.compile(rb"""\A<\?xml[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
# All that XML 1.0 allows is the rest (Extensible Markup Language, 2.2 Characters).
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REFERENCE = re.compile(r"&#(?:x([0-9A-Fa-f]{1,8})|([0-9]{1,8}));")
_SCRIPT = re.compile(r"\.[cm]?[jt]sx?$")
_LONGEST_TEXT = 2_000  # characters of a failure


@dataclass(frozen=True, slots=True)
class JUnitCase:
    """A `testcase` element. Texts are other people's."""

    name: str
    classname: str
    file: str = ""
    suite: str = ""
    """The name of the innermost `testsuite`."""
    host: str = ""
    """Its `hostname`: a machine, or a project of Playwright's."""
    runner: Literal["pytest", "vitest", "playwright", ""] = ""
    """Whose report it seems to be; empty if that can't be told."""
    outcome: CaseOutcome = "passed"
    duration_s: float | None = None
    message: str = ""
    """The failure's message, else its text, at most 2,000 characters of either."""
    failed_attempts: int = 0
    """How many attempts failed besides the one that `outcome` tells."""


@dataclass(frozen=True, slots=True)
class JUnitCases:
    """The cases of a report, as far as they can be read."""

    cases: tuple[JUnitCase, ...]
    trouble: str = ""
    """Why there may be more, or none is read: `it ends early`; empty if nothing is wrong."""


def decoded(content: bytes) -> str:
    """Returns a file's text by its byte order mark, by what its XML declaration says, or as UTF-8.

    What isn't in that encoding is replaced.
    """
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, errors="replace")
    declared = _DECLARED.match(content)
    try:
        return content.decode(declared[1].decode() if declared else "utf-8", errors="replace")
    except (LookupError, ValueError):  # no such encoding, or none of text
        return content.decode("utf-8", errors="replace")


def read_cases(text: str) -> JUnitCases:
    """Returns the cases of a report; of none, why it isn't one."""
    if not text.strip():
        return JUnitCases((), "it is empty")
    reader = _Reader()
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.buffer_text = True
    trouble = ""
    try:
        parser.Parse(_allowed(text.lstrip()).encode(), True)
    except _RefusedError as error:
        return JUnitCases((), str(error))
    except expat.ExpatError as error:
        trouble = f"it is damaged at line {error.lineno}: {expat.ErrorString(error.code)}"
    return JUnitCases(tuple(reader.cases), trouble)


def possible_ids(case: JUnitCase) -> Iterator[str]:
    """All that the id of a test can be, by pytest's and by Vitest's, Jest's and Playwright's rules."""
    # pytest: `tests.test_a.TestA` is a file and perhaps classes in it (_pytest/junitxml.py).
    parts = case.classname.split(".")
    for end in range(1, len(parts) + 1):
        yield "::".join(("/".join(parts[:end]) + ".py", *parts[end:], case.name))
        if case.file:
            yield "::".join((case.file, *parts[end:], case.name))
    title = case.name.replace(" \u203a ", " > ")
    for place in dict.fromkeys(filter(None, (case.classname, case.file))):
        yield f"{place} > {title}"
        if case.host:
            # Playwright's reporter calls the project the host.
            yield f"[{case.host}] {place} > {title}"


def likely_id(case: JUnitCase) -> str:
    """Returns the id of a test of which nothing else is known: one of `possible_ids`, or its name alone."""
    title = case.name.replace(" \u203a ", " > ")
    if case.runner == "playwright" and case.host:
        return f"[{case.host}] {case.classname} > {title}"
    if case.runner != "pytest" or _SCRIPT.search(case.classname):
        # Jest's reporter writes the name twice.
        return f"{case.classname} > {title}" if case.classname not in ("", case.name) else title
    if not case.classname:
        return case.name
    parts = case.classname.split(".")
    # Classes of tests begin with a capital letter, modules don't.
    end = next((place for place, part in enumerate(parts) if place and part[:1].isupper()), len(parts))
    return "::".join((case.file or "/".join(parts[:end]) + ".py", *parts[end:], case.name))


class _RefusedError(Exception):
    """The text is no report, or not a safe one."""


def _allowed(text: str) -> str:
    """The text without the characters and references that XML forbids."""
    text = _FORBIDDEN.sub("\ufffd", text)
    return _REFERENCE.sub(_allowed_reference, text) if "&#" in text else text


def _allowed_reference(match: re.Match[str]) -> str:
    code = int(match[1], 16) if match[1] else int(match[2])
    return match[0] if code <= 0x10FFFF and not _FORBIDDEN.match(chr(code)) else "\ufffd"


@dataclass(slots=True)
class _Open:
    """A `testcase` whose end isn't read yet."""

    case: Mapping[str, str]
    outcome: CaseOutcome = "passed"
    message: str = ""
    texts: list[str] = field(default_factory=list)
    attempts: int = 0


class _Reader:
    """Collects cases from the events of a parser."""

    def __init__(self) -> None:
        self.cases: list[JUnitCase] = []
        self._depth = 0
        self._runner: Literal["pytest", "vitest", "playwright", ""] = ""
        self._suites: list[Mapping[str, str]] = []
        self._open: _Open | None = None
        self._collects = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        if self._depth == 0:
            if name not in ("testsuites", "testsuite"):
                raise _RefusedError(f"it is no JUnit report: its root is <{name[:40]}>")
            self._runner = _runner(name, attributes)
        self._depth += 1
        if name == "testsuite":
            self._suites.append(attributes)
            if attributes.get("name") == "pytest":
                self._runner = "pytest"
        elif name == "testcase":
            self._open = _Open(attributes)
        elif self._open is not None:
            self._start_in_case(name, attributes, self._open)

    def _start_in_case(self, name: str, attributes: Mapping[str, str], case: _Open) -> None:
        if name in _ATTEMPTS:
            case.attempts += 1
        outcome = _OUTCOMES.get(name)
        # A test that failed and was torn down with an error has failed.
        if outcome is not None and case.outcome in ("passed", "skipped"):
            case.outcome = outcome
        if (outcome is not None or name in _ATTEMPTS) and not case.message:
            case.message = attributes.get("message", "")[:_LONGEST_TEXT]
            self._collects = not case.message

    def text(self, data: str) -> None:
        """Characters within an element."""
        if self._collects and self._open is not None:
            self._open.texts.append(data[:_LONGEST_TEXT])
            self._collects = len(self._open.texts) < 20

    def end(self, name: str) -> None:
        """An element ends."""
        self._depth -= 1
        if name == "testsuite":
            self._suites.pop()
        elif name == "testcase" and self._open is not None:
            suite = self._suites[-1] if self._suites else {}
            self.cases.append(_closed(self._open, suite, self._runner))
            self._open = None
        if name in _OUTCOMES or name in _ATTEMPTS:
            self._collects = False

    def refuse(self, *_: object) -> None:
        """A DOCTYPE: entities are declared there, which expand without end or read other files."""
        raise _RefusedError("it has a DOCTYPE, which no JUnit report has")


def _runner(root: str, attributes: Mapping[str, str]) -> Literal["pytest", "vitest", "playwright", ""]:
    if root == "testsuites" and "id" in attributes:
        return "playwright"
    name = attributes.get("name", "")
    return "vitest" if name == "vitest tests" else "pytest" if name == "pytest tests" else ""


def _closed(
    case: _Open, suite: Mapping[str, str], runner: Literal["pytest", "vitest", "playwright", ""]
) -> JUnitCase:
    message = case.message or "".join(chain(case.texts)).strip()[:_LONGEST_TEXT]
    return JUnitCase(
        name=case.case.get("name", ""),
        classname=case.case.get("classname", ""),
        file=case.case.get("file", ""),
        suite=suite.get("name", ""),
        host=suite.get("hostname", ""),
        runner=runner,
        outcome=case.outcome,
        duration_s=_seconds(case.case.get("time", "")),
        message=message,
        failed_attempts=case.attempts,
    )


def _seconds(text: str) -> float | None:
    """A number of seconds; Maven writes `1,234.5`. None if it is none."""
    try:
        number = float(text.replace(",", "") if "." in text else text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
